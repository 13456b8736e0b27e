//! What people read when a configuration is faulty.

use std::path::Path;

use serde_json::json;

use super::*;

#[test]
fn five_mistakes_of_different_sorts_are_all_told_with_line_and_caret() {
    let text = "\
server:
  drain_s: 5m
  keep_alive_s: 15
tokens: { issuers: [{ kid: main, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo }] }
cluster: { name: prod }
providers:
  - { id: echo, kind: ecco }
routes:
  - model: smart
    targets:
      - { provider: gone, model: m, weight: 2000 }
";
    assert_eq!(
        told(text),
        "\
/nowhere/bulkhead.yaml:2:12: server.drain_s: expected a whole number, found the text `5m`
2 |   drain_s: 5m
  |            ^^

/nowhere/bulkhead.yaml:3:3: server.keep_alive_s: unknown key
3 |   keep_alive_s: **
  |   ^^^^^^^^^^^^
  = help: did you mean `keepalive_s`?

/nowhere/bulkhead.yaml:5:1: cluster: not built yet in this version; remove it
5 | cluster: { name: prod }
  | ^^^^^^^

/nowhere/bulkhead.yaml:7:23: providers[0].kind: expected openai, anthropic, openai_compatible or echo, found `ecco`
7 |   - { id: echo, kind: ecco }
  |                       ^^^^
  = help: did you mean `echo`?

/nowhere/bulkhead.yaml:11:21: routes[0].targets[0].provider: unknown provider gone; configured: echo
11 |       - { provider: gone, model: m, weight: 2000 }
   |                     ^^^^

/nowhere/bulkhead.yaml:11:45: routes[0].targets[0].weight: must be from 0 to 1000, found 2000
11 |       - { provider: gone, model: m, weight: 2000 }
   |                                             ^^^^
"
    );
}

#[test]
fn faults_of_every_crate_have_their_place() {
    let text = "\
server: { listen: 127.0.0.1:80, admin_listen: 127.0.0.1:80, tls: { cert: c.pem, key: k.pem } }
tokens:
  audience: a/b
  issuers:
    - { kid: main, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo }
    - { kid: main, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo }
    - { file: gone.json, orgs: [a] }
    - { kid: only }
providers:
  - { id: a, kind: openai, base_url: nonsense, keys: [{ id: k, secret: { env: NOT_SET } }], headers: { HOST: x } }
  - { id: a, kind: anthropic }
routes:
  - { model: m, strategy: { mode: single }, targets: [{ provider: a }, { provider: a, retry: { on_status_codes: [400] } }] }
aliases: { x: y, y: x }
budgets:
  - { scope: 'orgs:x', limit_usd: 1, window: day }
  - { scope: global, limit_usd: 1, window: day, mode: hard, overage: alert }
limits: [{ scope: global }]
pricing: { unknown: flat, overrides: { m.1: { input: 0.0000001, output: 1 } } }
telemetry: { otlp: nonsense }
";
    let faults = loaded(text).map(drop).expect_err("faulty");
    let paths: Vec<&str> = faults.list().iter().map(|fault| fault.path.as_str()).collect();
    let expected = [
        "server.admin_listen",
        "server.tls.cert",
        "server.tls.key",
        "tokens.audience",
        "tokens.issuers[1].kid",
        "tokens.issuers[2].file",
        "tokens.issuers[2].orgs",
        "tokens.issuers[3]",
        "providers[0].base_url",
        "providers[0].keys[0].secret",
        "providers[0].headers.HOST",
        "providers[1]",
        "providers[1].id",
        "routes[0].strategy",
        "routes[0].targets[1].retry.on_status_codes[0]",
        "aliases.x",
        "aliases.y",
        "budgets[0].scope",
        "budgets[1].overage",
        "limits[0]",
        "pricing.unknown",
        "pricing.overrides.m.1.input",
        "telemetry.otlp",
    ];
    for path in expected {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
    }
    assert_eq!(paths.len(), expected.len(), "{faults}");
    assert!(faults.list().iter().all(|fault| matches!(fault.place, super::super::tree::Place::File(_))), "{faults}");
}

#[test]
fn nothing_is_said_of_what_only_follows_from_a_fault() {
    let text = "\
tokens: { issuers: [] }
providers:
  - { kind: echo }
  - 5
  - { id: c, kind: openai_compatible }
  - { id: b, kind: nope }
  - { id: d, kind: openai_compatible, base_url: 7, models: [''] }
routes:
  - { model: 1, targets: [{ provider: gone }] }
  - { model: 2, targets: [] }
budgets:
  - { scope: x, limit_usd: 1, window: day, mode: hard, overage: later }
  - { scope: x, limit_usd: 1, window: day }
limits: [{ scope: global, rpm: 0 }]
pricing: { unknown: maybe, flat: { input: 1, output: 1 } }
";
    let faults = loaded(text).map(drop).expect_err("faulty");
    let paths: Vec<&str> = faults.list().iter().map(|fault| fault.path.as_str()).collect();
    let expected = [
        "providers[0].id",
        "providers[1]",
        "providers[2]",
        "providers[3].kind",
        "providers[4].base_url",
        "providers[4].models[0]",
        "routes[0].model",
        "routes[1].model",
        "routes[1].targets",
        "budgets[0].scope",
        "budgets[0].overage",
        "budgets[1].scope",
        "limits[0].rpm",
        "pricing.unknown",
    ];
    assert_eq!(paths, expected, "{faults}");
}

#[test]
fn entries_after_a_faulty_one_keep_their_number() {
    let budgets = "budgets: [5, { scope: global, limit_usd: 1, window: day, mode: hard, overage: alert }]";
    let faults = loaded(&format!("{SMALL}{budgets}\n")).map(drop).expect_err("faulty");
    let paths: Vec<&str> = faults.list().iter().map(|fault| fault.path.as_str()).collect();
    assert_eq!(paths, ["budgets[0]", "budgets[1].overage"], "{faults}");
}

#[test]
fn a_secret_in_the_wrong_place_is_never_shown() {
    let text = "\
tokens: { issuers: [] }
providers:
  - id: openai
    kind: openai
    api_key: sk-one
    keys: [{ id: a, secret: sk-two, weight: x }]
    headers: { authorization: Bearer sk-three }
";
    let environment = Environment::from([("BULKHEAD__PROVIDERS__0__TOKEN", "sk-four")]);
    let faults = load(&source(text), &environment).map(drop).expect_err("faulty");
    for shown in [faults.to_string(), faults.to_fancy(80), faults.to_json().to_string(), format!("{faults:?}")] {
        for secret in ["sk-one", "sk-two", "sk-three"] {
            assert!(!shown.contains(secret), "{secret} in {shown}");
        }
    }
    assert!(!faults.to_string().contains("sk-four") && !faults.to_fancy(80).contains("sk-four"));
    let refused = "a secret is never written here: say where it is with {env: NAME} or {file: PATH}";
    assert!(faults.to_string().contains(refused), "{faults}");
}

#[test]
fn programs_read_the_same_faults_as_json() {
    let faults = loaded(&format!("{SMALL}audit: {{ durability: strong }}\n")).map(drop).expect_err("faulty");
    assert_eq!(
        faults.to_json(),
        json!([{
            "path": "audit.durability",
            "message": "expected relaxed or strict, found `strong`",
            "help": null,
            "file": "/nowhere/bulkhead.yaml",
            "line": 3,
            "column": 22,
            "length": 6,
            "variable": null,
        }])
    );
}

#[test]
fn a_terminal_gets_the_same_places() {
    let faults = loaded(&format!("{SMALL}adit: {{}}\n")).map(drop).expect_err("faulty");
    let shown = faults.to_fancy(80);
    for part in ["adit: unknown key", "bulkhead.yaml:3:1", "did you mean `audit`?"] {
        assert!(shown.contains(part), "{part} is not in {shown}");
    }
}

#[test]
fn what_is_no_yaml_is_one_fault_with_its_place() {
    let told = told("tokens: [\nproviders: }\n");
    let expected = "\
/nowhere/bulkhead.yaml:1:9: not YAML: mismatched bracket '[' closed by '}'
1 | tokens: [
  |         ^
  = help: the rest of the file was not looked at
";
    assert_eq!(told, expected);
    for text in ["[".repeat(1000), format!("aliases: {}{}", "[".repeat(1000), "]".repeat(1000))] {
        assert!(loaded(&text).map(drop).expect_err("too deep").to_string().contains("not YAML"));
    }
}

#[test]
fn a_key_given_twice_is_told_beside_the_other_faults() {
    let told = told(&format!("{SMALL}providers: []\nadit: {{}}\n"));
    assert!(told.contains("/nowhere/bulkhead.yaml:3:1: providers: given twice; keep one"), "{told}");
    assert!(told.contains("adit: unknown key"), "{told}");
}

#[test]
fn an_empty_file_says_what_is_missing() {
    let told = told("");
    assert!(told.contains("tokens: missing: Who may mint tokens, and for whom"), "{told}");
    assert!(told.contains("providers: missing: Where answers come from"), "{told}");
}

#[test]
fn a_key_without_a_value_is_no_silent_default() {
    let told = told(&format!("{SMALL}budgets:\n"));
    assert!(told.contains("budgets: expected a list, found nothing"), "{told}");
    assert!(told.contains("help: give it a value or remove the key"), "{told}");
}

#[test]
fn carets_stand_under_what_they_mean_beside_other_alphabets() {
    let told = told(&format!("{SMALL}aliases: {{ 模型: 7 }}\n"));
    assert!(told.contains(":3:16: aliases.模型: expected a text, found 7"), "{told}");
    assert!(told.contains("help: put it in quotes: \"7\""), "{told}");
}

#[test]
fn secrets_that_are_not_there_are_told_unless_nobody_asks() {
    let text = format!(
        "{}\n",
        with(
            "providers.#0",
            json!({
                "id": "openai", "kind": "openai", "keys": [
                    { "id": "a", "secret": { "env": "NOT_SET" } },
                    { "id": "b", "secret": { "file": "not-there" } },
                    { "id": "c", "secret": {} },
                    { "id": "d", "secret": { "env": "EMPTY" } },
                    { "id": "e", "secret": { "env": "BROKEN" } },
                ],
            })
        )
    );
    let environment = Environment::from([("EMPTY", " \n"), ("BROKEN", "a\nb")]);
    let told = load(&source(&text), &environment).map(drop).expect_err("faulty").to_string();
    for part in [
        "keys[0].secret: the environment variable NOT_SET is not set",
        "keys[1].secret: the file /nowhere/not-there cannot be read",
        "keys[2].secret: give exactly one of {env: NAME} and {file: PATH}",
        "keys[3].secret: it is empty",
        "keys[4].secret: it holds characters that cannot be sent",
    ] {
        assert!(told.contains(part), "{part} is not in {told}");
    }
    let unasked = overview(&source(&text), &environment, false).map(drop).expect_err("one fault is left").to_string();
    assert!(unasked.contains("keys[2].secret") && !unasked.contains("keys[0].secret"), "{unasked}");
}

#[test]
fn the_example_is_a_configuration() {
    let found = overview(&example(), &Environment::default(), false).unwrap_or_else(|faults| panic!("{faults}"));
    assert_eq!(found.data_dir, Path::new("/var/lib/bulkhead"));
}
