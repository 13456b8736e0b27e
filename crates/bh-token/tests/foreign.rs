//! Somebody else installed a crypto provider first: everything refuses, nothing panics. A process of its own, because
//! the provider is the process's.

use bh_base::Millis;
use bh_seal::SigningKey;
use bh_token::{ChildClaims, Claims, ForeignCrypto, Grants, KeySet, MintError, NarrowError, Plane, TokenError};
use jsonwebtoken::crypto::{CryptoProvider, KeyUtils};
use jsonwebtoken::errors::ErrorKind;

static LENIENT: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    key_utils: KeyUtils::new_unimplemented(),
};

#[test]
fn under_a_foreign_provider_no_token_is_made_or_accepted() {
    LENIENT.install_default().unwrap();
    assert_eq!(bh_token::install_crypto(), Err(ForeignCrypto));
    assert_eq!(bh_token::install_crypto(), Err(ForeignCrypto));

    let keys = KeySet::new(vec![], 1).unwrap();
    let error = bh_token::verify("bh_a.b.c", &keys, "bulkhead", Plane::Data, Millis(0)).unwrap_err();
    assert_eq!(error, TokenError::Crypto(ForeignCrypto));
    assert_eq!((error.status(), error.code()), (500, "internal_error"));

    let claims = Claims {
        iss: "i".into(),
        aud: "bulkhead".into(),
        sub: "s".into(),
        jti: "j".into(),
        issued_at: Millis(0),
        not_before: None,
        expires_at: Millis(5000),
        org: None,
        team: None,
        project: None,
        tags: [].into(),
        routing: None,
        quality: None,
        grants: Grants::default(),
    };
    let key = SigningKey::from_seed([1; 32]);
    assert_eq!(bh_token::mint(&key, "k", &claims), Err(MintError::Crypto(ForeignCrypto)));

    let child = ChildClaims { jti: "c".into(), not_before: None, expires_at: Millis(4000), grants: Grants::default() };
    let error = bh_token::narrow("bh_x", &key, &child, Millis(0)).unwrap_err();
    assert_eq!(error, NarrowError::Child(MintError::Crypto(ForeignCrypto)));
}
