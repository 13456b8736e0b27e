//! The writer's side: bodies in, records out, each naming the one before.

use bh_base::{HoldMode, Millis};

use crate::body::{AdminAction, Admit, Caller, Charged, Deny, RecordBody, Seen, Settle};
use crate::commit::Pseudonyms;
use crate::hash::{Hash, LogId};
use crate::parts::{Charge, Close, Decision, Durability, Lost, Open, Previous, Pruned};
use crate::record::{Kind, Record};
use crate::text::Text;
use crate::tree::{Tree, leaf};

/// Entries a list in a record keeps; with [`crate::TEXT_BYTES_MAX`] this bounds the record.
const LIST_MAX: usize = 16;
/// Charges a record keeps: every link of a token chain and every scope, each with every window, and room for tags.
/// A list this long may have been cut, so a replay proves nothing from it.
pub(crate) const CHARGES_MAX: usize = 128;

/// A record in its place, ready to be stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which run of the process.
    pub epoch: u64,
    /// Its place.
    pub seq: u64,
    /// Its hash, which the next record names.
    pub leaf: Hash,
    /// The canonical bytes.
    pub bytes: Vec<u8>,
}

/// The end of what a log holds: where the next epoch goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The log.
    pub log_id: LogId,
    /// The last record's epoch.
    pub epoch: u64,
    /// Its place.
    pub seq: u64,
    /// Its hash.
    pub leaf: Hash,
    /// Whether it is an EpochClose.
    pub closed: bool,
}

/// How a process opens its epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    /// The process.
    pub node: Text,
    /// The version of the program.
    pub software: Text,
    /// What this epoch promises.
    pub durability: Durability,
    /// Bytes that recovery cut off the end of the log.
    pub torn_bytes: u64,
}

/// Records of which the queue kept no more than their number.
pub type Gap = Lost;

/// One epoch being written. Time comes in with each call and is held where it is when it would go backwards.
#[derive(Debug)]
pub struct Chain {
    log_id: LogId,
    epoch: u64,
    next_seq: u64,
    prev: Hash,
    last_ms: u64,
    tree: Tree,
    pseudonyms: Pseudonyms,
}

impl Chain {
    /// Opens the next epoch of a log, or the first of a new one whose id was drawn at random.
    #[must_use]
    pub fn open(head: Result<Head, LogId>, now: Millis, opening: Opening, pseudonyms: Pseudonyms) -> (Self, Entry) {
        let (log_id, epoch, next_seq, prev) = match head {
            Ok(head) => (head.log_id, head.epoch + 1, head.seq + 1, head.leaf),
            Err(fresh) => (fresh, 0, 0, Hash::ZERO),
        };
        let previous = head.ok().map(|h| Previous { epoch: h.epoch, seq: h.seq, leaf: h.leaf, closed: h.closed });
        let mut chain = Chain { log_id, epoch, next_seq, prev, last_ms: 0, tree: Tree::new(), pseudonyms };
        let Opening { node, software, durability, torn_bytes } = opening;
        let open = Some(Open { node, software, durability, previous, torn_bytes });
        let entry = chain.seal(now, Record { open, ..Record::blank(Kind::EpochOpen) });
        (chain, entry)
    }

    /// The log this chain belongs to.
    #[must_use]
    pub const fn log_id(&self) -> LogId {
        self.log_id
    }

    /// The epoch being written.
    #[must_use]
    pub const fn epoch(&self) -> u64 {
        self.epoch
    }

    /// The place the next record will have.
    #[must_use]
    pub const fn next_seq(&self) -> u64 {
        self.next_seq
    }

    /// Records what a caller said.
    pub fn append(&mut self, now: Millis, body: RecordBody) -> Entry {
        let record = match body {
            RecordBody::Admit(admit) => self.admit(*admit),
            RecordBody::Settle(settle) => self.settle(*settle),
            RecordBody::Deny(deny) => self.deny(*deny),
            RecordBody::ConfigSeen(seen) => came_into_force(Kind::ConfigSeen, seen),
            RecordBody::KeySetSeen(seen) => came_into_force(Kind::KeySetSeen, seen),
            RecordBody::AdminAction(action) => self.admin_action(*action),
        };
        self.seal(now, record)
    }

    /// Records that records were lost, and how many.
    pub fn gap(&mut self, now: Millis, lost: Gap) -> Entry {
        self.seal(now, Record { lost: Some(lost), ..Record::blank(Kind::Gap) })
    }

    /// Records that the retention rule is about to remove the oldest records.
    pub fn prune(&mut self, now: Millis, pruned: Pruned) -> Entry {
        let record = Record {
            action: Some(Text::word("spool.prune")),
            pruned: Some(pruned),
            ..Record::blank(Kind::AdminAction)
        };
        self.seal(now, record)
    }

    /// Ends the epoch in order.
    #[must_use]
    pub fn close(mut self, now: Millis) -> Entry {
        let close = Some(Close { size: self.tree.size(), root: self.tree.root() });
        self.seal(now, Record { close, ..Record::blank(Kind::EpochClose) })
    }

    fn seal(&mut self, now: Millis, mut record: Record) -> Entry {
        // Callers read the clock before they queue, so neighbours may come in the wrong order by a little.
        self.last_ms = self.last_ms.max(now.0);
        record.log_id = self.log_id;
        record.epoch = self.epoch;
        record.seq = self.next_seq;
        record.ts_ms = self.last_ms;
        record.prev = self.prev;
        let bytes = record.to_bytes();
        let leaf = leaf(&bytes);
        self.tree.push(leaf);
        self.prev = leaf;
        self.next_seq += 1;
        Entry { epoch: self.epoch, seq: record.seq, leaf, bytes }
    }

    fn admit(&mut self, admit: Admit) -> Record {
        let record = self.of_caller(Kind::Admit, Some(&admit.caller));
        Record {
            request_id: Some(admit.request),
            op: Some(admit.op),
            asked: Some(admit.asked),
            decision: admit.decision.map(bounded_decision),
            attempt: Some(admit.attempt),
            provider: Some(admit.provider),
            model: Some(admit.model),
            est: Some(admit.est),
            charges: self.charges(admit.charges),
            price_version: Some(admit.price_version),
            config_version: Some(admit.config_version),
            request_commit: admit.request_commit,
            warnings: bounded(admit.warnings),
            ..record
        }
    }

    fn settle(&mut self, settle: Settle) -> Record {
        let record = self.of_caller(Kind::Settle, Some(&settle.caller));
        Record {
            request_id: Some(settle.request),
            op: Some(settle.op),
            asked: Some(settle.asked),
            provider: Some(settle.provider),
            model: Some(settle.model),
            usage: Some(settle.usage),
            usage_estimated: settle.usage_estimated,
            est: Some(settle.est),
            cost: Some(settle.cost),
            charges: self.charges(settle.charges),
            price_version: Some(settle.price_version),
            config_version: Some(settle.config_version),
            outcome: Some(settle.outcome),
            status: Some(settle.status),
            latency: Some(settle.latency),
            attempts: bounded(settle.attempts),
            response_commit: settle.response_commit,
            warnings: bounded(settle.warnings),
            ..record
        }
    }

    fn deny(&mut self, deny: Deny) -> Record {
        let record = self.of_caller(Kind::Deny, deny.caller.as_deref());
        Record {
            request_id: Some(deny.request),
            op: Some(deny.op),
            asked: deny.asked,
            decision: deny.decision.map(bounded_decision),
            config_version: Some(deny.config_version),
            outcome: Some(Text::word("denied")),
            status: Some(deny.status),
            code: Some(deny.code),
            latency: Some(deny.latency),
            ..record
        }
    }

    fn admin_action(&mut self, action: AdminAction) -> Record {
        Record {
            subject_ref: action.actor.map(|actor| self.pseudonyms.subject(&actor)),
            action: Some(action.action),
            target: Some(action.target),
            reason: action.reason,
            ..Record::blank(Kind::AdminAction)
        }
    }

    fn of_caller(&mut self, kind: Kind, caller: Option<&Caller>) -> Record {
        let blank = Record::blank(kind);
        let Some(caller) = caller else {
            return blank;
        };
        Record {
            subject_ref: caller.subject.as_deref().map(|subject| self.pseudonyms.subject(subject)),
            token: caller.token,
            org: caller.org.clone(),
            team: caller.team.clone(),
            project: caller.project.clone(),
            tags: caller.tags.iter().take(LIST_MAX).cloned().collect(),
            ..blank
        }
    }

    fn charges(&mut self, charges: Vec<Charged>) -> Vec<Charge> {
        let charge = |c: Charged| Charge {
            scope: self.pseudonyms.scope(&c.scope),
            window: c.window,
            window_start_ms: c.window_start.0,
            amount: c.amount,
            adaptive: c.hold == HoldMode::Adaptive,
        };
        charges.into_iter().take(CHARGES_MAX).map(charge).collect()
    }
}

fn came_into_force(kind: Kind, seen: Seen) -> Record {
    Record {
        revision: Some(seen.revision),
        digest: Some(seen.digest),
        target: Some(seen.origin),
        ..Record::blank(kind)
    }
}

fn bounded<T>(mut list: Vec<T>) -> Vec<T> {
    list.truncate(LIST_MAX);
    list
}

#[expect(clippy::boxed_local, reason = "bodies carry it boxed, because most have none")]
fn bounded_decision(decision: Box<Decision>) -> Decision {
    let decision = *decision;
    Decision { candidates: bounded(decision.candidates), skipped: bounded(decision.skipped), ..decision }
}
