//! Keys, signatures, hashes and the one binary codec: the only crate that touches ed25519-dalek, sha2 and bincode.
//!
//! It knows nothing of tokens, records, files, clocks or randomness: seeds come in as arguments, and what a
//! signature means is the caller's business. No secret is ever printed: keys show as `***`, and the texts that hold
//! a private key are wiped when dropped.

pub mod codec;
mod hash;
mod key;

pub use hash::{Sha256, constant_time_eq, hmac_sha256, sha256};
pub use key::{KeyError, PublicKey, SigningKey};

/// For `#[bincode(crate = "bh_seal::bincode")]` beside [`codec::Encode`] and [`codec::Decode`] derives.
#[doc(hidden)]
pub use bincode;
