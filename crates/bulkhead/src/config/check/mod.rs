//! Values of the right shape to the plain configuration of each crate, and what concerns several values at once. The
//! crates say what is wrong with theirs; here it gets its path.

mod money;
mod providers;
mod routes;
mod server;
mod tls;
mod tokens;

use std::path::{Path, PathBuf};

use bh_audit::Durability;
use bh_base::Millis;
use bh_dialect::OnUnsupported;
use bh_disk::SpoolConfig;
use bh_pipeline::Settings;
use bh_telemetry::LogFormat;

use super::Loaded;
use super::fault::{Fault, Problem};
use super::raw::{Raw, Route};
use super::source::Environment;
use super::tree::Node;
use super::words::{Bodies, Word};
use crate::node::{LiveConfig, NodeConfig};

/// Where state lives when nothing is said.
const DATA_DIR: &str = "/var/lib/bulkhead";

/// Whether secrets must be there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Secrets {
    /// They are read.
    Read,
    /// They are taken to be there; what is made of them is for looking at only.
    Assume,
}

/// Collects faults while the configuration is made.
pub(super) struct Check<'a> {
    tree: &'a Node,
    /// Paths about which everything was said.
    broken: Vec<String>,
    /// The folder relative paths start from.
    base: &'a Path,
    environment: &'a Environment,
    secrets: Secrets,
    faults: Vec<Fault>,
}

impl<'a> Check<'a> {
    pub(super) fn new(
        tree: &'a Node,
        broken: Vec<String>,
        base: &'a Path,
        environment: &'a Environment,
        secrets: Secrets,
    ) -> Self {
        Check { tree, broken, base, environment, secrets, faults: Vec::new() }
    }

    pub(super) fn into_faults(self) -> Vec<Fault> {
        self.faults
    }

    /// The whole configuration; nothing when a part of it could not be made.
    pub(super) fn config(&mut self, raw: &Raw, version: String) -> Option<Loaded> {
        let (listen, admin_listen) = self.listeners(&raw.server);
        let tls = self.tls(raw.server.tls.as_ref());
        let audience = self.audience(raw.tokens.audience.as_deref());
        let keys = self.issuers(&raw.tokens.issuers);
        let providers = self.providers(&raw.providers);
        let routes = self.routes(raw, providers.routing, &version);
        let ledger = self.ledger(&raw.budgets, &raw.limits);
        let (overrides, unknown_price) = self.pricing(&raw.pricing);
        let otlp = self.otlp(raw.telemetry.otlp.as_deref());
        let live = LiveConfig {
            version,
            audience,
            keys,
            routes,
            on_unsupported: on_unsupported(raw),
            upstream: providers.upstream,
            deadlines: providers.deadlines,
            ledger,
            overrides,
            unknown_price,
            settings: settings(raw),
        };
        let node = NodeConfig {
            live,
            listen: listen?,
            admin_listen: admin_listen?,
            tls: tls?,
            drain: std::time::Duration::from_secs(raw.server.drain_s.unwrap_or(300)),
            data_dir: self.at(raw.data_dir.as_deref().unwrap_or(DATA_DIR)),
            audit: spool(raw),
            otlp,
        };
        Some(Loaded { node, log: raw.telemetry.log.map_or(LogFormat::Json, |Word(log)| log) })
    }

    fn fault(&mut self, path: impl Into<String>, problem: impl Into<Problem>) {
        let path = path.into();
        if !self.is_broken(&path) {
            let place = self.tree.place_of(&path).clone();
            self.faults.push(Fault { path, place, problem: problem.into() });
        }
    }

    /// As [`Check::fault`], and nothing more is said about this path or what is below it.
    fn fault_once(&mut self, path: impl Into<String>, problem: impl Into<Problem>) {
        let path = path.into();
        self.fault(path.clone(), problem);
        self.broken.push(path);
    }

    /// Whether everything was said about this path or something above it.
    fn is_broken(&self, path: &str) -> bool {
        self.broken.iter().any(|broken| is_at_or_below(path, broken))
    }

    /// Whether something at, above or below this path is faulty, so that what follows from it means nothing.
    fn is_doubtful(&self, path: &str) -> bool {
        self.is_broken(path) || self.broken.iter().any(|broken| is_at_or_below(broken, path))
    }

    /// A path of the configuration on disk.
    fn at(&self, path: &str) -> PathBuf {
        self.base.join(path)
    }
}

fn is_at_or_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| above.is_empty() || rest.is_empty() || rest.starts_with(['.', '[']))
}

fn on_unsupported(raw: &Raw) -> Vec<OnUnsupported> {
    let of = |route: &Route| route.on_unsupported_param.map(|Word(word)| word).unwrap_or_default();
    raw.routes.iter().map(of).collect()
}

fn settings(raw: &Raw) -> Settings {
    let server = &raw.server;
    let built_in = Settings::default();
    let bytes = |bytes: u64| usize::try_from(bytes).expect("its bound of 1 GiB fits");
    Settings {
        body_bytes_max: server.body_bytes_max.map_or(built_in.body_bytes_max, bytes),
        budget_wait: server.budget_wait_ms.map_or(built_in.budget_wait, Millis),
        budget_exhausted_status: server.budget_exhausted_status.unwrap_or(built_in.budget_exhausted_status),
        keepalive: server.keepalive_s.map_or(built_in.keepalive, Millis::from_secs),
        write_stall: server.write_stall_s.map_or(built_in.write_stall, Millis::from_secs),
        commit_bodies: raw.audit.bodies != Some(Word(Bodies::None)),
    }
}

fn spool(raw: &Raw) -> SpoolConfig {
    let durability = raw.audit.durability.map_or(Durability::Relaxed, |Word(durability)| durability);
    let retain = raw.audit.retain_h.map(|hours| std::time::Duration::from_secs(hours.saturating_mul(3600)));
    SpoolConfig { retain, ..SpoolConfig::new(durability) }
}
