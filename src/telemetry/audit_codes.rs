//! The codes of the audit log. A code is API: once released, it keeps its meaning for ever. The letter at its end says
//! how bad it is: I for what is as it should be, W for what somebody should look at, E for what is not known.

/// What an audit line is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// Auth0 accepted a DELETE.
    DeleteAccepted,
    /// Auth0 refused a DELETE.
    DeleteRefused,
    /// The answer to a DELETE was lost.
    DeleteUnknown,
    /// The connection was closed before Auth0 processed a DELETE.
    DeleteNotProcessed,
    /// An object was deleted between the accepted DELETE and its proof.
    Unproved,
    /// A guard of the tenant refuses an object.
    Guarded,
    /// Auth0 issued an access token.
    TokenIssued,
    /// Auth0 refused an access token.
    TokenRefused,
    /// The answer to a request for an access token was lost.
    TokenUnknown,
    /// The connection was closed before Auth0 processed a request for an access token.
    TokenNotProcessed,
    /// A tenant was suspended or is on hold from now on.
    TenantStopped,
    /// A tenant is neither suspended nor on hold any more.
    TenantResumed,
    /// The brake of a tenant stops the removals of a namespace.
    BrakeEngaged,
    /// An engaged brake was released.
    BrakeReleased,
    /// This replica leads from now on.
    LeaderStarted,
    /// This replica gave up the lead when it was ended.
    LeaderStopped,
    /// This replica lost the lead.
    LeaderLost,
}

impl Code {
    /// Every code, in the order of the documentation.
    pub const ALL: [Self; 17] = [
        Self::DeleteAccepted,
        Self::DeleteRefused,
        Self::DeleteUnknown,
        Self::DeleteNotProcessed,
        Self::Unproved,
        Self::Guarded,
        Self::TokenIssued,
        Self::TokenRefused,
        Self::TokenUnknown,
        Self::TokenNotProcessed,
        Self::TenantStopped,
        Self::TenantResumed,
        Self::BrakeEngaged,
        Self::BrakeReleased,
        Self::LeaderStarted,
        Self::LeaderStopped,
        Self::LeaderLost,
    ];

    /// The code itself, its verdict, and the message of its lines.
    const fn row(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::DeleteAccepted => ("RSA001I", "accepted", "sent a DELETE to Auth0"),
            Self::DeleteRefused => ("RSA001W", "refused", "sent a DELETE to Auth0"),
            Self::DeleteUnknown => ("RSA001E", "unknown", "sent a DELETE to Auth0"),
            Self::DeleteNotProcessed => ("RSA002W", "not processed", "sent a DELETE to Auth0"),
            Self::Unproved => (
                "RSA003W",
                "unproved",
                "an object was deleted after Auth0 accepted its removal and before a read verified it; no read follows",
            ),
            Self::Guarded => ("RSA004W", "guarded", "a guard of the tenant refuses a removal; nothing is sent"),
            Self::TokenIssued => ("RSA010I", "accepted", "asked Auth0 for an access token"),
            Self::TokenRefused => ("RSA010W", "refused", "asked Auth0 for an access token"),
            Self::TokenUnknown => ("RSA010E", "unknown", "asked Auth0 for an access token"),
            Self::TokenNotProcessed => ("RSA011W", "not processed", "asked Auth0 for an access token"),
            Self::TenantStopped => ("RSA020W", "stopped", "a tenant was stopped; nothing is sent for it"),
            Self::TenantResumed => ("RSA021I", "resumed", "a tenant is not stopped any more"),
            Self::BrakeEngaged => {
                ("RSA030W", "engaged", "the brake of a tenant stops the removals of a namespace; nothing is sent")
            }
            Self::BrakeReleased => ("RSA031I", "released", "the brake of a tenant was released for a namespace"),
            Self::LeaderStarted => ("RSA040I", "leading", "this replica leads from now on"),
            Self::LeaderStopped => ("RSA041I", "not leading", "this replica gave up the lead, because it was ended"),
            Self::LeaderLost => ("RSA041W", "not leading", "this replica lost the lead"),
        }
    }

    /// The code, such as `RSA001I`.
    pub const fn as_str(self) -> &'static str {
        self.row().0
    }

    /// The field `verdict` of its lines.
    pub const fn verdict(self) -> &'static str {
        self.row().1
    }

    /// The message of its lines.
    pub const fn message(self) -> &'static str {
        self.row().2
    }
}
