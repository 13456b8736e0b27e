//! A provider that does what it is told, on a real socket of this machine.

mod body;
mod reply;

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use hyper::rt::{Read, Write};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use rustls::ServerConfig;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use self::body::{Progress, ScriptBody};
pub use self::reply::{Gate, Reply, Split, Step};
use crate::tls::Certificate;

/// Decides a reply by the request; `None` leaves it to the default.
type Rule = Arc<dyn Fn(&Seen) -> Option<Reply> + Send + Sync>;

/// A request as it arrived.
#[derive(Debug, Clone)]
pub struct Seen {
    /// Its number, from zero, in the order the bodies were complete.
    pub index: usize,
    /// Which connection brought it, from zero.
    pub connection: usize,
    /// The method.
    pub method: Method,
    /// Path and query.
    pub path: String,
    /// HTTP version.
    pub version: http::Version,
    /// All headers.
    pub headers: HeaderMap,
    /// The whole body.
    pub body: Bytes,
}

/// What was served so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Served {
    /// Connections taken.
    pub connections: usize,
    /// Requests that arrived whole.
    pub requests: usize,
    /// Answers read to their end.
    pub completed: usize,
    /// Answers broken off by the script.
    pub cut: usize,
    /// Answers or waits that the client left early.
    pub abandoned: usize,
    /// What the replies bill, in nano-USD.
    pub billed_nano_usd: u64,
    /// Body bytes handed to the socket.
    pub bytes: u64,
}

/// The provider. It stops, and drops every connection, when dropped.
pub struct ScriptedProvider {
    address: SocketAddr,
    scheme: &'static str,
    shared: Arc<Shared>,
    stop: CancellationToken,
    _stop_on_drop: DropGuard,
}

struct Shared {
    queue: Mutex<VecDeque<Reply>>,
    rule: Mutex<Option<Rule>>,
    seen: Mutex<Vec<Seen>>,
    served: watch::Sender<Served>,
    connections: AtomicUsize,
}

impl Seen {
    /// The body as JSON.
    ///
    /// # Errors
    /// When it is not JSON.
    pub fn json(&self) -> Result<serde_json::Value> {
        serde_json::from_slice(&self.body).context("the request's body is not JSON")
    }

    /// One header as text; empty when absent or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

impl ScriptedProvider {
    /// Starts a plain HTTP provider (h1, h2c) on a free port.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> Result<Self> {
        Self::listen(None).await
    }

    /// Starts an HTTPS provider that offers h2 and h1.
    ///
    /// # Errors
    /// When no port can be bound or the certificate is not taken.
    pub async fn start_tls(certificate: &Certificate) -> Result<Self> {
        Self::listen(Some(certificate.server(&[b"h2", b"http/1.1"])?)).await
    }

    async fn listen(tls: Option<Arc<ServerConfig>>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            queue: Mutex::default(),
            rule: Mutex::default(),
            seen: Mutex::default(),
            served: watch::Sender::new(Served::default()),
            connections: AtomicUsize::new(0),
        });
        let stop = CancellationToken::new();
        let scheme = if tls.is_some() { "https" } else { "http" };
        TaskTracker::new().spawn(accept(listener, tls.map(TlsAcceptor::from), Arc::clone(&shared), stop.clone()));
        Ok(Self { address, scheme, shared, stop: stop.clone(), _stop_on_drop: stop.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its address as a URL, without a trailing slash and without `/v1`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("{}://localhost:{}", self.scheme, self.address.port())
    }

    /// Answers the next request that nothing earlier in the queue answers.
    pub fn push(&self, reply: Reply) {
        lock(&self.shared.queue).push_back(reply);
    }

    /// Decides every reply that the queue does not; replaces an earlier rule. Where neither decides, the answer is
    /// 501 and says so.
    pub fn on(&self, rule: impl Fn(&Seen) -> Option<Reply> + Send + Sync + 'static) {
        *lock(&self.shared.rule) = Some(Arc::new(rule));
    }

    /// Answers every request that the queue does not with this reply.
    pub fn always(&self, reply: Reply) {
        self.on(move |_| Some(reply.clone()));
    }

    /// The requests so far, in order.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        lock(&self.shared.seen).clone()
    }

    /// What was served so far.
    #[must_use]
    pub fn served(&self) -> Served {
        *self.shared.served.borrow()
    }

    /// Waits until what was served is as wanted.
    ///
    /// # Errors
    /// When the deadline passes first; says what was served until then.
    pub async fn until(&self, wanted: impl Fn(&Served) -> bool, deadline: Duration) -> Result<Served> {
        let mut changes = self.shared.served.subscribe();
        let reached = tokio::time::timeout(deadline, changes.wait_for(|served| wanted(served))).await;
        match reached {
            Ok(served) => Ok(*served.context("the provider is gone")?),
            Err(_elapsed) => Err(anyhow!("not reached within {deadline:?}: {:?}", self.served())),
        }
    }

    /// Stops listening and drops every connection: from now on connections are refused.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

impl Shared {
    fn reply_to(&self, seen: &Seen) -> Reply {
        if let Some(reply) = lock(&self.queue).pop_front() {
            return reply;
        }
        let rule = lock(&self.rule).clone();
        rule.and_then(|rule| rule(seen))
            .unwrap_or_else(|| Reply::json(501, r#"{"error":{"message":"nothing is scripted"}}"#))
    }

    fn note(&self, change: impl FnOnce(&mut Served)) {
        self.served.send_modify(change);
    }
}

/// A test that panicked while it held the lock has failed already; the others may go on.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>, shared: Arc<Shared>, stop: CancellationToken) {
    let tracker = TaskTracker::new();
    loop {
        let socket = tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((socket, _)) => socket,
                Err(_) => continue,
            },
            () = stop.cancelled() => return,
        };
        // Pieces must leave one by one.
        if socket.set_nodelay(true).is_err() {
            continue;
        }
        let connection = shared.connections.fetch_add(1, Ordering::Relaxed);
        shared.note(|served| served.connections += 1);
        let (shared, tls, stop) = (Arc::clone(&shared), tls.clone(), stop.clone());
        tracker.spawn(async move {
            let serving = async {
                match tls {
                    None => serve(TokioIo::new(socket), connection, shared).await,
                    Some(tls) => {
                        if let Ok(socket) = tls.accept(socket).await {
                            serve(TokioIo::new(socket), connection, shared).await;
                        }
                    }
                }
            };
            tokio::select! { () = serving => (), () = stop.cancelled() => () }
        });
    }
}

async fn serve<I: Read + Write + Unpin + Send + 'static>(io: I, connection: usize, shared: Arc<Shared>) {
    let service = service_fn(move |request| answer(request, connection, Arc::clone(&shared)));
    let builder = auto::Builder::new(TokioExecutor::new());
    // A connection that ends in an error is what some scripts ask for.
    drop(builder.serve_connection(io, service).await);
}

async fn answer(request: Request<Incoming>, connection: usize, shared: Arc<Shared>) -> Result<Response<ScriptBody>> {
    let (parts, body) = request.into_parts();
    let body = body.collect().await.context("the request broke off")?.to_bytes();
    let path = parts.uri.path_and_query().map_or_else(String::new, ToString::to_string);
    let seen = {
        let mut all = lock(&shared.seen);
        let index = all.len();
        let (method, headers, version) = (parts.method, parts.headers, parts.version);
        let seen = Seen { index, connection, method, path, version, headers, body };
        all.push(seen.clone());
        seen
    };
    shared.note(|served| served.requests += 1);
    let reply = shared.reply_to(&seen);
    let progress = Progress::new(shared);
    let (reply, progress) = body::before_headers(reply, progress).await?;
    reply.respond(progress)
}
