//! Ed25519 keys: the private half that signs and the public half that verifies, strictly.

use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use ed25519_dalek::pkcs8::{DecodePrivateKey, EncodePrivateKey, KeypairBytes};
use ed25519_dalek::{Signature, Signer, VerifyingKey};
use zeroize::Zeroizing;

/// Why bytes or a text are no key. Never repeats the text: it may be a secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Not a private key in PKCS#8 form.
    #[error(
        "expected an Ed25519 private key in PKCS#8 form (`-----BEGIN PRIVATE KEY-----`); make one with `bulkhead key generate`"
    )]
    NotPkcs8,
    /// Not base64url without padding.
    #[error("expected a public key as base64url without padding: 43 characters from A-Z a-z 0-9 - _")]
    NotBase64Url,
    /// Not 32 bytes.
    #[error("expected a public key of 32 bytes, found {found}")]
    WrongLength {
        /// Bytes found.
        found: usize,
    },
    /// Bytes that are no point of the curve.
    #[error("expected an Ed25519 public key; these 32 bytes are no point of the curve")]
    NotOnCurve,
    /// A point of small order, under which one signature fits many messages.
    #[error("expected an Ed25519 public key; this one is of small order and proves nothing")]
    Weak,
}

/// A private Ed25519 key. Wiped when dropped; prints as `***`.
#[derive(Clone)]
pub struct SigningKey(ed25519_dalek::SigningKey);

/// A public Ed25519 key that is a point of the curve and not of small order. Prints as base64url.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey(VerifyingKey);

impl SigningKey {
    /// The key that follows from 32 bytes of entropy.
    #[must_use]
    pub fn from_seed(seed: [u8; 32]) -> Self {
        let seed = Zeroizing::new(seed);
        SigningKey(ed25519_dalek::SigningKey::from_bytes(&seed))
    }

    /// Reads PKCS#8 PEM, with or without the public half, as this crate, OpenSSL and others write it.
    ///
    /// # Errors
    /// [`KeyError::NotPkcs8`] for anything else, a key of another algorithm, or a public half that does not match.
    pub fn from_pem(pem: &str) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_pem(pem).map(SigningKey).map_err(|_| KeyError::NotPkcs8)
    }

    /// PKCS#8 version 1 PEM (without the public half, because older OpenSSL reads nothing else), wiped when dropped.
    #[must_use]
    pub fn to_pem(&self) -> Zeroizing<String> {
        self.pkcs8().to_pkcs8_pem(LineEnding::LF).expect("32 bytes always fit PKCS#8")
    }

    /// Reads PKCS#8 DER.
    ///
    /// # Errors
    /// [`KeyError::NotPkcs8`], as [`SigningKey::from_pem`].
    pub fn from_der(der: &[u8]) -> Result<Self, KeyError> {
        ed25519_dalek::SigningKey::from_pkcs8_der(der).map(SigningKey).map_err(|_| KeyError::NotPkcs8)
    }

    /// PKCS#8 version 1 DER, wiped when dropped.
    #[must_use]
    pub fn to_der(&self) -> Zeroizing<Vec<u8>> {
        self.pkcs8().to_pkcs8_der().expect("32 bytes always fit PKCS#8").to_bytes()
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// The 64-byte Ed25519 signature of a message (RFC 8032, deterministic).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    fn pkcs8(&self) -> KeypairBytes {
        KeypairBytes { secret_key: self.0.to_bytes(), public_key: None }
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

impl PublicKey {
    /// Reads the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// Another length, bytes off the curve, or a key of small order.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, KeyError> {
        let exact: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::WrongLength { found: bytes.len() })?;
        let key = VerifyingKey::from_bytes(exact).map_err(|_| KeyError::NotOnCurve)?;
        if key.is_weak() { Err(KeyError::Weak) } else { Ok(PublicKey(key)) }
    }

    /// Reads base64url without padding, the `x` of a JWK.
    ///
    /// # Errors
    /// Another alphabet or padding, and everything [`PublicKey::from_bytes`] refuses.
    pub fn from_base64url(text: &str) -> Result<Self, KeyError> {
        Self::from_bytes(&URL_SAFE_NO_PAD.decode(text).map_err(|_| KeyError::NotBase64Url)?)
    }

    /// The 32 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The 43 characters of base64url without padding, the `x` of a JWK.
    #[must_use]
    pub fn to_base64url(&self) -> String {
        URL_SAFE_NO_PAD.encode(self.0.as_bytes())
    }

    /// Whether the signature is this key's for the message, by the strict rules: canonical `s`, no small order point,
    /// so that one message has one signature that passes. A signature of another length than 64 bytes never passes.
    #[must_use]
    pub fn verify_strict(&self, message: &[u8], signature: &[u8]) -> bool {
        Signature::from_slice(signature).is_ok_and(|signature| self.0.verify_strict(message, &signature).is_ok())
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.to_base64url())
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unhex(text: &str) -> Vec<u8> {
        (0..text.len()).step_by(2).map(|i| u8::from_str_radix(&text[i..i + 2], 16).unwrap()).collect()
    }

    fn vector_2() -> (SigningKey, [u8; 64]) {
        let seed = unhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb");
        let signature = unhex(
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da\
             085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
        );
        (SigningKey::from_seed(seed.try_into().unwrap()), signature.try_into().unwrap())
    }

    #[test]
    fn test_vector_2_of_rfc_8032_signs_and_verifies() {
        let (key, signature) = vector_2();
        let public = unhex("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c");
        assert_eq!(key.public().to_bytes().to_vec(), public);
        assert_eq!(key.sign(&[0x72]), signature);
        assert!(key.public().verify_strict(&[0x72], &signature));
        assert!(!key.public().verify_strict(&[0x73], &signature));
    }

    #[test]
    fn every_flipped_bit_of_a_signature_fails() {
        let (key, signature) = vector_2();
        for bit in 0..512 {
            let mut bad = signature;
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(!key.public().verify_strict(&[0x72], &bad), "bit {bit}");
        }
        assert!(!key.public().verify_strict(&[0x72], &signature[..63]));
        assert!(!key.public().verify_strict(&[0x72], &[]));
    }

    #[test]
    fn a_signature_with_the_group_order_added_to_s_fails() {
        let (key, mut signature) = vector_2();
        let order = unhex("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let mut carry = 0u16;
        for (byte, add) in signature[32..].iter_mut().zip(order) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            *byte = (sum & 0xff) as u8;
            carry = sum >> 8;
        }
        assert_eq!(carry, 0);
        assert!(!key.public().verify_strict(&[0x72], &signature));
    }

    #[test]
    fn a_private_key_reads_the_pem_it_wrote() {
        let (key, _) = vector_2();
        let pem = key.to_pem();
        assert!(pem.starts_with("-----BEGIN PRIVATE KEY-----\n") && pem.ends_with("-----END PRIVATE KEY-----\n"));
        assert_eq!(SigningKey::from_pem(&pem).unwrap().public(), key.public());
        assert_eq!(SigningKey::from_der(&key.to_der()).unwrap().public(), key.public());
    }

    #[test]
    fn the_example_key_of_rfc_8410_reads_and_prints_the_same() {
        let pem = "-----BEGIN PRIVATE KEY-----\n\
                   MC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n\
                   -----END PRIVATE KEY-----\n";
        let key = SigningKey::from_pem(pem).unwrap();
        let public = unhex("19bf44096984cdfe8541bac167dc3b96c85086aa30b6b6cb0c5c38ad703166e1");
        assert_eq!(key.public().to_bytes().to_vec(), public);
        assert_eq!(key.to_pem().as_str(), pem);
    }

    #[test]
    fn what_is_no_private_key_is_refused() {
        let (key, _) = vector_2();
        let pem = key.to_pem();
        for text in ["", "x", &pem[..pem.len() / 2], &pem.replace("PRIVATE", "PUBLIC"), &pem.replacen('M', "N", 1)] {
            assert_eq!(SigningKey::from_pem(text).unwrap_err(), KeyError::NotPkcs8);
        }
        assert_eq!(SigningKey::from_der(&[0x30, 0]).unwrap_err(), KeyError::NotPkcs8);
    }

    #[test]
    fn a_public_key_reads_what_it_prints() {
        let (key, _) = vector_2();
        let text = key.public().to_base64url();
        assert_eq!(text.len(), 43);
        assert_eq!(PublicKey::from_base64url(&text), Ok(key.public()));
        assert_eq!(format!("{:?}", key.public()), format!("PublicKey({text})"));
    }

    #[test]
    fn what_is_no_public_key_is_refused() {
        assert_eq!(PublicKey::from_base64url("a+b/"), Err(KeyError::NotBase64Url));
        assert_eq!(PublicKey::from_base64url("AAAA"), Err(KeyError::WrongLength { found: 3 }));
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(PublicKey::from_bytes(&identity), Err(KeyError::Weak));
        assert_eq!(PublicKey::from_bytes(&[0; 32]), Err(KeyError::Weak));
        let mut off = [0; 32];
        off[0] = 2;
        assert_eq!(PublicKey::from_bytes(&off), Err(KeyError::NotOnCurve));
    }

    #[test]
    fn no_debug_output_holds_a_secret() {
        let (key, _) = vector_2();
        assert_eq!(format!("{key:?}"), "SigningKey(***)");
        assert_eq!(format!("{:#?}", Some(&key)), "Some(\n    SigningKey(***),\n)");
    }
}
