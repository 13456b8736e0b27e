//! The architecture's promises, checked on every run. A failure names the place and the rule.

use std::collections::BTreeMap;
use std::fs;

use anyhow::Result;
use cargo_metadata::{DependencyKind, Metadata, MetadataCommand, Package};
use tidy::{
    BANNED, BESIDE, CRATES_MAX, FILE_LINES_EXPLAINED, FILE_LINES_MAX, FUNCTION_LINES_MAX, LAYERS, OWNERS,
    SHARE_APPLIES_FROM, functions, layer_of, root, rust_files,
};

fn metadata() -> Result<Metadata> {
    Ok(MetadataCommand::new().manifest_path(root().join("Cargo.toml")).exec()?)
}

/// Fails with every complaint at once.
fn check(rule: &str, complaints: &[String]) {
    assert!(complaints.is_empty(), "{rule}:\n  {}", complaints.join("\n  "));
}

fn ordinary(package: &Package) -> impl Iterator<Item = &str> {
    package.dependencies.iter().filter(|d| d.kind != DependencyKind::Development).map(|d| d.name.as_str())
}

#[test]
fn every_crate_has_a_place() -> Result<()> {
    let mut complaints = Vec::new();
    let meta = metadata()?;
    for package in meta.workspace_packages() {
        let name = package.name.as_str();
        if layer_of(name).is_none() && !BESIDE.contains(&name) {
            complaints.push(format!("{name} is in no layer of tests/tidy/src/lib.rs"));
        }
        let folder = package.manifest_path.parent().and_then(|p| p.file_name()).unwrap_or_default();
        if folder != name {
            complaints.push(format!("{name} lives in a folder named {folder}"));
        }
    }
    for name in LAYERS.iter().copied().flatten() {
        if !meta.workspace_packages().iter().any(|p| p.name.as_str() == *name) {
            complaints.push(format!("{name} is in LAYERS and not in the workspace"));
        }
    }
    let crates = fs::read_dir(root().join("crates"))?.count();
    if CRATES_MAX < crates {
        complaints.push(format!("{crates} crates, at most {CRATES_MAX}"));
    }
    check("every crate has a place and a folder of its name", &complaints);
    Ok(())
}

#[test]
fn arrows_point_down() -> Result<()> {
    let mut complaints = Vec::new();
    for package in metadata()?.workspace_packages() {
        let Some(from) = layer_of(&package.name) else { continue };
        for dependency in ordinary(package) {
            if BESIDE.contains(&dependency) {
                complaints.push(format!("{} depends on {dependency}, which is for tests", package.name));
            }
            if layer_of(dependency).is_some_and(|to| from <= to) {
                complaints.push(format!("{} (layer {from}) depends on {dependency}", package.name));
            }
        }
    }
    check("arrows point to a lower layer only", &complaints);
    Ok(())
}

#[test]
fn every_outside_library_has_one_owner() -> Result<()> {
    let mut complaints = Vec::new();
    for package in metadata()?.workspace_packages() {
        if BESIDE.contains(&package.name.as_str()) {
            continue;
        }
        for dependency in ordinary(package) {
            let owners = OWNERS.iter().find(|(library, _)| *library == dependency).map(|(_, owners)| *owners);
            if owners.is_some_and(|owners| !owners.contains(&package.name.as_str())) {
                complaints.push(format!("{} depends on {dependency}, owned by {owners:?}", package.name));
            }
        }
    }
    check("a library is used through its owner", &complaints);
    Ok(())
}

/// `cargo tree` rather than `cargo metadata`: the latter also lists what only an unused optional feature would bring.
#[test]
fn banned_libraries_are_nowhere_in_the_graph() -> Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let tree = std::process::Command::new(cargo)
        .args([
            "tree",
            "--workspace",
            "--target",
            "all",
            "--edges",
            "normal,build",
            "--prefix",
            "none",
            "--format",
            "{p}",
        ])
        .current_dir(root())
        .output()?;
    assert!(tree.status.success(), "cargo tree failed: {}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout)?;
    let names: Vec<&str> = text.lines().filter_map(|line| line.split(' ').next()).collect();
    assert!(names.contains(&"tokio"), "cargo tree listed nothing");
    let banned = BANNED.iter().filter(|(name, _)| names.contains(name));
    check("banned libraries stay out", &banned.map(|(name, why)| format!("{name}: {why}")).collect::<Vec<_>>());
    Ok(())
}

#[test]
fn lints_are_inherited_and_described() -> Result<()> {
    let mut complaints = Vec::new();
    for package in metadata()?.workspace_packages() {
        let manifest = fs::read_to_string(&package.manifest_path)?;
        if !manifest.contains("[lints]\nworkspace = true") {
            complaints.push(format!("{} does not inherit the workspace's lints", package.name));
        }
        if package.description.as_deref().unwrap_or_default().is_empty() {
            complaints.push(format!("{} has no description", package.name));
        }
    }
    check("every crate inherits the lints and says what it is", &complaints);
    Ok(())
}

#[test]
fn pure_crates_ban_the_clock_and_io() -> Result<()> {
    let mut complaints = Vec::new();
    for name in LAYERS[..4].iter().copied().flatten() {
        let folder = root().join("crates").join(name);
        let clippy = fs::read_to_string(folder.join("clippy.toml")).unwrap_or_default();
        for ban in ["std::time::SystemTime::now", "std::time::Instant::now", "std::fs::File", "std::net::TcpStream"] {
            if !clippy.contains(ban) {
                complaints.push(format!("crates/{name}/clippy.toml does not ban {ban}"));
            }
        }
        let manifest = fs::read_to_string(folder.join("Cargo.toml"))?;
        let dependencies = manifest.split("[dev-dependencies]").next().unwrap_or_default();
        for library in ["tokio", "getrandom", "hyper", "tracing"] {
            if dependencies.lines().any(|l| l.starts_with(&format!("{library}."))) {
                complaints.push(format!("{name} is pure and depends on {library}"));
            }
        }
    }
    check("layers 0 to 3 are pure", &complaints);
    Ok(())
}

#[test]
fn files_and_functions_stay_short() -> Result<()> {
    let mut complaints = Vec::new();
    for file in rust_files(&root())? {
        let lines = file.text.lines().count();
        let place = file.path.display();
        if FILE_LINES_MAX < lines {
            complaints.push(format!("{place}: {lines} lines, at most {FILE_LINES_MAX}"));
        }
        let head: String = file.text.lines().take_while(|l| l.starts_with("//!")).collect();
        if FILE_LINES_EXPLAINED < lines && !head.contains("Long because") {
            complaints
                .push(format!("{place}: {lines} lines; past {FILE_LINES_EXPLAINED} its head says \"Long because …\""));
        }
        for f in functions(&file.text).iter().filter(|f| FUNCTION_LINES_MAX < f.lines) {
            complaints
                .push(format!("{place}:{}: {} has {} lines, at most {FUNCTION_LINES_MAX}", f.line, f.name, f.lines));
        }
    }
    check("files and functions stay short", &complaints);
    Ok(())
}

#[test]
fn no_crate_swallows_the_tree() -> Result<()> {
    let mut shares: BTreeMap<String, usize> = BTreeMap::new();
    for file in rust_files(&root())? {
        let mut parts = file.path.components().map(|c| c.as_os_str().to_string_lossy().into_owned());
        let (first, second) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
        *shares.entry(format!("{first}/{second}")).or_default() += file.text.lines().count();
    }
    let total: usize = shares.values().sum();
    if total < SHARE_APPLIES_FROM {
        return Ok(());
    }
    let complaints: Vec<String> = shares
        .iter()
        .filter(|(_, lines)| total < **lines * 4)
        .map(|(name, lines)| format!("{name} holds {lines} of {total} lines"))
        .collect();
    check("no crate holds more than a quarter of the tree", &complaints);
    Ok(())
}

#[test]
fn main_is_a_table_of_contents() -> Result<()> {
    let text = fs::read_to_string(root().join("crates/bulkhead/src/main.rs"))?;
    assert!(text.lines().count() <= 100, "crates/bulkhead/src/main.rs parses, builds, runs, drains; logic moves down");
    Ok(())
}

#[test]
fn every_library_says_what_it_is_and_does_not_know() -> Result<()> {
    let mut complaints = Vec::new();
    for package in metadata()?.workspace_packages() {
        let Some(folder) = package.manifest_path.parent() else { continue };
        let Ok(text) = fs::read_to_string(folder.join("src/lib.rs")) else { continue };
        let head: Vec<&str> = text.lines().take_while(|l| l.starts_with("//!")).collect();
        if head.join(" ").len() < 60 {
            complaints
                .push(format!("{}: src/lib.rs opens with what the crate is and what it does not know", package.name));
        }
    }
    check("every library introduces itself", &complaints);
    Ok(())
}

#[test]
fn the_decision_records_are_listed() -> Result<()> {
    let folder = root().join("docs/decisions");
    let index = fs::read_to_string(folder.join("README.md"))?;
    let mut complaints = Vec::new();
    for entry in fs::read_dir(&folder)? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name != "README.md" && !index.contains(&name) {
            complaints.push(format!("docs/decisions/README.md does not list {name}"));
        }
    }
    check("every decision record is listed", &complaints);
    Ok(())
}
