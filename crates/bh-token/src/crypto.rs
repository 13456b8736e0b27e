//! jsonwebtoken's crypto provider over `bh-seal`: EdDSA only, verified strictly. It is process-wide by that library's
//! design; this crate owns the library, so nothing else has a reason to install another.

use std::sync::OnceLock;

use bh_seal::{PublicKey, SigningKey};
use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result as JwtResult, new_error};
use jsonwebtoken::signature::{self, Signer, Verifier};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey};

/// Something else in this process installed a crypto provider for jsonwebtoken first. Nothing is signed or verified
/// then, because that provider may verify less strictly; call [`install_crypto`] first thing in `main`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("another crypto provider for tokens was installed in this process first; no token can be trusted to it")]
pub struct ForeignCrypto;

/// Installs the provider for this process. Every entry point of the crate does so by itself; calling it early
/// merely makes a conflict show at start. Repeats are free.
///
/// # Errors
/// [`ForeignCrypto`], from then on at every call.
pub fn install_crypto() -> Result<(), ForeignCrypto> {
    static INSTALLED: OnceLock<Result<(), ForeignCrypto>> = OnceLock::new();
    *INSTALLED.get_or_init(|| PROVIDER.install_default().map_err(|_| ForeignCrypto))
}

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    key_utils: KeyUtils {
        rsa_pub_components_from_private_key: |_| unsupported(),
        rsa_pub_components_from_public_key: |_| unsupported(),
        ec_pub_components_from_private_key: |_, _| unsupported(),
        ed_pub_components_from_private_key: |_, _| unsupported(),
        compute_digest: |_, _| unsupported(),
    },
};

fn unsupported<T>() -> JwtResult<T> {
    Err(new_error(ErrorKind::UnsupportedAlgorithm))
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> JwtResult<Box<dyn JwtSigner>> {
    if *algorithm != Algorithm::EdDSA {
        return unsupported();
    }
    let key = SigningKey::from_der(key.as_bytes()).map_err(|_| new_error(ErrorKind::InvalidEddsaKey))?;
    Ok(Box::new(EdSigner(key)))
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> JwtResult<Box<dyn JwtVerifier>> {
    if *algorithm != Algorithm::EdDSA {
        return unsupported();
    }
    let key = PublicKey::from_bytes(key.try_get_as_bytes()?).map_err(|_| new_error(ErrorKind::InvalidEddsaKey))?;
    Ok(Box::new(EdVerifier(key)))
}

struct EdSigner(SigningKey);

impl Signer<Vec<u8>> for EdSigner {
    fn try_sign(&self, message: &[u8]) -> Result<Vec<u8>, signature::Error> {
        Ok(self.0.sign(message).to_vec())
    }
}

impl JwtSigner for EdSigner {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}

struct EdVerifier(PublicKey);

impl Verifier<Vec<u8>> for EdVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), signature::Error> {
        if self.0.verify_strict(message, signature) { Ok(()) } else { Err(signature::Error::new()) }
    }
}

impl JwtVerifier for EdVerifier {
    fn algorithm(&self) -> Algorithm {
        Algorithm::EdDSA
    }
}
