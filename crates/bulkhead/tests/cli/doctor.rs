//! `doctor` finds each planted fault and names the next step.

use std::os::unix::fs::PermissionsExt as _;

use bh_disk::DataFolder;
use serde_json::{Value, json};

use crate::support::Folder;

/// A folder where all is well but for what `plant` does.
fn planted(name: &str, plant: impl FnOnce(&mut Value)) -> Folder {
    let folder = Folder::new(name);
    folder.configure(plant);
    folder
}

/// The findings, by level and check.
#[track_caller]
fn doctor(folder: &Folder, code: i32) -> Vec<(String, String, Value)> {
    let said = folder.run(&["doctor", "--config", "bulkhead.yaml", "--output", "json"]).ended(code).json();
    let text = |value: &Value| value.as_str().expect("text").to_owned();
    let findings = said["findings"].as_array().expect("a list").iter();
    findings.map(|finding| (text(&finding["level"]), text(&finding["check"]), finding.clone())).collect()
}

/// Exactly one thing is not ok; it is this one, it says this, and what to do.
#[track_caller]
fn check(folder: &Folder, level: &str, name: &str, said: &str) {
    let findings = doctor(folder, i32::from(level == "fail"));
    let bad: Vec<_> = findings.iter().filter(|(level, _, _)| level != "ok").collect();
    assert_eq!(bad.len(), 1, "{findings:#?}");
    let (found_level, found_check, finding) = bad[0];
    assert_eq!((found_level.as_str(), found_check.as_str()), (level, name), "{finding:#}");
    assert!(finding["found"].as_str().is_some_and(|found| found.contains(said)), "{finding:#}");
    assert!(finding["next"].as_str().is_some_and(|next| !next.is_empty()), "{finding:#}");
}

#[test]
fn a_sound_node_has_nothing_to_mend() {
    let folder = planted("doctor-ok", |_| ());
    let findings = doctor(&folder, 0);
    let checks: Vec<&str> = findings.iter().map(|(_, check, _)| check.as_str()).collect();
    let wanted = [
        "descriptors",
        "configuration",
        "secrets",
        "data_dir",
        "disk",
        "audit",
        "clock",
        "server.listen",
        "server.admin_listen",
        "provider",
    ];
    assert_eq!(checks, wanted);
    let text = folder.out(&["doctor", "--config", "bulkhead.yaml"]);
    assert!(text.contains("ok    configuration") && text.ends_with("0 to mend, 0 to look at"), "{text}");
    assert!(!folder.0.join("data").exists(), "looking changes nothing");
}

#[test]
fn a_fault_of_the_configuration_is_found() {
    let folder = planted("doctor-config", |config| config["provider"] = json!([]));
    check(&folder, "fail", "configuration", "unknown key");
    folder.run(&["doctor", "--config", "absent.yaml"]).ended(1);
}

#[test]
fn a_missing_secret_is_found() {
    let folder = planted("doctor-secret", |config| {
        config["providers"] =
            json!([{"id": "o", "kind": "openai", "keys": [{"id": "a", "secret": {"env": "NO_SUCH"}}]}]);
    });
    check(&folder, "fail", "secrets", "NO_SUCH is not set");
}

#[test]
fn a_data_dir_that_is_no_folder_is_found() {
    let folder = planted("doctor-file", |_| ());
    folder.write("data", "");
    check(&folder, "fail", "data_dir", "is not a folder");
}

#[test]
fn a_data_dir_open_to_others_is_found() {
    let folder = planted("doctor-mode", |_| ());
    let data = folder.0.join("data");
    std::fs::create_dir(&data).expect("a folder");
    std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o755)).expect("a mode");
    check(&folder, "warn", "data_dir", "mode 755");
}

#[tokio::test(flavor = "multi_thread")]
async fn damaged_and_removed_evidence_is_found() {
    let admin = bh_testkit::loopback::free_address().expect("a port").to_string();
    let folder = planted("doctor-audit", |config| config["server"]["admin_listen"] = json!(admin));
    let mut node = folder.serve();
    assert_eq!(node.status(&folder.token(&[])).await, 200);
    let findings = doctor(&folder, 0);
    let running = findings.iter().find(|(_, check, _)| check == "node").expect("the node was looked at");
    assert!(running.2["found"].as_str().is_some_and(|found| found.contains("ready")), "{running:#?}");
    node.process.kill().expect("it is killed");
    check(&folder, "warn", "audit", "crash_tail");
    let audit = folder.0.join("data/audit");
    let segment = std::fs::read_dir(&audit).expect("a folder").next().expect("a segment").expect("an entry").path();
    let mut bytes = std::fs::read(&segment).expect("a segment");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&segment, bytes).expect("it can be written");
    check(&folder, "fail", "audit", "tampered");
    std::fs::remove_file(&segment).expect("it can be removed");
    check(&folder, "fail", "audit", "holds no segment");
}

#[test]
fn a_taken_port_is_found() {
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = other.local_addr().expect("an address").to_string();
    let folder = planted("doctor-port", |config| config["server"]["listen"] = json!(taken));
    check(&folder, "fail", "server.listen", "taken by another process");
}

#[test]
fn a_holder_that_does_not_answer_is_found() {
    let folder = planted("doctor-held", |config| config["server"]["admin_listen"] = json!("127.0.0.1:1"));
    let held = DataFolder::open(&folder.0.join("data"), "bulkhead 4711").expect("a folder");
    let findings = doctor(&folder, 1);
    drop(held);
    let node = findings.iter().find(|(_, check, _)| check == "node").map(|(_, _, finding)| finding.clone());
    let node = node.expect("the node was looked at");
    assert_eq!(node["level"], "fail");
    assert!(node["next"].as_str().is_some_and(|next| next.contains("bulkhead 4711")), "{node:#}");
}

#[test]
fn a_provider_that_cannot_be_reached_is_found() {
    let closed = bh_testkit::loopback::free_address().expect("a port");
    let folder = planted("doctor-provider", |config| {
        let url = format!("http://{closed}/v1");
        let provider = json!({"id": "local", "kind": "openai_compatible", "base_url": url, "models": ["m"]});
        config["providers"].as_array_mut().expect("a list").push(provider);
    });
    check(&folder, "fail", "provider", &format!("local: {closed} cannot be connected to"));
}
