//! One link: everything that is no token of ours, each refused with its code and none with a panic.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bh_base::Millis;
use bh_seal::hmac_sha256;
use bh_token::{Invalid, IssuerKey, KeySet, Plane, Revocations, SKEW, TokenError, verify};

use crate::support::*;

fn with_header(header: &str) -> String {
    format!("bh_{}", forge(header, &root_json().to_string(), &issuer()))
}

#[test]
fn a_good_token_is_accepted_and_says_who_asks() {
    let verified = data(&minted(&claims())).unwrap();
    assert_eq!(verified.subject().sub, "alice");
    assert_eq!(verified.subject().org.as_deref(), Some("acme"));
    assert_eq!(verified.links().len(), 1);
    assert_eq!(verified.key_set_revision(), 1);
    assert!(verified.may_call("anything"));
    assert_eq!(verified.check_live(&Revocations::new(), NOW), Ok(()));
}

#[test]
fn a_forged_header_like_ours_is_accepted_so_that_the_refusals_below_mean_something() {
    assert!(data(&with_header(ROOT_HEADER)).is_ok());
    assert!(data(&forged_root(&root_json())).is_ok());
}

#[test]
fn algorithm_none_is_refused() {
    for alg in ["none", "None", "NONE", ""] {
        let signed = with_header(&format!(r#"{{"typ":"bh+jwt","alg":"{alg}","kid":"main"}}"#));
        assert!(matches!(refused(&signed), Invalid::Header { link: 0, .. }));
        let unsigned = &signed[..=signed.rfind('.').unwrap()];
        assert!(matches!(refused(unsigned), Invalid::Header { link: 0, .. }));
    }
    let unsigned = minted(&claims());
    refused(&unsigned[..=unsigned.rfind('.').unwrap()]);
}

#[test]
fn other_algorithms_are_refused_also_with_the_public_key_as_a_shared_secret() {
    for alg in ["HS384", "HS512", "RS256", "PS256", "ES256", "ES384"] {
        let text = with_header(&format!(r#"{{"typ":"bh+jwt","alg":"{alg}","kid":"main"}}"#));
        assert_eq!(refused(&text), Invalid::Algorithm { link: 0 }, "{alg}");
    }
    let message = format!(
        "{}.{}",
        URL_SAFE_NO_PAD.encode(r#"{"typ":"bh+jwt","alg":"HS256","kid":"main"}"#),
        URL_SAFE_NO_PAD.encode(root_json().to_string())
    );
    let mac = hmac_sha256(&issuer().public().to_bytes(), message.as_bytes());
    let text = format!("bh_{message}.{}", URL_SAFE_NO_PAD.encode(mac));
    assert_eq!(refused(&text), Invalid::Algorithm { link: 0 });
}

#[test]
fn a_wrong_kid_is_refused() {
    assert_eq!(refused(&with_header(r#"{"typ":"bh+jwt","alg":"EdDSA","kid":"other"}"#)), Invalid::UnknownKey);
    assert_eq!(refused(&with_header(r#"{"typ":"bh+jwt","alg":"EdDSA","kid":""}"#)), Invalid::UnknownKey);
}

#[test]
fn a_missing_kid_is_refused() {
    assert_eq!(refused(&with_header(r#"{"typ":"bh+jwt","alg":"EdDSA"}"#)), Invalid::MissingKid);
    assert_eq!(refused(&with_header(r#"{"typ":"bh+jwt","alg":"EdDSA","kid":null}"#)), Invalid::MissingKid);
}

#[test]
fn another_key_under_a_known_kid_is_refused() {
    let text = bh_token::mint(&stranger(), "main", &claims()).unwrap();
    assert_eq!(refused(&text), Invalid::Signature { link: 0 });
}

#[test]
fn a_removed_key_refuses_at_once() {
    let text = minted(&claims());
    let rotated = KeySet::new(vec![IssuerKey::new("next", stranger().public())], 2).unwrap();
    let error = verify(&text, &rotated, CLUSTER, Plane::Data, NOW).unwrap_err();
    assert_eq!(error, TokenError::Invalid(Invalid::UnknownKey));
    assert_eq!(error.code(), "invalid_api_key");
}

#[test]
fn a_token_expires_on_the_second() {
    let text = minted(&claims());
    let exp = claims().expires_at;
    let at = |now| verify(&text, &keys(), CLUSTER, Plane::Data, now);
    assert!(at(Millis(exp.0 - 1)).is_ok());
    let error = at(exp).unwrap_err();
    assert_eq!(error, TokenError::Expired { link: 0, ago_s: 0 });
    assert_eq!((error.status(), error.code()), (401, "token_expired"));
    assert_eq!(at(exp.plus(Millis(90_500))).unwrap_err(), TokenError::Expired { link: 0, ago_s: 90 });
}

#[test]
fn a_remembered_token_expires_too() {
    let verified = data(&minted(&claims())).unwrap();
    let error = verified.check_live(&Revocations::new(), verified.expires_at()).unwrap_err();
    assert_eq!(error.code(), "token_expired");
}

#[test]
fn a_token_that_is_not_yet_valid_is_refused_but_for_the_clocks_difference() {
    let mut claims = claims();
    claims.not_before = Some(NOW.plus(SKEW));
    assert!(data(&minted(&claims)).is_ok());
    claims.not_before = Some(NOW.plus(SKEW).plus(Millis(1)));
    assert_eq!(refused(&minted(&claims)), Invalid::NotYetValid { link: 0, in_s: 61 });
}

#[test]
fn a_token_from_the_future_is_refused_but_for_the_clocks_difference() {
    let mut claims = claims();
    claims.issued_at = NOW.plus(SKEW);
    assert!(data(&minted(&claims)).is_ok());
    claims.issued_at = NOW.plus(SKEW).plus(Millis::from_secs(1));
    assert_eq!(refused(&minted(&claims)), Invalid::NotYetValid { link: 0, in_s: 61 });
}

#[test]
fn every_changed_byte_of_a_token_is_refused() {
    let text = minted(&claims());
    for place in 0..text.len() {
        let mut bytes = text.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        refused(&String::from_utf8(bytes).unwrap());
    }
}

#[test]
fn what_is_added_or_cut_is_refused() {
    let text = minted(&claims());
    for changed in [
        text[..text.len() - 1].to_owned(),
        format!("{text}="),
        format!("{text}A"),
        format!("{text} "),
        format!("{text}\n"),
        format!(" {text}"),
        format!("{text}~"),
        format!("{text}."),
        format!("bh_{text}"),
        text.replacen('.', "..", 1),
        text[3..].to_owned(),
        text.to_uppercase(),
    ] {
        refused(&changed);
    }
}

#[test]
fn what_is_no_token_at_all_is_refused() {
    for text in ["", "bh_", "bh_.", "bh_..", "bh_~~~", "bh_~", "sk-abc", "Bearer x", "bh_a.b.c", "bh_é.ö.ü", "\0"] {
        refused(text);
    }
}

#[test]
fn more_than_four_kibibytes_are_refused_before_any_work() {
    let long = format!("bh_{}", "a".repeat(4096 - 3));
    assert!(matches!(refused(&long), Invalid::Header { .. }));
    assert_eq!(refused(&format!("{long}a")), Invalid::TooLong { bytes: 4097, bytes_max: 4096 });
    assert_eq!(refused(&"x".repeat(5 * 1024)), Invalid::TooLong { bytes: 5120, bytes_max: 4096 });
}

#[test]
fn embedded_keys_and_pointers_to_keys_are_refused() {
    let jwk = format!(r#"{{"kty":"OKP","crv":"Ed25519","x":"{}"}}"#, stranger().public());
    for (field, value) in [
        ("jku", r#""https://evil.example/keys""#),
        ("jwk", &jwk),
        ("x5u", r#""https://evil.example/cert""#),
        ("x5c", r#"["MIIB"]"#),
        ("x5t", r#""abc""#),
        ("x5t#S256", r#""abc""#),
    ] {
        let header = format!(r#"{{"typ":"bh+jwt","alg":"EdDSA","kid":"main","{field}":{value}}}"#);
        assert_eq!(refused(&with_header(&header)), Invalid::EmbeddedKey { link: 0, field });
        let by_stranger = format!("bh_{}", forge(&header, &root_json().to_string(), &stranger()));
        assert_eq!(refused(&by_stranger), Invalid::EmbeddedKey { link: 0, field });
    }
}

#[test]
fn header_fields_that_nobody_understands_are_refused() {
    for extra in [
        r#""crit":["b64"]"#,
        r#""crit":[]"#,
        r#""b64":false"#,
        r#""cty":"JWT""#,
        r#""zip":"DEF""#,
        r#""enc":"A128GCM""#,
    ] {
        let header = format!(r#"{{"typ":"bh+jwt","alg":"EdDSA","kid":"main",{extra}}}"#);
        assert_eq!(refused(&with_header(&header)), Invalid::HeaderField { link: 0 }, "{extra}");
    }
    let twice = r#"{"typ":"bh+jwt","alg":"EdDSA","kid":"main","kid":"main"}"#;
    assert!(matches!(refused(&with_header(twice)), Invalid::Header { link: 0, .. }));
}

#[test]
fn another_type_of_jwt_is_refused() {
    for typ in [r#""typ":"JWT","#, r#""typ":"bhc+jwt","#, r#""typ":"BH+JWT","#, ""] {
        let text = with_header(&format!(r#"{{{typ}"alg":"EdDSA","kid":"main"}}"#));
        assert_eq!(refused(&text), Invalid::Type { link: 0, expected: "bh+jwt" }, "{typ}");
    }
}

#[test]
fn a_token_for_another_cluster_is_refused() {
    for aud in ["other", "other/admin"] {
        let mut claims = claims();
        claims.aud = aud.into();
        claims.expires_at = NOW.plus(Millis::from_secs(60));
        assert_eq!(refused(&minted(&claims)), Invalid::Audience { expected: "bulkhead".into() });
    }
}

#[test]
fn no_refusal_repeats_the_token() {
    let text = minted(&claims());
    let signature = &text[text.rfind('.').unwrap() + 1..];
    let broken = format!("{}~{signature}", &text[..text.len() - 2]);
    let error = data(&broken).unwrap_err();
    assert!(!format!("{error} {error:?}").contains(&signature[..16]));
}
