//! Keys, claims and a forger that signs whatever it is told, so that the verifier meets what `mint` would never make.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bh_base::{BudgetMode, HoldMode, Millis, NanoUsd, Window};
use bh_seal::{SigningKey, sha256};
use bh_token::{
    ChildClaims, Claims, Grants, Invalid, IssuerKey, KeySet, Plane, TokenBudget, TokenError, Verified, mint, narrow,
    verify,
};
use serde_json::{Value, json};

/// The time of every test, in a year that has not come.
pub(crate) const NOW: Millis = Millis::from_secs(1_900_000_000);
pub(crate) const CLUSTER: &str = "bulkhead";
pub(crate) const ROOT_HEADER: &str = r#"{"typ":"bh+jwt","alg":"EdDSA","kid":"main"}"#;
pub(crate) const CHILD_HEADER: &str = r#"{"typ":"bhc+jwt","alg":"EdDSA"}"#;

pub(crate) fn issuer() -> SigningKey {
    SigningKey::from_seed([1; 32])
}

/// The n-th holder of a chain.
pub(crate) fn holder(n: u8) -> SigningKey {
    SigningKey::from_seed([100 + n; 32])
}

pub(crate) fn stranger() -> SigningKey {
    SigningKey::from_seed([99; 32])
}

pub(crate) fn keys() -> KeySet {
    KeySet::new(vec![IssuerKey::new("main", issuer().public())], 1).expect("a good key")
}

pub(crate) fn budget(usd: u64) -> TokenBudget {
    TokenBudget { usd: NanoUsd::from_usd(usd), window: Window::Day, mode: BudgetMode::Hard, hold: HoldMode::Strict }
}

pub(crate) fn claims() -> Claims {
    Claims {
        iss: "bulkhead".into(),
        aud: CLUSTER.into(),
        sub: "alice".into(),
        jti: "t1".into(),
        issued_at: NOW,
        not_before: None,
        expires_at: NOW.plus(Millis::from_secs(3600)),
        org: Some("acme".into()),
        team: None,
        project: None,
        tags: BTreeMap::new(),
        routing: None,
        quality: None,
        grants: Grants::default(),
    }
}

/// Claims of a certificate that holder 0 narrows.
pub(crate) fn certificate() -> Claims {
    let mut claims = claims();
    claims.grants.holder = Some(holder(0).public());
    claims
}

pub(crate) fn child(jti: &str) -> ChildClaims {
    let expires_at = NOW.plus(Millis::from_secs(600));
    ChildClaims { jti: jti.into(), not_before: None, expires_at, grants: Grants::default() }
}

pub(crate) fn minted(claims: &Claims) -> String {
    mint(&issuer(), "main", claims).expect("good claims")
}

/// A chain of a root and children that each name the next holder, but for the last.
pub(crate) fn chain(children: u8) -> String {
    let mut text = minted(&if children == 0 { claims() } else { certificate() });
    for n in 0..children {
        let mut claims = child(&format!("c{n}"));
        claims.grants.holder = (n + 1 < children).then(|| holder(n + 1).public());
        text = narrow(&text, &holder(n), &claims, NOW).expect("a child within its parent");
    }
    text
}

pub(crate) fn data(text: &str) -> Result<Verified, TokenError> {
    verify(text, &keys(), CLUSTER, Plane::Data, NOW)
}

/// The one look at a refusal: 401 `invalid_api_key` for the reason given.
#[track_caller]
pub(crate) fn refused(text: &str) -> Invalid {
    let error = data(text).expect_err("this token must be refused");
    assert_eq!((error.status(), error.code()), (401, "invalid_api_key"), "{error}");
    match error {
        TokenError::Invalid(reason) => reason,
        TokenError::Expired { .. }
        | TokenError::Revoked { .. }
        | TokenError::WrongPlane { .. }
        | TokenError::Crypto(_) => unreachable!("the code was checked above"),
    }
}

/// A JWT with any header and claims, signed.
pub(crate) fn forge(header: &str, claims: &str, key: &SigningKey) -> String {
    let message = format!("{}.{}", URL_SAFE_NO_PAD.encode(header), URL_SAFE_NO_PAD.encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// A root with these claims, rightly signed by the issuer.
pub(crate) fn forged_root(claims: &Value) -> String {
    format!("bh_{}", forge(ROOT_HEADER, &claims.to_string(), &issuer()))
}

/// The JSON of a plain root, to be changed.
pub(crate) fn root_json() -> Value {
    let (iat, exp) = (NOW.as_secs(), NOW.as_secs() + 3600);
    json!({"iss": "bulkhead", "aud": CLUSTER, "sub": "alice", "jti": "t1", "iat": iat, "exp": exp, "bh": {"org": "acme"}})
}

/// The JSON of a plain child of this text, to be changed.
pub(crate) fn child_json(parent: &str) -> Value {
    let prev = URL_SAFE_NO_PAD.encode(sha256(&[parent.as_bytes()]));
    json!({"jti": "c", "iat": NOW.as_secs(), "exp": NOW.as_secs() + 600, "bh": {"prev": prev}})
}

/// The parent and a child with these claims, rightly signed.
pub(crate) fn forged_child(parent: &str, claims: &Value, key: &SigningKey) -> String {
    format!("{parent}~{}", forge(CHILD_HEADER, &claims.to_string(), key))
}
