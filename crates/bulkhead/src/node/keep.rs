//! Small secrets and ids a node keeps in its data folder, and the numbers it is scraped for.

use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use bh_base::{BudgetMode, NodeId, ScopeKind};
use bh_disk::Spool;
use bh_ledger::AccountView;
use bh_pipeline::{Gateway, clock};
use bh_policy::BreakerState;
use bh_telemetry::{BreakerSample, BudgetSample, Sample};

/// Random bytes from the operating system.
///
/// # Errors
/// The operating system has none.
pub(crate) fn random<const N: usize>() -> std::io::Result<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).map_err(std::io::Error::other)?;
    Ok(bytes)
}

/// A fresh id for this process.
///
/// # Errors
/// The operating system has no randomness.
pub(crate) fn node_id() -> std::io::Result<NodeId> {
    random().map(NodeId)
}

/// The secret of this name in the data folder; drawn and written (mode 0600) at first use.
///
/// # Errors
/// It cannot be read or written, or is not 32 bytes.
pub(crate) fn secret(data_dir: &Path, name: &str) -> std::io::Result<[u8; 32]> {
    let path = data_dir.join(name);
    match std::fs::read(&path) {
        Ok(bytes) => bytes.try_into().map_err(|_| std::io::Error::other("it must hold 32 bytes")),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes: [u8; 32] = random()?;
            write_private(&path, &bytes)?;
            Ok(bytes)
        }
        Err(error) => Err(error),
    }
}

/// Writes a file that only its owner may read; one that is there already stays as it is.
///
/// # Errors
/// It exists, or cannot be written.
pub(crate) fn write_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// The state of the node at this moment, for a scrape.
pub(crate) fn sample(gateway: &Gateway, spool: &Spool) -> Sample {
    let now = clock::now();
    let health = spool.health();
    let breakers = gateway.view().routes.health().targets(now).into_iter().map(|target| BreakerSample {
        provider: target.provider.to_string(),
        model: target.model.to_string(),
        state: match target.breaker {
            BreakerState::Closed => 0,
            BreakerState::HalfOpen => 1,
            BreakerState::Open => 2,
        },
    });
    Sample {
        budgets: gateway.ledger().accounts().iter().filter_map(budget).collect(),
        breakers: breakers.collect(),
        audit_spooled: health.records,
        audit_gap: health.lost,
        holds_leaked: gateway.ledger().leaked(),
        in_flight: u64::try_from(gateway.in_flight()).unwrap_or(u64::MAX),
    }
}

/// A budget as a metric. Users and tokens are as many as there are people, so they are summed up by kind.
fn budget(view: &AccountView) -> Option<BudgetSample> {
    let limit = view.limit?;
    let kind = view.key.scope.kind();
    let scope = match kind {
        ScopeKind::Token | ScopeKind::User => kind.to_string(),
        ScopeKind::Project
        | ScopeKind::Team
        | ScopeKind::Tag
        | ScopeKind::Model
        | ScopeKind::Org
        | ScopeKind::Global => view.key.scope.to_string(),
    };
    Some(BudgetSample {
        scope,
        window: view.key.window.as_str(),
        limit: limit.0,
        spent: view.spent.0,
        held: view.held.0,
        rights: if view.mode == Some(BudgetMode::Hard) { view.rights.0 } else { 0 },
        stranded: view.stranded.0,
    })
}
