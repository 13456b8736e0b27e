//! What the documents tell people to type: every `bulkhead` command in them exists and has the flags they name.

use std::path::{Path, PathBuf};

use crate::support::Folder;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The shell lines of a document, those that go on with a backslash joined.
fn shell_lines(text: &str) -> Vec<String> {
    let (mut lines, mut is_shell, mut goes_on) = (Vec::<String>::new(), false, false);
    for line in text.lines() {
        if let Some(language) = line.trim_start().strip_prefix("```") {
            is_shell = !is_shell && matches!(language.trim(), "sh" | "bash" | "console");
            goes_on = false;
            continue;
        }
        if !is_shell {
            continue;
        }
        match lines.last_mut() {
            Some(last) if goes_on => last.push_str(line.trim_start()),
            Some(_) | None => lines.push(line.trim_start().trim_start_matches("$ ").to_owned()),
        }
        goes_on = line.ends_with('\\');
        if let Some(last) = lines.last_mut().filter(|_| goes_on) {
            last.truncate(last.len() - 1);
        }
    }
    lines
}

/// The words of each call of the binary in a line, without what is piped or substituted around it.
fn calls(line: &str) -> Vec<Vec<&str>> {
    let line = line.split(" #").next().unwrap_or_default();
    let begins = |part: &'_ str| -> Option<usize> {
        let by_cargo = "cargo run --release -- ";
        part.find(by_cargo).map(|at| at + by_cargo.len()).or_else(|| {
            let at = part.find("bulkhead ")?;
            let before = part[..at].trim_end_matches("./target/release/");
            let is_command = before.is_empty() || before.ends_with([' ', '(', '/']);
            is_command.then_some(at + "bulkhead ".len())
        })
    };
    let parts = line.split(['|', ';', '>', '<', ')']).flat_map(|part| part.split("&&"));
    parts.filter_map(|part| begins(part).map(|at| part[at..].split_whitespace().collect())).collect()
}

#[test]
fn every_command_in_the_documents_exists_with_its_flags() {
    let folder = Folder::new("docs");
    let docs = std::fs::read_dir(root().join("docs")).expect("docs").map(|entry| entry.expect("an entry").path());
    let mut seen = 0;
    for document in docs.chain([root().join("README.md")]).filter(|path| path.extension().is_some_and(|e| e == "md")) {
        let text = std::fs::read_to_string(&document).unwrap_or_default();
        for line in shell_lines(&text) {
            for words in calls(&line) {
                let command: Vec<&str> =
                    words.iter().take_while(|word| word.chars().all(|c| c.is_ascii_lowercase())).copied().collect();
                let at = format!("{}: {line}", document.display());
                let help = folder.run(&[&command[..], &["--help"]].concat());
                assert_eq!(help.code, 0, "{at}\n{}", help.stderr);
                let known: Vec<&str> = help.stdout.split([' ', '\n', ',', '=', '[']).collect();
                let flags = words.iter().filter(|word| word.starts_with("--") && word.len() > 2);
                for flag in flags.map(|flag| flag.split('=').next().unwrap_or_default()) {
                    assert!(known.contains(&flag), "{at}\n{flag} is not in\n{}", help.stdout);
                }
                seen += 1;
            }
        }
    }
    assert!(10 < seen, "only {seen} commands were found: are they still in ```sh blocks?");
}

#[test]
fn lines_that_go_on_are_one_and_only_calls_are_looked_at() {
    let lines = shell_lines(
        "text\n```sh\nT=$(bulkhead token mint \\\n  --key k) && bulkhead serve | grep x\ncat bulkhead.yaml\n```\nbulkhead x\n",
    );
    assert_eq!(lines.len(), 2, "{lines:?}");
    let words = calls(&lines[0]);
    assert_eq!(words, [vec!["token", "mint", "--key", "k"], vec!["serve"]]);
    assert!(calls(&lines[1]).is_empty());
}
