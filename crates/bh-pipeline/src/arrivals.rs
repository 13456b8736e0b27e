//! Where the ledger says that waiting may be over, and that there is something to do.

use std::sync::Arc;

use bh_ledger::Notify;
use tokio::sync::{Notify as Wake, watch};
use tokio::time::{Instant, timeout_at};

/// Turns the ledger's two notifications into something a task can await. Clones share one place.
#[derive(Debug, Clone)]
pub struct Arrivals {
    generation: Arc<watch::Sender<u64>>,
    effects: Arc<Wake>,
}

impl Default for Arrivals {
    fn default() -> Self {
        Arrivals { generation: Arc::new(watch::Sender::new(0)), effects: Arc::new(Wake::new()) }
    }
}

impl Arrivals {
    /// Waits until something arrived after `generation`. False when the deadline came first.
    pub(crate) async fn past(&self, generation: u64, deadline: Instant) -> bool {
        let mut seen = self.generation.subscribe();
        let arrived = seen.wait_for(|now| generation < *now);
        timeout_at(deadline, arrived).await.is_ok_and(|found| found.is_ok())
    }

    /// Waits until the ledger has effects to take.
    pub async fn effects(&self) {
        self.effects.notified().await;
    }
}

impl Notify for Arrivals {
    fn effects(&self) {
        self.effects.notify_one();
    }

    fn arrived(&self, generation: u64) {
        self.generation.send_if_modified(|known| {
            let newer = *known < generation;
            *known = (*known).max(generation);
            newer
        });
    }
}
