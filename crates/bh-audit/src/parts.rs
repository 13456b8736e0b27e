//! The parts a record is made of.

use bh_base::{NanoUsd, Window};
use serde::{Deserialize, Serialize};

use crate::hash::Hash;
use crate::text::Text;
use crate::wire;

/// When a record counts as kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// An attempt starts only after its Admit is on disk; evidence that cannot be kept refuses the request.
    Strict,
    /// Records reach the disk within 10 ms; those that cannot be kept become a Gap.
    Relaxed,
}

impl Durability {
    /// The spelling in configuration and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Durability::Strict => "strict",
            Durability::Relaxed => "relaxed",
        }
    }
}

/// How the targets were chosen.
#[derive(Clone, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Decision {
    /// The route that matched, or empty for implicit routing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub route: Option<Text>,
    /// Its strategy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Text>,
    /// The targets in the order they would be tried.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<Candidate>,
    /// The targets that were passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub skipped: Vec<Skipped>,
    /// The random number the plan was drawn with, so that it can be recomputed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub draw: Option<u64>,
}

/// A target that would be tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The provider's id.
    pub provider: Text,
    /// The target's model.
    pub model: Text,
    /// Why it stands here: its score, its weight, its place.
    pub reason: Text,
}

/// A target that was passed over.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Skipped {
    /// The provider's id.
    pub provider: Text,
    /// The target's model.
    pub model: Text,
    /// Why not.
    pub why: Text,
}

/// An amount against one counter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The resolved scope, for example `org:acme`; a user stands as `user:` and the pseudonym.
    pub scope: Text,
    /// The window's kind.
    #[serde(with = "wire_window")]
    pub window: Window,
    /// When the window began, in milliseconds since the Unix epoch; 0 for `total`.
    pub window_start_ms: u64,
    /// The amount in nano-dollars.
    #[serde(rename = "nano_usd", with = "wire::nano_usd")]
    pub amount: NanoUsd,
    /// Whether the amount held is no true bound and may have been topped up while the answer streamed.
    #[serde(default, skip_serializing_if = "wire::is_false")]
    pub adaptive: bool,
}

/// How long a request took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Latency {
    /// From the first byte of the request to the last of the answer, in milliseconds.
    pub total_ms: u64,
    /// The part spent in the gateway, in microseconds.
    pub overhead_us: u64,
    /// To the first token or byte of the answer, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_token_ms: Option<u64>,
}

/// One attempt and how it ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AttemptNote {
    /// The provider's id.
    pub provider: Text,
    /// The target's model.
    pub model: Text,
    /// The key's id in the configuration, never the key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Text>,
    /// `ok`, `client_gone`, or the class of the failure.
    pub outcome: Text,
    /// The provider's HTTP status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<u16>,
    /// How long it took, in milliseconds.
    pub ms: u64,
    /// What it cost, in nano-dollars.
    #[serde(rename = "cost_nano_usd", with = "wire::nano_usd")]
    pub cost: NanoUsd,
}

/// What the retention rule removed: everything up to and including one record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pruned {
    /// The last record removed.
    pub through_seq: u64,
    /// Its leaf: the `prev` of the first record kept.
    pub through_leaf: Hash,
}

/// Records that could not be kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Lost {
    /// Admits among them.
    #[serde(default, skip_serializing_if = "wire::is_zero")]
    pub admits: u64,
    /// Settles among them.
    #[serde(default, skip_serializing_if = "wire::is_zero")]
    pub settles: u64,
    /// Denies among them.
    #[serde(default, skip_serializing_if = "wire::is_zero")]
    pub denies: u64,
    /// All others.
    #[serde(default, skip_serializing_if = "wire::is_zero")]
    pub others: u64,
    /// When the first was lost, in milliseconds since the Unix epoch.
    pub first_ms: u64,
    /// When the last was lost.
    pub last_ms: u64,
}

impl Lost {
    /// How many in all; saturates.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.admits.saturating_add(self.settles).saturating_add(self.denies).saturating_add(self.others)
    }
}

/// How an epoch began.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Open {
    /// The process, by its random id.
    pub node: Text,
    /// The version of the program.
    pub software: Text,
    /// What this epoch promises about its records.
    pub durability: Durability,
    /// What was found of the epoch before; absent in the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<Previous>,
    /// Bytes of a half-written frame that recovery cut off.
    #[serde(default, skip_serializing_if = "wire::is_zero")]
    pub torn_bytes: u64,
}

/// The end of the epoch before, as the next one found it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Previous {
    /// Its number.
    pub epoch: u64,
    /// Its last record.
    pub seq: u64,
    /// The leaf of that record.
    pub leaf: Hash,
    /// Whether that record is an EpochClose.
    pub closed: bool,
}

/// How an epoch ended: the RFC 6962 tree over its leaves, EpochOpen first, this record not included.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Close {
    /// Leaves in the tree.
    pub size: u64,
    /// Its root.
    pub root: Hash,
}

/// The window's kind, which a charge always has.
mod wire_window {
    use bh_base::Window;
    use serde::de::Error as _;
    use serde::{Deserialize, Deserializer, Serializer};

    #[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature serde asks for")]
    pub(super) fn serialize<S: Serializer>(value: &Window, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(value.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Window, D::Error> {
        Window::parse(&std::borrow::Cow::<str>::deserialize(deserializer)?).map_err(D::Error::custom)
    }
}
