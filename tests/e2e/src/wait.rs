//! Waiting for what only shows when it is asked for, with a deadline.

use std::time::Duration;

use anyhow::{Result, bail};
use tokio::time::{Instant, MissedTickBehavior, interval};

/// How long anything may take that should happen soon, on a machine with other things to do.
pub const SOON: Duration = Duration::from_secs(20);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(10);

/// Says what a test saw, for whoever reads a failure or runs with `--nocapture`.
#[expect(clippy::print_stderr, reason = "what was measured belongs beside the verdict")]
pub fn say(text: &str) {
    eprintln!("{text}");
}

/// Looks again and again until there is something to see.
///
/// # Errors
/// A look fails, or `deadline` passes first; says what was waited for.
pub async fn eventually<T>(
    what: &str,
    deadline: Duration,
    mut look: impl AsyncFnMut() -> Result<Option<T>>,
) -> Result<T> {
    let until = Instant::now() + deadline;
    let mut ticks = interval(LOOK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        if let Some(seen) = look().await? {
            return Ok(seen);
        }
        if until <= Instant::now() {
            bail!("{what}: not within {deadline:?}");
        }
    }
}
