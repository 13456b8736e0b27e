//! Every command of the contract is there or refused by name.

use crate::support::Folder;

#[test]
fn help_and_version_are_results() {
    let folder = Folder::new("help");
    assert!(folder.out(&["--version"]).starts_with("bulkhead "));
    let help = folder.out(&["--help"]);
    for command in [
        "dev",
        "serve",
        "key",
        "token",
        "config",
        "audit",
        "budget",
        "route",
        "cluster",
        "report",
        "nodes",
        "doctor",
        "healthcheck",
    ] {
        assert!(help.contains(&format!("\n  {command} ")), "{command} is not in {help}");
    }
    let mint = folder.out(&["token", "mint", "--help"]);
    for flag in [
        "--key",
        "--sub",
        "--org",
        "--team",
        "--project",
        "--models",
        "--budget",
        "--rpm",
        "--tpm",
        "--concurrency",
        "--routing",
        "--quality",
        "--tag",
        "--role",
        "--holder",
        "--admin",
        "--ttl",
        "--output",
    ] {
        assert!(mint.contains(flag), "{flag} is not in {mint}");
    }
}

#[test]
fn what_is_not_built_is_refused_by_name_whatever_follows() {
    let folder = Folder::new("not-built");
    let check = |args: &[&str], name: &str| {
        folder.run(args).refused(2, &format!("`bulkhead {name}` is not built yet in this version"));
    };
    check(&["cluster", "provision"], "cluster");
    check(&["budget", "adjust", "org:acme", "+2usd", "--reason", "x"], "budget");
    check(&["report", "chargeback", "--from", "a"], "report");
    check(&["nodes"], "nodes");
    check(&["config", "apply", "f.yaml"], "config apply");
    check(&["config", "diff", "f.yaml"], "config diff");
    check(&["config", "history"], "config history");
    check(&["config", "rollback", "7"], "config rollback");
    check(&["config", "import", "litellm", "f.yaml"], "config import");
    check(&["key", "generate", "--out", "k", "--use", "enrol"], "key generate --use enrol");
    check(&["key", "generate", "--out", "k", "--use", "audit"], "key generate --use audit");
    check(&["key", "generate", "--out", "k", "--use", "config"], "key generate --use config");
    let mint = ["token", "mint", "--key", "k", "--sub", "s", "--ttl", "1h"];
    check(&[&mint[..], &["--routing", "cost"]].concat(), "token mint --routing");
    check(&[&mint[..], &["--quality", "0.7"]].concat(), "token mint --quality");
}

#[test]
fn a_command_line_that_cannot_be_meant_is_usage() {
    let folder = Folder::new("usage");
    for args in [
        &[][..],
        &["nonsense"],
        &["key"],
        &["key", "generate"],
        &["--output", "xml", "nodes"],
        &["token", "mint", "--key", "k", "--ttl", "1h"],
        &["token", "mint", "--key", "k", "--sub", "s", "--ttl", "1 hour"],
        &["token", "mint", "--key", "k", "--sub", "s", "--ttl", "1h", "--budget", "5/day"],
        &["token", "narrow", "--token", "t", "--holder-key", "k", "--sub", "other"],
        &["token", "revoke"],
        &["token", "revoke", "--sub", "ann"],
        &["token", "revoke", "--jti", "x", "--sub", "ann", "--before", "now"],
        &["config", "validate", "a", "b"],
    ] {
        let said = folder.run(args).ended(2);
        assert!(said.stdout.is_empty() && !said.stderr.is_empty(), "{args:?}: {}", said.stdout);
    }
}

#[test]
fn failures_for_programs_are_json_on_standard_error() {
    let folder = Folder::new("json-failure");
    let said = folder.run(&["--output", "json", "nodes"]).ended(2);
    let error: serde_json::Value = serde_json::from_str(&said.stderr).expect("JSON");
    assert_eq!(error["error"]["exit_code"], 2);
    assert_eq!(error["error"]["message"], "`bulkhead nodes` is not built yet in this version");
    assert_eq!(said.stdout, "");
}

#[test]
fn a_node_that_is_not_there_is_unavailable() {
    let folder = Folder::new("healthcheck");
    folder.run(&["healthcheck", "--admin", "127.0.0.1:1"]).refused(69, "no answer from http://127.0.0.1:1/readyz");
}
