//! The frozen view of a configuration.

use std::collections::HashMap;
use std::sync::Arc;

use bh_base::Millis;
use bh_catalog::Catalog;
use bh_dialect::{Dialect, LimitField};
use bh_pipeline::{Deadlines, ProviderFacts, View};
use bh_policy::{Health, Routes};
use bh_token::{KeySet, Revocations};
use bh_upstream::Kind;

use super::LiveConfig;

/// Why a configuration that was checked cannot be put in force.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ViewError {
    /// Routes contradict one another.
    #[error("the routes cannot be used: {0}")]
    Routes(String),
    /// Prices contradict one another.
    #[error("the prices cannot be used: {0}")]
    Prices(String),
}

/// Freezes a configuration with the keys and revocations of this moment.
///
/// # Errors
/// Faults that the check of a configuration file reports with their place.
pub(crate) fn view(
    config: &LiveConfig,
    keys: Arc<KeySet>,
    revocations: Arc<Revocations>,
    health: &Arc<Health>,
    now: Millis,
) -> Result<View, ViewError> {
    let join = |faults: Vec<String>| faults.join("; ");
    let catalog = Catalog::builtin()
        .with_overrides(&config.overrides, config.unknown_price)
        .map_err(|faults| ViewError::Prices(join(faults.iter().map(ToString::to_string).collect())))?;
    let routes = Routes::build(&config.routes, health, now).map_err(|faults| {
        ViewError::Routes(join(faults.iter().map(|fault| format!("{}: {}", fault.path, fault.kind)).collect()))
    })?;
    let providers = config.upstream.providers.iter().map(|provider| {
        let deadlines = config.deadlines.iter().find(|(id, _)| *id == provider.id).map(|(_, deadlines)| *deadlines);
        (Arc::from(provider.id.as_str()), facts(provider.kind, deadlines.unwrap_or(DEADLINES)))
    });
    Ok(View {
        config_version: config.version.as_str().into(),
        keys,
        revocations,
        audience: config.audience.as_str().into(),
        catalog: Arc::new(catalog),
        routes: Arc::new(routes),
        on_unsupported: config.on_unsupported.clone(),
        providers: providers.collect::<HashMap<_, _>>(),
        settings: config.settings.clone(),
    })
}

/// Deadlines of a provider that names none.
pub(crate) const DEADLINES: Deadlines =
    Deadlines { first_token: Millis(120_000), idle: Millis(60_000), total: Millis(0) };

fn facts(kind: Kind, deadlines: Deadlines) -> ProviderFacts {
    let (dialect, limit_field) = match kind {
        Kind::OpenAi => (Dialect::OpenAiChat, LimitField::MaxCompletionTokens),
        Kind::OpenAiCompatible | Kind::Echo => (Dialect::OpenAiChat, LimitField::MaxTokens),
        Kind::Anthropic => (Dialect::AnthropicMessages, LimitField::MaxTokens),
    };
    ProviderFacts { kind: kind.as_str().into(), dialect, limit_field, deadlines }
}
