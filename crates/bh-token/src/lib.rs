//! Tokens: the credential is the proof. Claims, mint, verify, narrow, revoke.
//!
//! A token is `bh_<root>[~<child>…]`: EdDSA JWTs in a flat chain. The root is signed by an issuer's key that the key
//! set names by `(iss, kid)`; a child is signed by the key its parent names as `holder` and carries the SHA-256 of
//! the exact text before it. A token that names a holder is a certificate and never a credential: only a chain that
//! ends in a link without a holder is accepted, so no part of a chain can be presented alone.
//!
//! This crate does not know the clock (`now` is handed in), randomness (`jti` is handed in), files, HTTP, or where
//! keys and revocations come from. It keeps every link's budgets and limits side by side and never merges them: what
//! is charged to whom is the ledger's business. It needs jsonwebtoken's process-wide crypto provider and installs it
//! by itself at the first call ([`install_crypto`] does it earlier); nothing panics if somebody else was first.
//!
//! What is strict: unknown, repeated and `null` claims are refused by name, at the top level too, because a claim that is not
//! enforced may be a restriction its issuer relies on.

mod chain;
mod check;
mod claims;
mod crypto;
mod error;
mod fault;
mod ids;
mod inspect;
mod json;
mod jwt;
mod keys;
mod mint;
mod read;
mod revoke;
mod verify;
mod write;

pub use check::{
    ADMIN_LIFETIME_MAX, LIMIT_MAX, MODELS_MAX, NAME_BYTES_MAX, ROLES_MAX, SHORT_NAME_BYTES_MAX, TAGS_MAX,
    TIME_SECONDS_MAX, admin_audience,
};
pub use claims::{ChildClaims, Claims, DEFAULT_ISSUER, Grants, Quality, RoutingMode, TokenBudget};
pub use crypto::{ForeignCrypto, install_crypto};
pub use error::{Invalid, JwtFault, MintError, NarrowError, TokenError};
pub use fault::{FAULTS_SHOWN_MAX, Fault, Faults, Problem};
pub use ids::{child_id, root_id, thumbprint};
pub use inspect::{InspectedLink, Inspection, inspect};
pub use keys::{ADMIN_ROLE, IssuerKey, KEYS_MAX, KeySet, ORGS_MAX};
pub use mint::{mint, narrow};
pub use revoke::{REVOKED_IDS_MAX, REVOKED_SUBJECTS_MAX, Revocations};
pub use verify::{Link, Plane, SKEW, Subject, Verified, verify};
