//! The key set and the revocation list as files: what is read, what is printed, and every fault at once.

use bh_base::{Millis, TokenId};
use bh_token::{IssuerKey, KeySet, Problem, Revocations, root_id};

use crate::support::*;

fn x() -> String {
    issuer().public().to_base64url()
}

/// The places of all faults of a JWKS whose `keys` are these.
fn key_faults(keys: &str) -> Vec<(String, Problem)> {
    let text = format!(r#"{{"keys":[{keys}]}}"#);
    let faults = KeySet::parse(&text, 1).expect_err("a key set with faults");
    faults.0.into_iter().map(|f| (f.at, f.problem)).collect()
}

#[test]
fn a_key_set_reads_what_it_prints() {
    let mut limited = IssuerKey::new("b", stranger().public());
    limited.iss = Some("https://id.example".into());
    limited.orgs = Some(vec!["acme".into()]);
    limited.roles = Some(vec![]);
    let keys = KeySet::new(vec![IssuerKey::new("a", issuer().public()), limited], 7).unwrap();
    assert_eq!(KeySet::parse(&keys.to_json(), 7), Ok(keys));
}

#[test]
fn a_plain_jwk_of_another_program_is_read() {
    let text = format!(
        r#"{{"keys":[{{"kid":"a","kty":"OKP","crv":"Ed25519","x":"{}","key_ops":["verify"],"alg":"Ed25519"}}]}}"#,
        x()
    );
    assert_eq!(KeySet::parse(&text, 1).unwrap().keys(), [IssuerKey::new("a", issuer().public())]);
}

#[test]
fn a_printed_jwk_is_the_golden_one() {
    let jwk = IssuerKey::new("main", issuer().public()).to_jwk();
    let expected = format!(r#"{{"kty":"OKP","crv":"Ed25519","kid":"main","x":"{}","alg":"EdDSA","use":"sig"}}"#, x());
    assert_eq!(jwk, expected);
}

#[test]
fn an_empty_key_set_is_one_and_believes_nobody() {
    let keys = KeySet::parse(r#"{"keys":[]}"#, 1).unwrap();
    assert!(bh_token::verify(&minted(&claims()), &keys, CLUSTER, bh_token::Plane::Data, NOW).is_err());
}

#[test]
fn every_fault_of_a_key_set_is_reported_at_once() {
    let x = x();
    let faults = key_faults(&format!(
        r#"{{"kid":"a","kty":"OKP","crv":"Ed25519","x":"{x}"}},
           {{"kid":"a","kty":"OKP","crv":"Ed25519","x":"{x}","iss":"z"}},
           {{"kid":"b","kty":"RSA","crv":"Ed25519","x":"{x}","n":"…"}},
           {{"kty":"OKP","crv":"Ed25519","x":"short"}},
           {{"kid":"c","kty":"OKP","crv":"Ed25519","x":"{x}","d":"secret","use":"enc","orgs":[]}}"#
    ));
    let at: Vec<&str> = faults.iter().map(|(at, _)| at.as_str()).collect();
    for place in [
        "keys[1].kid",
        "keys[2].kty",
        "keys[2].n",
        "keys[3].kid",
        "keys[3].x",
        "keys[4].d",
        "keys[4].use",
        "keys[4].orgs",
    ] {
        assert!(at.contains(&place), "{place} missing in {at:?}");
    }
    assert_eq!(at.len(), 8, "{at:?}");
}

#[test]
fn two_keys_share_a_kid_only_under_two_issuers() {
    let key = |iss: Option<&str>| {
        let mut key = IssuerKey::new("a", issuer().public());
        key.iss = iss.map(str::to_owned);
        key
    };
    assert!(KeySet::new(vec![key(Some("x")), key(Some("y"))], 1).is_ok());
    for (one, two) in [(None, None), (None, Some("x")), (Some("x"), None), (Some("x"), Some("x"))] {
        let faults = KeySet::new(vec![key(one), key(two)], 1).unwrap_err();
        assert_eq!((faults.0[0].at.as_str(), &faults.0[0].problem), ("keys[1].kid", &Problem::SameKid));
    }
}

#[test]
fn what_is_no_key_set_is_refused_with_its_place() {
    for (text, at) in [
        ("", ""),
        ("{", ""),
        ("[]", ""),
        ("{}", "keys"),
        (r#"{"keys":{}}"#, "keys"),
        (r#"{"keys":[1]}"#, "keys[0]"),
        (r#"{"keys":[],"v":1}"#, "v"),
        (r#"{"keys":[],"keys":[]}"#, "keys"),
    ] {
        let faults = KeySet::parse(text, 1).unwrap_err();
        assert_eq!(faults.0[0].at, at, "{text}: {faults}");
    }
    let faults = KeySet::parse("{\n  oops", 1).unwrap_err();
    assert_eq!(faults.to_string(), "the text is not valid JSON (line 2, column 3)");
}

#[test]
fn no_fault_repeats_a_private_key() {
    let text = format!(r#"{{"kid":"c","kty":"OKP","crv":"Ed25519","x":"{}","d":"c2VjcmV0"}}"#, x());
    let faults = KeySet::parse(&format!(r#"{{"keys":[{text}]}}"#), 1).unwrap_err();
    assert!(!format!("{faults} {faults:?}").contains("c2VjcmV0"));
}

#[test]
fn the_ids_behind_a_jti_are_one_per_key() {
    let mut named = IssuerKey::new("b", stranger().public());
    named.iss = Some("z".into());
    let keys = KeySet::new(vec![IssuerKey::new("a", issuer().public()), named], 1).unwrap();
    assert_eq!(keys.root_ids("j", "bulkhead"), [root_id("bulkhead", "a", "j"), root_id("z", "b", "j")]);
}

#[test]
fn a_revocation_list_reads_what_it_prints() {
    let mut list = Revocations::new();
    assert_eq!(Revocations::parse(&list.to_json()).as_ref(), Ok(&list));
    for n in [9, 1, 5, 1] {
        list.revoke_id(TokenId([n; 32]));
    }
    assert_eq!(list.ids().len(), 3);
    list.revoke_subject("alice", NOW).unwrap();
    list.revoke_subject("bob", Millis(1_500)).unwrap();
    assert_eq!(Revocations::parse(&list.to_json()).as_ref(), Ok(&list));
    assert!(list.contains(TokenId([5; 32])) && !list.contains(TokenId([6; 32])));
    assert_eq!(list.issued_before("bob"), Some(Millis(2_000)));
}

#[test]
fn a_list_in_any_order_and_with_repeats_is_read() {
    let ids = ["ff", "00", "7f", "00"].map(|byte| format!("\"{}\"", byte.repeat(32))).join(",");
    let list = Revocations::parse(&format!(r#"{{"v":1,"ids":[{ids}]}}"#)).unwrap();
    assert_eq!(list.ids(), [TokenId([0; 32]), TokenId([0x7f; 32]), TokenId([0xff; 32])]);
    assert!(list.ids().iter().all(|id| list.contains(*id)));
}

#[test]
fn a_printed_revocation_list_is_the_golden_one() {
    let mut list = Revocations::new();
    list.revoke_id(TokenId([0xab; 32]));
    list.revoke_subject("alice", NOW).unwrap();
    let expected = format!(
        "{{\n  \"v\": 1,\n  \"ids\": [\n    \"{}\"\n  ],\n  \"subjects\": [\n    {{\n      \"sub\": \"alice\",\n      \"before\": 1900000000\n    }}\n  ]\n}}",
        "ab".repeat(32)
    );
    assert_eq!(list.to_json(), expected);
}

#[test]
fn the_time_of_a_subject_never_moves_back() {
    let mut list = Revocations::new();
    assert_eq!(list.revoke_subject("alice", NOW), Ok(true));
    assert_eq!(list.revoke_subject("alice", Millis(NOW.0 - 5_000)), Ok(false));
    assert_eq!(list.issued_before("alice"), Some(NOW));
    assert!(list.revoke_subject("", NOW).is_err());
    assert!(list.revoke_subject("alice", Millis(u64::MAX)).is_err());
    assert_eq!(list.issued_before("alice"), Some(NOW));
}

#[test]
fn every_fault_of_a_revocation_list_is_reported_at_once() {
    let text = r#"{"v":2,"ids":["xyz","AB"],"subjects":[{"sub":"a"},{"before":1},{"sub":"b","before":"x"},7,
                  {"sub":"c","before":1},{"sub":"c","before":2},{"sub":"*","before":1}],"extra":0}"#;
    let faults = Revocations::parse(text).unwrap_err();
    let at: Vec<&str> = faults.0.iter().map(|f| f.at.as_str()).collect();
    assert_eq!(
        at,
        [
            "extra",
            "v",
            "ids[0]",
            "ids[1]",
            "subjects[0].before",
            "subjects[1].sub",
            "subjects[2].before",
            "subjects[3]",
            "subjects[5].sub",
            "subjects[6].sub",
        ]
    );
    assert_eq!(Revocations::parse("{}").unwrap_err().0[0].problem, Problem::Version { expected: 1 });
}
