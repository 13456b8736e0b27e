//! What the service manager is told (`sd_notify`); nobody is told anything when `NOTIFY_SOCKET` is not set.

use sd_notify::NotifyState;
use tokio::time::{MissedTickBehavior, interval};

/// Requests are served.
pub(super) fn ready() {
    tell(&[NotifyState::Ready]);
}

/// No more requests are taken.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping]);
}

/// Does a reload between the two messages that `Type=notify-reload` waits for.
pub(super) fn reloading(reload: impl FnOnce()) {
    match NotifyState::monotonic_usec_now() {
        Ok(since) => tell(&[NotifyState::Reloading, since]),
        Err(error) => tracing::warn!(%error, "the service manager could not be told of the reload"),
    }
    reload();
    ready();
}

/// Answers the watchdog twice in its interval, draining included, from a thread that serves requests: when those hang,
/// the answers stay away. Returns at once when no watchdog is set.
pub(super) async fn keep_alive() {
    let Some(limit) = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero()) else { return };
    let mut ticks = interval(limit / 2);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        tell(&[NotifyState::Watchdog]);
    }
}

fn tell(states: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(states) {
        tracing::warn!(%error, "the service manager could not be told");
    }
}
