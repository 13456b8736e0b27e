//! Logs made by the chain, and a reader over them in memory.

use std::convert::Infallible;
use std::sync::Arc;

use bh_audit::{
    AdminAction, Admit, AttemptNote, Caller, Candidate, Chain, Charged, Decision, Deny, Durability, Entry, Hash, Head,
    Latency, LogId, Lost, Opening, Pseudonyms, RecordBody, Seen, Settle, Skipped, SpoolReader, Stored, Text,
};
use bh_base::{HoldMode, Millis, NanoUsd, RequestId, TokenId, Usage, Window};

pub(crate) const LOG: LogId = LogId([0x10; 16]);

pub(crate) struct Memory(std::vec::IntoIter<Stored>);

impl SpoolReader for Memory {
    type Error = Infallible;
    fn next_stored(&mut self) -> Result<Option<Stored>, Infallible> {
        Ok(self.0.next())
    }
}

pub(crate) fn stored(pieces: Vec<Stored>) -> Memory {
    Memory(pieces.into_iter())
}

pub(crate) fn memory(records: &[Vec<u8>]) -> Memory {
    let piece = |(n, bytes): (usize, &Vec<u8>)| Stored::Record { place: format!("#{n}"), bytes: bytes.clone() };
    stored(records.iter().enumerate().map(piece).collect())
}

pub(crate) fn opening(durability: Durability) -> Opening {
    Opening { node: Text::word("node-1"), software: Text::word("0.1.0"), durability, torn_bytes: 0 }
}

pub(crate) fn open(head: Option<Head>, now: u64, durability: Durability) -> (Chain, Entry) {
    Chain::open(head.ok_or(LOG), Millis(now), opening(durability), Pseudonyms::new([9; 32]))
}

pub(crate) fn caller() -> Arc<Caller> {
    Arc::new(Caller {
        subject: Some("alice@example.com".into()),
        token: Some(TokenId([0xab; 32])),
        org: Some("acme".into()),
        team: Some("ml".into()),
        project: None,
        tags: vec!["env=prod".into()],
    })
}

pub(crate) fn charged(scope: &str, nano: u64) -> Charged {
    Charged {
        scope: scope.into(),
        window: Window::Day,
        window_start: Millis(86_400_000),
        amount: NanoUsd(nano),
        hold: HoldMode::Strict,
    }
}

pub(crate) fn admit(request: u8, charges: Vec<Charged>) -> RecordBody {
    RecordBody::Admit(Box::new(Admit {
        request: RequestId([request; 16]),
        caller: caller(),
        op: Text::word("chat_completions"),
        asked: "smart".into(),
        decision: Some(Box::new(Decision {
            route: Some("smart".into()),
            strategy: Some(Text::word("fallback")),
            candidates: vec![Candidate { provider: "openai".into(), model: "gpt-4o".into(), reason: "first".into() }],
            skipped: vec![Skipped { provider: "echo".into(), model: "echo".into(), why: "breaker_open".into() }],
            draw: Some(7),
        })),
        attempt: 1,
        provider: "openai".into(),
        model: "gpt-4o".into(),
        est: NanoUsd(5_000),
        charges,
        price_version: "p1".into(),
        config_version: "c1".into(),
        request_commit: Some(Hash([3; 32])),
        warnings: vec!["dropped: top_k".into()],
    }))
}

pub(crate) fn settle(request: u8, charges: Vec<Charged>) -> RecordBody {
    RecordBody::Settle(Box::new(Settle {
        request: RequestId([request; 16]),
        caller: caller(),
        op: Text::word("chat_completions"),
        asked: "smart".into(),
        provider: "openai".into(),
        model: "gpt-4o".into(),
        usage: Usage { input_uncached: 12, output: 34, ..Usage::default() },
        usage_estimated: false,
        est: NanoUsd(5_000),
        cost: NanoUsd(3_000),
        charges,
        price_version: "p1".into(),
        config_version: "c1".into(),
        outcome: Text::word("ok"),
        status: 200,
        latency: Latency { total_ms: 812, overhead_us: 95, first_token_ms: Some(301) },
        attempts: vec![AttemptNote {
            provider: "openai".into(),
            model: "gpt-4o".into(),
            key: Some("a".into()),
            outcome: Text::word("ok"),
            status: Some(200),
            ms: 810,
            cost: NanoUsd(3_000),
        }],
        response_commit: Some(Hash([4; 32])),
        warnings: vec![],
    }))
}

pub(crate) fn deny(request: u8) -> RecordBody {
    RecordBody::Deny(Box::new(Deny {
        request: RequestId([request; 16]),
        caller: None,
        op: Text::word("messages"),
        asked: None,
        decision: None,
        status: 401,
        code: Text::word("token_expired"),
        config_version: "c1".into(),
        latency: Latency::default(),
    }))
}

/// One record of every kind, in order, closed.
pub(crate) fn one_of_each() -> Vec<Entry> {
    let (mut chain, first) = open(None, 1_000, Durability::Strict);
    let mut log = vec![first];
    let seen = Seen { revision: 1, digest: Hash([5; 32]), origin: Text::word("file") };
    log.push(chain.append(Millis(1_001), RecordBody::ConfigSeen(seen.clone())));
    log.push(chain.append(Millis(1_002), RecordBody::KeySetSeen(seen)));
    log.push(
        chain.append(
            Millis(1_003),
            admit(1, vec![charged("user:alice@example.com", 5_000), charged("org:acme", 5_000)]),
        ),
    );
    log.push(
        chain.append(
            Millis(1_004),
            settle(1, vec![charged("user:alice@example.com", 3_000), charged("org:acme", 3_000)]),
        ),
    );
    log.push(chain.append(Millis(1_005), deny(2)));
    let action = AdminAction {
        actor: Some("root@example.com".into()),
        action: Text::word("token.revoke"),
        target: "token".into(),
        reason: Some("leaked".into()),
    };
    log.push(chain.append(Millis(1_006), RecordBody::AdminAction(Box::new(action))));
    log.push(chain.gap(Millis(1_007), Lost { settles: 2, first_ms: 1_006, last_ms: 1_007, ..Lost::default() }));
    log.push(chain.close(Millis(1_008)));
    log
}

pub(crate) fn head_of(entry: &Entry, closed: bool) -> Head {
    Head { log_id: LOG, epoch: entry.epoch, seq: entry.seq, leaf: entry.leaf, closed }
}

pub(crate) fn bytes_of(log: &[Entry]) -> Vec<Vec<u8>> {
    log.iter().map(|e| e.bytes.clone()).collect()
}
