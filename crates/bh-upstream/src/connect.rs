//! A connection to a provider: TCP without delay, TLS with HTTP/2 by agreement, one deadline over all of it, and
//! connection tasks that have an owner.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::Uri;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioTimer;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::CertificateDer;
use rustls::{ClientConfig, RootCertStore};
use rustls_platform_verifier::Verifier;
use tokio_util::task::TaskTracker;
use tower_service::Service;

use crate::provider::CALLS_PER_SHARD;

/// Idle connections are closed before a provider's own limit (60 s is common) would close them under a request.
const POOL_IDLE: Duration = Duration::from_secs(45);
/// First probe of a silent TCP connection; a stream may think for minutes, a dead peer must still be noticed.
const TCP_KEEPALIVE: Duration = Duration::from_secs(30);
const TCP_KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const TCP_KEEPALIVE_RETRIES: u32 = 3;
/// Ping of an HTTP/2 connection with open streams, and how long its answer may take.
const H2_PING_INTERVAL: Duration = Duration::from_secs(20);
const H2_PING_TIMEOUT: Duration = Duration::from_secs(20);
/// What one stream may have in flight, in bytes: a slow reader holds back only this much.
const H2_STREAM_WINDOW: u32 = 128 * 1024;
/// The connection's window is the sum of its streams', so that slow readers never block the others.
const H2_CONNECTION_WINDOW: u32 = H2_STREAM_WINDOW * CALLS_PER_SHARD as u32 * 2;
/// Each client that hangs up resets a stream; that many in a row must not end the connection.
const H2_LOCAL_RESETS_MAX: usize = 64 * 1024;
/// Most headers of an answer.
const ANSWER_HEADERS_MAX: usize = 128;

pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// One pool of connections.
pub(crate) type Pool = Client<Timed<HttpsConnector<HttpConnector>>, Full<Bytes>>;

/// No usable connection within the deadline.
#[derive(Debug, thiserror::Error)]
#[error("the connect deadline passed")]
pub(crate) struct ConnectDeadlinePassed;

/// The extra authorities could not be used.
#[derive(Debug)]
pub(crate) struct InvalidRoot;

/// Connects within a deadline that covers name look-up, TCP and TLS.
#[derive(Clone)]
pub(crate) struct Timed<C> {
    inner: C,
    deadline: Duration,
}

impl<C> Service<Uri> for Timed<C>
where
    C: Service<Uri>,
    C::Future: Send + 'static,
    C::Error: Into<BoxError>,
{
    type Response = C::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<C::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, target: Uri) -> Self::Future {
        let connecting = tokio::time::timeout(self.deadline, self.inner.call(target));
        Box::pin(async move {
            match connecting.await {
                Ok(connected) => connected.map_err(Into::into),
                Err(_elapsed) => Err(ConnectDeadlinePassed.into()),
            }
        })
    }
}

/// Runs connection tasks where shutdown can wait for them.
#[derive(Clone)]
struct Tracked(TaskTracker);

impl<F> hyper::rt::Executor<F> for Tracked
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, task: F) {
        self.0.spawn(task);
    }
}

/// The TLS side of every connection: the system's authorities, or those of Mozilla where the system has none.
pub(crate) fn tls(extra_roots: &[CertificateDer<'static>]) -> Result<ClientConfig, InvalidRoot> {
    let crypto = Arc::new(aws_lc_rs::default_provider());
    let mut trusted = RootCertStore::empty();
    for root in extra_roots {
        trusted.add(root.clone()).map_err(|_| InvalidRoot)?;
    }
    let config = builder(crypto.clone());
    match Verifier::new_with_extra_roots(extra_roots.iter().cloned(), crypto) {
        Ok(verifier) => {
            Ok(config.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth())
        }
        Err(reason) => {
            tracing::info!(%reason, "no system certificates, trusting the built-in list");
            trusted.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
            Ok(config.with_root_certificates(trusted).with_no_client_auth())
        }
    }
}

fn builder(crypto: Arc<CryptoProvider>) -> rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier> {
    ClientConfig::builder_with_provider(crypto)
        .with_safe_default_protocol_versions()
        .expect("aws-lc-rs has the cipher suites of TLS 1.2 and 1.3")
}

/// A pool that connects with this TLS within this deadline.
pub(crate) fn pool(tls: ClientConfig, connect: Duration, tracker: &TaskTracker) -> Pool {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    http.set_nodelay(true);
    http.set_keepalive(Some(TCP_KEEPALIVE));
    http.set_keepalive_interval(Some(TCP_KEEPALIVE_INTERVAL));
    http.set_keepalive_retries(Some(TCP_KEEPALIVE_RETRIES));
    let https =
        HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions().wrap_connector(http);
    Client::builder(Tracked(tracker.clone()))
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(POOL_IDLE)
        .pool_max_idle_per_host(CALLS_PER_SHARD)
        .http1_max_headers(ANSWER_HEADERS_MAX)
        .http2_initial_stream_window_size(H2_STREAM_WINDOW)
        .http2_initial_connection_window_size(H2_CONNECTION_WINDOW)
        .http2_keep_alive_interval(H2_PING_INTERVAL)
        .http2_keep_alive_timeout(H2_PING_TIMEOUT)
        .http2_max_local_error_reset_streams(Some(H2_LOCAL_RESETS_MAX))
        .build(Timed { inner: https, deadline: connect })
}
