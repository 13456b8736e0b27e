//! One counter's meter: a grow-only CRDT with one slot per process, and plain numbers beside it for the hot path.

use std::collections::BTreeSet;

use bh_base::{Invariant, NodeId, hold};
use crdts::{CmRDT, Dot, GCounter};

/// Reading the CRDT sums big integers, so the own slot and the total are kept as plain numbers and never read from it.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    counter: GCounter<NodeId>,
    nodes: BTreeSet<NodeId>,
    me: NodeId,
    own: u64,
    total: u64,
}

impl Meter {
    pub(crate) fn new(me: NodeId) -> Self {
        Meter { counter: GCounter::new(), nodes: BTreeSet::new(), me, own: 0, total: 0 }
    }

    /// Spent by this process.
    pub(crate) fn own(&self) -> u64 {
        self.own
    }

    /// Spent by everyone this process has heard of.
    pub(crate) fn total(&self) -> u64 {
        self.total
    }

    /// Adds to the own slot. `inc_many` would wrap in silence, so the sum is checked first and stops at the top.
    pub(crate) fn add(&mut self, amount: u64) {
        let room = u64::MAX - self.own.max(self.total);
        hold!(Invariant::MeterGrows, amount <= room);
        let amount = amount.min(room);
        self.apply(self.counter.inc_many(self.me, amount));
        self.own += amount;
        self.total += amount;
    }

    /// Takes a peer's absolute slot value: larger wins, so repeats, losses and reorderings are harmless. What a peer
    /// says of our own slot is ignored. Returns whether the total grew.
    pub(crate) fn merge(&mut self, node: NodeId, value: u64) -> bool {
        let known = self.slot(node);
        if node == self.me || value <= known {
            return false;
        }
        self.apply(Dot::new(node, value));
        self.total = self.total.saturating_add(value - known);
        true
    }

    /// Spent in one slot.
    pub(crate) fn slot(&self, node: NodeId) -> u64 {
        // An increment by nothing reads the slot without summing the others.
        self.counter.inc_many(node, 0).counter
    }

    /// Every slot.
    pub(crate) fn slots(&self) -> impl Iterator<Item = (NodeId, u64)> {
        self.nodes.iter().map(|node| (*node, self.slot(*node)))
    }

    fn apply(&mut self, dot: Dot<NodeId>) {
        if 0 < dot.counter {
            self.nodes.insert(dot.actor);
        }
        self.counter.apply(dot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ME: NodeId = NodeId([0; 16]);
    const PEER: NodeId = NodeId([1; 16]);
    const OTHER: NodeId = NodeId([2; 16]);

    fn merged(dots: &[(NodeId, u64)]) -> Meter {
        let mut meter = Meter::new(ME);
        meter.add(5);
        for (node, value) in dots {
            meter.merge(*node, *value);
        }
        let read = meter.counter.read();
        assert_eq!(read.to_string(), meter.total().to_string(), "the number beside the CRDT is the CRDT's");
        meter
    }

    #[test]
    fn merging_is_commutative() {
        let one = merged(&[(PEER, 3), (OTHER, 4), (PEER, 9)]);
        let two = merged(&[(PEER, 9), (PEER, 3), (OTHER, 4)]);
        assert_eq!(one.counter, two.counter);
        assert_eq!(one.total(), 5 + 9 + 4);
    }

    #[test]
    fn merging_is_idempotent() {
        assert_eq!(merged(&[(PEER, 3), (PEER, 3)]).counter, merged(&[(PEER, 3)]).counter);
    }

    #[test]
    fn merging_is_associative() {
        // Two peers' states merged with each other first, or one after the other.
        let together: Vec<_> = merged(&[(PEER, 3)]).slots().chain(merged(&[(PEER, 8), (OTHER, 1)]).slots()).collect();
        assert_eq!(merged(&together).counter, merged(&[(PEER, 3), (PEER, 8), (OTHER, 1)]).counter);
    }

    #[test]
    fn nobody_else_moves_our_own_slot() {
        assert_eq!(merged(&[(ME, 100)]).total(), 5);
    }

    #[test]
    fn the_meter_stops_at_the_top_instead_of_wrapping() {
        let mut meter = merged(&[(PEER, u64::MAX - 6)]);
        meter.add(1);
        assert_eq!(meter.total(), u64::MAX);
        let caught = std::panic::catch_unwind(move || meter.add(1));
        assert!(caught.is_err(), "debug builds name the broken invariant");
    }
}
