//! A configuration frozen for a look, without starting anything.

use std::path::Path;
use std::sync::Arc;

use bh_pipeline::{View, clock};
use bh_policy::Health;

use super::LiveConfig;
use super::live::Sources;
use super::run::StartError;
use super::view::view;

/// The view a node that has just started would decide with: no breaker is open, no key is cooling.
///
/// # Errors
/// Keys or revocations cannot be read, or the configuration cannot be put in force.
pub(crate) fn fresh_view(config: &LiveConfig, data_dir: &Path) -> Result<View, StartError> {
    let mut sources = Sources::new(config.keys.clone(), data_dir);
    let (keys, revocations) = sources.read_if_changed()?.unwrap_or_else(|| unreachable!("never read before"));
    let view = view(config, Arc::new(keys), Arc::new(revocations), &Arc::new(Health::default()), clock::now())?;
    Ok(view)
}
