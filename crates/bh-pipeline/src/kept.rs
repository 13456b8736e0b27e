//! Metadata of the requests that finished last: bounded, and the oldest makes room.
//!
//! Every request writes once and hardly any is asked for, so this is a plain first-in-first-out store; a cache that
//! learns what is used costs each request several times as much.

use std::array;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bh_base::RequestId;

use crate::meta::RequestMeta;

/// Requests of different shards do not wait for one another.
const SHARDS: usize = 16;

/// What is known of finished requests.
pub(crate) struct Kept {
    shards: [Mutex<Shard>; SHARDS],
    per_shard: usize,
}

#[derive(Default)]
struct Shard {
    by_id: HashMap<RequestId, Arc<RequestMeta>>,
    /// Oldest first.
    order: VecDeque<RequestId>,
}

impl Kept {
    /// Keeps about `requests_max` at most: each shard has its share.
    pub(crate) fn new(requests_max: usize) -> Self {
        Kept { shards: array::from_fn(|_| Mutex::default()), per_shard: requests_max.div_ceil(SHARDS) }
    }

    /// Keeps the metadata of one more request.
    pub(crate) fn insert(&self, meta: RequestMeta) {
        let mut shard = self.shard(meta.id);
        let oldest = if self.per_shard <= shard.order.len() { shard.order.pop_front() } else { None };
        let gone = oldest.and_then(|oldest| shard.by_id.remove(&oldest));
        shard.order.push_back(meta.id);
        shard.by_id.insert(meta.id, Arc::new(meta));
        drop(shard);
        // Freed outside the lock.
        drop(gone);
    }

    /// The metadata of a request, if it is not too long ago.
    pub(crate) fn get(&self, id: RequestId) -> Option<Arc<RequestMeta>> {
        self.shard(id).by_id.get(&id).cloned()
    }

    fn shard(&self, id: RequestId) -> MutexGuard<'_, Shard> {
        // The last bytes of a UUIDv7 are random.
        let at = usize::from(id.0[15]) % SHARDS;
        self.shards[at].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use bh_base::{Millis, NanoUsd, TokenId, Usage};

    use super::*;

    fn meta(number: u8) -> RequestMeta {
        let mut id = [0; 16];
        // All in one shard.
        (id[0], id[15]) = (number, 3);
        RequestMeta {
            id: RequestId(id),
            token: TokenId([1; 32]),
            op: "chat_completions",
            asked: "m".to_owned(),
            provider: "p".into(),
            model: "m".into(),
            began: Millis(0),
            total_ms: 0,
            overhead_us: 0,
            first_token_ms: None,
            stream: false,
            status: 200,
            outcome: "ok",
            attempts: 1,
            usage: Usage::default(),
            estimated: false,
            cost: NanoUsd::ZERO,
            price_version: "v1".into(),
            config_version: "c".into(),
            decision: bh_audit::Decision::default(),
            warnings: Vec::new(),
            session: None,
            tags: Vec::new(),
        }
    }

    #[test]
    fn the_oldest_of_a_full_shard_makes_room() {
        let kept = Kept::new(2 * SHARDS);
        (0..3).for_each(|number| kept.insert(meta(number)));
        let known = |number| kept.get(meta(number).id).is_some();
        assert_eq!([known(0), known(1), known(2)], [false, true, true]);
    }
}
