//! The accept loop: HTTP/1.1, h2 and h2c on one port, TLS when configured, and a drain that ends.
//!
//! axum's own `serve` waits for ever while an event stream is open, so the loop is ours: on stop it refuses new
//! connections, tells open ones to finish (`connection: close`, GOAWAY), and cuts what is left at the drain deadline.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::ConnectInfo;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// Most connections open at once on one listener; the next waits in the kernel's queue.
pub const CONNECTIONS_MAX: usize = 32_768;
/// Longest time a client may take for its request headers, and for the TLS handshake.
pub const HEADER_READ_MAX: Duration = Duration::from_secs(20);
/// Largest set of request headers over HTTP/1.1, in bytes.
pub const HEADER_BYTES_MAX: usize = 64 * 1024;
/// Most concurrent streams a client may open on one h2 connection.
pub const H2_STREAMS_MAX: u32 = 10_000;
/// Pause after the kernel refused an accept (out of descriptors), so that the loop does not spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// How one listener behaves.
#[derive(Clone)]
pub struct ServerConfig {
    /// TLS, or none for plain HTTP and h2c.
    pub tls: Option<Arc<rustls::ServerConfig>>,
    /// How long open requests may go on after a stop.
    pub drain: Duration,
}

/// What the drain found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Whether every connection ended by itself before the deadline.
    pub clean: bool,
}

/// Binds an address with `SO_REUSEADDR` and a deep backlog.
///
/// # Errors
/// When the address is taken or not ours.
pub fn bind(addr: SocketAddr) -> io::Result<TcpListener> {
    let socket = socket2::Socket::new(socket2::Domain::for_address(addr), socket2::Type::STREAM, None)?;
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&addr.into())?;
    socket.listen(4096)?;
    TcpListener::from_std(socket.into())
}

/// Accepts until `stop`, then drains. Returns once no connection is left or the drain deadline has passed.
pub async fn serve(listener: TcpListener, router: Router, config: ServerConfig, stop: CancellationToken) -> Drained {
    let tracker = TaskTracker::new();
    let cut = CancellationToken::new();
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let graceful = GracefulShutdown::new();
    let acceptor = config.tls.map(TlsAcceptor::from);
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (socket, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let connection = Connection { socket, peer, router: router.clone(), acceptor: acceptor.clone() };
        let (watcher, cut) = (graceful.watcher(), cut.clone());
        tracker.spawn(async move {
            tokio::select! {
                () = connection.run(watcher, place) => (),
                () = cut.cancelled() => (),
            }
        });
    }
    drop(listener);
    tracker.close();
    let clean = timeout(config.drain, graceful.shutdown()).await.is_ok();
    cut.cancel();
    tracker.wait().await;
    Drained { clean }
}

struct Connection {
    socket: TcpStream,
    peer: SocketAddr,
    router: Router,
    acceptor: Option<TlsAcceptor>,
}

impl Connection {
    async fn run(self, watcher: hyper_util::server::graceful::Watcher, _place: OwnedSemaphorePermit) {
        if let Err(error) = self.socket.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        let service = Serve { router: self.router, peer: self.peer };
        match self.acceptor {
            None => talk(TokioIo::new(self.socket), service, watcher).await,
            Some(acceptor) => match timeout(HEADER_READ_MAX, acceptor.accept(self.socket)).await {
                Ok(Ok(stream)) => talk(TokioIo::new(stream), service, watcher).await,
                Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                Err(_) => tracing::debug!("a TLS handshake took too long"),
            },
        }
    }
}

async fn talk<I>(io: I, service: Serve, watcher: hyper_util::server::graceful::Watcher)
where
    I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_READ_MAX).max_buf_size(HEADER_BYTES_MAX * 2);
    builder.http1().half_close(false);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(H2_STREAMS_MAX)
        .max_header_list_size(u32::try_from(HEADER_BYTES_MAX).unwrap_or(u32::MAX))
        .keep_alive_interval(Duration::from_secs(30))
        .keep_alive_timeout(Duration::from_secs(20));
    let connection = builder.serve_connection(io, service);
    if let Err(error) = watcher.watch(connection.into_owned()).await {
        tracing::debug!(%error, "a connection ended early");
    }
}

/// The router as hyper's service, with the peer's address beside each request.
#[derive(Clone)]
struct Serve {
    router: Router,
    peer: SocketAddr,
}

impl hyper::service::Service<hyper::Request<Incoming>> for Serve {
    type Response = axum::response::Response;
    type Error = std::convert::Infallible;
    type Future = tower::util::Oneshot<Router, hyper::Request<axum::body::Body>>;

    fn call(&self, request: hyper::Request<Incoming>) -> Self::Future {
        let mut request = request.map(axum::body::Body::new);
        request.extensions_mut().insert(ConnectInfo(self.peer));
        self.router.clone().oneshot(request)
    }
}
