//! The closed list of reasons. They are API: docs/troubleshooting.md explains each of them, and none is renamed once it
//! was released.

/// What a reason means for the conditions that kstatus reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// `Ready=True`. No call and no write follows.
    Done,
    /// `Ready=False`, `Reconciling=True`: the operator continues by itself.
    Waiting,
    /// `Ready=False`, `Stalled=True`: somebody has to act.
    Stalled,
    /// `Ready=False` alone: somebody stopped the object on purpose.
    Held,
}

macro_rules! reasons {
    ($($(#[$doc:meta])* $name:ident => $state:ident,)+) => {
        /// The reason of a condition. Conditions, events, logs and metrics use the same word.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum Reason { $($(#[$doc])* $name,)+ }

        impl Reason {
            /// Every reason.
            pub const ALL: &[Self] = &[$(Self::$name,)+];

            /// The word in the API.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// What the reason means for the conditions.
            pub const fn state(self) -> State {
                match self { $(Self::$name => State::$state,)+ }
            }
        }
    };
}

reasons! {
    /// Auth0 accepted the removal, and a complete read afterwards shows none of the items.
    Removed => Done,
    /// Auth0 accepted the removal, but no read proved it: verification is `Never`, or the read failed.
    RemovedUnverified => Done,
    /// Nothing was there to remove.
    AlreadyAbsent => Done,
    /// `mode: Observe`: the message says what would be removed; nothing was.
    WouldRemove => Done,
    /// The user or organization does not exist any more, so nothing is left to remove.
    SubjectGone => Done,
    /// The object was created after its own `notAfter`, so it is too old to act on.
    NotReplayed => Done,
    /// Auth0 does not know the user or organization, and `ifNotFound` is `Fail`.
    SubjectNotFound => Stalled,
    /// Auth0 does not know the role, API or permission, and `ifNotFound` is `Fail`.
    ItemNotFound => Stalled,
    /// `spec.notAfter` passed before anything was removed.
    Expired => Stalled,
    /// Auth0 accepted the removal, but a read long afterwards still shows an item.
    StillPresent => Stalled,
    /// Auth0 rejected the request as malformed.
    InvalidRequest => Stalled,
    /// Auth0 rejected the credential.
    Unauthorized => Stalled,
    /// The credential lacks a scope.
    InsufficientScope => Stalled,
    /// Auth0 denied the removal for another cause than credential and scope, such as a plan or a policy.
    Denied => Stalled,
    /// The tenant protects what the object names.
    Protected => Stalled,
    /// The tenant does not admit this namespace or kind. On a tenant: the operator reads no Secrets in this namespace.
    NamespaceNotAllowed => Stalled,
    /// The tenant's brake stopped the removals because there were too many within a short time.
    BrakeEngaged => Stalled,
    /// The spec has a field or value on which this version does not act.
    UnknownField => Stalled,
    /// The object waits for its turn in the queue.
    Queued => Waiting,
    /// Auth0 accepted the removal; the read that proves it is outstanding.
    AwaitingProof => Waiting,
    /// The tenant object is missing or not ready.
    TenantNotReady => Waiting,
    /// Auth0 answered 429; `status.nextAttemptTime` says until when nothing is sent.
    RateLimited => Waiting,
    /// Auth0 failed, did not answer, or could not be reached.
    Auth0Unavailable => Waiting,
    /// Auth0 accepted the removal, but a read still shows an item. Auth0's lists may lag.
    AwaitingConsistency => Waiting,
    /// `spec.notBefore` has not come yet.
    Scheduled => Held,
    /// `spec.suspend` is set on the object or on its tenant.
    Suspended => Held,
    /// `spec.hold` is in force on the object or on its tenant.
    OnHold => Held,
    /// Tenant: Auth0 accepted a call.
    Connected => Done,
    /// Tenant: nothing is missing to call Auth0, but it has accepted no call yet.
    Unproved => Done,
    /// Tenant: the Secret does not exist in this namespace, lacks the label, or cannot be read.
    SecretNotFound => Waiting,
    /// Tenant: the Secret holds no usable credential.
    InvalidCredentials => Stalled,
    /// Tenant: the operator may not call this domain.
    DomainNotAllowed => Stalled,
    /// Tenant: the domain is invalid or not the one in the Secret, the CA bundle is not PEM, or the certificate of the
    /// domain is not trusted.
    InvalidConnection => Stalled,
}

impl Reason {
    /// The reason written as `text`, if this version knows it.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|reason| reason.as_str() == text)
    }
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The reason of the condition `Verified`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum VerifiedReason {
    /// True: a complete read after the removal shows none of the items. False: a read long after the removal still
    /// shows one.
    ReadAfter,
    /// True: a complete read showed that nothing was there.
    ReadBefore,
    /// False: the tenant says not to read.
    VerificationNever,
    /// False: the read failed, or the credential may not read.
    ReadRefused,
    /// Unknown: Auth0 accepted the removal; the read that proves it is outstanding.
    ProofPending,
}

/// The reason of the condition `Effective`, from the worst to the best.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EffectiveReason {
    /// False: the user has the same permission through a role.
    GrantedByRole,
    /// False: RBAC is off for the API, so that permissions limit nothing.
    RbacDisabled,
    /// False: who logs in becomes a member again.
    MembershipOnLogin,
    /// Unknown: something that decides on it could not be found out.
    EffectUnknown,
    /// Unknown: access tokens that were issued before stay valid until `status.effectiveBy`, and nobody can say whether
    /// there are any.
    TokensStillValid,
    /// True: nothing is known that keeps the removal from being in effect.
    InEffect,
}

impl EffectiveReason {
    /// Every reason.
    pub const ALL: [Self; 6] = [
        Self::GrantedByRole,
        Self::RbacDisabled,
        Self::MembershipOnLogin,
        Self::EffectUnknown,
        Self::TokensStillValid,
        Self::InEffect,
    ];

    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::GrantedByRole => "GrantedByRole",
            Self::RbacDisabled => "RBACDisabled",
            Self::MembershipOnLogin => "MembershipOnLogin",
            Self::EffectUnknown => "EffectUnknown",
            Self::TokensStillValid => "TokensStillValid",
            Self::InEffect => "InEffect",
        }
    }
}

/// The reason of the condition `Drifted`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum DriftedReason {
    /// What was removed came back within the last 24 hours, and was removed again.
    CameBack,
    /// It did so more than three times.
    KeepsComingBack,
}

/// The reason of the condition `BrakeEngaged` of a tenant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BrakeReason {
    /// True: more would be removed than the brake lets through.
    TooManyRemovals,
    /// True: a larger share of an organization would be removed than the brake lets through.
    TooManyOfOrganization,
    /// False: that will be so at the time that the message names.
    TooManyScheduled,
}

impl BrakeReason {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::TooManyRemovals, Self::TooManyOfOrganization, Self::TooManyScheduled];

    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TooManyRemovals => "TooManyRemovals",
            Self::TooManyOfOrganization => "TooManyOfOrganization",
            Self::TooManyScheduled => "TooManyScheduled",
        }
    }
}

impl DriftedReason {
    /// The word in the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CameBack => "CameBack",
            Self::KeepsComingBack => "KeepsComingBack",
        }
    }
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
