//! What the records since a snapshot say was spent.
//!
//! A node that crashed knows its last snapshot and the ceilings it might have spent up to. In an epoch that promised
//! strict durability no provider was called before its Admit was on disk, so the records bound the spend from above:
//! what was settled, and for calls in flight what was held. In a relaxed epoch that did not close, records may be
//! missing and nothing is proven; then the ceilings stand.

use std::collections::HashMap;

use bh_base::{NanoUsd, RequestId, Window};

use crate::chain::CHARGES_MAX;
use crate::parts::{Charge, Durability};
use crate::record::{Kind, Record};
use crate::text::Text;

/// One counter as records name it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChargeKey {
    /// The scope in its recorded form; compare with [`crate::Pseudonyms::scope`] of the ledger's.
    pub scope: Text,
    /// The window's kind.
    pub window: Window,
    /// When the window began, in milliseconds since the Unix epoch.
    pub window_start_ms: u64,
}

/// What the records say of one counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub struct Replayed {
    /// Settled after the snapshot.
    pub settled: NanoUsd,
    /// Held by calls that never settled: they may have cost up to this.
    pub in_flight: NanoUsd,
    /// Whether a call in flight had a hold that was no true bound, so that `in_flight` bounds nothing.
    pub open_ended: bool,
}

/// Reads records in order and adds up.
#[derive(Debug)]
pub struct Replay {
    after: Option<u64>,
    next_seq: Option<u64>,
    complete: bool,
    epoch_is_strict: bool,
    epoch_is_closed: bool,
    settled: HashMap<ChargeKey, NanoUsd>,
    flights: HashMap<RequestId, Vec<Charge>>,
}

impl Replay {
    /// Adds up what was settled after the record `after` (the snapshot's mark; everything when there is none), from
    /// records that are handed in starting at `from`, the first Admit that was in flight at the mark.
    #[must_use]
    pub fn new(after: Option<u64>, from: u64) -> Self {
        Replay {
            after,
            next_seq: Some(from),
            complete: true,
            epoch_is_strict: true,
            epoch_is_closed: true,
            settled: HashMap::new(),
            flights: HashMap::new(),
        }
    }

    /// The epoch in which `from` lies promised this; needed when its EpochOpen is not among the records handed in.
    pub fn assume(&mut self, durability: Durability) {
        self.epoch_is_strict = durability == Durability::Strict;
        self.epoch_is_closed = false;
    }

    /// Takes the next record. Repeats are skipped; a missing one makes the replay incomplete.
    pub fn see(&mut self, record: &Record) {
        if self.next_seq.is_some_and(|next| record.seq < next) {
            return;
        }
        self.complete &= self.next_seq.is_none_or(|next| record.seq == next);
        self.next_seq = record.seq.checked_add(1);
        let counts = self.after.is_none_or(|after| after < record.seq);
        match &record.kind {
            Kind::EpochOpen => {
                self.end_epoch();
                self.epoch_is_strict = record.open.as_ref().is_some_and(|o| o.durability == Durability::Strict);
                self.epoch_is_closed = false;
            }
            Kind::EpochClose => self.epoch_is_closed = true,
            Kind::Admit => self.admit(record),
            Kind::Settle => self.settle(record, counts),
            Kind::Gap => {
                let lost = record.lost.unwrap_or_default();
                // A lost Settle leaves its Admit in flight, which still bounds it; a lost Admit leaves nothing.
                self.complete &= lost.admits == 0 && (self.epoch_is_strict || lost.settles == 0);
            }
            Kind::Deny | Kind::ConfigSeen | Kind::KeySetSeen | Kind::AdminAction | Kind::Unknown(_) => {}
        }
    }

    /// The log goes on at this place with records that are not handed in; those before it must all have been.
    pub fn end_before(&mut self, seq: u64) {
        self.complete &= self.next_seq.is_some_and(|next| next == seq);
    }

    /// A stretch of the log cannot be read: nothing is proven from here on.
    pub fn unreadable(&mut self) {
        self.complete = false;
        self.next_seq = None;
    }

    /// Whether what was read bounds the spend from above, and what it says per counter.
    #[must_use]
    pub fn finish(mut self) -> (bool, HashMap<ChargeKey, Replayed>) {
        self.end_epoch();
        let mut out: HashMap<ChargeKey, Replayed> = HashMap::new();
        for (key, settled) in self.settled {
            out.entry(key).or_default().settled = settled;
        }
        for charge in self.flights.into_values().flatten() {
            let found = out.entry(key_of(&charge)).or_default();
            found.in_flight = found.in_flight.saturating_add(charge.amount);
            found.open_ended |= charge.adaptive;
        }
        (self.complete, out)
    }

    fn end_epoch(&mut self) {
        self.complete &= self.epoch_is_strict || self.epoch_is_closed;
    }

    fn admit(&mut self, record: &Record) {
        self.complete &= record.charges.len() < CHARGES_MAX;
        if let Some(request) = record.request_id {
            self.flights.entry(request).or_default().extend(record.charges.iter().cloned());
        }
    }

    fn settle(&mut self, record: &Record, counts: bool) {
        self.complete &= record.charges.len() < CHARGES_MAX;
        if let Some(request) = record.request_id {
            self.flights.remove(&request);
        }
        for charge in record.charges.iter().filter(|_| counts) {
            let spent = self.settled.entry(key_of(charge)).or_default();
            *spent = spent.saturating_add(charge.amount);
        }
    }
}

fn key_of(charge: &Charge) -> ChargeKey {
    ChargeKey { scope: charge.scope.clone(), window: charge.window, window_start_ms: charge.window_start_ms }
}
