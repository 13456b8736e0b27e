//! The spool as the pipeline sees it.

use bh_audit::{Durability, RecordBody};
use bh_base::Millis;
use bh_pipeline::ports::{Durable, Recorder, RecorderFault};

use crate::spool::{Spool, SpoolFault};

impl Recorder for Spool {
    /// In strict mode an Admit is waited for; what follows it is queued behind it, and a crash before it is on disk
    /// leaves the Admit, which counts as what was held.
    fn append(&self, now: Millis, body: RecordBody) -> Result<Durable, RecorderFault> {
        if self.durability() == Durability::Relaxed || !matches!(body, RecordBody::Admit(_)) {
            self.queue(now, body);
            return Ok(Durable::Queued);
        }
        let ticket = Spool::append(self, now, body).map_err(fault)?;
        Ok(Durable::Waiting(Box::pin(async move { ticket.durable().await.map(|_| ()).map_err(fault) })))
    }

    fn ready(&self) -> bool {
        let health = self.health();
        self.durability() == Durability::Relaxed || (health.failing.is_none() && !health.slow)
    }
}

fn fault(fault: SpoolFault) -> RecorderFault {
    match fault {
        SpoolFault::Closed => RecorderFault::Closed,
        SpoolFault::Overloaded | SpoolFault::Slow | SpoolFault::Full | SpoolFault::Failing => {
            RecorderFault::Unavailable
        }
    }
}
