//! `bulkhead serve`: a node from a configuration, from its start to its last stream. Signals, changed files and the
//! service manager are heard here; what they mean for requests is the node's.

mod certificate;
mod descriptors;
mod reload;
mod service;
mod signals;
mod watch;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::{Environment, Loaded, Source};
use crate::node::{Node, StartError, Stopped};
use reload::Reloader;

pub(crate) use descriptors::{Descriptors, descriptors};
pub(crate) use signals::{Heard, Signals};

/// How often the configuration file is looked at. A change is taken up once two looks see the same file, so that one
/// that is being written is not read half.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How a node ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Every request ended by itself.
    Drained,
    /// The drain deadline cut what was left.
    Cut,
    /// A second signal ended it at once.
    Forced,
}

/// Why a node does not serve.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// No threads.
    #[error("the threads that serve cannot be started")]
    Runtime(#[source] io::Error),
    /// No signals.
    #[error("signals cannot be listened for")]
    Signals(#[source] io::Error),
    /// The node cannot start.
    #[error("the node cannot start")]
    Start(#[source] StartError),
    /// The listeners are gone.
    #[error("the listening addresses cannot be read")]
    Addresses(#[source] io::Error),
    /// A bug of ours.
    #[error("the node ended with a panic; this is a bug in bulkhead")]
    Panicked(#[source] JoinError),
}

impl ServeError {
    /// Whether another configuration would help, as opposed to another machine or moment.
    pub(crate) fn is_config(&self) -> bool {
        match self {
            ServeError::Start(StartError::Sources(_) | StartError::View(_) | StartError::Upstreams(_)) => true,
            ServeError::Start(
                StartError::Folder(_)
                | StartError::Spool(_)
                | StartError::State(_)
                | StartError::Secrets(_)
                | StartError::Traces(_)
                | StartError::Bind { .. }
                | StartError::Crypto(_),
            )
            | ServeError::Runtime(_)
            | ServeError::Signals(_)
            | ServeError::Addresses(_)
            | ServeError::Panicked(_) => false,
        }
    }
}

/// Serves until a signal ends it, with as many workers as the machine has cores.
///
/// # Errors
/// See [`ServeError`].
pub(crate) fn run(source: Source, environment: Environment, loaded: Loaded) -> Result<Ended, ServeError> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(ServeError::Runtime)?;
    let ended = runtime.block_on(serve(source, environment, loaded));
    // What must end in order was waited for; an end that was forced waits for nothing.
    runtime.shutdown_background();
    ended
}

async fn serve(source: Source, environment: Environment, mut loaded: Loaded) -> Result<Ended, ServeError> {
    // First of all, so that a signal during the start ends in an orderly stop.
    let signals = Signals::listen().map_err(ServeError::Signals)?;
    descriptors::raise();
    let reloader = Reloader::new(source, environment, &mut loaded);
    let (node, listeners) = Node::start(loaded.node).map_err(ServeError::Start)?;
    let (data, admin) = listeners.addresses().map_err(ServeError::Addresses)?;
    let tracker = TaskTracker::new();
    tracker.spawn_blocking(bh_count::warm);
    let stop = CancellationToken::new();
    let mut serving = tracker.spawn(Arc::clone(&node).run(listeners, stop.clone()));
    tracker.spawn(service::keep_alive());
    tracing::info!(%data, %admin, version = env!("CARGO_PKG_VERSION"), pid = std::process::id(), "bulkhead is ready");
    service::ready();
    let until = Until { signals, reloader, node, stop };
    tokio::select! {
        stopped = &mut serving => ended(stopped),
        () = until.forced() => {
            tracing::warn!("a second signal ended the drain; open requests were cut and the audit log was not closed");
            Ok(Ended::Forced)
        }
    }
}

fn ended(stopped: Result<Stopped, JoinError>) -> Result<Ended, ServeError> {
    let Stopped { clean } = stopped.map_err(ServeError::Panicked)?;
    if clean {
        tracing::info!("drained");
        return Ok(Ended::Drained);
    }
    tracing::warn!("the drain deadline passed; what was still open was cut");
    Ok(Ended::Cut)
}

/// What a serving node listens to.
struct Until {
    signals: Signals,
    reloader: Reloader,
    node: Arc<Node>,
    stop: CancellationToken,
}

impl Until {
    /// Acts on signals and changed files; returns at the second signal to stop.
    async fn forced(mut self) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                heard = self.signals.next() => match heard {
                    Heard::Stop(_) if self.stop.is_cancelled() => return,
                    Heard::Stop(signal) => {
                        tracing::info!(signal, "stopping");
                        service::stopping();
                        self.stop.cancel();
                    }
                    Heard::Reload if self.stop.is_cancelled() => (),
                    Heard::Reload => service::reloading(|| self.reloader.reload(&self.node)),
                },
                _ = looks.tick(), if !self.stop.is_cancelled() => {
                    if self.reloader.has_changed() {
                        service::reloading(|| self.reloader.reload(&self.node));
                    }
                }
            }
        }
    }
}
