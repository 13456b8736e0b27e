//! The admin plane's own audience, and what an issuer's key may speak for.

use bh_base::Millis;
use bh_token::{
    Claims, Invalid, IssuerKey, KeySet, MintError, NarrowError, Plane, Problem, TokenError, admin_audience, mint,
    narrow, verify,
};

use crate::support::*;

fn admin_claims() -> Claims {
    let mut claims = claims();
    claims.aud = admin_audience(CLUSTER);
    claims
}

fn admin(text: &str) -> Result<(), TokenError> {
    verify(text, &keys(), CLUSTER, Plane::Admin, NOW).map(|_| ())
}

#[test]
fn an_admin_token_opens_the_admin_plane_only() {
    let text = minted(&admin_claims());
    assert_eq!(admin(&text), Ok(()));
    let error = data(&text).unwrap_err();
    assert_eq!((error.status(), error.code()), (403, "wrong_plane"));
}

#[test]
fn a_data_token_is_refused_on_the_admin_plane() {
    let error = admin(&minted(&claims())).unwrap_err();
    assert_eq!((error.status(), error.code()), (403, "wrong_plane"));
    let error = admin(&chain(2)).unwrap_err();
    assert_eq!((error.status(), error.code()), (403, "wrong_plane"));
}

#[test]
fn another_clusters_admin_token_is_refused() {
    let mut claims = admin_claims();
    claims.aud = admin_audience("other");
    assert!(matches!(admin(&minted(&claims)), Err(TokenError::Invalid(Invalid::Audience { .. }))));
}

#[test]
fn a_cluster_with_a_slash_in_its_name_never_takes_admin_tokens_for_data() {
    let error = verify(&minted(&admin_claims()), &keys(), "bulkhead/admin", Plane::Data, NOW).unwrap_err();
    assert_eq!(error.code(), "invalid_api_key");
}

#[test]
fn an_admin_token_lives_twelve_hours_at_most() {
    let mut claims = admin_claims();
    claims.expires_at = NOW.plus(Millis::from_secs(12 * 3600));
    assert_eq!(admin(&minted(&claims)), Ok(()));
    claims.expires_at = NOW.plus(Millis::from_secs(12 * 3600 + 1));
    let MintError::Claims(faults) = mint(&issuer(), "main", &claims).unwrap_err() else { panic!("a fault of claims") };
    assert_eq!(faults.0[0].problem, Problem::AdminTooLong { hours_max: 12 });

    let mut json = root_json();
    json["aud"] = "bulkhead/admin".into();
    json["exp"] = (NOW.as_secs() + 12 * 3600 + 1).into();
    let error = admin(&forged_root(&json)).unwrap_err();
    assert_eq!((error.status(), error.code()), (401, "invalid_api_key"));
}

#[test]
fn an_admin_token_cannot_be_narrowed() {
    let mut json = root_json();
    json["aud"] = "bulkhead/admin".into();
    json["bh"]["holder"] = holder(0).public().to_base64url().into();
    let root = forged_root(&json);
    let text = forged_child(&root, &child_json(&root), &holder(0));
    for text in [&root, &text] {
        let error = admin(text).unwrap_err();
        assert!(error.to_string().contains("`bh.holder` has no meaning in an admin token"), "{error}");
    }
    assert!(matches!(
        narrow(&minted(&admin_claims()), &holder(0), &child("c"), NOW),
        Err(NarrowError::Chain(Invalid::NotNarrowable { link: 0 }))
    ));
    let plain = minted(&admin_claims());
    let text = forged_child(&plain, &child_json(&plain), &issuer());
    assert_eq!(admin(&text), Err(TokenError::Invalid(Invalid::NotNarrowable { link: 0 })));
}

#[test]
fn claims_that_mean_nothing_to_the_admin_plane_are_refused_by_name() {
    let mut claims = admin_claims();
    claims.grants.models = Some(vec![]);
    claims.grants.budgets = vec![budget(5)];
    claims.grants.rpm = Some(1);
    let text = mint(&issuer(), "main", &claims).unwrap_err().to_string();
    for name in ["bh.models", "bh.budgets", "bh.rpm"] {
        assert!(text.contains(name), "{text}");
    }
}

/// What a key with limits makes of a token with claims; the name of the claim it may not speak for.
#[track_caller]
fn check_issuer(limit: impl Fn(&mut IssuerKey), change: impl Fn(&mut Claims), beyond: Option<&'static str>) {
    let mut key = IssuerKey::new("main", issuer().public());
    limit(&mut key);
    let keys = KeySet::new(vec![key], 1).expect("a good key");
    let mut claims = claims();
    change(&mut claims);
    let plane = if claims.aud.ends_with("/admin") { Plane::Admin } else { Plane::Data };
    let result = verify(&minted(&claims), &keys, CLUSTER, plane, NOW).map(|_| ());
    let expected = beyond.map_or(Ok(()), |claim| Err(TokenError::Invalid(Invalid::BeyondIssuer { claim })));
    assert_eq!(result, expected);
}

#[test]
fn a_key_speaks_only_for_its_organisations() {
    let limit = |key: &mut IssuerKey| key.orgs = Some(vec!["acme".into(), "beta".into()]);
    check_issuer(limit, |c| c.org = Some("beta".into()), None);
    check_issuer(limit, |c| c.org = Some("gamma".into()), Some("bh.org"));
    check_issuer(limit, |c| c.org = None, Some("bh.org"));
}

#[test]
fn a_key_gives_only_its_roles() {
    let limit = |key: &mut IssuerKey| key.roles = Some(vec!["explain".into()]);
    check_issuer(limit, |c| c.grants.roles = Some(vec!["explain".into()]), None);
    check_issuer(limit, |c| c.grants.roles = None, None);
    check_issuer(limit, |c| c.grants.roles = Some(vec!["explain".into(), "finance".into()]), Some("bh.roles"));
    check_issuer(|key| key.roles = Some(vec![]), |c| c.grants.roles = Some(vec!["explain".into()]), Some("bh.roles"));
}

#[test]
fn a_limited_key_issues_admin_tokens_only_with_the_admin_role() {
    let to_admin = |c: &mut Claims| c.aud = "bulkhead/admin".into();
    check_issuer(|_| (), to_admin, None);
    check_issuer(|key| key.orgs = Some(vec!["acme".into()]), to_admin, Some("aud"));
    check_issuer(|key| key.roles = Some(vec!["explain".into()]), to_admin, Some("aud"));
    check_issuer(|key| key.roles = Some(vec!["admin".into()]), to_admin, None);
}

#[test]
fn a_key_is_looked_up_by_issuer_and_kid() {
    let mut a = IssuerKey::new("main", issuer().public());
    a.iss = Some("a".into());
    let mut b = IssuerKey::new("main", stranger().public());
    b.iss = Some("b".into());
    let keys = KeySet::new(vec![a, b], 1).unwrap();
    let check = |iss: &str, signer, expected: Result<(), Invalid>| {
        let mut claims = claims();
        claims.iss = iss.into();
        let text = mint(&signer, "main", &claims).unwrap();
        let result = verify(&text, &keys, CLUSTER, Plane::Data, NOW).map(|_| ());
        assert_eq!(result, expected.map_err(TokenError::Invalid));
    };
    check("a", issuer(), Ok(()));
    check("b", stranger(), Ok(()));
    check("a", stranger(), Err(Invalid::Signature { link: 0 }));
    check("b", issuer(), Err(Invalid::Signature { link: 0 }));
    check("c", issuer(), Err(Invalid::UnknownKey));
}
