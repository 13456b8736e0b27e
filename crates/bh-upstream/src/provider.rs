//! One provider behind a network: its pools, its addresses, its credentials, and one call.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};

use bh_chat::Fault;
use bh_pipeline::ports::{AnswerBody, Call, Op, Response};
use bytes::Bytes;
use http::header::{ACCEPT, ACCEPT_ENCODING, AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Method, Request, Uri};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use rustls::ClientConfig;
use secrecy::{ExposeSecret, SecretString};
use tokio_util::task::TaskTracker;

use crate::config::{Checked, Kind, Timeouts};
use crate::connect::{self, Pool};
use crate::fault;
use crate::headers::{ANTHROPIC_BETA, ANTHROPIC_VERSION, ANTHROPIC_VERSION_DEFAULT, X_API_KEY, travels};
use crate::scrub::Scrubber;

/// Calls a pool takes before the next is used. A pool never opens a second HTTP/2 connection to a host, and servers
/// commonly allow 100 streams on one, so the load is spread before that.
pub(crate) const CALLS_PER_SHARD: usize = 64;
/// Pools of one provider; past `SHARDS * CALLS_PER_SHARD` calls the least loaded takes the next.
const SHARDS: usize = 16;
const USER_AGENT_DEFAULT: HeaderValue = HeaderValue::from_static(concat!("bulkhead/", env!("CARGO_PKG_VERSION")));
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");

/// A provider reached over HTTP.
pub(crate) struct Provider {
    id: String,
    kind: Kind,
    chat: Uri,
    count_tokens: Option<Uri>,
    /// The headers of every call, one map per key.
    credentials: Vec<HeaderMap>,
    timeouts: Timeouts,
    shards: Vec<Shard>,
    scrubber: Scrubber,
}

struct Shard {
    pool: Pool,
    calls: AtomicUsize,
}

/// One call's place in a shard; keeps the pool alive while an answer is read, whatever is reloaded meanwhile.
struct Place {
    provider: Arc<Provider>,
    shard: usize,
}

struct NetBody {
    incoming: Incoming,
    place: Place,
}

impl Provider {
    pub(crate) fn new(checked: Checked, tls: &ClientConfig, tracker: &TaskTracker) -> Self {
        let base = checked.base.expect("a provider that is not echo was checked to have a base");
        let (chat, count_tokens) = match checked.kind {
            Kind::Anthropic => (base.join("/v1/messages"), Some(base.join("/v1/messages/count_tokens"))),
            Kind::OpenAi | Kind::OpenAiCompatible | Kind::Echo => (base.join("/chat/completions"), None),
        };
        let mut common = HeaderMap::new();
        common.insert(USER_AGENT, USER_AGENT_DEFAULT);
        for (name, value) in checked.headers {
            common.insert(name, value);
        }
        common.insert(CONTENT_TYPE, JSON);
        common.insert(ACCEPT_ENCODING, IDENTITY);
        let mut credentials: Vec<_> =
            checked.keys.iter().map(|key| with_credential(common.clone(), checked.kind, key)).collect();
        if credentials.is_empty() {
            credentials.push(common);
        }
        let secrets = checked.keys.iter().map(|key| key.expose_secret().to_owned());
        let scrubber = Scrubber::new(secrets, Some((&base.authority, &base.host)));
        let connect = checked.timeouts.connect;
        let shard = || Shard { pool: connect::pool(tls.clone(), connect, tracker), calls: AtomicUsize::new(0) };
        Self {
            id: checked.id,
            kind: checked.kind,
            chat,
            count_tokens,
            credentials,
            timeouts: checked.timeouts,
            shards: (0..SHARDS).map(|_| shard()).collect(),
            scrubber,
        }
    }

    /// Sends one call and waits for the response headers, at most until their deadline.
    pub(crate) async fn call(self: Arc<Self>, call: Call) -> Result<Response, Fault> {
        let request = self.request(&call)?;
        let place = Place::take(Arc::clone(&self));
        let asked = self.shards[place.shard].pool.request(request);
        let deadline = self.timeouts.headers;
        let answer = tokio::time::timeout(deadline, asked)
            .await
            .map_err(|_elapsed| fault::headers_late(&self.id, deadline))?
            .map_err(|error| fault::of_call(&self.id, self.timeouts.connect, &error))?;
        let (parts, incoming) = answer.into_parts();
        let status = parts.status.as_u16();
        if parts.status.is_redirection() {
            return Err(fault::redirected(&self.id, status));
        }
        if parts.headers.get(CONTENT_ENCODING).is_some_and(|encoding| encoding != IDENTITY) {
            return Err(fault::compressed(&self.id, status));
        }
        Ok(Response { status, headers: parts.headers, body: Box::new(NetBody { incoming, place }) })
    }

    /// Calls whose answer is not yet read to its end or dropped.
    pub(crate) fn in_flight(&self) -> usize {
        self.shards.iter().map(|shard| shard.calls.load(Ordering::Relaxed)).sum()
    }

    pub(crate) fn scrub(&self, text: &mut Vec<u8>) {
        self.scrubber.scrub(text);
    }

    fn request(&self, call: &Call) -> Result<Request<Full<Bytes>>, Fault> {
        let uri = match call.op {
            Op::Chat => &self.chat,
            Op::CountTokens => self.count_tokens.as_ref().ok_or_else(|| fault::no_such_operation(&self.id))?,
        };
        let mut headers = self.credentials.get(call.key).ok_or_else(|| fault::no_such_key(&self.id, call.key))?.clone();
        for (name, value) in &call.headers {
            if !travels(self.kind, name) {
                continue;
            }
            // Betas add up; of anything else the operator's own choice stands.
            if *name == ANTHROPIC_BETA || !self.credentials[call.key].contains_key(name) {
                headers.append(name, value.clone());
            }
        }
        if self.kind == Kind::Anthropic && !headers.contains_key(ANTHROPIC_VERSION) {
            headers.insert(ANTHROPIC_VERSION, ANTHROPIC_VERSION_DEFAULT);
        }
        headers.insert(ACCEPT, if call.stream { EVENT_STREAM } else { JSON });
        let mut request = Request::new(Full::new(call.body.clone()));
        *request.method_mut() = Method::POST;
        *request.uri_mut() = uri.clone();
        *request.headers_mut() = headers;
        Ok(request)
    }
}

fn with_credential(mut headers: HeaderMap, kind: Kind, key: &SecretString) -> HeaderMap {
    let secret = key.expose_secret();
    let (name, text) = match kind {
        Kind::Anthropic => (X_API_KEY, secret.to_owned()),
        Kind::OpenAi | Kind::OpenAiCompatible | Kind::Echo => (AUTHORIZATION, format!("Bearer {secret}")),
    };
    let mut value = HeaderValue::from_str(&text).expect("the secret was checked to fit a header");
    value.set_sensitive(true);
    headers.insert(name, value);
    headers
}

impl Place {
    fn take(provider: Arc<Provider>) -> Self {
        let loads = provider.shards.iter().map(|shard| shard.calls.load(Ordering::Relaxed)).enumerate();
        // Filling one pool before the next keeps connections few and warm.
        let free = loads.clone().find(|(_, calls)| *calls < CALLS_PER_SHARD);
        let (shard, _) = free.or_else(|| loads.min_by_key(|(_, calls)| *calls)).expect("a provider has shards");
        provider.shards[shard].calls.fetch_add(1, Ordering::Relaxed);
        Self { provider, shard }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.provider.shards[self.shard].calls.fetch_sub(1, Ordering::Relaxed);
    }
}

impl AnswerBody for NetBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        loop {
            match std::task::ready!(Pin::new(&mut self.incoming).poll_frame(cx)) {
                // Trailers carry nothing of ours.
                Some(Ok(frame)) => match frame.into_data() {
                    Ok(data) => return Poll::Ready(Some(Ok(data))),
                    Err(_trailers) => {}
                },
                Some(Err(error)) => return Poll::Ready(Some(Err(fault::of_body(&self.place.provider.id, &error)))),
                None => return Poll::Ready(None),
            }
        }
    }
}
