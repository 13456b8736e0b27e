//! The server half that mock and forwarder share: accept, no delay, HTTP/1.1 keep-alive, nothing else.

use std::future::Future;
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use anyhow::Result;
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;
use tokio_util::task::TaskTracker;

/// What the first line of a server's output starts with; its address follows.
pub(crate) const READY: &str = "listening on ";

/// Listens on a free port, says so on stdout, and answers until the process is killed.
///
/// # Errors
/// When no port can be bound.
pub(crate) async fn serve<F, A, B>(answer: F) -> Result<()>
where
    F: Fn(Request<Incoming>) -> A + Clone + Send + 'static,
    A: Future<Output = Result<Response<B>>> + Send + 'static,
    B: Body<Data = Bytes> + Send + 'static,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    writeln!(std::io::stdout(), "{READY}{}", listener.local_addr()?)?;
    let tracker = TaskTracker::new();
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let answer = answer.clone();
        tracker.spawn(async move {
            let served = http1::Builder::new().serve_connection(TokioIo::new(socket), service_fn(answer)).await;
            // A load generator ends its connections in the middle of things; what matters it counts itself.
            drop(served);
        });
    }
}
