//! The first command anybody types.

use std::process::Command;

use serde_json::Value;

use crate::node::SOON;
use crate::support::Folder;

#[test]
fn once_shows_answer_cost_and_evidence_and_verifies_it() {
    let folder = Folder::new("dev-once");
    let said = folder.run_with(&[("RUST_LOG", "")], &["dev", "--once"]).ended(0);
    let row = |name: &str| -> Vec<&str> {
        let rows = said.stdout.lines().filter_map(|line| line.strip_prefix(name)).map(str::trim);
        rows.collect()
    };
    let answer: Value = serde_json::from_str(row("answer")[0]).expect("the answer is JSON");
    assert_eq!(answer["choices"][0]["message"]["content"], "Hello, Bulkhead!");
    assert_eq!(row("cost"), ["0.000015 USD"]);
    let records: Vec<Value> =
        row("audit").into_iter().map(|line| serde_json::from_str(line).expect("a record is JSON")).collect();
    let kinds: Vec<&str> = records.iter().filter_map(|record| record["kind"].as_str()).collect();
    assert_eq!(kinds, ["admit", "settle"]);
    assert_eq!(records[1]["cost_nano_usd"], 15_000);
    assert!(row("verified")[0].contains("chain unbroken"), "{}", said.stdout);
    assert_eq!(said.stderr, "");
}

#[test]
fn the_printed_curls_work_as_pasted() {
    let folder = Folder::new("dev-curl");
    let launch = folder.launch(&["dev", "--listen", "127.0.0.1:0", "--data-dir", "state"]);
    let mut dev = launch.spawn_ready("Ctrl-C stops it.", SOON).expect("it starts");
    let printed = dev.stdout();
    let curls = commands(&printed);
    assert_eq!(curls.len(), 2, "{printed}");
    let run = |curl: &str| {
        let output = Command::new("sh").args(["-c", curl]).output().expect("sh runs");
        assert!(output.status.success(), "{curl}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("text")
    };
    let plain: Value = serde_json::from_str(&run(&curls[0])).expect("JSON");
    assert_eq!(plain["choices"][0]["message"]["content"], "Hello, Bulkhead!");
    let stream = run(&curls[1]);
    let events: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
    assert_eq!(events.last(), Some(&"[DONE]"), "{stream}");
    let text: String = events
        .iter()
        .filter_map(|event| serde_json::from_str::<Value>(event).ok())
        .filter_map(|event| event["choices"][0]["delta"]["content"].as_str().map(str::to_owned))
        .collect();
    assert_eq!(text, "Hello, Bulkhead!");
    dev.signal("INT").expect("a signal can be sent");
    assert_eq!(dev.wait(SOON).expect("it ends").code(), Some(0));
    folder.out(&["audit", "verify", "--dir", "state"]);
}

#[test]
fn an_address_that_is_taken_is_unavailable() {
    let folder = Folder::new("dev-taken");
    let other = std::net::TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = other.local_addr().expect("an address").to_string();
    folder.run(&["dev", "--listen", &taken, "--data-dir", "state"]).refused(69, &taken);
}

/// The shell commands among printed lines: from `curl` to the first line that does not go on.
fn commands(printed: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in printed.lines() {
        match found.last_mut() {
            Some(command) if goes_on => command.push_str(&format!("\n{line}")),
            Some(_) | None if line.starts_with("curl ") => found.push(line.to_owned()),
            Some(_) | None => continue,
        }
        goes_on = line.ends_with('\\');
    }
    found
}
