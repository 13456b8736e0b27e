//! A small HTTP client that shows what happens on the wire: no retries, no redirects, bodies as they arrive, and a
//! deadline on every wait. Dropping an answer hangs up.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri, Version};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::Client as Pool;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use rustls::crypto::aws_lc_rs;
use rustls::{ClientConfig, RootCertStore};

use crate::sse::{Item, Reader};
use crate::tls::Certificate;

/// How long any single wait takes at most, unless the client is told otherwise.
pub const DEADLINE_DEFAULT: Duration = Duration::from_secs(30);

/// The client; clones share their connections.
#[derive(Clone)]
pub struct Client {
    pool: Pool<HttpsConnector<HttpConnector>, Full<Bytes>>,
    deadline: Duration,
}

/// A request being put together.
pub struct Ask {
    client: Client,
    method: Method,
    url: String,
    headers: HeaderMap,
    body: Bytes,
}

/// An answer whose body is read as it arrives.
pub struct Answer {
    /// HTTP status.
    pub status: u16,
    /// The version it came in.
    pub version: Version,
    /// All headers.
    pub headers: HeaderMap,
    body: Incoming,
    events: Reader,
    pending: std::collections::VecDeque<Item>,
    deadline: Duration,
}

/// A body that was read until it ended or broke off.
#[derive(Debug)]
pub struct Whole {
    /// The bytes that arrived.
    pub bytes: Vec<u8>,
    /// Whether it broke off.
    pub broken: bool,
}

impl Client {
    /// A client over plain HTTP/1.1.
    #[must_use]
    pub fn new() -> Self {
        Self::build(RootCertStore::empty(), false)
    }

    /// A client over HTTP/2 without TLS, by prior knowledge.
    #[must_use]
    pub fn h2c() -> Self {
        Self::build(RootCertStore::empty(), true)
    }

    /// A client that trusts this certificate and takes h2 or h1 by ALPN.
    ///
    /// # Errors
    /// When the certificate is not one.
    pub fn trusting(certificate: &Certificate) -> Result<Self> {
        let mut roots = RootCertStore::empty();
        roots.add(certificate.root())?;
        Ok(Self::build(roots, false))
    }

    fn build(roots: RootCertStore, h2_only: bool) -> Self {
        let tls = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("aws-lc-rs has the cipher suites of TLS 1.2 and 1.3")
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
        let pool = Pool::builder(TokioExecutor::new())
            .http2_only(h2_only)
            .retry_canceled_requests(false)
            .build(https.wrap_connector(http));
        Self { pool, deadline: DEADLINE_DEFAULT }
    }

    /// The same client with another limit for each wait.
    #[must_use]
    pub const fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Begins a GET.
    #[must_use]
    pub fn get(&self, url: impl Into<String>) -> Ask {
        self.ask(Method::GET, url)
    }

    /// Begins a POST.
    #[must_use]
    pub fn post(&self, url: impl Into<String>) -> Ask {
        self.ask(Method::POST, url)
    }

    /// Begins a request.
    #[must_use]
    pub fn ask(&self, method: Method, url: impl Into<String>) -> Ask {
        let (client, url) = (self.clone(), url.into());
        Ask { client, method, url, headers: HeaderMap::new(), body: Bytes::new() }
    }
}

impl Default for Client {
    fn default() -> Self {
        Self::new()
    }
}

impl Ask {
    /// Adds a header.
    ///
    /// # Panics
    /// When name or value is not a header's.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a test names a real header");
        self.headers.append(name, HeaderValue::from_str(value).expect("a test gives a real header value"));
        self
    }

    /// Adds `Authorization: Bearer`.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sets a JSON body and its content type.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and waits for the response headers.
    ///
    /// # Errors
    /// When the server cannot be reached, breaks off, or is silent past the deadline.
    pub async fn send(self) -> Result<Answer> {
        let url: Uri = self.url.parse().with_context(|| format!("`{}` is not a URL", self.url))?;
        let mut request = Request::new(Full::new(self.body));
        *request.method_mut() = self.method;
        *request.uri_mut() = url;
        *request.headers_mut() = self.headers;
        let deadline = self.client.deadline;
        let answer = within(deadline, self.client.pool.request(request)).await?.context("no answer")?;
        let (parts, body) = answer.into_parts();
        Ok(Answer {
            status: parts.status.as_u16(),
            version: parts.version,
            headers: parts.headers,
            body,
            events: Reader::default(),
            pending: std::collections::VecDeque::new(),
            deadline,
        })
    }
}

impl Answer {
    /// One header as text; empty when absent or not text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("")
    }

    /// The next bytes as they arrive; `None` at a clean end.
    ///
    /// # Errors
    /// When the body breaks off or is silent past the deadline.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>> {
        loop {
            match within(self.deadline, self.body.frame()).await? {
                None => return Ok(None),
                Some(frame) => {
                    if let Ok(data) = frame.context("the body broke off")?.into_data() {
                        return Ok(Some(data));
                    }
                }
            }
        }
    }

    /// The next event or comment of a stream; `None` at a clean end.
    ///
    /// # Errors
    /// When the body breaks off, ends inside an event, or is silent past the deadline.
    pub async fn item(&mut self) -> Result<Option<Item>> {
        loop {
            if let Some(item) = self.pending.pop_front() {
                return Ok(Some(item));
            }
            match self.chunk().await? {
                Some(bytes) => {
                    self.events.push(&bytes);
                    self.pending.extend(self.events.items());
                }
                None if self.events.rest().is_empty() => return Ok(None),
                None => bail!("the stream ended inside an event: {:?}", String::from_utf8_lossy(self.events.rest())),
            }
        }
    }

    /// Every remaining event and comment.
    ///
    /// # Errors
    /// As [`Answer::item`].
    pub async fn items(&mut self) -> Result<Vec<Item>> {
        let mut items = Vec::new();
        while let Some(item) = self.item().await? {
            items.push(item);
        }
        Ok(items)
    }

    /// The remaining body.
    ///
    /// # Errors
    /// When it breaks off or is silent past the deadline.
    pub async fn bytes(mut self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            all.extend_from_slice(&chunk);
        }
        Ok(all)
    }

    /// The remaining body, also of one that breaks off.
    ///
    /// # Errors
    /// When it is silent past the deadline.
    pub async fn whatever_comes(mut self) -> Result<Whole> {
        let mut bytes = Vec::new();
        loop {
            match within(self.deadline, self.body.frame()).await? {
                None => return Ok(Whole { bytes, broken: false }),
                Some(Err(_)) => return Ok(Whole { bytes, broken: true }),
                Some(Ok(frame)) => bytes.extend(frame.into_data().unwrap_or_default()),
            }
        }
    }

    /// The remaining body as text.
    ///
    /// # Errors
    /// As [`Answer::bytes`], and when it is not UTF-8.
    pub async fn text(self) -> Result<String> {
        String::from_utf8(self.bytes().await?).context("the body is not UTF-8")
    }

    /// The remaining body as JSON.
    ///
    /// # Errors
    /// As [`Answer::bytes`], and when it is not JSON; says what it was.
    pub async fn json(self) -> Result<serde_json::Value> {
        let status = self.status;
        let text = self.text().await?;
        serde_json::from_str(&text).with_context(|| format!("status {status}, not JSON: {text}"))
    }
}

async fn within<T>(deadline: Duration, wait: impl Future<Output = T>) -> Result<T> {
    tokio::time::timeout(deadline, wait).await.map_err(|_elapsed| anyhow!("silent for {deadline:?}"))
}
