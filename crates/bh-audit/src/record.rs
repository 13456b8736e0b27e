//! The record as it is stored and read: compact JSON, one fixed field order, a version.

use bh_base::{NanoUsd, RequestId, TokenId, Usage};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::hash::{Hash, LogId, SubjectRef};
use crate::parts::{AttemptNote, Charge, Close, Decision, Latency, Lost, Open, Pruned};
use crate::text::Text;
use crate::wire;

/// Version of the record format, the field `v`. Adding a field or a kind keeps it; changing the meaning of one does not.
pub const FORMAT_VERSION: u32 = 1;

/// What a record is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A process opened the log; names what it found of the epoch before.
    EpochOpen,
    /// One attempt was admitted: written before a provider is called.
    Admit,
    /// A request ended that had at least one Admit: what it used and cost.
    Settle,
    /// A request was refused before any attempt.
    Deny,
    /// A configuration came into force.
    ConfigSeen,
    /// A key set or revocation list came into force.
    KeySetSeen,
    /// Somebody, or the retention rule, did something to this node.
    AdminAction,
    /// Records could not be kept; says how many.
    Gap,
    /// The process ended in order; carries the size and root of the epoch's tree.
    EpochClose,
    /// A kind of a newer version: its place in the chain is checked, its content is not.
    Unknown(Text),
}

impl Kind {
    /// The spelling in the field `kind`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match self {
            Kind::EpochOpen => "epoch_open",
            Kind::Admit => "admit",
            Kind::Settle => "settle",
            Kind::Deny => "deny",
            Kind::ConfigSeen => "config_seen",
            Kind::KeySetSeen => "key_set_seen",
            Kind::AdminAction => "admin_action",
            Kind::Gap => "gap",
            Kind::EpochClose => "epoch_close",
            Kind::Unknown(text) => text.as_str(),
        }
    }

    /// Reads that spelling; any other text is a kind of a newer version.
    #[must_use]
    pub fn from_text(text: Text) -> Self {
        match text.as_str() {
            "epoch_open" => Kind::EpochOpen,
            "admit" => Kind::Admit,
            "settle" => Kind::Settle,
            "deny" => Kind::Deny,
            "config_seen" => Kind::ConfigSeen,
            "key_set_seen" => Kind::KeySetSeen,
            "admin_action" => Kind::AdminAction,
            "gap" => Kind::Gap,
            "epoch_close" => Kind::EpochClose,
            _ => Kind::Unknown(text),
        }
    }
}

impl Serialize for Kind {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Text::deserialize(deserializer).map(Kind::from_text)
    }
}

/// One record. Which optional fields are present follows from the kind; the order of fields is the order in the JSON.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Format version, see [`FORMAT_VERSION`].
    pub v: u32,
    /// The log this record belongs to.
    pub log_id: LogId,
    /// Which run of the process wrote it; grows by at least one per start.
    pub epoch: u64,
    /// Place in the log: no gap, no repeat, across epochs.
    pub seq: u64,
    /// When, in milliseconds since the Unix epoch; never falls within an epoch.
    pub ts_ms: u64,
    /// What it is about.
    pub kind: Kind,
    /// The request, as the client saw it.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "wire::request_id")]
    pub request_id: Option<RequestId>,
    /// Who asked, as a pseudonym.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject_ref: Option<SubjectRef>,
    /// The id (a hash) of the token that was presented.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "wire::token_id")]
    pub token: Option<TokenId>,
    /// The caller's organisation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub org: Option<Text>,
    /// The caller's team.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<Text>,
    /// The caller's project.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub project: Option<Text>,
    /// The token's tags as `k=v`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<Text>,
    /// What was called, for example `chat_completions` or `messages`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub op: Option<Text>,
    /// The model the client asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asked: Option<Text>,
    /// How the targets were chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub decision: Option<Decision>,
    /// Which attempt of the request an Admit is for, from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<u32>,
    /// The provider's id in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub provider: Option<Text>,
    /// The target's model.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<Text>,
    /// What was used, in disjoint buckets; empty ones are left out.
    #[serde(default, skip_serializing_if = "Option::is_none", with = "wire::usage_opt")]
    pub usage: Option<Usage>,
    /// Whether the usage is our estimate because the provider did not report any.
    #[serde(default, skip_serializing_if = "wire::is_false")]
    pub usage_estimated: bool,
    /// The upper bound held, in nano-dollars: of this attempt in an Admit, of all attempts in a Settle.
    #[serde(default, rename = "est_nano_usd", skip_serializing_if = "Option::is_none", with = "wire::nano_usd_opt")]
    pub est: Option<NanoUsd>,
    /// What the request cost, in nano-dollars.
    #[serde(default, rename = "cost_nano_usd", skip_serializing_if = "Option::is_none", with = "wire::nano_usd_opt")]
    pub cost: Option<NanoUsd>,
    /// The counters it is charged to: what is held in an Admit, what is charged in a Settle.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub charges: Vec<Charge>,
    /// The price table the amounts come from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub price_version: Option<Text>,
    /// The configuration that decided.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_version: Option<Text>,
    /// How it ended, in a word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Text>,
    /// The client's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// The error code the client saw.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<Text>,
    /// How long it took.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub latency: Option<Latency>,
    /// Each attempt and how it ended.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub attempts: Vec<AttemptNote>,
    /// Commitment to the request's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub request_commit: Option<Hash>,
    /// Commitment to the answer's body.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_commit: Option<Hash>,
    /// What could not be expressed for the provider and was left out, and other notes the client was shown.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<Text>,
    /// Revision of what came into force (`config_seen`, `key_set_seen`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revision: Option<u64>,
    /// Digest of what came into force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<Hash>,
    /// What was done (`admin_action`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<Text>,
    /// To what it was done.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<Text>,
    /// Why, as the actor said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<Text>,
    /// What the retention rule removed (`admin_action`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pruned: Option<Pruned>,
    /// What was lost (`gap`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lost: Option<Lost>,
    /// How the epoch began (`epoch_open`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub open: Option<Open>,
    /// How the epoch ended (`epoch_close`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub close: Option<Close>,
    /// The leaf of the record before, across epochs; zeros in the very first.
    pub prev: Hash,
}

/// Bytes that are not a record.
#[derive(Debug, thiserror::Error)]
pub enum Malformed {
    /// Not JSON, or a field is missing or of another type.
    #[error("these bytes are not an audit record")]
    Json(#[source] serde_json::Error),
    /// A record of a kind without the part that makes it one.
    #[error("a record of kind {kind} needs the field {field}")]
    Missing {
        /// The record's kind.
        kind: Text,
        /// The field that is not there.
        field: &'static str,
    },
}

impl Record {
    /// Reads stored bytes. Unknown fields and kinds are let through; a known kind must have what makes it one.
    ///
    /// # Errors
    /// The bytes are no record, or a field of its kind is missing.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        let record: Record = serde_json::from_slice(bytes).map_err(Malformed::Json)?;
        let missing = match &record.kind {
            Kind::EpochOpen if record.open.is_none() => "open",
            Kind::EpochClose if record.close.is_none() => "close",
            Kind::Gap if record.lost.is_none() => "lost",
            Kind::Admit | Kind::Settle | Kind::Deny if record.request_id.is_none() => "request_id",
            Kind::Admit if record.est.is_none() => "est_nano_usd",
            Kind::Settle if record.cost.is_none() => "cost_nano_usd",
            Kind::ConfigSeen | Kind::KeySetSeen if record.digest.is_none() => "digest",
            Kind::AdminAction if record.action.is_none() => "action",
            Kind::EpochOpen
            | Kind::Admit
            | Kind::Settle
            | Kind::Deny
            | Kind::ConfigSeen
            | Kind::KeySetSeen
            | Kind::AdminAction
            | Kind::Gap
            | Kind::EpochClose
            | Kind::Unknown(_) => return Ok(record),
        };
        Err(Malformed::Missing { kind: Text::from(record.kind.as_str()), field: missing })
    }

    /// The canonical bytes, as they are stored and hashed.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(1024);
        serde_json::to_writer(&mut bytes, self)
            .expect("a record has only strings, numbers and lists, and a Vec takes all");
        bytes
    }

    /// A record with nothing but its place and kind.
    pub(crate) fn blank(kind: Kind) -> Self {
        Record {
            v: FORMAT_VERSION,
            log_id: LogId([0; 16]),
            epoch: 0,
            seq: 0,
            ts_ms: 0,
            kind,
            request_id: None,
            subject_ref: None,
            token: None,
            org: None,
            team: None,
            project: None,
            tags: Vec::new(),
            op: None,
            asked: None,
            decision: None,
            attempt: None,
            provider: None,
            model: None,
            usage: None,
            usage_estimated: false,
            est: None,
            cost: None,
            charges: Vec::new(),
            price_version: None,
            config_version: None,
            outcome: None,
            status: None,
            code: None,
            latency: None,
            attempts: Vec::new(),
            request_commit: None,
            response_commit: None,
            warnings: Vec::new(),
            revision: None,
            digest: None,
            action: None,
            target: None,
            reason: None,
            pruned: None,
            lost: None,
            open: None,
            close: None,
            prev: Hash::ZERO,
        }
    }
}
