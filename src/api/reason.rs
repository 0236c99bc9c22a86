//! The closed list of reasons. They are API: documented in the README's table, never renamed once released.

/// What a reason means for the conditions, the way kstatus reads them.
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
    /// Removed, but no read could prove it: verification is `Never`, or the credential may not read.
    RemovedUnverified => Done,
    /// Nothing was there to remove.
    AlreadyAbsent => Done,
    /// `mode: Observe`: this is what would be removed; nothing was.
    WouldRemove => Done,
    /// The user or organization does not exist (any more), so neither does the access.
    SubjectGone => Done,
    /// Created after its own `notAfter`: too old to act, nothing was looked at.
    NotReplayed => Done,
    /// Auth0 does not know the user or organization, and `ifNotFound` is `Fail`.
    SubjectNotFound => Stalled,
    /// Auth0 does not know the role, API or permission, and `ifNotFound` is `Fail`.
    ItemNotFound => Stalled,
    /// `spec.notAfter` passed before it acted.
    Expired => Stalled,
    /// Auth0 accepted the removal, but long afterwards a read still shows it.
    StillPresent => Stalled,
    /// Auth0 refused the request itself.
    InvalidRequest => Stalled,
    /// Auth0 refused the credential.
    Unauthorized => Stalled,
    /// The credential lacks a scope.
    InsufficientScope => Stalled,
    /// Auth0 refused it for another reason than credential and scope, such as a plan or a policy.
    Denied => Stalled,
    /// The tenant protects what the object names.
    Protected => Stalled,
    /// The tenant does not admit this namespace or kind.
    NamespaceNotAllowed => Stalled,
    /// So many removals were asked for at once that the tenant's brake stopped them.
    BrakeEngaged => Stalled,
    /// The spec has a field or value on which this version does not act.
    UnknownField => Stalled,
    /// Waits for its turn.
    Queued => Waiting,
    /// Auth0 accepted the removal; the read that proves it is outstanding.
    AwaitingProof => Waiting,
    /// The tenant object is missing or not ready.
    TenantNotReady => Waiting,
    /// Auth0 answered 429; `status.nextAttemptTime` says until when nothing is sent.
    RateLimited => Waiting,
    /// Auth0 failed, did not answer, or could not be reached.
    Auth0Unavailable => Waiting,
    /// Auth0 accepted the removal, but a read still shows it.
    AwaitingConsistency => Waiting,
    /// `spec.notBefore` has not come yet.
    Scheduled => Held,
    /// `spec.suspend` is set on the object or on its tenant.
    Suspended => Held,
    /// `spec.hold` is in force on the object or on its tenant.
    OnHold => Held,
    /// Tenant: Auth0 accepted a call.
    Connected => Done,
    /// Tenant: everything is there to call Auth0, but no call was made yet.
    Unproved => Done,
    /// Tenant: the Secret does not exist in this namespace or lacks the label.
    SecretNotFound => Waiting,
    /// Tenant: the Secret is there, but holds no usable credential.
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

/// Why the condition `Verified` is as it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VerifiedReason {
    /// True: a complete read after the removal does not contain it.
    ReadAfter,
    /// True: a complete read showed that nothing was there.
    ReadBefore,
    /// False: nobody asked for a read.
    VerificationNever,
    /// False: Auth0 refused the read.
    ReadRefused,
    /// Unknown: Auth0 accepted the removal; the read is outstanding.
    ProofPending,
}

impl VerifiedReason {
    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ReadAfter => "ReadAfter",
            Self::ReadBefore => "ReadBefore",
            Self::VerificationNever => "VerificationNever",
            Self::ReadRefused => "ReadRefused",
            Self::ProofPending => "ProofPending",
        }
    }
}
