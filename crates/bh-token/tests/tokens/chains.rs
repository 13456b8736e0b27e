//! Several links: narrowing, and everything that must not come of it.

use bh_base::Millis;
use bh_token::{Faults, Invalid, MintError, NarrowError, Problem, Revocations, TokenError, inspect, narrow};
use serde_json::json;

use crate::support::*;

fn child_faults(text: &str) -> Faults {
    let Invalid::Claims { link: 1, faults } = refused(text) else { panic!("a fault of a child's claims") };
    faults
}

#[test]
fn a_narrowed_token_is_accepted_at_every_depth() {
    for children in 0..=3 {
        let verified = data(&chain(children)).unwrap();
        assert_eq!(verified.links().len(), usize::from(children) + 1);
        assert_eq!(verified.subject().sub, "alice");
    }
}

#[test]
fn a_leaf_that_narrows_nothing_is_accepted() {
    let root = minted(&certificate());
    let text = narrow(&root, &holder(0), &child("c"), NOW).unwrap();
    assert!(data(&text).unwrap().may_call("anything"));
}

#[test]
fn a_certificate_alone_is_refused() {
    assert_eq!(refused(&minted(&certificate())), Invalid::Certificate);
    let mut claims = child("c");
    claims.grants.holder = Some(holder(1).public());
    let text = narrow(&minted(&certificate()), &holder(0), &claims, NOW).unwrap();
    assert_eq!(refused(&text), Invalid::Certificate);
}

#[test]
fn no_part_of_a_chain_is_accepted_alone() {
    let text = chain(3);
    let links: Vec<&str> = text[3..].split('~').collect();
    let mut accepted = Vec::new();
    // Every sequence of one to four of its links, repeats and all orders included.
    for length in 1..=4_u32 {
        for code in 0..4_usize.pow(length) {
            let picked: Vec<usize> = (0..length).map(|i| code / 4_usize.pow(i) % 4).collect();
            let part = format!("bh_{}", picked.iter().map(|i| links[*i]).collect::<Vec<_>>().join("~"));
            if data(&part).is_ok() {
                accepted.push(picked);
            } else {
                refused(&part);
            }
        }
    }
    assert_eq!(accepted, [vec![0, 1, 2, 3]]);
}

#[test]
fn a_child_cannot_be_moved_under_another_parent() {
    let mut other = certificate();
    other.jti = "t2".into();
    let leaf = chain(1);
    let leaf = &leaf[leaf.find('~').unwrap()..];
    assert_eq!(refused(&format!("{}{leaf}", minted(&other))), Invalid::OtherChain { link: 1 });
}

#[test]
fn a_child_that_claims_identity_is_refused_by_name() {
    let root = minted(&certificate());
    for claim in ["iss", "aud", "sub"] {
        let mut json = child_json(&root);
        json[claim] = "bob".into();
        let faults = child_faults(&forged_child(&root, &json, &holder(0)));
        assert_eq!((faults.0[0].at.as_str(), &faults.0[0].problem), (claim, &Problem::Inherited));
    }
    for (claim, value) in [
        ("org", json!("acme")),
        ("team", json!("ml")),
        ("project", json!("x")),
        ("tags", json!({"a": "b"})),
        ("routing", json!("cost")),
        ("quality", json!(0.5)),
    ] {
        let mut json = child_json(&root);
        json["bh"][claim] = value;
        let faults = child_faults(&forged_child(&root, &json, &holder(0)));
        assert_eq!((faults.0[0].at.as_str(), &faults.0[0].problem), (&*format!("bh.{claim}"), &Problem::Inherited));
    }
}

#[test]
fn a_child_without_the_hash_of_its_parent_is_refused() {
    let root = minted(&certificate());
    let mut json = child_json(&root);
    json["bh"] = json!({});
    assert_eq!(child_faults(&forged_child(&root, &json, &holder(0))).0[0].at, "bh.prev");
    json.as_object_mut().unwrap().remove("bh");
    assert_eq!(child_faults(&forged_child(&root, &json, &holder(0))).0[0].at, "bh");
    json["bh"] = json!({"prev": "AAAA"});
    assert_eq!(child_faults(&forged_child(&root, &json, &holder(0))).0[0].at, "bh.prev");
}

#[test]
fn a_child_with_wider_models_reaches_only_what_its_parent_reaches() {
    let mut claims = certificate();
    claims.grants.models = Some(vec!["gpt-4o*".into()]);
    let mut narrower = child("c");
    narrower.grants.models = Some(vec!["*".into()]);
    let verified = data(&narrow(&minted(&claims), &holder(0), &narrower, NOW).unwrap()).unwrap();
    assert!(verified.may_call("gpt-4o-mini"));
    assert!(!verified.may_call("claude-opus"));
    narrower.grants.models = Some(vec!["*mini".into()]);
    let verified = data(&narrow(&minted(&claims), &holder(0), &narrower, NOW).unwrap()).unwrap();
    assert!(verified.may_call("gpt-4o-mini"));
    assert!(!verified.may_call("gpt-4o"));
}

#[test]
fn a_child_with_wider_roles_is_refused() {
    let mut claims = certificate();
    claims.grants.roles = Some(vec!["explain".into()]);
    let root = minted(&claims);
    let mut json = child_json(&root);
    json["bh"]["roles"] = json!(["explain"]);
    assert!(data(&forged_child(&root, &json, &holder(0))).unwrap().has_role("explain"));
    json["bh"]["roles"] = json!(["explain", "finance"]);
    let wider = Invalid::WiderRoles { link: 1, role: "finance".into() };
    assert_eq!(refused(&forged_child(&root, &json, &holder(0))), wider);
    let mut asked = child("c");
    asked.grants.roles = Some(vec!["finance".into()]);
    assert_eq!(narrow(&root, &holder(0), &asked, NOW), Err(NarrowError::Chain(wider)));
}

#[test]
fn roles_once_given_up_do_not_come_back() {
    let mut claims = certificate();
    claims.grants.roles = Some(vec!["explain".into()]);
    let mut none = child("c0");
    none.grants.roles = Some(vec![]);
    none.grants.holder = Some(holder(1).public());
    let middle = narrow(&minted(&claims), &holder(0), &none, NOW).unwrap();
    let text = narrow(&middle, &holder(1), &child("c1"), NOW).unwrap();
    assert!(!data(&text).unwrap().has_role("explain"));
    let mut json = child_json(&middle);
    json["bh"]["roles"] = json!(["explain"]);
    assert!(matches!(refused(&forged_child(&middle, &json, &holder(1))), Invalid::WiderRoles { link: 2, .. }));
}

#[test]
fn a_child_that_outlives_its_parent_is_refused() {
    let root = minted(&certificate());
    let exp = certificate().expires_at;
    let mut json = child_json(&root);
    json["exp"] = exp.as_secs().into();
    assert!(data(&forged_child(&root, &json, &holder(0))).is_ok());
    json["exp"] = (exp.as_secs() + 1).into();
    assert_eq!(refused(&forged_child(&root, &json, &holder(0))), Invalid::LaterExpiry { link: 1 });
    let mut asked = child("c");
    asked.expires_at = exp.plus(Millis(1000));
    let later = NarrowError::Chain(Invalid::LaterExpiry { link: 1 });
    assert_eq!(narrow(&root, &holder(0), &asked, NOW), Err(later));
}

#[test]
fn a_child_signed_by_anybody_but_the_holder_is_refused() {
    let root = minted(&certificate());
    for key in [stranger(), issuer(), holder(1)] {
        let text = forged_child(&root, &child_json(&root), &key);
        assert_eq!(refused(&text), Invalid::Signature { link: 1 });
        let error = narrow(&root, &key, &child("c"), NOW).unwrap_err();
        assert_eq!(error, NarrowError::WrongHolder { holder: Box::new(holder(0).public()) });
    }
}

#[test]
fn nothing_may_follow_a_link_without_a_holder() {
    for parent in [minted(&claims()), chain(1)] {
        let text = forged_child(&parent, &child_json(&parent), &holder(0));
        assert!(matches!(refused(&text), Invalid::NotNarrowable { .. }));
        let error = narrow(&parent, &holder(0), &child("c"), NOW).unwrap_err();
        assert!(matches!(error, NarrowError::Chain(Invalid::NotNarrowable { .. })));
    }
}

#[test]
fn a_chain_too_deep_is_refused() {
    let mut text = minted(&certificate());
    for n in 0..3 {
        let mut claims = child(&format!("c{n}"));
        claims.grants.holder = Some(holder(n + 1).public());
        text = narrow(&text, &holder(n), &claims, NOW).unwrap();
    }
    let deep = Invalid::TooDeep { links: 5, links_max: 4 };
    assert_eq!(narrow(&text, &holder(3), &child("c3"), NOW), Err(NarrowError::Chain(deep.clone())));
    let fifth = forged_child(&text, &child_json(&text), &holder(3));
    assert_eq!(refused(&fifth), deep);
}

#[test]
fn a_child_names_no_kid_and_no_key_of_its_own() {
    let root = minted(&certificate());
    let claims = child_json(&root).to_string();
    let with = |header: &str| refused(&format!("{root}~{}", forge(header, &claims, &holder(0))));
    assert_eq!(with(r#"{"typ":"bhc+jwt","alg":"EdDSA","kid":"main"}"#), Invalid::ChildKid { link: 1 });
    assert_eq!(with(r#"{"typ":"bh+jwt","alg":"EdDSA"}"#), Invalid::Type { link: 1, expected: "bhc+jwt" });
    assert_eq!(with(r#"{"typ":"bhc+jwt","alg":"HS256"}"#), Invalid::Algorithm { link: 1 });
    let jku = r#"{"typ":"bhc+jwt","alg":"EdDSA","jku":"x"}"#;
    assert_eq!(with(jku), Invalid::EmbeddedKey { link: 1, field: "jku" });
}

#[test]
fn revoking_any_link_kills_what_was_narrowed_from_it_and_nothing_else() {
    let text = chain(3);
    let verified = data(&text).unwrap();
    for (link, revoked) in verified.links().iter().enumerate() {
        let mut revocations = Revocations::new();
        assert!(revocations.revoke_id(revoked.id));
        let error = verified.check_live(&revocations, NOW).unwrap_err();
        assert_eq!(error, TokenError::Revoked { link });
        assert_eq!((error.status(), error.code()), (401, "token_revoked"));
    }
    let mut claims = child("another");
    claims.grants.holder = None;
    let sibling = data(&narrow(&minted(&certificate()), &holder(0), &claims, NOW).unwrap()).unwrap();
    let mut revocations = Revocations::new();
    revocations.revoke_id(verified.links()[1].id);
    assert_eq!(sibling.check_live(&revocations, NOW), Ok(()));
}

#[test]
fn a_subject_is_revoked_for_what_was_issued_before() {
    let verified = data(&chain(1)).unwrap();
    let mut revocations = Revocations::new();
    revocations.revoke_subject("alice", NOW).unwrap();
    assert_eq!(verified.check_live(&revocations, NOW), Ok(()));
    revocations.revoke_subject("bob", NOW.plus(Millis::from_secs(1))).unwrap();
    assert_eq!(verified.check_live(&revocations, NOW), Ok(()));
    revocations.revoke_subject("alice", NOW.plus(Millis::from_secs(1))).unwrap();
    assert_eq!(verified.check_live(&revocations, NOW).unwrap_err(), TokenError::Revoked { link: 0 });
}

#[test]
fn an_old_root_stays_revoked_under_a_young_child() {
    let later = NOW.plus(Millis::from_secs(300));
    let text = narrow(&minted(&certificate()), &holder(0), &child("c"), later).unwrap();
    let verified = bh_token::verify(&text, &keys(), CLUSTER, bh_token::Plane::Data, later).unwrap();
    let mut revocations = Revocations::new();
    revocations.revoke_subject("alice", NOW.plus(Millis::from_secs(1))).unwrap();
    assert_eq!(verified.check_live(&revocations, later).unwrap_err().code(), "token_revoked");
}

#[test]
fn every_links_times_are_checked() {
    let root = minted(&certificate());
    let mut json = child_json(&root);
    json["nbf"] = (NOW.as_secs() + 61).into();
    assert_eq!(refused(&forged_child(&root, &json, &holder(0))), Invalid::NotYetValid { link: 1, in_s: 61 });
    let mut json = child_json(&root);
    json["iat"] = (NOW.as_secs() + 61).into();
    assert_eq!(refused(&forged_child(&root, &json, &holder(0))), Invalid::NotYetValid { link: 1, in_s: 61 });
    let mut json = child_json(&root);
    json["iat"] = (NOW.as_secs() - 10).into();
    json["exp"] = NOW.as_secs().into();
    let error = data(&forged_child(&root, &json, &holder(0))).unwrap_err();
    assert_eq!((error.code(), error), ("token_expired", TokenError::Expired { link: 1, ago_s: 0 }));
}

#[test]
fn a_dead_parent_cannot_be_narrowed() {
    let expired = certificate().expires_at.plus(Millis(5_000));
    let error = narrow(&minted(&certificate()), &holder(0), &child("c"), expired).unwrap_err();
    assert_eq!(error, NarrowError::ParentExpired { ago_s: 5 });
}

#[test]
fn narrowing_reports_every_fault_of_the_child_at_once() {
    let mut claims = child("");
    claims.grants.rpm = Some(0);
    let error = narrow(&minted(&certificate()), &holder(0), &claims, NOW).unwrap_err();
    let NarrowError::Child(MintError::Claims(faults)) = error else { panic!("faults of claims") };
    assert_eq!(faults.0.len(), 2);
}

#[test]
fn every_links_budgets_and_limits_are_kept_side_by_side() {
    let mut claims = certificate();
    claims.grants.budgets = vec![budget(5)];
    claims.grants.rpm = Some(100);
    let root = minted(&claims);
    let siblings: Vec<_> = (0..50)
        .map(|n| {
            let mut claims = child(&format!("c{n}"));
            claims.grants.budgets = vec![budget(9)];
            claims.grants.rpm = Some(200);
            data(&narrow(&root, &holder(0), &claims, NOW).unwrap()).unwrap()
        })
        .collect();
    for sibling in &siblings {
        let [parent, own] = sibling.links() else { panic!("two links") };
        assert_eq!((&parent.budgets, parent.rpm), (&vec![budget(5)], Some(100)));
        assert_eq!((&own.budgets, own.rpm), (&vec![budget(9)], Some(200)));
        assert_eq!(parent.counter, siblings[0].links()[0].counter);
        assert_eq!(own.counter, sibling.id());
    }
    let ids: std::collections::BTreeSet<_> = siblings.iter().map(bh_token::Verified::id).collect();
    assert_eq!(ids.len(), 50);
}

#[test]
fn a_childs_budget_id_is_shared_only_among_children_of_one_parent() {
    let counter = |root_jti: &str, jti: &str| {
        let mut root = certificate();
        root.jti = root_jti.into();
        let mut claims = child(jti);
        claims.grants.budgets = vec![budget(1)];
        claims.grants.budget_id = Some("x".into());
        data(&narrow(&minted(&root), &holder(0), &claims, NOW).unwrap()).unwrap().links()[1].counter
    };
    assert_eq!(counter("t1", "a"), counter("t1", "b"));
    assert_ne!(counter("t1", "a"), counter("t2", "a"));
}

#[test]
fn inspection_shows_a_chain_without_any_key() {
    let text = chain(2);
    let seen = inspect(&text).unwrap();
    let verified = data(&text).unwrap();
    assert_eq!(seen.kid, "main");
    assert_eq!(
        seen.links.iter().map(|l| l.id).collect::<Vec<_>>(),
        verified.links().iter().map(|l| l.id).collect::<Vec<_>>()
    );
    assert!(!seen.certificate && !seen.admin);
    assert!(inspect(&minted(&certificate())).unwrap().certificate);
    assert!(seen.links[0].claims_json.starts_with(r#"{"iss":"bulkhead""#));
    assert!(inspect("bh_nonsense").is_err());
}
