//! Assembly: one node from its checked configuration. Parts are built, introduced to one another, run, and drained.

mod fresh;
mod keep;
mod live;
mod run;
mod view;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bh_catalog::{Override, UnknownPrice};
use bh_dialect::OnUnsupported;
use bh_disk::SpoolConfig;
use bh_pipeline::{Deadlines, Settings};
use bh_policy::RoutesConfig;

pub(crate) use fresh::fresh_view;
pub(crate) use keep::{random, write_private};
pub(crate) use live::{KeySource, REVOCATIONS_FILE};
pub(crate) use run::{Node, StartError, Stopped};
pub(crate) use view::DEADLINES;

/// Everything a node is made from, checked. Built by `config` from a file, or by `dev` from nothing.
#[derive(Debug, Clone)]
pub(crate) struct NodeConfig {
    /// What can change while the node runs.
    pub(crate) live: LiveConfig,
    /// Address of the data plane.
    pub(crate) listen: SocketAddr,
    /// Address of the admin plane.
    pub(crate) admin_listen: SocketAddr,
    /// TLS of the data plane.
    pub(crate) tls: Option<Arc<rustls::ServerConfig>>,
    /// How long open requests may go on after a stop.
    pub(crate) drain: Duration,
    /// Where state lives.
    pub(crate) data_dir: PathBuf,
    /// The audit spool.
    pub(crate) audit: SpoolConfig,
    /// A collector for traces, beside the standard variables.
    pub(crate) otlp: Option<String>,
}

/// The part of the configuration that a reload puts in force; breakers, limiters and rights survive it.
#[derive(Debug, Clone)]
pub(crate) struct LiveConfig {
    /// Names this configuration in records: a hash of its text.
    pub(crate) version: String,
    /// The audience of data-plane tokens.
    pub(crate) audience: String,
    /// Issuer keys.
    pub(crate) keys: Vec<KeySource>,
    /// Routes, aliases and providers as routing sees them.
    pub(crate) routes: RoutesConfig,
    /// What happens to parameters a target has no place for, by route.
    pub(crate) on_unsupported: Vec<OnUnsupported>,
    /// Providers as transport sees them.
    pub(crate) upstream: bh_upstream::Config,
    /// Deadlines of answers' bodies, by provider id.
    pub(crate) deadlines: Vec<(String, Deadlines)>,
    /// Budgets and limits.
    pub(crate) ledger: bh_ledger::Config,
    /// Prices beside the catalog.
    pub(crate) overrides: Vec<Override>,
    /// What happens to models without a price.
    pub(crate) unknown_price: UnknownPrice,
    /// Settings of the data plane.
    pub(crate) settings: Settings,
}
