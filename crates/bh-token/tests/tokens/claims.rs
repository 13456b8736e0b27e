//! Claims are strict: unknown, repeated, `null` and out-of-range ones are refused by name, all at once.

use bh_base::{BudgetMode, HoldMode, NanoUsd, Window};
use bh_token::{Faults, Invalid, MintError, Problem, Quality, RoutingMode, mint};
use serde_json::{Value, json};

use crate::support::*;

fn faults(text: &str) -> Faults {
    let Invalid::Claims { link: 0, faults } = refused(text) else { panic!("a fault of the root's claims") };
    faults
}

/// A root with one claim under `bh` set to a value is refused, and the message names the place.
#[track_caller]
fn check_bh(claim: &str, value: Value, at: &str) {
    let mut json = root_json();
    json["bh"][claim] = value;
    let faults = faults(&forged_root(&json));
    assert_eq!(faults.0.iter().map(|f| f.at.as_str()).collect::<Vec<_>>(), [at], "{faults}");
}

#[test]
fn all_claims_of_the_contract_are_read() {
    let mut json = root_json();
    json["nbf"] = NOW.as_secs().into();
    json["bh"] = json!({
        "org": "o", "team": "t", "project": "p", "models": ["gpt-4o*", "claude-*"],
        "budgets": [{"usd": "5", "window": "day", "mode": "soft", "hold": "adaptive"}, {"usd": "0.25", "window": "hour"}],
        "budget_id": "b", "rpm": 1, "tpm": 2, "concurrency": 3, "routing": "latency", "quality": 0.7,
        "tags": {"env": "prod"}, "roles": ["explain"],
    });
    let verified = data(&forged_root(&json)).unwrap();
    let (subject, link) = (verified.subject(), &verified.links()[0]);
    assert_eq!((subject.team.as_deref(), subject.project.as_deref()), (Some("t"), Some("p")));
    assert_eq!(subject.routing, Some(RoutingMode::Latency));
    assert_eq!(subject.quality, Quality::from_f64(0.7));
    assert_eq!(subject.tags["env"], "prod");
    assert!(verified.has_role("explain") && !verified.has_role("admin"));
    assert!(verified.may_call("gpt-4o-mini") && verified.may_call("claude-x") && !verified.may_call("o3"));
    assert_eq!((link.rpm, link.tpm, link.concurrency), (Some(1), Some(2), Some(3)));
    assert_eq!(link.not_before, Some(NOW));
    assert_eq!((link.budgets[0].mode, link.budgets[0].hold), (BudgetMode::Soft, HoldMode::Adaptive));
    let second = link.budgets[1];
    assert_eq!((second.usd, second.window), (NanoUsd(250_000_000), Window::Hour));
    assert_eq!((second.mode, second.hold), (BudgetMode::Hard, HoldMode::Strict));
    assert_ne!(link.counter, link.id);
}

#[test]
fn absent_models_allow_all_and_an_empty_list_none() {
    let mut claims = claims();
    assert!(data(&minted(&claims)).unwrap().may_call("gpt-4o"));
    claims.grants.models = Some(vec![]);
    assert!(!data(&minted(&claims)).unwrap().may_call("gpt-4o"));
    claims.grants.models = Some(vec!["*".into()]);
    let verified = data(&minted(&claims)).unwrap();
    assert!(verified.may_call("gpt-4o"));
    assert!(!verified.may_call(&"x".repeat(257)));
}

#[test]
fn unknown_claims_are_refused_by_name() {
    check_bh("scopes", json!(["all"]), "bh.scopes");
    check_bh("prev", json!("abc"), "bh.prev");
    check_bh("Org", json!("acme"), "bh.Org");
    let mut json = root_json();
    json["scope"] = "read".into();
    assert_eq!(
        faults(&forged_root(&json)).to_string(),
        "`scope` is not known here; remove it, or use a version that knows it"
    );
    let budget = json!([{"usd": "5", "window": "day", "limit": 5}]);
    check_bh("budgets", budget, "bh.budgets[0].limit");
}

#[test]
fn a_hostile_heap_of_faults_prints_short() {
    let mut json = root_json();
    for n in 0..200 {
        json["bh"][format!("x{n}")] = n.into();
    }
    let faults = faults(&forged_root(&json));
    assert_eq!(faults.0.len(), 200);
    assert!(faults.to_string().ends_with("; and 192 more"));
    assert!(faults.to_string().len() < 1000);
}

#[test]
fn required_claims_are_required() {
    for claim in ["iss", "aud", "sub", "jti", "iat", "exp"] {
        let mut json = root_json();
        json.as_object_mut().unwrap().remove(claim);
        let text = forged_root(&json);
        if claim == "iss" {
            assert_eq!(refused(&text), Invalid::UnknownKey);
        } else {
            let faults = faults(&text);
            assert_eq!((faults.0[0].at.as_str(), &faults.0[0].problem), (claim, &Problem::Missing));
        }
    }
}

#[test]
fn null_is_no_way_to_leave_a_claim_out() {
    check_bh("models", Value::Null, "bh.models");
    check_bh("org", Value::Null, "bh.org");
    check_bh("rpm", Value::Null, "bh.rpm");
    check_bh("tags", Value::Null, "bh.tags");
    check_bh("holder", Value::Null, "bh.holder");
    let mut json = root_json();
    json["nbf"] = Value::Null;
    assert_eq!(faults(&forged_root(&json)).0[0].at, "nbf");
    json = root_json();
    json["bh"] = Value::Null;
    assert_eq!(faults(&forged_root(&json)).0[0].at, "bh");
}

#[test]
fn repeated_claims_are_refused() {
    let text = root_json().to_string().replace(r#""org":"acme""#, r#""org":"acme","org":"beta""#);
    let faults = faults(&format!("bh_{}", forge(ROOT_HEADER, &text, &issuer())));
    assert_eq!((faults.0[0].at.as_str(), &faults.0[0].problem), ("bh.org", &Problem::Repeated));
    let text = root_json().to_string().replace(r#""sub":"alice""#, r#""sub":"alice","sub":"bob""#);
    refused(&format!("bh_{}", forge(ROOT_HEADER, &text, &issuer())));
    let text = root_json().to_string().replace(r#""org":"acme""#, r#""tags":{"a":"1","a":"2"}"#);
    refused(&format!("bh_{}", forge(ROOT_HEADER, &text, &issuer())));
}

#[test]
fn money_is_a_text_and_never_a_float() {
    for (usd, window) in [(json!(5), "day"), (json!(0.25), "day"), (json!("-1"), "day"), (json!("5e3"), "day")] {
        check_bh("budgets", json!([{"usd": usd, "window": window}]), "bh.budgets[0].usd");
    }
    check_bh("budgets", json!([{"usd": "5", "window": "week"}]), "bh.budgets[0].window");
    check_bh("budgets", json!([{"usd": "5", "window": "day", "mode": "Hard"}]), "bh.budgets[0].mode");
    check_bh("budgets", json!([{"usd": "5", "window": "day", "hold": "loose"}]), "bh.budgets[0].hold");
    check_bh("budgets", json!([{"usd": "5"}]), "bh.budgets[0].window");
    check_bh("budgets", json!({"usd": "5"}), "bh.budgets");
    check_bh("budgets", json!(["5"]), "bh.budgets[0]");
}

#[test]
fn two_budgets_of_one_link_need_two_windows() {
    let budgets = json!([{"usd": "5", "window": "day"}, {"usd": "6", "window": "day", "mode": "soft"}]);
    check_bh("budgets", budgets, "bh.budgets[1].window");
}

#[test]
fn values_out_of_range_are_refused() {
    for claim in ["rpm", "tpm", "concurrency"] {
        for value in [json!(0), json!(-1), json!(1.5), json!("1"), json!(1_000_000_000_001_u64), json!([])] {
            check_bh(claim, value, &format!("bh.{claim}"));
        }
    }
    for quality in [json!(1.1), json!(-0.1), json!(2), json!("0.7"), json!(0.0001)] {
        check_bh("quality", quality, "bh.quality");
    }
    check_bh("routing", json!("fastest"), "bh.routing");
    check_bh("holder", json!("abc"), "bh.holder");
    check_bh("models", json!("gpt"), "bh.models");
    check_bh("models", json!(["gpt", 4]), "bh.models[1]");
    check_bh("models", json!([""]), "bh.models[0]");
    check_bh("models", json!(["a b"]), "bh.models[0]");
    check_bh("roles", json!(["*"]), "bh.roles[0]");
    check_bh("org", json!(""), "bh.org");
    check_bh("org", json!("*"), "bh.org");
    check_bh("org", json!(" acme"), "bh.org");
    check_bh("org", json!("ac\u{7}me"), "bh.org");
    check_bh("org", json!("x".repeat(257)), "bh.org");
    check_bh("tags", json!({"a=b": "c"}), "bh.tags");
    check_bh("tags", json!({"a": 1}), "bh.tags.a");
    check_bh("budget_id", json!("b"), "bh.budget_id");
}

#[test]
fn times_must_follow_one_another_and_be_whole_seconds() {
    let now = NOW.as_secs();
    for (claim, value) in [
        ("exp", json!(now)),
        ("exp", json!(now as f64 + 0.5)),
        ("exp", json!("never")),
        ("exp", json!(u64::MAX)),
        ("exp", json!(253_402_300_800_u64)),
        ("iat", json!(-1)),
        ("nbf", json!(now + 3600)),
    ] {
        let mut json = root_json();
        json[claim] = value.clone();
        let found = faults(&forged_root(&json));
        let at = if claim == "nbf" { "exp" } else { claim };
        assert_eq!(found.0[0].at, at, "{claim} {value}");
    }
}

#[test]
fn the_audience_is_one_text() {
    for aud in [json!(["bulkhead"]), json!(["bulkhead", "other"]), json!(7)] {
        let mut json = root_json();
        json["aud"] = aud;
        assert_eq!(faults(&forged_root(&json)).0[0].at, "aud");
    }
    for aud in ["a/b", "/admin", "a/admin/admin", "a/b/admin"] {
        let mut json = root_json();
        json["aud"] = aud.into();
        assert!(faults(&forged_root(&json)).0.iter().any(|f| f.problem == Problem::Audience), "{aud}");
    }
}

#[test]
fn minting_reports_every_fault_at_once_and_none_that_verification_lets_pass() {
    let mut claims = claims();
    claims.sub = String::new();
    claims.expires_at = claims.issued_at;
    claims.grants.rpm = Some(0);
    claims.grants.models = Some(vec!["a b".into()]);
    let MintError::Claims(faults) = mint(&issuer(), "k*d", &claims).unwrap_err() else { panic!("faults of claims") };
    let at: Vec<&str> = faults.0.iter().map(|f| f.at.as_str()).collect();
    assert_eq!(at, ["kid", "sub", "exp", "bh.models[0]", "bh.rpm"]);
}

#[test]
fn minting_refuses_a_token_that_nobody_would_look_at() {
    let mut claims = claims();
    claims.grants.models = Some((0..100).map(|i| format!("{i:040}")).collect());
    let error = mint(&issuer(), "main", &claims).unwrap_err();
    assert!(matches!(error, MintError::TooLong { bytes: 4097.., bytes_max: 4096 }), "{error}");
}

#[test]
fn rounding_never_lengthens_a_life() {
    let mut claims = claims();
    claims.issued_at.0 += 999;
    claims.not_before = Some(claims.issued_at);
    claims.expires_at.0 += 999;
    let verified = data(&minted(&claims)).unwrap();
    let link = &verified.links()[0];
    assert_eq!(link.issued_at, NOW);
    assert_eq!(link.not_before.unwrap().0, NOW.0 + 1000);
    assert_eq!(link.expires_at.as_secs() * 1000, link.expires_at.0);
    assert!(link.expires_at < claims.expires_at);
}

#[test]
fn budget_ids_share_a_counter_only_within_an_issuer_and_an_organisation() {
    let counter = |jti: &str, iss: &str, org: &str, id: Option<&str>| {
        let mut claims = claims();
        claims.jti = jti.into();
        claims.iss = iss.into();
        claims.org = Some(org.into());
        claims.grants.budgets = vec![budget(5)];
        claims.grants.budget_id = id.map(str::to_owned);
        data(&minted(&claims)).unwrap().links()[0].counter
    };
    assert_eq!(counter("1", "a", "acme", Some("x")), counter("2", "a", "acme", Some("x")));
    assert_ne!(counter("1", "a", "acme", Some("x")), counter("1", "b", "acme", Some("x")));
    assert_ne!(counter("1", "a", "acme", Some("x")), counter("1", "a", "beta", Some("x")));
    assert_ne!(counter("1", "a", "acme", None), counter("2", "a", "acme", None));
}
