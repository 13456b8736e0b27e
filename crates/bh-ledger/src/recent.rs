//! How long answers have been lately, per token and model: the figure behind adaptive holds, in bounded memory.

use std::collections::HashMap;
use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Mutex;

use crate::Scope;
use crate::shared::lock;

const SHARDS: usize = 16;
/// Pairs of one shard's generation; two generations of all shards hold at most 32,768 pairs, about 8 MB.
const PAIRS_MAX: usize = 1_024;
/// Answers needed before anything is said.
const SAMPLES_MIN: u32 = 8;
/// Answers after which older ones count half.
const SAMPLES_MAX: u32 = 256;
/// Buckets: four per power of two up to 2^24 tokens.
const BUCKETS: usize = 4 * 24;

/// Recent answer lengths of many (token, model) pairs.
pub(crate) struct Recent {
    hasher: RandomState,
    shards: Vec<Mutex<Shard>>,
}

type Pairs = HashMap<(Scope, Box<str>), Lengths>;

/// When the young generation is full the old one is dropped and the young one becomes it, so whatever was used since
/// the last turn survives and the rest is forgotten.
#[derive(Default)]
struct Shard {
    young: Pairs,
    old: Pairs,
}

/// A histogram whose past fades.
#[derive(Clone, Debug)]
struct Lengths {
    counts: [u16; BUCKETS],
    total: u32,
}

impl Recent {
    pub(crate) fn new() -> Self {
        let shards = (0..SHARDS).map(|_| Mutex::default()).collect();
        Recent { hasher: RandomState::new(), shards }
    }

    /// Notes the length of one answer, in tokens.
    pub(crate) fn note(&self, scope: &Scope, model: &str, tokens: u64) {
        let mut shard = lock(self.shard(scope, model));
        let pair = (scope.clone(), Box::from(model));
        if !shard.young.contains_key(&pair) {
            let known = shard.old.remove(&pair).unwrap_or_default();
            if PAIRS_MAX <= shard.young.len() {
                shard.old = std::mem::take(&mut shard.young);
            }
            shard.young.insert(pair.clone(), known);
        }
        if let Some(lengths) = shard.young.get_mut(&pair) {
            lengths.note(tokens);
        }
    }

    /// A length that 95 of 100 recent answers did not exceed, rounded up by at most a quarter; none while too few
    /// are known.
    pub(crate) fn p95(&self, scope: &Scope, model: &str) -> Option<u64> {
        let shard = lock(self.shard(scope, model));
        let pair = (scope.clone(), Box::from(model));
        shard.young.get(&pair).or_else(|| shard.old.get(&pair)).and_then(Lengths::p95)
    }

    #[cfg(test)]
    fn pairs(&self) -> usize {
        let pairs = |shard: &Mutex<Shard>| {
            let shard = lock(shard);
            shard.young.len() + shard.old.len()
        };
        self.shards.iter().map(pairs).sum()
    }

    fn shard(&self, scope: &Scope, model: &str) -> &Mutex<Shard> {
        let hash = self.hasher.hash_one((scope, model));
        &self.shards[usize::try_from(hash % SHARDS as u64).unwrap_or(0)]
    }
}

impl Default for Lengths {
    fn default() -> Self {
        Lengths { counts: [0; BUCKETS], total: 0 }
    }
}

impl Lengths {
    fn note(&mut self, tokens: u64) {
        if SAMPLES_MAX <= self.total {
            self.counts.iter_mut().for_each(|count| *count /= 2);
            self.total = self.counts.iter().map(|count| u32::from(*count)).sum();
        }
        self.counts[bucket(tokens)] += 1;
        self.total += 1;
    }

    fn p95(&self) -> Option<u64> {
        if self.total < SAMPLES_MIN {
            return None;
        }
        let rank = (u64::from(self.total) * 95).div_ceil(100);
        let mut seen = 0_u64;
        let index = self.counts.iter().position(|count| {
            seen += u64::from(*count);
            rank <= seen
        })?;
        Some(top(index))
    }
}

/// Values 0 to 3 have a bucket each; above, each power of two has four.
fn bucket(tokens: u64) -> usize {
    if tokens < 4 {
        return usize::try_from(tokens).unwrap_or(0);
    }
    let power = tokens.ilog2();
    let quarter = (tokens >> (power - 2)) & 3;
    let index = u64::from(power - 1) * 4 + quarter;
    usize::try_from(index).unwrap_or(BUCKETS).min(BUCKETS - 1)
}

/// The largest value of a bucket.
fn top(index: usize) -> u64 {
    if index < 4 {
        return index as u64;
    }
    let (power, quarter) = (index / 4 + 1, index as u64 % 4);
    ((4 + quarter + 1) << (power - 2)) - 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_length_lies_in_a_bucket_whose_top_is_at_most_a_quarter_above() {
        for tokens in (0..5_000).chain([65_535, 65_536, 1_000_000, (1 << 24) - 1]) {
            let top = top(bucket(tokens));
            assert!(tokens <= top && top <= tokens + tokens / 4, "{tokens} → {top}");
        }
    }

    #[test]
    fn the_p95_follows_recent_answers_and_says_nothing_early() {
        let (recent, scope) = (Recent::new(), Scope::global());
        for tokens in 0..7 {
            recent.note(&scope, "m", tokens);
        }
        assert_eq!(recent.p95(&scope, "m"), None);
        for _ in 0..200 {
            recent.note(&scope, "m", 1_000);
        }
        assert_eq!(recent.p95(&scope, "m"), Some(1_023));
        for _ in 0..2_000 {
            recent.note(&scope, "m", 100);
        }
        assert_eq!(recent.p95(&scope, "m"), Some(111), "the long answers have faded");
    }

    #[test]
    fn memory_is_bounded_and_what_is_used_stays() {
        let (recent, scope) = (Recent::new(), Scope::global());
        for count in 0..200_000_u64 {
            recent.note(&scope, &format!("m{count}"), 1);
            if count % 64 == 0 {
                recent.note(&scope, "kept", 10);
            }
        }
        assert!(recent.pairs() <= 2 * SHARDS * PAIRS_MAX, "{}", recent.pairs());
        assert_eq!(recent.p95(&scope, "kept"), Some(11));
    }
}
