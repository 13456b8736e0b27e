//! Why a token is refused, and why one cannot be made. Each refusal has the code and status of the contract.

use crate::crypto::ForeignCrypto;
use crate::fault::Faults;

/// Why a token is not accepted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum TokenError {
    /// Not a token that this cluster accepts, now or later: 401 `invalid_api_key`.
    #[error(transparent)]
    Invalid(#[from] Invalid),
    /// A link has expired: 401 `token_expired`.
    #[error("the token expired {ago_s} s ago ({which}); get a new one", which = link_name(*link))]
    Expired {
        /// The link, counted from 0, the root.
        link: usize,
        /// Whole seconds since then.
        ago_s: u64,
    },
    /// A link, or everything its subject was issued before some time, has been revoked: 401 `token_revoked`.
    #[error("the token has been revoked ({which})", which = link_name(*link))]
    Revoked {
        /// The link, counted from 0, the root.
        link: usize,
    },
    /// A good token of this cluster on the other plane: 403 `wrong_plane`.
    #[error("this token is for audience `{found}`; here `{expected}` is needed")]
    WrongPlane {
        /// The audience of this plane.
        expected: String,
        /// The token's audience.
        found: String,
    },
    /// Nothing can be verified in this process: 500 `internal_error`.
    #[error(transparent)]
    Crypto(#[from] ForeignCrypto),
}

/// What makes a token none. The client can only get another one; the details are for its developer.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Invalid {
    /// Longer than any token; nothing was looked at.
    #[error("the token has {bytes} bytes; at most {bytes_max} are looked at")]
    TooLong {
        /// Bytes found.
        bytes: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// Without the prefix `bh_`.
    #[error("this is not a Bulkhead token: it does not start with `bh_`")]
    Prefix,
    /// More children than a chain may have.
    #[error("the chain has {links} links; at most {links_max} are allowed")]
    TooDeep {
        /// Links found.
        links: usize,
        /// Links allowed, the root included.
        links_max: usize,
    },
    /// A header that is not base64url of JSON, or names an algorithm nobody knows, such as `none`.
    #[error("the header of {which} cannot be read", which = link_name(*link))]
    Header {
        /// The link, counted from 0, the root.
        link: usize,
        /// What was met.
        #[source]
        source: JwtFault,
    },
    /// An algorithm other than EdDSA.
    #[error("{which} is not signed with EdDSA", which = link_name(*link))]
    Algorithm {
        /// The link, counted from 0, the root.
        link: usize,
    },
    /// A header that brings or points to its own key: never looked at, always refused.
    #[error("the header of {which} carries `{field}`; keys come from the gateway's key set only", which = link_name(*link))]
    EmbeddedKey {
        /// The link, counted from 0, the root.
        link: usize,
        /// The header's field.
        field: &'static str,
    },
    /// A header field that this version does not know, `crit` among them.
    #[error("the header of {which} carries more than `alg`, `typ` and `kid`", which = link_name(*link))]
    HeaderField {
        /// The link, counted from 0, the root.
        link: usize,
    },
    /// A root where a child belongs, a child where the root belongs, or another kind of JWT.
    #[error("{which} must have the type `{expected}`", which = link_name(*link))]
    Type {
        /// The link, counted from 0, the root.
        link: usize,
        /// The type expected there.
        expected: &'static str,
    },
    /// A root without `kid`.
    #[error("the root names no `kid`")]
    MissingKid,
    /// A child with `kid`: its key is the one its parent names.
    #[error("{which} names a `kid`; a child is signed by its parent's holder", which = link_name(*link))]
    ChildKid {
        /// The link, counted from 0, the root.
        link: usize,
    },
    /// No key under this `(iss, kid)`, or no longer.
    #[error("no issuer key is known under this token's `iss` and `kid`")]
    UnknownKey,
    /// A signature that does not verify.
    #[error("the signature of {which} does not verify", which = link_name(*link))]
    Signature {
        /// The link, counted from 0, the root.
        link: usize,
    },
    /// Claims that are not base64url of JSON.
    #[error("the claims of {which} cannot be read", which = link_name(*link))]
    Unreadable {
        /// The link, counted from 0, the root.
        link: usize,
        /// What was met.
        #[source]
        source: JwtFault,
    },
    /// Claims that break a rule.
    #[error("the claims of {which} are refused: {faults}", which = link_name(*link))]
    Claims {
        /// The link, counted from 0, the root.
        link: usize,
        /// Every fault.
        faults: Faults,
    },
    /// A claim beyond what the signing key may speak for.
    #[error("the key that signed this token may not speak for its `{claim}`")]
    BeyondIssuer {
        /// The claim.
        claim: &'static str,
    },
    /// Another cluster's token.
    #[error("this token is for another audience; here `{expected}` is needed")]
    Audience {
        /// The audience of this plane.
        expected: String,
    },
    /// `nbf` or `iat` of a link lies in the future.
    #[error("the token is not valid yet ({which}); it will be in {in_s} s", which = link_name(*link))]
    NotYetValid {
        /// The link, counted from 0, the root.
        link: usize,
        /// Whole seconds until then.
        in_s: u64,
    },
    /// A chain that ends in a link with a holder.
    #[error("this is a certificate, not a credential: its holder must narrow it first (`bulkhead token narrow`)")]
    Certificate,
    /// A child under a link without a holder.
    #[error("{which} names no holder, so nothing may follow it", which = link_name(*link))]
    NotNarrowable {
        /// The link that has no holder, counted from 0, the root.
        link: usize,
    },
    /// A child made for another text than the one before it.
    #[error("{which} belongs to another chain", which = link_name(*link))]
    OtherChain {
        /// The link, counted from 0, the root.
        link: usize,
    },
    /// A child with a role its parent lacks.
    #[error("{which} claims the role `{role}`, which its parent lacks", which = link_name(*link))]
    WiderRoles {
        /// The link, counted from 0, the root.
        link: usize,
        /// The role.
        role: String,
    },
    /// A child that outlives its parent.
    #[error("{which} expires after its parent", which = link_name(*link))]
    LaterExpiry {
        /// The link, counted from 0, the root.
        link: usize,
    },
}

/// Why a token cannot be minted.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum MintError {
    /// Claims that verification would refuse.
    #[error("these claims cannot be minted: {0}")]
    Claims(Faults),
    /// A token longer than verification looks at.
    #[error("the token would have {bytes} bytes, {bytes_max} are allowed; shorten `bh.models`, `bh.tags` or names")]
    TooLong {
        /// Bytes it would have.
        bytes: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// The signature failed.
    #[error("the token could not be signed")]
    Sign(#[source] JwtFault),
    /// Nothing can be signed in this process.
    #[error(transparent)]
    Crypto(#[from] ForeignCrypto),
}

/// Why a token cannot be narrowed.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum NarrowError {
    /// The parent is no token, or the child would break a rule of chains.
    #[error(transparent)]
    Chain(#[from] Invalid),
    /// The parent has expired, so the child would be dead on arrival.
    #[error("the parent expired {ago_s} s ago; narrow a new one")]
    ParentExpired {
        /// Whole seconds since then.
        ago_s: u64,
    },
    /// Another key than the one the parent names.
    #[error("the parent can only be narrowed with the key of its holder `{holder}`")]
    WrongHolder {
        /// The public key the parent names.
        holder: Box<bh_seal::PublicKey>,
    },
    /// The child could not be made.
    #[error(transparent)]
    Child(#[from] MintError),
}

/// A fault met while a JWT was read or written.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[error(transparent)]
pub struct JwtFault(pub(crate) jsonwebtoken::errors::Error);

impl TokenError {
    /// The code of the contract's error table.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            TokenError::Invalid(_) => "invalid_api_key",
            TokenError::Expired { .. } => "token_expired",
            TokenError::Revoked { .. } => "token_revoked",
            TokenError::WrongPlane { .. } => "wrong_plane",
            TokenError::Crypto(_) => "internal_error",
        }
    }

    /// The HTTP status.
    #[must_use]
    pub const fn status(&self) -> u16 {
        match self {
            TokenError::Invalid(_) | TokenError::Expired { .. } | TokenError::Revoked { .. } => 401,
            TokenError::WrongPlane { .. } => 403,
            TokenError::Crypto(_) => 500,
        }
    }
}

impl From<Faults> for MintError {
    fn from(faults: Faults) -> Self {
        MintError::Claims(faults)
    }
}

fn link_name(link: usize) -> String {
    if link == 0 { "the root".to_owned() } else { format!("child {link}") }
}
