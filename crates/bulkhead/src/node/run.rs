//! A node's life: start, serve, reload, drain.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bh_disk::{DataFolder, FolderError, LedgerStore, OpenError, Opener, RealMedia, Spool, StateError};
use bh_http::server::{self, ServerConfig};
use bh_http::{AdminConfig, Readiness, Ready};
use bh_ledger::{Ceilings, Ledger, Pool, Setup};
use bh_pipeline::{Arrivals, Gateway, Parts, clock, serve_ledger};
use bh_policy::Health;
use bh_telemetry::{Telemetry, Traces, TracesError};
use bh_upstream::Upstreams;
use tokio::net::TcpListener;
use tokio::time::{MissedTickBehavior, interval, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::keep;
use super::live::{LiveUpstream, SourceError, Sources};
use super::view::{ViewError, view};
use super::{LiveConfig, NodeConfig};

/// How often keys and revocations are looked at.
const WATCH: Duration = Duration::from_millis(500);
/// Longest wait, after the drain, for requests to be settled and recorded.
const SETTLE_MAX: Duration = Duration::from_secs(10);

/// Why a node cannot start. Each says what to look at.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StartError {
    /// The data folder cannot be used.
    #[error(transparent)]
    Folder(#[from] FolderError),
    /// The audit spool cannot be opened.
    #[error(transparent)]
    Spool(#[from] OpenError),
    /// Budget state cannot be taken back.
    #[error(transparent)]
    State(#[from] StateError),
    /// A secret of the node cannot be kept.
    #[error("the node's own secrets cannot be kept in the data folder")]
    Secrets(#[source] std::io::Error),
    /// Keys or revocations cannot be read.
    #[error(transparent)]
    Sources(#[from] SourceError),
    /// The configuration cannot be put in force.
    #[error(transparent)]
    View(#[from] ViewError),
    /// Providers cannot be set up.
    #[error("providers: {0}")]
    Upstreams(String),
    /// Traces cannot be sent.
    #[error(transparent)]
    Traces(#[from] TracesError),
    /// An address cannot be listened on.
    #[error("{plane} cannot listen on {addr}; is another process there?")]
    Bind {
        /// `the data plane` or `the admin plane`.
        plane: &'static str,
        /// The address.
        addr: SocketAddr,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// Two of us in one process.
    #[error("tokens cannot be verified in this process")]
    Crypto(#[source] bh_token::ForeignCrypto),
}

/// How a node stopped.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Stopped {
    /// Whether every stream ended before the drain deadline.
    pub(crate) clean: bool,
}

/// A node that is bound and ready to serve.
pub(crate) struct Node {
    gateway: Arc<Gateway>,
    upstream: Arc<LiveUpstream>,
    telemetry: Arc<Telemetry>,
    spool: Arc<Spool>,
    state: Arc<LedgerStore>,
    health: Arc<Health>,
    sources: Mutex<Sources>,
    config: Mutex<LiveConfig>,
    server: ServerConfig,
    folder: Arc<DataFolder>,
}

/// The two bound sockets of a node.
pub(crate) struct Listeners {
    data: TcpListener,
    admin: std::net::TcpListener,
}

impl Listeners {
    /// Where the data plane listens, and the admin plane.
    pub(crate) fn addresses(&self) -> std::io::Result<(SocketAddr, SocketAddr)> {
        Ok((self.data.local_addr()?, self.admin.local_addr()?))
    }
}

impl Node {
    /// Builds every part and binds both listeners; nothing is served yet.
    ///
    /// # Errors
    /// See [`StartError`].
    pub(crate) fn start(config: NodeConfig) -> Result<(Arc<Self>, Listeners), StartError> {
        bh_token::install_crypto().map_err(StartError::Crypto)?;
        let now = clock::now();
        let note = format!("bulkhead {} pid {}", env!("CARGO_PKG_VERSION"), std::process::id());
        let folder = Arc::new(DataFolder::open(&config.data_dir, &note)?);
        let node = keep::node_id().map_err(StartError::Secrets)?;
        let commit_key = keep::secret(&config.data_dir, "commit.key").map_err(StartError::Secrets)?;
        let arrivals = Arrivals::default();
        let setup =
            Setup { node, pool: Pool::OwnLimit, ceilings: Ceilings::Persist, notify: Box::new(arrivals.clone()) };
        let ledger = Ledger::new(setup, &config.live.ledger);
        let state = Arc::new(LedgerStore::open(&folder, now, &ledger)?);
        let opener = Opener { node: node.to_string().into(), software: env!("CARGO_PKG_VERSION").into() };
        let (spool, recovery) = Spool::open(&folder, Arc::new(RealMedia), now, config.audit.clone(), opener)?;
        tracing::info!(epoch = recovery.epoch, torn_bytes = recovery.torn_bytes, "the audit spool is open");
        for path in &recovery.quarantined {
            tracing::error!(path = %path.display(), "an audit segment is damaged and was set apart; run `bulkhead audit verify`");
        }
        let spool = Arc::new(spool);
        let proof = state.follow(now, &ledger, &spool)?;
        tracing::info!(complete = proof.is_complete, counters = proof.counters, "budget state was taken back");
        let health = Arc::new(Health::default());
        let mut sources = Sources::new(config.live.keys.clone(), &config.data_dir);
        let (keys, revocations) = sources.read_if_changed()?.unwrap_or_else(|| unreachable!("never read before"));
        let view = view(&config.live, Arc::new(keys), Arc::new(revocations), &health, now)?;
        let upstream = Arc::new(LiveUpstream::new(upstreams(&config.live)?));
        let telemetry = Arc::new(Telemetry::new(Traces::start(config.otlp.as_deref())?));
        let parts = Parts {
            node,
            ledger,
            arrivals,
            upstream: upstream.clone(),
            recorder: spool.clone(),
            meter: telemetry.clone(),
            status_of: bh_http::told,
            commit_key,
        };
        let bind = |plane, addr| server::bind(addr).map_err(|source| StartError::Bind { plane, addr, source });
        let data = bind("the data plane", config.listen)?;
        let admin = bind("the admin plane", config.admin_listen)?.into_std().map_err(|source| StartError::Bind {
            plane: "the admin plane",
            addr: config.admin_listen,
            source,
        })?;
        let listeners = Listeners { data, admin };
        let node = Node {
            gateway: Arc::new(Gateway::new(view, parts)),
            upstream,
            telemetry,
            spool,
            state,
            health,
            sources: Mutex::new(sources),
            config: Mutex::new(config.live),
            server: ServerConfig { tls: config.tls, drain: config.drain },
            folder,
        };
        Ok((Arc::new(node), listeners))
    }

    /// The evidence.
    pub(crate) fn spool(&self) -> &Arc<Spool> {
        &self.spool
    }

    /// Puts another configuration in force for requests that begin from now on.
    ///
    /// # Errors
    /// It cannot be used; the old one stays.
    pub(crate) fn reload(&self, live: LiveConfig) -> Result<(), StartError> {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = Sources::new(live.keys.clone(), self.folder.path());
        fresh.continue_from(&sources);
        let (keys, revocations) = fresh.read_if_changed()?.unwrap_or_else(|| unreachable!("never read before"));
        let now = clock::now();
        let view = view(&live, Arc::new(keys), Arc::new(revocations), &self.health, now)?;
        self.upstream.replace(upstreams(&live)?);
        self.gateway.ledger().reload(now, &live.ledger);
        self.gateway.swap(view);
        tracing::info!(config_version = live.version, "the configuration is in force");
        *sources = fresh;
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = live;
        Ok(())
    }

    /// Puts changed keys and revocations in force.
    fn look_at_sources(&self) {
        let mut sources = self.sources.lock().unwrap_or_else(PoisonError::into_inner);
        match sources.read_if_changed() {
            Ok(None) => (),
            Ok(Some((keys, revocations))) => {
                let live = self.config.lock().unwrap_or_else(PoisonError::into_inner).clone();
                match view(&live, Arc::new(keys), Arc::new(revocations), &self.health, clock::now()) {
                    Ok(view) => {
                        self.gateway.swap(view);
                        tracing::info!("issuer keys and revocations were read again");
                    }
                    Err(error) => tracing::error!(%error, "changed keys cannot be put in force; the old ones stay"),
                }
            }
            Err(error) => tracing::error!(%error, "keys or revocations cannot be read; the old ones stay"),
        }
    }

    /// Serves until `stop`, then drains: new requests are refused, streams finish up to the drain deadline, holds are
    /// settled, records written, state saved.
    pub(crate) async fn run(self: Arc<Self>, listeners: Listeners, stop: CancellationToken) -> Stopped {
        let Listeners { data, admin } = listeners;
        let tracker = TaskTracker::new();
        let end = CancellationToken::new();
        tracker.spawn(serve_ledger(self.gateway.clone(), self.state.clone(), end.clone()));
        tracker.spawn(Arc::clone(&self).watch(end.clone()));
        let admin = self.admin_thread(admin, end.clone());
        let router = bh_http::data_router(self.gateway.clone(), ready());
        let serving = server::serve(data, router, self.server.clone(), stop.clone());
        tokio::pin!(serving);
        let drained = tokio::select! {
            drained = &mut serving => drained,
            () = stop.cancelled() => {
                self.gateway.drain();
                tracing::info!("draining");
                serving.await
            }
        };
        let settled = timeout(SETTLE_MAX, self.gateway.drained()).await.is_ok();
        end.cancel();
        tracker.close();
        tracker.wait().await;
        self.close(admin);
        Stopped { clean: drained.clean && settled }
    }

    fn close(&self, admin: Option<std::thread::JoinHandle<()>>) {
        let now = clock::now();
        self.gateway.ledger().drain(now);
        if let Err(error) = self.spool.close(now) {
            tracing::error!(%error, "the audit spool did not close in order");
        }
        if let Err(error) = self.state.close(now, self.gateway.ledger()) {
            tracing::error!(%error, "budget state could not be saved; a restart counts open ceilings as spent");
        }
        self.telemetry.stop();
        if admin.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the admin plane ended with a panic");
        }
    }

    async fn watch(self: Arc<Self>, end: CancellationToken) {
        let mut ticks = interval(WATCH);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = end.cancelled() => return,
                _ = ticks.tick() => self.look_at_sources(),
            }
        }
    }

    /// The admin plane has a thread and a runtime of its own, so that it answers while the data plane is flooded.
    fn admin_thread(
        &self,
        listener: std::net::TcpListener,
        end: CancellationToken,
    ) -> Option<std::thread::JoinHandle<()>> {
        let (telemetry, gateway, spool) = (self.telemetry.clone(), self.gateway.clone(), self.spool.clone());
        let config = AdminConfig {
            gateway: self.gateway.clone(),
            ready: ready(),
            metrics: Arc::new(move || telemetry.render(&keep::sample(&gateway, &spool))),
        };
        let serve = move || {
            let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
                Ok(runtime) => runtime,
                Err(error) => return tracing::error!(%error, "the admin plane cannot run"),
            };
            runtime.block_on(async move {
                match TcpListener::from_std(listener) {
                    Ok(listener) => {
                        let server = ServerConfig { tls: None, drain: Duration::from_secs(1) };
                        server::serve(listener, bh_http::admin_router(config), server, end).await;
                    }
                    Err(error) => tracing::error!(%error, "the admin plane cannot listen"),
                }
            });
        };
        match std::thread::Builder::new().name("admin".to_owned()).spawn(serve) {
            Ok(thread) => Some(thread),
            Err(error) => {
                tracing::error!(%error, "the admin plane has no thread");
                None
            }
        }
    }
}

/// How the node is: unready while it cannot serve, degraded while something needs looking at.
fn ready() -> Ready {
    Ready(Arc::new(|gateway: &Gateway| {
        let mut unready = Vec::new();
        let mut degraded = Vec::new();
        if gateway.is_draining() {
            unready.push("draining".to_owned());
        }
        if !gateway.evidence_ready() {
            unready.push("audit records cannot be kept".to_owned());
        }
        let view = gateway.view();
        if view.providers.is_empty() {
            degraded.push("no provider is configured".to_owned());
        }
        for key in view.routes.health().keys(clock::now()) {
            if key.state == bh_policy::KeyState::Quarantined {
                degraded.push(format!("provider {} refuses key {}", key.provider, key.key));
            }
        }
        Readiness::of(unready, degraded)
    }))
}

fn upstreams(live: &LiveConfig) -> Result<Upstreams, StartError> {
    Upstreams::build(live.upstream.clone()).map_err(|faults| {
        let faults: Vec<String> = faults.iter().map(ToString::to_string).collect();
        StartError::Upstreams(faults.join("; "))
    })
}
