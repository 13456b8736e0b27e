//! Attempted: the awaited provider call. What it takes, how long it may take, and what came of it.

use std::sync::Arc;

use bh_base::Millis;
use bh_chat::{Fault, FaultClass};
use bh_dialect::{AnswerFacts, AnswerOptions, Dialect, answer, classify};
use bh_policy::Attempt;
use bytes::Bytes;
use tokio::time::{Instant, timeout_at};

use crate::admitted::Admitted;
use crate::clock;
use crate::gateway::Gateway;
use crate::ports::{Call, Op, Response};
use crate::prepared::Prepared;
use crate::read::{Reader, fault, read_error, read_whole};
use crate::received::Received;
use crate::refusal::RawError;
use crate::relay::Relay;
use crate::trace::{span_id, traceparent};
use crate::view::ProviderFacts;

/// One call: an admitted attempt with its body, its place and key, and what it is measured by.
pub(crate) struct Attempted {
    pub(crate) attempt: Attempt,
    pub(crate) admitted: Admitted,
    pub(crate) provider: ProviderFacts,
    pub(crate) began: Millis,
    pub(crate) called: Instant,
    pub(crate) span_id: [u8; 8],
    /// Whether anything was sent, so that the provider may have served and billed it.
    pub(crate) sent: bool,
    pub(crate) status: Option<u16>,
}

/// What came of a call before the client was answered.
pub(crate) enum Came {
    /// A whole answer in the client's dialect.
    Whole(Bytes, AnswerFacts),
    /// A stream that has begun.
    Stream(Box<Relay>),
    /// A failure; the provider's own words where it had any.
    Failed(Fault, Option<RawError>),
}

impl Attempted {
    /// Takes an admitted attempt; nothing else makes one.
    pub(crate) fn new(attempt: Attempt, admitted: Admitted, provider: ProviderFacts, draw: u64) -> Self {
        Attempted {
            attempt,
            admitted,
            provider,
            began: clock::now(),
            called: Instant::now(),
            span_id: span_id(draw),
            sent: false,
            status: None,
        }
    }

    /// Calls the provider and reads until the client can be answered. `end` is when that must have happened.
    pub(crate) async fn call(
        &mut self,
        gateway: &Gateway,
        received: &Received,
        prepared: &Prepared,
        end: Instant,
    ) -> Came {
        let target = Arc::clone(self.attempt.target());
        let known = &received.known;
        let mut headers = Vec::with_capacity(4);
        if self.provider.dialect == Dialect::AnthropicMessages && received.dialect() == Dialect::AnthropicMessages {
            headers.extend(received.wishes.anthropic.iter().cloned());
        }
        headers.extend(
            traceparent(&known.arrival.trace, self.span_id)
                .map(|value| (http::HeaderName::from_static("traceparent"), value)),
        );
        let call = Call {
            provider: Arc::clone(&target.provider.id),
            key: self.attempt.key(),
            op: Op::Chat,
            headers,
            body: prepared.body.clone(),
            model: Arc::clone(&target.model),
            stream: received.scan.stream,
        };
        self.called = Instant::now();
        let response = match timeout_at(end, gateway.parts.upstream.call(call)).await {
            Ok(Ok(response)) => response,
            Ok(Err(fault)) => {
                self.sent = fault.class != FaultClass::Connect;
                return Came::Failed(fault, None);
            }
            Err(_) => {
                self.sent = true;
                return Came::Failed(
                    fault(FaultClass::Timeout, "the request's time ran out before the provider answered"),
                    None,
                );
            }
        };
        self.status = Some(response.status);
        if (200..300).contains(&response.status) {
            self.sent = true;
            let mut came = self.read(received, response, end).await;
            if let Came::Failed(fault, _) = &mut came {
                gateway.scrub(&target.provider.id, fault);
            }
            came
        } else {
            self.refused(gateway, &target.provider.id, response, end).await
        }
    }

    async fn read(&mut self, received: &Received, response: Response, end: Instant) -> Came {
        let (from, to) = (self.provider.dialect, received.dialect());
        let options = AnswerOptions {
            client_wants_usage: received.scan.stream_usage,
            model: received.scan.model.clone(),
            id: received.known.arrival.id.to_string(),
            created: received.known.arrival.at.as_secs(),
        };
        if !received.scan.stream {
            let reader = Reader::new(response.body, &self.provider.deadlines, self.called, Some(end));
            return match read_whole(reader).await.and_then(|body| answer(from, to, &body, &options)) {
                Ok((body, facts)) => Came::Whole(body, facts),
                Err(fault) => Came::Failed(fault, None),
            };
        }
        let reader = Reader::new(response.body, &self.provider.deadlines, self.called, None);
        let keepalive = received.known.view.settings.keepalive.into();
        let mut relay = Relay::new(from, to, options, reader, keepalive);
        match timeout_at(end, relay.open()).await {
            Ok(Ok(())) => Came::Stream(Box::new(relay)),
            Ok(Err(fault)) => Came::Failed(fault, None),
            Err(_) => Came::Failed(
                fault(FaultClass::Timeout, "the request's time ran out before the provider's first token"),
                None,
            ),
        }
    }

    async fn refused(&self, gateway: &Gateway, provider: &Arc<str>, response: Response, end: Instant) -> Came {
        let (status, headers) = (response.status, response.headers);
        let reader = Reader::new(response.body, &self.provider.deadlines, self.called, Some(end));
        let mut body = read_error(reader).await.to_vec();
        gateway.parts.upstream.scrub(provider, &mut body);
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::to_owned);
        let fault = classify(self.provider.dialect, status, &header, &body);
        let raw = RawError {
            provider: Arc::clone(provider),
            dialect: self.provider.dialect,
            status,
            body: body.into(),
            content_type: header("content-type"),
        };
        Came::Failed(fault, Some(raw))
    }
}

impl Gateway {
    /// Takes our secrets and hosts out of a provider's words that came inside an answer: as an error event of a stream,
    /// or as the error object of a 200.
    pub(crate) fn scrub(&self, provider: &str, fault: &mut Fault) {
        let Fault { class: _, status: _, kind, code, param, message, retry_after_ms: _ } = fault;
        for text in [Some(message), kind.as_mut(), code.as_mut(), param.as_mut()].into_iter().flatten() {
            let mut bytes = std::mem::take(text).into_bytes();
            self.parts.upstream.scrub(provider, &mut bytes);
            *text =
                String::from_utf8(bytes).unwrap_or_else(|torn| String::from_utf8_lossy(torn.as_bytes()).into_owned());
        }
    }
}
