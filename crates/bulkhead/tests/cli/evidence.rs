//! `audit tail` and `audit verify` over logs as nodes leave them, and as somebody else left them.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use bh_audit::{AdminAction, Durability, RecordBody, Text};
use bh_base::Millis;
use bh_disk::{DataFolder, Opener, RealMedia, Spool, SpoolConfig};
use serde_json::Value;

use crate::node::{SOON, hello};
use crate::support::Folder;

/// Writes a log of so many records, three to a segment or so, and closes it unless told otherwise.
fn log(folder: &Folder, name: &str, records: u64, close: bool) -> PathBuf {
    let path = folder.0.join(name);
    let held = Arc::new(DataFolder::open(&path, "test").expect("a folder"));
    let config = SpoolConfig { segment_bytes: 900, ..SpoolConfig::new(Durability::Strict) };
    let opener = Opener { node: Text::word("n1"), software: Text::word("0.1.0") };
    let (spool, _) = Spool::open(&held, Arc::new(RealMedia), Millis(1_000), config, opener).expect("a log");
    for n in 0..records {
        let action = AdminAction {
            actor: None,
            action: Text::word("token.revoke"),
            target: Text::from(format!("target-{n}")),
            reason: None,
        };
        let ticket = spool.append(Millis(2_000 + n), RecordBody::AdminAction(Box::new(action))).expect("there is room");
        ticket.wait().expect("it is on disk");
    }
    if close {
        spool.close(Millis(9_000)).expect("it closes");
    }
    path
}

fn segments(data: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(DataFolder::audit_in(data)).expect("an audit folder");
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.expect("an entry").path()).collect();
    found.sort();
    found
}

/// Verifies and compares code and verdict; gives the report.
#[track_caller]
fn check(folder: &Folder, dir: &str, code: i32, verdict: &str) -> Value {
    let report = folder.run(&["audit", "verify", "--dir", dir, "--output", "json"]).ended(code).json();
    assert_eq!((&report["verdict"], &report["exit_code"]), (&verdict.into(), &code.into()), "{report:#}");
    let text = folder.run(&["audit", "verify", "--dir", dir]).ended(code).stdout;
    assert!(text.contains(&format!("verdict   {verdict}")), "{text}");
    report
}

#[test]
fn a_whole_log_is_ok_wherever_it_is_named() {
    let folder = Folder::new("verify-ok");
    log(&folder, "data", 12, true);
    let report = check(&folder, "data", 0, "ok");
    assert_eq!((&report["records"], &report["epochs"], &report["last_seq"]), (&14.into(), &1.into(), &13.into()));
    assert_eq!(report["findings"], serde_json::json!([]));
    check(&folder, "data/audit", 0, "ok");
}

#[test]
fn a_crash_leaves_its_tail_and_only_that() {
    let folder = Folder::new("verify-crash");
    let data = log(&folder, "data", 5, false);
    let report = check(&folder, "data", 1, "crash_tail");
    assert_eq!(report["findings"][0]["fault"], "unclosed");
    let last = segments(&data).pop().expect("a segment");
    let bytes = std::fs::read(&last).expect("a segment");
    std::fs::write(&last, &bytes[..bytes.len() - 7]).expect("it can be cut");
    let report = check(&folder, "data", 1, "crash_tail");
    let faults: Vec<&str> = list(&report, "fault");
    assert_eq!(faults, ["half_written", "unclosed"]);
    assert!(report["longest_unaccounted"]["from_ms"].is_u64(), "{report:#}");
}

#[test]
fn a_removed_segment_is_a_gap() {
    let folder = Folder::new("verify-gap");
    let data = log(&folder, "data", 20, true);
    let all = segments(&data);
    assert!(3 < all.len(), "{all:?}");
    std::fs::remove_file(&all[1]).expect("it can be removed");
    let report = check(&folder, "data", 2, "gap");
    assert_eq!(report["findings"][0]["fault"], "missing");
}

#[test]
fn an_altered_byte_is_tampering_and_its_place_is_told() {
    let folder = Folder::new("verify-tampered");
    let data = log(&folder, "data", 20, true);
    let file = segments(&data).remove(1);
    let mut bytes = std::fs::read(&file).expect("a segment");
    let at = bytes.windows(7).position(|window| window == b"target-").expect("a target") + 7;
    bytes[at] ^= 1;
    std::fs::write(&file, bytes).expect("it can be written");
    let report = check(&folder, "data", 3, "tampered");
    let place = report["findings"][0]["place"].as_str().expect("a place");
    assert!(place.contains(file.file_name().expect("a name").to_str().expect("text")), "{place}");
}

#[test]
fn a_log_that_went_on_twice_is_a_fork() {
    let folder = Folder::new("verify-fork");
    let data = log(&folder, "data", 4, true);
    let copy = folder.0.join("copy");
    std::fs::create_dir_all(DataFolder::audit_in(&copy)).expect("a folder");
    std::fs::copy(data.join("pseudonym.key"), copy.join("pseudonym.key")).expect("a copy");
    for segment in segments(&data) {
        let name = segment.file_name().expect("a name");
        std::fs::copy(&segment, DataFolder::audit_in(&copy).join(name)).expect("a copy");
    }
    let (before, _) = (segments(&data), log(&folder, "data", 3, true));
    log(&folder, "copy", 5, true);
    // Both histories in one folder: the second under the name of a rewrite.
    for segment in segments(&copy)
        .into_iter()
        .filter(|segment| !before.iter().any(|known| known.file_name() == segment.file_name()))
    {
        let name = format!("{}-1", segment.file_name().expect("a name").to_str().expect("text"));
        std::fs::copy(&segment, DataFolder::audit_in(&data).join(name)).expect("a copy");
    }
    check(&folder, "data", 4, "fork");
}

#[test]
fn a_noted_witness_finds_what_was_cut_off_at_a_records_end() {
    let folder = Folder::new("verify-witness");
    let data = log(&folder, "data", 20, true);
    let witness = check(&folder, "data", 0, "ok")["witness"].as_str().expect("a witness").to_owned();
    folder.out(&["audit", "verify", "--dir", "data", "--witness", &witness]);
    std::fs::remove_file(segments(&data).pop().expect("a segment")).expect("it can be removed");
    check(&folder, "data", 1, "crash_tail");
    folder.run(&["audit", "verify", "--dir", "data", "--witness", &witness]).ended(3);
    folder.run(&["audit", "verify", "--dir", "data", "--witness", "nonsense"]).refused(2, "LOG:SEQ:LEAF");
}

#[test]
fn a_log_that_is_not_there_is_not_ok() {
    let folder = Folder::new("verify-none");
    folder.run(&["audit", "verify", "--dir", "absent"]).refused(69, "there is no audit log in absent");
    std::fs::create_dir_all(folder.0.join("data/audit")).expect("a folder");
    folder.run(&["audit", "verify", "--dir", "data"]).refused(69, "it holds no segment");
    folder.run(&["audit", "tail", "--dir", "data"]).ended(69);
    folder.run(&["audit", "tail"]).refused(78, "no configuration");
}

#[test]
fn what_is_not_built_is_refused_by_name() {
    let folder = Folder::new("audit-not-built");
    let check = |args: &[&str], name: &str| {
        folder.run(args).refused(2, &format!("`bulkhead {name}` is not built yet in this version"));
    };
    check(&["audit", "verify", "--stream"], "audit verify --stream");
    check(&["audit", "export", "--format", "csv"], "audit export");
    check(&["audit", "receipt", "verify", "r"], "audit receipt");
    check(&["audit", "erase", "--subject", "ann"], "audit erase");
    check(&["route", "replay", "--config", "f", "--since", "24h"], "route replay");
    check(&["doctor", "--prove"], "doctor --prove");
}

#[test]
fn the_last_records_are_shown_as_stored_or_as_lines() {
    let folder = Folder::new("tail");
    log(&folder, "data", 20, true);
    let tail = |args: &[&str]| folder.out(&[&["audit", "tail", "--dir", "data"], args].concat());
    assert_eq!(tail(&[]).lines().count(), 10);
    let stored = tail(&["--last", "2", "--output", "json"]);
    let records: Vec<Value> = stored.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!((&records[0]["target"], &records[1]["kind"]), (&"target-19".into(), &"epoch_close".into()));
    let text = tail(&["--last", "1"]);
    assert_eq!(text, "1970-01-01T00:00:09.000Z  epoch_close   epoch 0  21 records");
    let filtered = tail(&["--last", "1", "--filter", "kind=admin_action", "--filter", "target=target-3"]);
    assert_eq!(filtered, "1970-01-01T00:00:02.003Z  admin_action  token.revoke  target-3");
    assert_eq!(tail(&["--filter", "kind=settle"]), "");
    assert_eq!(tail(&["--last", "0"]), "");
    folder.run(&["audit", "tail", "--dir", "data", "--filter", "kind"]).refused(2, "expected field=value");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_log_is_followed_and_verified() {
    let folder = Folder::new("tail-follow");
    folder.configure(|_| ());
    let mut node = folder.serve();
    let args = ["audit", "tail", "--follow", "--last", "0", "--filter", "kind=settle", "--output", "json"];
    let tail = folder.launch(&args).spawn().expect("it runs");
    let human = folder.launch(&["audit", "tail", "-f"]).spawn_ready("epoch_open", SOON).expect("it runs");
    let answer = node.ask(&folder.token(&[]), &hello("echo")).await;
    let id = answer.header("x-request-id").to_owned();
    let line = tail.wait_for_line(&id, SOON).expect("the record comes");
    let record: Value = serde_json::from_str(&line).expect("JSON");
    assert_eq!((&record["kind"], &record["request_id"]), (&"settle".into(), &id.as_str().into()));
    let line = human.wait_for_line("settle", SOON).expect("the record comes");
    assert!(line.contains("200  ok  echo → echo/echo") && line.ends_with(&id), "{line}");
    assert!(!tail.stdout().contains("admit"), "{}", tail.stdout());
    let report = check(&folder, "data", 0, "ok");
    assert_eq!(report["live"], true);
    for mut followed in [tail, human] {
        followed.signal("INT").expect("a signal can be sent");
        assert_eq!(followed.wait(SOON).expect("it ends").code(), Some(0));
    }
    node.process.kill().expect("it is killed");
    let report = check(&folder, "data", 1, "crash_tail");
    assert_eq!(report["live"], false);
}

fn list<'a>(report: &'a Value, member: &str) -> Vec<&'a str> {
    let findings = report["findings"].as_array().expect("a list");
    findings.iter().filter_map(|finding| finding[member].as_str()).collect()
}
