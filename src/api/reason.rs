//! The closed list of reasons. They are API: documented in the README's table, never renamed.

/// What a reason means for the conditions (DESIGN section 2, kstatus).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// `Ready=True`. Finished: no call and no write follows.
    Done,
    /// `Ready=False`, `Reconciling=True`: it goes on by itself.
    Waiting,
    /// `Ready=False`, `Stalled=True`: a person has to act.
    Stalled,
    /// `Ready=False` alone: somebody stopped it on purpose.
    Held,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $state:ident,)+) => {
        /// Why a condition is as it is; the same word stands in conditions, events, logs and metrics.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word in the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What it means for the conditions.
            pub const fn state(self) -> State {
                match self { $(Self::$name => State::$state,)+ }
            }
        }
    };
}

reasons! {
    /// Removed, and a complete read afterwards does not contain it.
    Removed => Done,
    /// Removed, but no read could prove it: verification is off, or the token may not read.
    RemovedUnverified => Done,
    /// A complete read showed that nothing was there to remove.
    AlreadyAbsent => Done,
    /// The user or organization does not exist (any more), so neither does the access.
    SubjectGone => Done,
    /// Auth0 does not know the user or organization, and `ifNotFound` is `Fail`.
    SubjectNotFound => Stalled,
    /// `spec.suspend` is set on the object or on its tenant.
    Suspended => Held,
    /// The tenant object is missing or not ready.
    TenantNotReady => Waiting,
    /// Auth0 answered 429; `status.nextAttemptTime` says until when nothing is sent.
    RateLimited => Waiting,
    /// Auth0 failed, did not answer, or could not be reached.
    Auth0Unavailable => Waiting,
    /// Auth0 accepted the removal, but a read still shows it.
    AwaitingConsistency => Waiting,
    /// Auth0 refused the request itself.
    InvalidRequest => Stalled,
    /// Auth0 refused the credential.
    Unauthorized => Stalled,
    /// The credential lacks a scope.
    InsufficientScope => Stalled,
    /// Tenant: everything is there to call Auth0.
    Connected => Done,
    /// Tenant: the Secret does not exist in this namespace or lacks the label.
    SecretNotFound => Waiting,
    /// Tenant: the Secret is there, but holds no usable token under the key.
    InvalidCredentials => Stalled,
    /// Tenant: the operator may not talk to this domain.
    DomainNotAllowed => Stalled,
    /// Tenant: the domain is not the one in the Secret, or the CA bundle is not PEM.
    InvalidConnection => Stalled,
}

impl Reason {
    /// The reason written as `text`, if it is one of ours.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
