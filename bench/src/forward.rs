//! The baseline: the least a forwarder on hyper can do. It reads no body, checks nothing, keeps nothing.
//!
//! Honest towards the gateway's own edges: two worker threads, no delay on both sides, the same pooled client.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use http::uri::{Authority, Scheme};
use http::{Request, Response, Uri};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};

use crate::listen;

/// Worker threads of the forwarder and, by its environment, of the gateway.
pub(crate) const WORKERS: usize = 2;

type Pool = Client<HttpConnector, Incoming>;

/// Forwards everything to `upstream` until the process is killed.
///
/// # Errors
/// When no port can be bound.
pub(crate) fn serve(upstream: SocketAddr) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(WORKERS).enable_all().build()?;
    let authority: Authority = upstream.to_string().parse()?;
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let pool: Pool = Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector);
    runtime.block_on(listen::serve(move |request| forward(pool.clone(), authority.clone(), request)))
}

async fn forward(pool: Pool, authority: Authority, mut request: Request<Incoming>) -> Result<Response<Incoming>> {
    let mut to = std::mem::take(request.uri_mut()).into_parts();
    to.scheme = Some(Scheme::HTTP);
    to.authority = Some(authority);
    *request.uri_mut() = Uri::from_parts(to)?;
    pool.request(request).await.context("the provider cannot be reached")
}
