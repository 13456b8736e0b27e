//! The outcome as a table, for a terminal and for the documentation.

use std::fmt::Write;

use anyhow::Result;

use crate::client::{CLIENTS, Client, version};
use crate::wire::Family;

/// One client's scenario against one target.
#[derive(Debug)]
pub(crate) struct Cell {
    pub(crate) client: &'static Client,
    pub(crate) target: Family,
    pub(crate) scenario: String,
    /// What is wrong; nothing when it passed.
    pub(crate) complaints: Vec<String>,
}

/// All scenarios, each once, in the order clients name them.
fn scenarios() -> Vec<&'static str> {
    let mut all = Vec::new();
    for scenario in CLIENTS.iter().flat_map(|client| client.scenarios) {
        if !all.contains(scenario) {
            all.push(scenario);
        }
    }
    all
}

/// The table: a row for each scenario, a column for each client and target.
pub(crate) fn terminal(cells: &[Cell]) -> String {
    let mut out = String::new();
    let columns = columns(cells);
    for (at, (client, target)) in columns.iter().enumerate() {
        line(&mut out, &format!("  {} = {} to an {} target", letter(at), client.title, target.word()));
    }
    let letters: String = (0..columns.len()).map(|at| format!("  {}  ", letter(at))).collect();
    line(&mut out, &format!("{:22}{letters}", ""));
    for scenario in scenarios() {
        let row: String = columns.iter().map(|column| format!(" {:4}", mark(cells, *column, scenario))).collect();
        line(&mut out, &format!("{scenario:22}{row}"));
    }
    for cell in cells.iter().filter(|cell| !cell.complaints.is_empty()) {
        line(&mut out, &format!("FAIL {} to {}, {}:", cell.client.name, cell.target.word(), cell.scenario));
        cell.complaints.iter().for_each(|complaint| line(&mut out, &format!("     {complaint}")));
    }
    out
}

/// The page of the documentation.
///
/// # Errors
/// When a client's pinned version cannot be read.
pub(crate) fn page(cells: &[Cell]) -> Result<String> {
    let mut out = String::from(PREFACE);
    line(&mut out, "| client | version | speaks |\n| --- | --- | --- |");
    for client in CLIENTS {
        line(&mut out, &format!("| {} | {} | {} |", client.title, version(client)?, client.family.word()));
    }
    let columns = columns(cells);
    let head: String = columns.iter().fold(String::new(), |mut head, (client, target)| {
        write!(head, " {} → {} |", client.name, target.word()).expect("a string takes every write");
        head
    });
    line(&mut out, &format!("\n| scenario |{head}"));
    line(&mut out, &format!("| --- |{}", " :-: |".repeat(columns.len())));
    for scenario in scenarios() {
        let row: String = columns.iter().map(|column| format!(" {} |", mark(cells, *column, scenario))).collect();
        line(&mut out, &format!("| {scenario} |{row}"));
    }
    out.push_str(LEGEND);
    Ok(out)
}

const PREFACE: &str = "# Clients

Real clients against a running gateway, each in an environment of its own with pinned versions, each against a provider
of its own family and of the other one. The providers are scripted; what the client saw and what the provider got are
both checked. This page is written by `cargo run -p clients -- --write-docs`; `./tests/run` runs the same and fails on
any red.

";

const LEGEND: &str = "
`ok` passed, `–` the client has no such call.

| scenario | what is checked |
| --- | --- |
| plain | text with awkward characters, finish reason, usage, request id; system turn and limit at the provider |
| stream | the same in pieces, split at random points; the provider is always asked for usage |
| stream-without-usage | no usage chunk reaches a client that did not ask for one |
| tools | declaration, forced choice, call, result by its id, final text |
| parallel-tools | two calls in one streamed answer, both results in one turn |
| structured-output | a schema through the SDK's own helper; Claude Code's `--json-schema` |
| image | a PNG arrives intact, in the target's shape |
| error | 400 (plain and before a stream), 429, 500, 529, an error inside a stream, unknown model, bad token: the SDK's own class, status, type, code and message |
| retry | 429 with `retry-after` and 500, then an answer: the client tries again and succeeds; the SDKs wait as long as they are told |
| cancel | the client leaves in mid-stream: the call to the provider ends too |
| refusal | the model declines: refusal or stop reason in the client's own shape |
| count-tokens | the provider's count, or our own where the target has no such call |
| models | list and one model |
";

fn columns(cells: &[Cell]) -> Vec<(&'static Client, Family)> {
    let mut columns: Vec<(&'static Client, Family)> = Vec::new();
    for cell in cells {
        if !columns.iter().any(|(client, target)| client.name == cell.client.name && *target == cell.target) {
            columns.push((cell.client, cell.target));
        }
    }
    columns
}

fn mark(cells: &[Cell], (client, target): (&Client, Family), scenario: &str) -> &'static str {
    let this = |cell: &&Cell| cell.client.name == client.name && cell.target == target && cell.scenario == scenario;
    match cells.iter().find(this) {
        None => "–",
        Some(cell) if cell.complaints.is_empty() => "ok",
        Some(_) => "FAIL",
    }
}

fn letter(at: usize) -> char {
    char::from(b'A' + u8::try_from(at).unwrap_or(25).min(25))
}

fn line(out: &mut String, text: &str) {
    writeln!(out, "{text}").expect("a string takes every write");
}
