//! The gateway as every request shares it: one frozen view, and the handles of what lives longer than a view.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use arc_swap::ArcSwap;
use bh_base::NodeId;
use bh_ledger::Ledger;
use moka::sync::Cache;
use tokio_util::task::TaskTracker;

use crate::arrivals::Arrivals;
use crate::kept::Kept;
use crate::known::Bearer;
use crate::overcharged::Overcharged;
use crate::ports::{Meter, Recorder, Upstream};
use crate::refusal::Refusal;
use crate::view::View;

/// Verified tokens remembered at once.
pub const BEARERS_MAX: u64 = 100_000;
/// Finished requests whose metadata `GET /v1/requests/{id}` still knows.
pub const REQUESTS_KEPT_MAX: usize = 20_000;
/// Requests in flight on one node; the next is shed with 503.
pub const IN_FLIGHT_MAX: usize = 20_000;

/// What a client is told of a refusal, as far as records and metrics say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Told {
    /// The HTTP status.
    pub status: u16,
    /// The stable code.
    pub code: &'static str,
}

/// The one status table, which lives at the edge.
pub type StatusOf = fn(&Refusal, &View) -> Told;

/// What a gateway is assembled from.
pub struct Parts {
    /// This process.
    pub node: NodeId,
    /// Budgets and limits.
    pub ledger: Ledger,
    /// Where the ledger's notifications arrive; the ledger was made with it.
    pub arrivals: Arrivals,
    /// Providers.
    pub upstream: Arc<dyn Upstream>,
    /// Evidence.
    pub recorder: Arc<dyn Recorder>,
    /// Ears.
    pub meter: Arc<dyn Meter>,
    /// The status table of the edge: what a client is told of each refusal.
    pub status_of: StatusOf,
    /// Key from which the salts of body commitments are derived; random, kept in the data folder.
    pub commit_key: [u8; 32],
}

/// One node's data plane.
pub struct Gateway {
    view: ArcSwap<View>,
    pub(crate) bearers: Cache<[u8; 32], Arc<Bearer>>,
    pub(crate) kept: Kept,
    pub(crate) parts: Parts,
    pub(crate) overcharged: Overcharged,
    tracker: TaskTracker,
    draining: AtomicBool,
    in_flight: Arc<AtomicUsize>,
}

/// A place among the requests in flight; dropping it frees the place.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<AtomicUsize>);

impl Gateway {
    /// Puts the parts together.
    #[must_use]
    pub fn new(view: View, parts: Parts) -> Self {
        Gateway {
            view: ArcSwap::from_pointee(view),
            bearers: Cache::new(BEARERS_MAX),
            kept: Kept::new(REQUESTS_KEPT_MAX),
            parts,
            overcharged: Overcharged::default(),
            tracker: TaskTracker::new(),
            draining: AtomicBool::new(false),
            in_flight: Arc::new(AtomicUsize::new(0)),
        }
    }

    /// The view a request that begins now reads to its end.
    #[must_use]
    pub fn view(&self) -> Arc<View> {
        self.view.load_full()
    }

    /// Puts another view in force for requests that begin from now on.
    pub fn swap(&self, view: View) {
        self.overcharged.forget_other_prices(view.catalog.version());
        self.view.store(Arc::new(view));
    }

    /// Budgets and limits.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.parts.ledger
    }

    /// This process.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.parts.node
    }

    /// Whether evidence can be kept; a node that cannot is not ready.
    #[must_use]
    pub fn evidence_ready(&self) -> bool {
        self.parts.recorder.ready()
    }

    /// Requests in flight.
    #[must_use]
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Refuses new requests from now on; those in flight go on.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::Release);
    }

    /// Whether new requests are refused.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Acquire)
    }

    /// Waits until every request has been settled and recorded. Call it after [`Gateway::drain`].
    pub async fn drained(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }

    pub(crate) fn tracker(&self) -> &TaskTracker {
        &self.tracker
    }

    /// Takes a place among the requests in flight.
    pub(crate) fn enter(&self) -> Result<InFlight, Refusal> {
        let place = InFlight(Arc::clone(&self.in_flight));
        if IN_FLIGHT_MAX <= self.in_flight.fetch_add(1, Ordering::Relaxed) { Err(Refusal::Shedding) } else { Ok(place) }
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
