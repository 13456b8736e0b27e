//! What the audit log proves of a crashed process's spend.

use std::collections::HashMap;
use std::path::Path;

use bh_audit::{ChargeKey, Kind, Pseudonyms, Record, Replay, Replayed, SpoolReader, Stored};
use bh_base::{Millis, NanoUsd, NodeId, ScopeKind};
use bh_ledger::{AccountKey, Scope};

use crate::progress::Mark;
use crate::reader::{LogReader, ReadError};
use crate::state::{Saved, StateError};

/// What a process spent at most, per counter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Proven {
    pub(crate) node: NodeId,
    pub(crate) spent: Vec<(AccountKey, NanoUsd)>,
}

/// Adds to the last snapshot what the log says was settled since, and what was held by calls that never settled.
/// Nothing when the log does not prove it.
pub(crate) fn prove(saved: &Saved, folder: &Path, pseudonyms: &mut Pseudonyms) -> Result<Option<Proven>, StateError> {
    let (Some(snapshot), Some(mark)) = (&saved.snapshot, saved.mark) else {
        return Ok(None);
    };
    let replayed = replay(mark, folder).map_err(|fault| StateError::Io { path: fault.path, source: fault.source })?;
    let Some(replayed) = replayed else {
        return Ok(None);
    };
    let own = |slots: &[(NodeId, NanoUsd)]| slots.iter().find(|(node, _)| *node == snapshot.node).map(|(_, n)| *n);
    let mut counters: HashMap<AccountKey, NanoUsd> = HashMap::new();
    for account in &snapshot.accounts {
        counters.insert(account.key.clone(), own(&account.slots).unwrap_or_default());
    }
    let promised = saved.ceilings.iter().filter(|ceiling| ceiling.node == snapshot.node);
    for key in promised.map(|ceiling| ceiling.key.clone()).chain(replayed.keys().filter_map(in_clear)) {
        counters.entry(key).or_default();
    }
    let mut spent = Vec::new();
    for (key, before) in counters {
        let scope = pseudonyms.scope(&key.scope.to_string().into());
        let charge = ChargeKey { scope, window: key.window, window_start_ms: key.start.0 };
        let found = replayed.get(&charge).copied().unwrap_or_default();
        if !found.open_ended {
            spent.push((key, before.saturating_add(found.settled).saturating_add(found.in_flight)));
        }
    }
    spent.sort();
    Ok(Some(Proven { node: snapshot.node, spent }))
}

/// The counter of a charge whose scope a record says in clear. A person's counter is known by its ceiling only.
fn in_clear(charge: &ChargeKey) -> Option<AccountKey> {
    let scope = Scope::parse(charge.scope.as_str()).ok()?;
    let is_clear = scope.kind() != ScopeKind::User && !scope.name().starts_with('#');
    is_clear.then_some(AccountKey { scope, window: charge.window, start: Millis(charge.window_start_ms) })
}

/// The epoch of the mark from there on; nothing when it is not all there.
fn replay(mark: Mark, folder: &Path) -> Result<Option<HashMap<ChargeKey, Replayed>>, ReadError> {
    let mut replay = Replay::new(Some(mark.after), mark.from);
    replay.assume(mark.durability);
    let mut reader = LogReader::open_from(&[folder.to_owned()], mark.from)?;
    let mut reached_mark = false;
    while let Some(stored) = reader.next_stored()? {
        let record = match &stored {
            Stored::Record { bytes, .. } => Record::parse(bytes).ok(),
            Stored::Torn { .. } | Stored::Damaged { .. } => None,
        };
        let Some(record) = record else {
            replay.unreadable();
            continue;
        };
        if record.log_id != mark.log_id {
            return Ok(None);
        }
        if mark.epoch < record.epoch {
            // The next epoch says where it found the end of this one: whatever is missing shows here.
            let previous = record.open.as_ref().filter(|_| record.kind == Kind::EpochOpen).and_then(|o| o.previous);
            reached_mark |= previous.is_some_and(|end| end.epoch == mark.epoch && mark.after <= end.seq);
            replay.end_before(record.seq);
            break;
        }
        replay.see(&record);
    }
    let (complete, found) = replay.finish();
    Ok((complete && reached_mark).then_some(found))
}
