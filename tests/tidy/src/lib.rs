//! What the architecture promises, as data, and the readers the tests in `tests/` check it with.
//!
//! Changing a layer or an owner is a reviewed diff to this file and needs a record in `docs/decisions/`.

mod source;

use std::path::PathBuf;

pub use source::{Function, SourceFile, functions, rust_files};

/// The layers of the workspace, lowest first. An arrow may only point to a lower layer.
pub const LAYERS: &[&[&str]] = &[
    &["bh-base"],
    &["bh-chat", "bh-seal", "bh-catalog", "bh-count"],
    &["bh-dialect", "bh-token", "bh-ledger", "bh-audit"],
    &["bh-policy"],
    &["bh-pipeline"],
    &["bh-http", "bh-upstream", "bh-disk", "bh-telemetry"],
    &["bulkhead"],
];

/// Crates for tests and measurements only: they may use any layer, and nothing in a layer may use them
/// except as a development dependency.
pub const BESIDE: &[&str] = &["bh-testkit", "bench", "clients", "conformance", "e2e", "tidy"];

/// Outside libraries and the crates that may depend on them directly. A library not named here is free to all.
pub const OWNERS: &[(&str, &[&str])] = &[
    ("ed25519-dalek", &["bh-seal"]),
    ("bincode", &["bh-seal"]),
    ("bpe-openai", &["bh-count"]),
    ("jsonwebtoken", &["bh-token"]),
    ("crdts", &["bh-ledger"]),
    ("moka", &["bh-pipeline"]),
    ("arc-swap", &["bh-pipeline"]),
    ("axum", &["bh-http"]),
    ("opentelemetry", &["bh-telemetry"]),
    ("opentelemetry_sdk", &["bh-telemetry"]),
    ("opentelemetry-otlp", &["bh-telemetry"]),
    ("tracing-opentelemetry", &["bh-telemetry"]),
    ("prometheus-client", &["bh-telemetry"]),
    ("clap", &["bulkhead"]),
    ("serde-saphyr", &["bulkhead"]),
    ("schemars", &["bulkhead"]),
    ("miette", &["bulkhead"]),
    ("serde_json", &["bh-dialect", "bh-token", "bh-catalog", "bh-audit", "bh-http", "bh-upstream", "bulkhead"]),
    ("hyper-util", &["bh-http", "bh-upstream"]),
];

/// Libraries that must not be in the graph at all, and why.
pub const BANNED: &[(&str, &str)] = &[
    ("ring", "aws-lc-rs is the only crypto provider"),
    ("openssl", "rustls is the only TLS"),
    ("openssl-sys", "rustls is the only TLS"),
    ("native-tls", "rustls is the only TLS"),
    ("rsa", "no RSA: a timing side channel without a fix"),
    ("serde_yaml", "archived; serde-saphyr reads YAML"),
    ("dashmap", "can deadlock when a guard is held; papaya or sharded locks"),
];

/// Lines past which a file must say why at its head.
pub const FILE_LINES_EXPLAINED: usize = 500;
/// Lines past which a file fails.
pub const FILE_LINES_MAX: usize = 800;
/// Lines past which a function fails.
pub const FUNCTION_LINES_MAX: usize = 70;
/// Lines of the tree past which no crate may hold more than a quarter of it.
pub const SHARE_APPLIES_FROM: usize = 20_000;
/// Most crates the workspace may have under `crates/`.
pub const CRATES_MAX: usize = 20;

/// The workspace root.
#[must_use]
pub fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The layer of a crate, if it is in one.
#[must_use]
pub fn layer_of(name: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&name))
}
