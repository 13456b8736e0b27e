//! What is wrong with a node or with what it stands on, and the next step: everything that can be looked at without
//! paying for a call and without changing anything.

mod folder;
mod machine;
mod network;
mod providers;

use std::path::Path;

use serde_json::{Value, json};

use crate::config::{Environment, Faults, Loaded, Source, load, overview};
use crate::evidence::Progress;

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Level {
    /// As it should be.
    Ok,
    /// It works, and somebody should look at it.
    Warn,
    /// It does not work.
    Fail,
}

/// What was found about one thing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Finding {
    /// What was looked at.
    pub(crate) check: &'static str,
    /// How it is.
    pub(crate) level: Level,
    /// What was found.
    pub(crate) found: String,
    /// What to do about it.
    pub(crate) next: Option<String>,
}

impl Level {
    /// The spelling in reports.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Level::Ok => "ok",
            Level::Warn => "warn",
            Level::Fail => "fail",
        }
    }
}

impl Finding {
    fn ok(check: &'static str, found: impl Into<String>) -> Self {
        Finding { check, level: Level::Ok, found: found.into(), next: None }
    }

    fn warn(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Finding { check, level: Level::Warn, found: found.into(), next: Some(next.into()) }
    }

    fn fail(check: &'static str, found: impl Into<String>, next: impl Into<String>) -> Self {
        Finding { check, level: Level::Fail, found: found.into(), next: Some(next.into()) }
    }

    /// For people: a line, and a second one with the next step.
    pub(crate) fn to_text(&self) -> String {
        let line = format!("{:<4}  {:<14} {}", self.level.as_str(), self.check, self.found);
        match &self.next {
            Some(next) => format!("{line}\n{:21}next: {next}", ""),
            None => line,
        }
    }

    /// For programs; members only ever grow.
    pub(crate) fn to_json(&self) -> Value {
        json!({ "check": self.check, "level": self.level.as_str(), "found": self.found, "next": self.next })
    }
}

/// Looks at everything. `found` gets each finding as soon as it is there.
pub(crate) async fn examine(named: Option<&Path>, environment: &Environment, found: &mut (dyn FnMut(Finding) + Send)) {
    machine::descriptors(found);
    let Some(loaded) = configuration(named, environment, found) else {
        machine::clock(None, found);
        return;
    };
    let node = &loaded.node;
    let evidence = folder::examine(&node.data_dir, &mut Progress::new("reading the audit log"), found);
    machine::clock(evidence.newest, found);
    network::examine(node, evidence.holder.as_deref(), found).await;
    providers::examine(&node.live.upstream.providers, found).await;
}

/// The configuration, when it can be put in force.
fn configuration(
    named: Option<&Path>,
    environment: &Environment,
    found: &mut (dyn FnMut(Finding) + Send),
) -> Option<Loaded> {
    const CHECK: &str = "configuration";
    let source = match Source::find(named, environment) {
        Ok(source) => source,
        Err(error) => {
            let next = "name one with --config, or start with `bulkhead dev`, which needs none";
            found(Finding::fail(CHECK, crate::ask::chain(&error), next));
            return None;
        }
    };
    let file = source.path.display();
    let faulty = |check, faults: &Faults, next: &str, found: &mut (dyn FnMut(Finding) + Send)| {
        for fault in faults.list() {
            let message = format!("{}: {}", fault.path, fault.problem);
            let next = fault.problem.help().unwrap_or_else(|| next.to_owned());
            found(Finding::fail(check, message, next));
        }
    };
    if let Err(faults) = overview(&source, environment, false) {
        let next = format!("`bulkhead config validate {file}` shows the place of every fault");
        faulty(CHECK, &faults, &next, found);
        return None;
    }
    found(Finding::ok(CHECK, format!("{file} has no fault")));
    match load(&source, environment) {
        Ok(loaded) => {
            found(Finding::ok("secrets", "every secret the configuration names is there"));
            Some(loaded)
        }
        Err(faults) => {
            faulty("secrets", &faults, "put the secret where the configuration says it is", found);
            None
        }
    }
}
