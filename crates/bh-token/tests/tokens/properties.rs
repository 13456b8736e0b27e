//! What holds for every token, shown on random ones; proptest prints the seed of what fails.

use std::sync::LazyLock;

use bh_base::glob_matches;
use bh_token::{KeySet, Revocations, TokenError, inspect, narrow};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::*;

/// What one random link asks for.
#[derive(Debug, Clone)]
struct Ask {
    models: Option<Vec<String>>,
    roles: Option<Vec<String>>,
    life_s: u64,
}

const MODELS: [&str; 6] = ["gpt-4o", "gpt-4o-mini", "claude-opus", "o3", "a", "openai/gpt-4o"];
const ROLES: [&str; 3] = ["explain", "finance", "admin"];

fn ask() -> impl Strategy<Value = Ask> {
    let pattern = prop_oneof![
        proptest::sample::select(&MODELS[..]).prop_map(str::to_owned),
        proptest::sample::select(&["*", "gpt-*", "*mini", "*4o*", "claude-*"][..]).prop_map(str::to_owned),
    ];
    let roles = proptest::sample::subsequence(ROLES.map(str::to_owned).to_vec(), 0..=3);
    let models = proptest::option::of(proptest::collection::vec(pattern, 0..4));
    (models, proptest::option::of(roles), 1..2000_u64).prop_map(|(models, roles, life_s)| Ask { models, roles, life_s })
}

fn bh(json: &mut Value, ask: &Ask, holder_key: Option<bh_seal::PublicKey>) {
    json["exp"] = (NOW.as_secs() + ask.life_s).into();
    for (name, list) in [("models", &ask.models), ("roles", &ask.roles)] {
        if let Some(list) = list {
            json["bh"][name] = json!(list);
        }
    }
    if let Some(key) = holder_key {
        json["bh"]["holder"] = key.to_base64url().into();
    }
}

/// A rightly signed chain of links that ask for whatever they like.
fn forged_chain(asks: &[Ask]) -> String {
    let next = |n: usize| (n + 1 < asks.len()).then(|| holder(n as u8).public());
    let mut root = root_json();
    bh(&mut root, &asks[0], next(0));
    let mut text = forged_root(&root);
    for (n, ask) in asks.iter().enumerate().skip(1) {
        let mut child = child_json(&text);
        bh(&mut child, ask, next(n));
        text = forged_child(&text, &child, &holder(n as u8 - 1));
    }
    text
}

fn allows(ask: &Ask, model: &str) -> bool {
    ask.models.as_ref().is_none_or(|patterns| patterns.iter().any(|p| glob_matches(p, model)))
}

/// The roles after each link, if every link stays within its parent.
fn roles_within(asks: &[Ask]) -> Option<Vec<String>> {
    let mut roles = asks[0].roles.clone().unwrap_or_default();
    for ask in &asks[1..] {
        if let Some(asked) = &ask.roles {
            if !asked.iter().all(|role| roles.contains(role)) {
                return None;
            }
            roles.clone_from(asked);
        }
    }
    Some(roles)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, ..ProptestConfig::default() })]

    #[test]
    fn a_child_never_reaches_what_its_ancestors_cannot(asks in proptest::collection::vec(ask(), 1..=4)) {
        let verified = data(&forged_chain(&asks));
        let roles = roles_within(&asks);
        let shrinking = asks.windows(2).all(|pair| pair[1].life_s <= pair[0].life_s);
        prop_assert_eq!(verified.is_ok(), roles.is_some() && shrinking, "{:?}", verified);
        if let Ok(verified) = verified {
            for model in MODELS {
                prop_assert_eq!(verified.may_call(model), asks.iter().all(|ask| allows(ask, model)));
            }
            prop_assert_eq!(&verified.subject().roles, &roles.unwrap());
            let shortest = asks.iter().map(|ask| ask.life_s).min().unwrap();
            prop_assert_eq!(verified.expires_at().as_secs(), NOW.as_secs() + shortest);
        }
    }

    #[test]
    fn narrowing_makes_exactly_what_verification_accepts(parent in ask(), asked in ask()) {
        let mut root = root_json();
        bh(&mut root, &parent, Some(holder(0).public()));
        let root = forged_root(&root);
        let mut claims = child("c");
        claims.expires_at = NOW.plus(bh_base::Millis::from_secs(asked.life_s));
        claims.grants.models.clone_from(&asked.models);
        claims.grants.roles.clone_from(&asked.roles);
        let narrowed = narrow(&root, &holder(0), &claims, NOW);
        let forged = data(&forged_chain(&[parent, asked]));
        prop_assert_eq!(narrowed.is_ok(), forged.is_ok());
        if let (Ok(text), Ok(forged)) = (narrowed, forged) {
            let narrowed = data(&text).unwrap();
            prop_assert_eq!(narrowed.subject(), forged.subject());
        }
    }

    #[test]
    fn no_changed_byte_ever_verifies(place in 0.0..1.0_f64, byte in 0..128_u8, children in 0..=3_u8) {
        let text = &CHAINS[usize::from(children)];
        let place = (place * text.len() as f64) as usize;
        let mut bytes = text.clone().into_bytes();
        bytes[place] = byte;
        let changed = String::from_utf8(bytes).unwrap();
        prop_assert_eq!(data(&changed).is_ok(), &changed == text);
    }

    #[test]
    fn random_texts_never_panic(text in ".*", parts in proptest::collection::vec("[A-Za-z0-9_.~-]{0,80}", 0..5)) {
        for text in [text.clone(), format!("bh_{text}"), format!("bh_{}", parts.join("~"))] {
            prop_assert!(data(&text).is_err());
            prop_assert!(inspect(&text).is_err());
            prop_assert!(narrow(&text, &holder(0), &child("c"), NOW).is_err());
            prop_assert!(KeySet::parse(&text, 1).is_err());
            prop_assert!(Revocations::parse(&text).is_err());
        }
    }

    #[test]
    fn random_headers_and_claims_rightly_signed_never_panic(header in json_like(), claims in json_like()) {
        for (header, claims) in [
            (header.to_string(), root_json().to_string()),
            (ROOT_HEADER.to_owned(), claims.to_string()),
        ] {
            let text = format!("bh_{}", forge(&header, &claims, &issuer()));
            prop_assert!(data(&text).is_err());
        }
    }

    #[test]
    fn a_random_claim_is_read_or_refused_by_name(
        name in proptest::sample::select(&CLAIMS[..]),
        value in json_like(),
    ) {
        let mut json = root_json();
        json["bh"][name] = value;
        match data(&forged_root(&json)) {
            Ok(_) | Err(TokenError::Invalid(bh_token::Invalid::Certificate)) => (),
            Err(error) => prop_assert!(error.to_string().contains(&format!("`bh.{name}")), "{}", error),
        }
    }

    #[test]
    fn a_random_member_of_a_key_or_of_a_list_never_panics(value in json_like(), member in "[a-z]{1,6}") {
        let mut key = json!({"kid": "a", "kty": "OKP", "crv": "Ed25519", "x": issuer().public().to_base64url()});
        key[&member] = value.clone();
        if let Ok(keys) = KeySet::parse(&json!({"keys": [key]}).to_string(), 1) {
            prop_assert_eq!(KeySet::parse(&keys.to_json(), 1), Ok(keys));
        }
        let list = json!({"v": 1, "ids": value.clone(), "subjects": value});
        if let Ok(list) = Revocations::parse(&list.to_string()) {
            prop_assert_eq!(Revocations::parse(&list.to_json()), Ok(list));
        }
    }
}

static CHAINS: LazyLock<[String; 4]> = LazyLock::new(|| [0, 1, 2, 3].map(chain));

const CLAIMS: [&str; 14] = [
    "org",
    "team",
    "project",
    "models",
    "budgets",
    "budget_id",
    "rpm",
    "tpm",
    "concurrency",
    "routing",
    "quality",
    "tags",
    "roles",
    "holder",
];

/// Any JSON, with the words that claims and headers know among its texts and keys.
fn json_like() -> impl Strategy<Value = Value> {
    let word = prop_oneof![
        proptest::sample::select(
            &[
                "usd", "window", "mode", "hold", "day", "hard", "5", "kid", "alg", "EdDSA", "typ", "bh+jwt", "main",
                "bh"
            ][..]
        )
        .prop_map(str::to_owned),
        ".{0,12}",
    ];
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word.clone().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 6, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::btree_map(word.clone(), inner, 0..6)
                .prop_map(|map| Value::Object(map.into_iter().collect())),
        ]
    })
}
