//! The provider in this process: deterministic, free, and as unruly as asked. `docs/echo.md` tells users how.
//!
//! It speaks OpenAI's chat dialect byte for byte as a server would, and shares no code with the gateway's reading of
//! that dialect, so that a misreading shows. Nothing it does is without a bound: tokens, texts, tools, choices, pauses
//! and silences all have one, and a conversation that ends with tool results is always answered in words.

mod answer;
mod body;
mod request;
mod schema;
mod wire;
mod wishes;

use std::time::Duration;

use bh_chat::{Fault, FaultClass};
use bh_pipeline::ports::{Call, Op, Response};
use bytes::Bytes;
use http::header::{CONTENT_TYPE, RETRY_AFTER};
use http::{HeaderMap, HeaderName, HeaderValue};

use self::answer::Answer;
use self::body::{EchoBody, Frames, PAUSES_TOTAL_MAX};
use self::request::{Asked, Refused};
use self::wire::{Envelope, Usage, UsageDetails};
use self::wishes::{Ending, Instead, Wishes};
use crate::fault;

/// Longest silence before the headers, should no deadline end it first.
const HANG_MAX: Duration = Duration::from_secs(600);
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const EVENT_STREAM: HeaderValue = HeaderValue::from_static("text/event-stream; charset=utf-8");
const HTML: HeaderValue = HeaderValue::from_static("text/html");
const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Answers one call; the deadline for the headers holds here as for any provider.
pub(crate) async fn call(call: Call, headers_deadline: Duration) -> Result<Response, Fault> {
    if call.op == Op::CountTokens {
        return Err(fault::no_such_operation(&call.provider));
    }
    tokio::time::timeout(headers_deadline, answer(&call))
        .await
        .map_err(|_elapsed| fault::headers_late(&call.provider, headers_deadline))?
}

async fn answer(call: &Call) -> Result<Response, Fault> {
    let id = format!("{:016x}", fnv1a(&call.body));
    let mut reply = Reply { provider: &call.provider, status: 200, headers: HeaderMap::new() };
    reply.headers.insert(REQUEST_ID, HeaderValue::from_str(&format!("req_{id}")).expect("hex fits a header"));
    let (asked, wishes, said) = match read(&call.body) {
        Ok(read) => read,
        Err(refused) => return Ok(reply.refuse(&refused)),
    };
    match wishes.instead {
        Instead::Nothing => {}
        Instead::Fail { status, retry_after_s } => return Ok(reply.fail(status, retry_after_s)),
        Instead::Hang => {
            tokio::time::sleep(HANG_MAX).await;
            let message = format!("provider `{}` closed the connection before it answered", call.provider);
            return Err(fault::fault(FaultClass::Cut, message));
        }
        Instead::Html => return Ok(reply.send(HTML, Bytes::from_static(b"<html><body>Bad gateway</body></html>\n"))),
        Instead::Junk => return Ok(reply.send(JSON, Bytes::from_static(b"{\"id\": \"chatcmpl-"))),
    }
    let answer = Answer::new(&asked, &wishes, &said, &id);
    let envelope = envelope(&asked, &answer, &id);
    if asked.stream {
        let frames = Frames::Stream(Box::new((envelope, answer)));
        return Ok(reply.body(EVENT_STREAM, frames, wishes.ending, wishes.slow));
    }
    // What a stream would pause between tokens, a plain answer takes before its headers.
    let tokens = u32::try_from(answer.deltas.len()).expect("an answer has at most OUTPUT_TOKENS_MAX tokens");
    let pauses = wishes.slow.saturating_mul(tokens).min(PAUSES_TOTAL_MAX);
    if !pauses.is_zero() {
        tokio::time::sleep(pauses).await;
    }
    let (whole, ending) = match wishes.ending {
        Ending::Error(_) => {
            (wire::error("server_error", Some("echo_error"), None, "echo: an error was asked for"), Ending::Whole)
        }
        ending @ (Ending::Whole | Ending::Cut(_) | Ending::Stall(_) | Ending::Unfinished(_)) => {
            (wire::completion(&envelope, &answer), ending)
        }
    };
    Ok(reply.body(JSON, Frames::Plain(in_two(whole, ending)), ending, Duration::ZERO))
}

fn read(body: &[u8]) -> Result<(Asked, Wishes, String), Refused> {
    let asked = Asked::parse(body)?;
    let mut wishes = Wishes::default();
    wishes.of_model(&asked.model)?;
    let said = wishes.of_text(&asked.user_text)?.to_owned();
    Ok((asked, wishes, said))
}

fn envelope(asked: &Asked, answer: &Answer, id: &str) -> Envelope {
    let choices = u64::from(asked.choices);
    let completion_tokens = answer.deltas.len() as u64 * choices;
    let reasoning_tokens = answer.reasoning_tokens() as u64 * choices;
    let usage = Usage {
        prompt_tokens: asked.prompt_tokens,
        completion_tokens,
        total_tokens: asked.prompt_tokens + completion_tokens,
        completion_tokens_details: UsageDetails { reasoning_tokens },
    };
    let include_usage = asked.include_usage;
    Envelope { id: format!("chatcmpl-{id}"), model: asked.model.clone(), choices: asked.choices, usage, include_usage }
}

fn in_two(whole: Bytes, ending: Ending) -> Vec<Bytes> {
    if ending == Ending::Whole {
        return vec![whole];
    }
    let middle = whole.len() / 2;
    vec![whole.slice(..middle), whole.slice(middle..)]
}

/// FNV-1a, 64 bit: the same body gets the same id on every machine and in every version.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}

/// A response being put together.
struct Reply<'a> {
    provider: &'a str,
    status: u16,
    headers: HeaderMap,
}

impl Reply<'_> {
    fn body(mut self, content_type: HeaderValue, frames: Frames, ending: Ending, pause: Duration) -> Response {
        self.headers.insert(CONTENT_TYPE, content_type);
        let body = Box::new(EchoBody::new(self.provider, frames, ending, pause));
        Response { status: self.status, headers: self.headers, body }
    }

    fn send(self, content_type: HeaderValue, bytes: Bytes) -> Response {
        self.body(content_type, Frames::Plain(vec![bytes]), Ending::Whole, Duration::ZERO)
    }

    fn refuse(mut self, refused: &Refused) -> Response {
        self.status = refused.status;
        let body = wire::error("invalid_request_error", refused.code, refused.param, &refused.message);
        self.send(JSON, body)
    }

    fn fail(mut self, status: u16, retry_after_s: Option<u64>) -> Response {
        self.status = status;
        if let Some(seconds) = retry_after_s {
            self.headers.insert(RETRY_AFTER, HeaderValue::from(seconds));
        }
        let (kind, code) = match status {
            401 => ("invalid_request_error", Some("invalid_api_key")),
            403 => ("permission_error", None),
            404 => ("invalid_request_error", Some("model_not_found")),
            429 => ("requests", Some("rate_limit_exceeded")),
            400..=499 => ("invalid_request_error", None),
            _ => ("server_error", None),
        };
        self.send(JSON, wire::error(kind, code, None, &format!("echo: status {status} was asked for")))
    }
}
