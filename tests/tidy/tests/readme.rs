//! What the README promises in its first lines is what people and the build machine run.

use std::fs;

use anyhow::{Context, Result};
use tidy::root;

/// The two commands of the first screen, each alone on a line of a code block.
const COMMANDS: [&str; 2] = ["cargo run --release -- dev", "./tests/run"];
/// Lines of a first screen.
const FIRST_SCREEN: usize = 40;

#[test]
fn the_first_screen_of_the_readme_names_both_commands() -> Result<()> {
    let text = fs::read_to_string(root().join("README.md")).context("README.md is in the root")?;
    let mut inside = false;
    let mut found = Vec::new();
    for line in text.lines().take(FIRST_SCREEN) {
        if line.starts_with("```") {
            inside = !inside;
        } else if inside && COMMANDS.contains(&line.trim_end()) {
            found.push(line.trim_end());
        }
    }
    assert_eq!(found, COMMANDS, "README.md, first {FIRST_SCREEN} lines");
    Ok(())
}

#[cfg(unix)]
#[test]
fn the_scripts_people_are_told_to_run_are_executable() -> Result<()> {
    use std::os::unix::fs::PermissionsExt;

    for script in ["tests/run", "tests/clients/fetch"] {
        let mode =
            fs::metadata(root().join(script)).with_context(|| format!("{script} is there"))?.permissions().mode();
        assert_eq!(mode & 0o111, 0o111, "{script} is not executable");
    }
    Ok(())
}
