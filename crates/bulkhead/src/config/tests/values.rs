//! What a configuration without faults becomes.

use bh_base::{BudgetMode, HoldMode, Millis, Overage};
use bh_dialect::OnUnsupported;
use bh_policy::{Serves, Strategy};
use secrecy::ExposeSecret;
use serde_json::json;

use super::*;

#[test]
fn what_is_left_out_has_the_value_the_documents_say() {
    let loaded = loaded(SMALL).unwrap_or_else(|faults| panic!("{faults}"));
    let node = loaded.node;
    assert_eq!(node.listen.to_string(), "0.0.0.0:8080");
    assert_eq!(node.admin_listen.to_string(), "127.0.0.1:8081");
    assert_eq!(node.data_dir, Path::new("/var/lib/bulkhead"));
    assert_eq!(node.drain.as_secs(), 300);
    assert_eq!(node.live.settings, bh_pipeline::Settings::default());
    assert_eq!(node.live.audience, "bulkhead");
    assert_eq!(node.audit.retain, None);
    assert_eq!(node.live.routes.providers[0].serves, Serves::Patterns(vec!["echo*".to_owned()]));
    assert_eq!(loaded.log, super::super::LogFormat::Json);
}

#[test]
fn budgets_hold_strictly_when_hard_and_adapt_when_soft() {
    let rule = |budget: Value| {
        let text = with("budgets", json!([budget]));
        let loaded = loaded(&text).unwrap_or_else(|faults| panic!("{faults}"));
        loaded.node.live.ledger.budgets.into_iter().next().expect("one rule")
    };
    let plain = rule(json!({ "scope": "org:acme", "limit_usd": "0.25", "window": "day" }));
    assert_eq!((plain.mode, plain.hold, plain.overage), (BudgetMode::Hard, HoldMode::Strict, Overage::Block));
    assert_eq!((plain.limit.0, plain.alerts_bp), (250_000_000, vec![8_000, 9_000, 10_000]));
    let soft = rule(json!({ "scope": "user:*", "limit_usd": 1, "window": "day", "mode": "soft", "alerts": [0.123] }));
    assert_eq!((soft.hold, soft.alerts_bp), (HoldMode::Adaptive, vec![1_230]));
}

#[test]
fn a_route_without_a_mode_falls_back_over_several_targets() {
    let strategy = |targets: Value| {
        let loaded = loaded(&with("routes", json!([{ "model": "m", "targets": targets }])));
        let loaded = loaded.unwrap_or_else(|faults| panic!("{faults}"));
        (loaded.node.live.routes.routes[0].strategy, loaded.node.live.on_unsupported)
    };
    let echo = json!({ "provider": "echo", "model": "echo" });
    assert_eq!(strategy(json!([echo])), (Strategy::Single, vec![OnUnsupported::Warn]));
    assert_eq!(strategy(json!([echo, echo])), (Strategy::Fallback, vec![OnUnsupported::Warn]));
}

#[test]
fn paths_start_at_the_files_folder() {
    let node = loaded(&with("data_dir", json!("state"))).unwrap_or_else(|faults| panic!("{faults}")).node;
    assert_eq!(node.data_dir, Path::new("/nowhere/state"));
}

#[test]
fn variables_overlay_the_file() {
    let environment = Environment::from([
        ("BULKHEAD__SERVER__DRAIN_S", "7"),
        ("BULKHEAD__TOKENS__AUDIENCE", "2026"),
        ("BULKHEAD__BUDGETS", "[{ scope: global, limit_usd: 5, window: day }]"),
        ("BULKHEAD__PROVIDERS__0__TIMEOUTS__IDLE_MS", "9"),
        ("BULKHEAD__PROVIDERS__1", "{ id: more, kind: echo, models: [\"more-*\"] }"),
        ("BULKHEAD__aliases__GPT", "echo"),
        ("BULKHEAD_CONFIG", "ignored here"),
    ]);
    let loaded = load(&source(SMALL), &environment).unwrap_or_else(|faults| panic!("{faults}"));
    let live = loaded.node.live;
    assert_eq!(loaded.node.drain.as_secs(), 7);
    assert_eq!(live.audience, "2026");
    assert_eq!(live.ledger.budgets.len(), 1);
    assert_eq!(live.deadlines[0].1.idle, Millis(9));
    assert_eq!(live.routes.providers[1].id, "more");
    assert_eq!(live.routes.aliases[0].name, "gpt");
}

#[test]
fn variables_that_fit_nowhere_are_told_by_name() {
    let check = |name: &'static str, value: &'static str, expected: &str| {
        let environment = Environment::from([(name, value)]);
        let told = load(&source(SMALL), &environment).map(drop).expect_err("faulty").to_string();
        assert!(told.contains(expected) && told.contains(&format!("env | {name}\n")), "{told}");
    };
    check("BULKHEAD__SERVR__DRAIN_S", "1", "environment: servr: unknown key");
    check("BULKHEAD__SERVER__DRAIN_S", "soon", "server.drain_s: expected a whole number, found the text `soon`");
    check("BULKHEAD__SERVER____DRAIN_S", "1", "the variable's name has an empty part");
    check("BULKHEAD__PROVIDERS__5__ID", "x", "the list has 1 entries; use a number from 0 to 1");
    check("BULKHEAD__PROVIDERS__0__ID__X", "x", "names a key of something that is a single value");
    check("BULKHEAD__CLUSTER__NAME", "prod", "cluster: not built yet in this version");
}

#[test]
fn a_version_names_what_was_written_and_no_secret_changes_it() {
    let version = |text: &str, environment: &Environment| {
        load(&source(text), environment).unwrap_or_else(|faults| panic!("{faults}")).node.live.version
    };
    let none = Environment::default();
    assert_eq!(version(SMALL, &none), version(&format!("# a comment\n{SMALL}"), &none));
    assert_ne!(version(SMALL, &none), version(SMALL, &Environment::from([("BULKHEAD__SERVER__DRAIN_S", "7")])));
    let secret =
        with("providers.#0", json!({ "id": "o", "kind": "openai", "keys": [{ "id": "a", "secret": { "env": "S" } }] }));
    let (one, two) = (Environment::from([("S", "one")]), Environment::from([("S", "two")]));
    assert_eq!(version(&secret, &one), version(&secret, &two));
    let keys = |environment| load(&source(&secret), environment).unwrap_or_else(|faults| panic!("{faults}")).node.live;
    assert_eq!(keys(&one).upstream.providers[0].keys[0].secret.expose_secret(), "one");
    let print = |environment| keys(environment).routes.providers[0].keys[0].fingerprint;
    assert_ne!(print(&one), print(&two));
}

#[test]
fn what_show_prints_is_a_configuration_that_shows_the_same() {
    for text in [SMALL.to_owned(), example().text] {
        let once = seen(&text).effective;
        let yaml = serde_saphyr::to_string(&once).expect("YAML");
        assert_eq!(seen(&yaml).effective, once, "{yaml}");
        assert_eq!(seen(&once.to_string()).effective, once);
    }
}

#[test]
fn tls_needs_a_certificate_and_the_key_that_fits_it() {
    let folder = std::env::temp_dir().join(format!("bulkhead-tls-{}", std::process::id()));
    std::fs::create_dir_all(&folder).expect("a folder");
    let [good, other] = [(); 2].map(|()| bh_testkit::tls::Certificate::for_localhost().expect("a certificate"));
    for (name, text) in [("c.pem", good.pem()), ("k.pem", good.key_pem()), ("other.pem", other.key_pem())] {
        std::fs::write(folder.join(name), text).expect("a file");
    }
    let check = |cert: &str, key: &str, fault: Option<&str>| {
        let text = with("server.tls", json!({ "cert": cert, "key": key }));
        let source = Source { path: folder.join("bulkhead.yaml"), text };
        match (load(&source, &Environment::default()), fault) {
            (Ok(loaded), None) => {
                let alpn = loaded.node.tls.expect("TLS is on").alpn_protocols.clone();
                assert_eq!(alpn, [b"h2".to_vec(), b"http/1.1".to_vec()]);
            }
            (Err(faults), Some(fault)) => assert!(faults.to_string().contains(fault), "{fault} is not in {faults}"),
            (Ok(_), Some(fault)) => panic!("{cert} and {key} are taken; expected {fault}"),
            (Err(faults), None) => panic!("{faults}"),
        }
    };
    check("c.pem", "k.pem", None);
    check("gone.pem", "k.pem", Some("server.tls.cert"));
    check("k.pem", "k.pem", Some("k.pem: holds no certificate in PEM form"));
    check("c.pem", "c.pem", Some("c.pem: holds no private key in PEM form"));
    check("c.pem", "other.pem", Some("other.pem: cannot be used with the certificate"));
    std::fs::remove_dir_all(&folder).expect("the folder can go");
}

#[test]
fn a_public_jwk_may_stand_among_the_issuers_as_it_is_printed() {
    let key = bh_seal::SigningKey::from_seed([7; 32]).public();
    let jwk: Value = serde_json::from_str(&bh_token::IssuerKey::new("k", key).to_jwk()).expect("JSON");
    let loaded = loaded(&with("tokens.issuers", json!([jwk]))).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(loaded.node.live.keys.len(), 1);
}
