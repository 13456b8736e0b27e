//! Ceilings in memory.

use bh_pipeline::ports::CeilingStore;

pub(crate) struct State;

impl CeilingStore for State {
    fn persist(&self, _: bh_ledger::Ceiling, done: Box<dyn FnOnce(bool) + Send>) {
        done(true);
    }
}
