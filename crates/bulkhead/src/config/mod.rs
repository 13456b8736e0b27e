//! Configuration: from `bulkhead.yaml` and the environment to the checked configuration of a node.
//!
//! One way, each step a module: `source` finds the text, `yaml` makes a [`tree`] of it that remembers places, `overlay`
//! lays variables over it, `shape` holds it against the JSON Schema of the [`raw`] types, and `check` turns those into
//! the plain types of the crates. Both of the last report every fault they find; `print` shows them. What a running
//! node does with a configuration is not known here.

mod check;
mod effective;
mod fault;
mod overlay;
mod print;
#[expect(dead_code, reason = "keys that are not built have no value anyone could read")]
mod raw;
mod schema;
mod secret;
mod shape;
mod source;
mod tree;
mod words;
mod yaml;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub(crate) use bh_telemetry::LogFormat;
use serde_json::Value;

pub(crate) use print::Faults;
pub(crate) use schema::schema;
pub(crate) use source::{Environment, Source, SourceError};

use crate::node::{KeySource, NodeConfig};
use check::Secrets;
use raw::Raw;

/// A configuration that can be put in force.
#[derive(Debug)]
pub(crate) struct Loaded {
    /// What a node is made from.
    pub(crate) node: NodeConfig,
    /// How log lines are written.
    pub(crate) log: LogFormat,
}

/// A configuration as people look at it: without secrets.
#[derive(Debug)]
pub(crate) struct Overview {
    /// Names it in records.
    pub(crate) version: String,
    /// Every key with its value, defaults filled in and secrets as where they are; a configuration in itself.
    pub(crate) effective: Value,
    /// Where state lives.
    pub(crate) data_dir: PathBuf,
    /// Issuer keys.
    pub(crate) keys: Vec<KeySource>,
}

/// Reads and checks a configuration; secrets are read as well.
///
/// # Errors
/// Every fault at once.
pub(crate) fn load(source: &Source, environment: &Environment) -> Result<Loaded, Faults> {
    let (_, loaded) = checked(source, environment, Secrets::Read)?;
    Ok(loaded)
}

/// As [`load`], for people. `secrets` says whether they must be there; without, a machine that has none of them can
/// still check a configuration.
///
/// # Errors
/// Every fault at once.
pub(crate) fn overview(source: &Source, environment: &Environment, secrets: bool) -> Result<Overview, Faults> {
    let secrets = if secrets { Secrets::Read } else { Secrets::Assume };
    let (raw, loaded) = checked(source, environment, secrets)?;
    Ok(Overview {
        effective: effective::effective(&raw, &loaded),
        version: loaded.node.live.version,
        data_dir: loaded.node.data_dir,
        keys: loaded.node.live.keys,
    })
}

fn checked(source: &Source, environment: &Environment, secrets: Secrets) -> Result<(Raw, Loaded), Faults> {
    let mut faults = Vec::new();
    let Some(mut tree) = yaml::read(&source.text, &mut faults) else { return Err(Faults::new(source, &[], faults)) };
    overlay::lay(&mut tree, environment, &mut faults);
    let schema = schema();
    let shaped = shape::shape(&tree, &schema, &mut faults);
    let version = version(&tree);
    let raw: Raw = serde_json::from_value(shaped.value).expect("a value of the schema's shape reads as its type");
    let mut check = check::Check::new(&tree, shaped.broken, source.base(), environment, secrets);
    let loaded = check.config(&raw, version);
    faults.extend(check.into_faults());
    match loaded {
        Some(loaded) if faults.is_empty() => Ok((raw, loaded)),
        Some(_) | None => Err(Faults::new(source, &shaped.hidden, faults)),
    }
}

/// Sixteen digits of a hash of what was written, variables included.
fn version(tree: &tree::Node) -> String {
    let hash = bh_seal::sha256(&[tree.plain().to_string().as_bytes()]);
    hash[..8].iter().map(|byte| format!("{byte:02x}")).collect()
}
