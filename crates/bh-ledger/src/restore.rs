//! What survives a restart: plain values that `bh-disk` writes and reads, and how they are taken back.

use bh_base::{Millis, NanoUsd, NodeId};

use crate::AccountKey;
use crate::state::State;

/// Every counter that matters after a restart.
///
/// Once it is durable, ceilings of processes other than `node` may be dropped from the disk: what they allow is in
/// here. Those of `node` must stay, unless this is the last thing that process does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// The process that took it.
    pub node: NodeId,
    /// Its counters.
    pub accounts: Vec<AccountSnapshot>,
}

/// One counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountSnapshot {
    /// Which one.
    pub key: AccountKey,
    /// Spent per process, absolute.
    pub slots: Vec<(NodeId, NanoUsd)>,
    /// What processes may have spent beyond their slots: ceilings of crashed ones, and this one's holds in flight.
    pub stranded: Vec<(NodeId, NanoUsd)>,
    /// Limits and shares (basis points) whose alert was raised.
    pub alerted: Vec<(NanoUsd, u32)>,
    /// When it can be forgotten before its window ends; none when only the window's end counts.
    pub expires_at: Option<Millis>,
}

/// The slot that keeps what processes of earlier restarts spent. A process id is random and never all zeros.
pub(crate) const PAST: NodeId = NodeId([0; 16]);

impl AccountSnapshot {
    /// The counter as it stands; nothing when nothing was ever spent or held there.
    pub(crate) fn of(key: &AccountKey, me: NodeId, state: &State) -> Option<Self> {
        let mut stranded: Vec<_> = state.stranded.iter().map(|(node, amount)| (*node, NanoUsd(*amount))).collect();
        if 0 < state.held {
            stranded.push((me, NanoUsd(state.held)));
        }
        let slots: Vec<_> = state.meter.slots().map(|(node, spent)| (node, NanoUsd(spent))).collect();
        if slots.is_empty() && stranded.is_empty() {
            return None;
        }
        let alerted = state.alerted.iter().map(|(limit, share)| (NanoUsd(*limit), *share)).collect();
        Some(AccountSnapshot { key: key.clone(), slots, stranded, alerted, expires_at: state.expires_at })
    }

    /// Puts the counter back. When this process spends alone, slots and strands of processes that `keep` does not
    /// name are folded into one, so that a thousand restarts do not leave a thousand slots.
    pub(crate) fn put_back(&self, state: &mut State, fold: bool, keep: &[NodeId]) {
        let target = |node: NodeId| if fold && !keep.contains(&node) { PAST } else { node };
        let mut slots: Vec<(NodeId, u64)> = Vec::new();
        for (node, spent) in &self.slots {
            add(&mut slots, target(*node), spent.0);
        }
        for (node, spent) in slots {
            state.meter.merge(node, spent);
        }
        let mut stranded: Vec<(NodeId, u64)> = Vec::new();
        for (node, amount) in &self.stranded {
            add(&mut stranded, target(*node), amount.0);
        }
        for (node, amount) in stranded {
            let known = state.stranded.entry(node).or_default();
            *known = amount.max(*known);
        }
        for (limit, share) in &self.alerted {
            if !state.alerted.contains(&(limit.0, *share)) {
                state.alerted.push((limit.0, *share));
            }
        }
        state.expires_at = self.expires_at.max(state.expires_at);
    }
}

fn add(list: &mut Vec<(NodeId, u64)>, node: NodeId, amount: u64) {
    match list.iter_mut().find(|(known, _)| *known == node) {
        Some((_, sum)) => *sum = sum.saturating_add(amount),
        None => list.push((node, amount)),
    }
}
