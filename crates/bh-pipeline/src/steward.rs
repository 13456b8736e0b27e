//! The one task that does what the ledger asks for: ceilings to disk, alerts to people, a tick a second.

use std::sync::Arc;
use std::time::Duration;

use bh_ledger::{Ceiling, Denial, Effect};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

use crate::clock;
use crate::gateway::Gateway;
use crate::ports::CeilingStore;

/// How often closed windows and idle scopes are looked for.
const TICK: Duration = Duration::from_secs(1);

/// Serves the ledger's wishes until `stop`. One call per gateway.
pub async fn serve_ledger(gateway: Arc<Gateway>, store: Arc<dyn CeilingStore>, stop: CancellationToken) {
    let mut ticks = interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            () = gateway.parts.arrivals.effects() => (),
            _ = ticks.tick() => gateway.parts.ledger.tick(clock::now()),
        }
        serve(&gateway, &store);
    }
    serve(&gateway, &store);
}

fn serve(gateway: &Arc<Gateway>, store: &Arc<dyn CeilingStore>) {
    for effect in gateway.parts.ledger.take_effects() {
        match effect {
            Effect::PersistCeiling(ceiling) => persist(gateway, store, ceiling),
            // A single node grants itself from the limit, so nothing asks a pool. Whoever asks all the same is told at
            // once that there is none, rather than left waiting.
            Effect::Ask(ask) => gateway.parts.ledger.denied(clock::now(), &ask.key, Denial::Unavailable),
            Effect::Return { key, amount } => tracing::debug!(scope = %key.scope, %amount, "rights were returned"),
            Effect::Alert(alert) => {
                gateway.parts.meter.alert(&alert);
                tracing::warn!(scope = %alert.key.scope, window = %alert.key.window, share_bp = alert.share_bp,
                    spent_usd = %alert.spent, limit_usd = %alert.limit, "a share of a budget is spent");
            }
            Effect::Overcharge(over) => {
                tracing::error!(model = over.model, bound_usd = %over.bound, cost_usd = %over.cost,
                    "a call cost more than its bound");
            }
        }
    }
}

fn persist(gateway: &Arc<Gateway>, store: &Arc<dyn CeilingStore>, ceiling: Ceiling) {
    let ledger = gateway.parts.ledger.clone();
    let asked = ceiling.clone();
    store.persist(
        ceiling,
        Box::new(move |kept| {
            if kept {
                ledger.ceiling_durable(clock::now(), &asked);
            } else {
                ledger.ceiling_failed(clock::now(), &asked);
            }
        }),
    );
}
