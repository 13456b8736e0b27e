//! What callers say; the chain makes a record of it.

use std::sync::Arc;

use bh_base::{HoldMode, Millis, NanoUsd, RequestId, TokenId, Usage, Window};

use crate::hash::Hash;
use crate::parts::{AttemptNote, Decision, Latency};
use crate::text::Text;

/// Something to be recorded. The kinds that frame an epoch are written by the chain itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RecordBody {
    /// An attempt is about to be made.
    Admit(Box<Admit>),
    /// A request that had at least one Admit ended.
    Settle(Box<Settle>),
    /// A request was refused before any attempt.
    Deny(Box<Deny>),
    /// A configuration came into force.
    ConfigSeen(Seen),
    /// A key set or revocation list came into force.
    KeySetSeen(Seen),
    /// Somebody did something to this node.
    AdminAction(Box<AdminAction>),
}

/// Who asked. Built once per verified token and shared by all its records.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Caller {
    /// The token's `sub` in clear: the chain writes its pseudonym, never the text.
    pub subject: Option<Arc<str>>,
    /// The id of the token that was presented (of its last link).
    pub token: Option<TokenId>,
    /// The organisation.
    pub org: Option<Text>,
    /// The team.
    pub team: Option<Text>,
    /// The project.
    pub project: Option<Text>,
    /// Tags of the token as `k=v`; at most 16 are recorded.
    pub tags: Vec<Text>,
}

/// An amount against one counter, with the scope in clear.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Charged {
    /// The resolved scope as the ledger names it, for example `user:alice`: the chain writes a user's pseudonym.
    pub scope: Arc<str>,
    /// The window's kind.
    pub window: Window,
    /// When the window began, since the Unix epoch; 0 for `total`.
    pub window_start: Millis,
    /// The amount.
    pub amount: NanoUsd,
    /// Whether an Admit's amount is a true upper bound (`strict`) or may be topped up (`adaptive`).
    pub hold: HoldMode,
}

/// An attempt that is about to be made, written before the provider is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Admit {
    /// The request.
    pub request: RequestId,
    /// Who asks.
    pub caller: Arc<Caller>,
    /// What is called, for example `chat_completions` or `messages`.
    pub op: Text,
    /// The model the client asked for.
    pub asked: Text,
    /// How the targets were chosen; usually only in the first attempt's record.
    pub decision: Option<Box<Decision>>,
    /// Which attempt of the request this is, from 1.
    pub attempt: u32,
    /// The provider's id.
    pub provider: Text,
    /// The target's model.
    pub model: Text,
    /// The upper bound held for this attempt.
    pub est: NanoUsd,
    /// What is held on each counter for this attempt.
    pub charges: Vec<Charged>,
    /// The price table the bound comes from.
    pub price_version: Text,
    /// The configuration that decided.
    pub config_version: Text,
    /// Commitment to the request's body, unless switched off.
    pub request_commit: Option<Hash>,
    /// What will be left out or changed for this provider.
    pub warnings: Vec<Text>,
}

/// The end of a request that had at least one Admit, whatever the end was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settle {
    /// The request.
    pub request: RequestId,
    /// Who asked.
    pub caller: Arc<Caller>,
    /// What was called.
    pub op: Text,
    /// The model the client asked for.
    pub asked: Text,
    /// The provider of the last attempt.
    pub provider: Text,
    /// The model of the last attempt.
    pub model: Text,
    /// What all attempts used together.
    pub usage: Usage,
    /// Whether the usage is our estimate.
    pub usage_estimated: bool,
    /// What was held for all attempts together.
    pub est: NanoUsd,
    /// What all attempts cost together.
    pub cost: NanoUsd,
    /// What was charged to each counter for all attempts together.
    pub charges: Vec<Charged>,
    /// The price table the cost comes from.
    pub price_version: Text,
    /// The configuration that decided.
    pub config_version: Text,
    /// How it ended: `ok`, `client_gone`, or the error code the client saw.
    pub outcome: Text,
    /// The client's HTTP status.
    pub status: u16,
    /// How long it took.
    pub latency: Latency,
    /// Each attempt and how it ended.
    pub attempts: Vec<AttemptNote>,
    /// Commitment to the answer's body, unless switched off.
    pub response_commit: Option<Hash>,
    /// What was left out or changed.
    pub warnings: Vec<Text>,
}

/// A request that was refused before any attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Deny {
    /// The request.
    pub request: RequestId,
    /// Who asked, as far as it was known.
    pub caller: Option<Arc<Caller>>,
    /// What was called.
    pub op: Text,
    /// The model the client asked for, where it was read.
    pub asked: Option<Text>,
    /// How the targets were chosen, where it came so far.
    pub decision: Option<Box<Decision>>,
    /// The client's HTTP status.
    pub status: u16,
    /// The error code the client saw.
    pub code: Text,
    /// The configuration that decided.
    pub config_version: Text,
    /// How long it took.
    pub latency: Latency,
}

/// A configuration or key set that came into force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its revision; never falls.
    pub revision: u64,
    /// SHA-256 of its bytes.
    pub digest: Hash,
    /// Where it came from, for example `file`.
    pub origin: Text,
}

/// Something somebody did to this node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminAction {
    /// Who did it (the admin token's `sub`, in clear: the chain writes its pseudonym), if it was a person.
    pub actor: Option<Arc<str>>,
    /// What was done, for example `token.revoke`.
    pub action: Text,
    /// To what.
    pub target: Text,
    /// Why, as the actor said.
    pub reason: Option<Text>,
}
