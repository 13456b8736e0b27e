//! `bulkhead config`.

use std::path::Path;

use crate::support::Folder;

const GOOD: &str = "\
tokens: { issuers: [{ kid: main, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo }] }
providers: [{ id: openai, kind: openai, keys: [{ id: a, secret: { env: SECRET } }] }]
";

const BAD: &str = "\
tokens: { issuers: [] }
providers: [{ id: echo, kind: ecco }]
drain_s: 5
";

#[test]
fn a_good_configuration_exits_0() {
    let folder = Folder::new("config-good");
    folder.write("b.yaml", GOOD);
    let said = folder.run_with(&[("SECRET", "sk-1")], &["config", "validate", "b.yaml"]).ended(0);
    assert!(said.stdout.starts_with("b.yaml can be put in force: providers 1, routes 0"), "{}", said.stdout);
    folder.run(&["config", "validate", "b.yaml"]).refused(78, "the environment variable SECRET is not set");
    folder.run(&["config", "validate", "b.yaml", "--no-secrets"]).ended(0);
    let json = folder.run(&["config", "validate", "b.yaml", "--no-secrets", "--output", "json"]).ended(0).json();
    assert_eq!(json, serde_json::json!([]));
}

#[test]
fn a_faulty_configuration_exits_78_and_tells_every_fault() {
    let folder = Folder::new("config-bad");
    folder.write("b.yaml", BAD);
    let said = folder.run(&["config", "validate", "b.yaml"]).refused(78, "b.yaml:2:31: providers[0].kind: expected");
    assert!(said.stderr.contains("b.yaml:3:1: drain_s: unknown key") && said.stderr.contains("error: 2 faults"));
    assert_eq!(said.stdout, "");
    let json = folder.run(&["config", "validate", "b.yaml", "--output", "json"]).ended(78).json();
    assert_eq!(json.as_array().map(Vec::len), Some(2));
    assert_eq!((&json[1]["line"], &json[1]["column"], &json[1]["path"]), (&3.into(), &1.into(), &"drain_s".into()));
}

#[test]
fn the_file_is_found_in_the_order_of_the_contract() {
    let folder = Folder::new("config-find");
    let found = |variables: &[(&str, &str)], args: &[&str]| {
        let said = folder.run_with(variables, &[&["config", "show", "--output", "json"], args].concat()).ended(0);
        said.json()["tokens"]["audience"].as_str().expect("a text").to_owned()
    };
    let file = |name: &str| {
        let text = format!("tokens: {{ issuers: [], audience: {name} }}\nproviders: []\n");
        folder.write(name, &text);
    };
    file("bulkhead.yaml");
    file("named.yaml");
    file("variable.yaml");
    assert_eq!(found(&[], &[]), "bulkhead.yaml");
    assert_eq!(found(&[("BULKHEAD_CONFIG", "variable.yaml")], &[]), "variable.yaml");
    assert_eq!(found(&[("BULKHEAD_CONFIG", "variable.yaml")], &["--config", "named.yaml"]), "named.yaml");
    folder.run(&["config", "show", "--config", "gone.yaml"]).refused(78, "gone.yaml cannot be read");
    folder.run_with(&[("BULKHEAD_CONFIG", "gone.yaml")], &["config", "show"]).refused(78, "gone.yaml cannot be read");
    let nowhere = Folder::new("config-nowhere");
    if !Path::new("/etc/bulkhead/bulkhead.yaml").exists() {
        nowhere.run(&["config", "validate"]).refused(78, "no configuration: give --config FILE");
    }
}

#[test]
fn what_is_shown_has_no_secret_and_is_a_configuration() {
    let folder = Folder::new("config-show");
    folder.write("b.yaml", GOOD);
    let said = folder.run_with(&[("SECRET", "sk-very-secret")], &["config", "show", "--config", "b.yaml"]).ended(0);
    assert!(said.stdout.contains("env: SECRET") && said.stdout.contains("drain_s: 300"), "{}", said.stdout);
    assert!(!said.stdout.contains("sk-very-secret"));
    folder.write("shown.yaml", &said.stdout);
    folder.run(&["config", "validate", "shown.yaml", "--no-secrets"]).ended(0);
}

#[test]
fn variables_of_the_process_overlay_the_file() {
    let folder = Folder::new("config-overlay");
    folder.write("b.yaml", GOOD);
    let variables = [("BULKHEAD__SERVER__DRAIN_S", "9"), ("SECRET", "s")];
    let shown = folder.run_with(&variables, &["config", "show", "--config", "b.yaml", "--output", "json"]).ended(0);
    assert_eq!(shown.json()["server"]["drain_s"], 9);
    folder
        .run_with(&[("BULKHEAD__SERVER__DRAIN", "9")], &["config", "validate", "b.yaml", "--no-secrets"])
        .refused(78, "environment: server.drain: unknown key");
}

#[test]
fn the_schema_is_json_schema() {
    let folder = Folder::new("config-schema");
    let schema = folder.run(&["config", "schema"]).ended(0).json();
    assert_eq!(schema["$schema"], "https://json-schema.org/draft/2020-12/schema");
    assert_eq!(schema["additionalProperties"], false);
    assert!(schema["properties"]["providers"]["description"].is_string());
}

#[test]
fn the_example_of_the_documents_can_be_put_in_force() {
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/bulkhead.example.yaml");
    let example = example.to_str().expect("a path of letters");
    Folder::new("config-example").run(&["config", "validate", example, "--no-secrets"]).ended(0);
}
