//! What a scripted provider does with one request.

use std::time::Duration;

use anyhow::{Context, Result};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};
use tokio::sync::watch;

use super::body::{Progress, ScriptBody};
use crate::recording::Recording;
use crate::seed::Seed;

/// One step of a reply.
#[derive(Debug, Clone)]
pub enum Step {
    /// Bytes that leave as one chunk.
    Bytes(Bytes),
    /// Silence for a while.
    Pause(Duration),
    /// Silence until the test opens the gate.
    Gate(Gate),
    /// Silence until the client leaves or the provider stops.
    Stall,
    /// The connection breaks.
    Cut,
    /// The same bytes again and again, this far apart, until the client leaves.
    Endless(Bytes, Duration),
}

/// Holds replies back until the test lets them go.
#[derive(Debug, Clone)]
pub struct Gate {
    open: watch::Sender<bool>,
}

/// Where the bytes of a body are split into chunks.
#[derive(Debug, Clone)]
pub enum Split {
    /// Nowhere.
    Whole,
    /// After each byte.
    EachByte,
    /// At these offsets of the body; those past its end are left out.
    At(Vec<usize>),
    /// At this many points at most, drawn from a source.
    Random(Seed, usize),
}

/// What to do with one request. Built by naming the answer and then what goes wrong with it.
#[derive(Debug, Clone)]
pub struct Reply {
    status: StatusCode,
    headers: HeaderMap,
    /// Steps before the headers; bytes among them are not sent.
    pub(super) before: Vec<Step>,
    steps: Vec<Step>,
    declare_length: bool,
    pub(super) bills_nano_usd: u64,
    pub(super) bills_per_piece_nano_usd: u64,
}

impl Gate {
    /// A closed gate.
    #[must_use]
    pub fn new() -> Self {
        Self { open: watch::Sender::new(false) }
    }

    /// Lets everything through that waits or comes later.
    pub fn open(&self) {
        self.open.send_replace(true);
    }

    pub(super) async fn passed(self) {
        let mut state = self.open.subscribe();
        // This gate is a sender itself, so the channel cannot close while we wait.
        state.wait_for(|open| *open).await.expect("the gate holds its own channel open");
    }
}

impl Default for Gate {
    fn default() -> Self {
        Self::new()
    }
}

impl Split {
    fn points(&self, length: usize) -> Vec<usize> {
        let mut points: Vec<_> = match self {
            Split::Whole => Vec::new(),
            Split::EachByte => (1..length).collect(),
            Split::At(points) => points.iter().copied().filter(|at| (1..length).contains(at)).collect(),
            Split::Random(_, _) if length < 2 => Vec::new(),
            Split::Random(seed, most) => {
                let mut seed = seed.clone();
                let count = seed.within(0..most + 1);
                (0..count).map(|_| seed.within(1..length)).collect()
            }
        };
        points.sort_unstable();
        points.dedup();
        points
    }
}

impl Reply {
    /// An answer without headers or body.
    ///
    /// # Panics
    /// When `status` is no HTTP status.
    #[must_use]
    pub fn new(status: u16) -> Self {
        Self {
            status: StatusCode::from_u16(status).expect("a script names a real status"),
            headers: HeaderMap::new(),
            before: Vec::new(),
            steps: Vec::new(),
            declare_length: false,
            bills_nano_usd: 0,
            bills_per_piece_nano_usd: 0,
        }
    }

    /// A JSON body of declared length.
    #[must_use]
    pub fn json(status: u16, body: impl Into<Bytes>) -> Self {
        let mut reply = Self::new(status).header("content-type", "application/json").bytes(body);
        reply.declare_length = true;
        reply
    }

    /// A stream of events, as one chunk until [`Reply::split`].
    #[must_use]
    pub fn sse(body: impl Into<Bytes>) -> Self {
        Self::new(200).header("content-type", "text/event-stream; charset=utf-8").bytes(body)
    }

    /// A recorded answer, byte for byte, with its recorded headers but for those of the transport.
    #[must_use]
    pub fn recorded(recording: &Recording) -> Self {
        let mut reply = Self::new(recording.response.status).bytes(recording.response.body.clone());
        for (name, value) in &recording.response.headers {
            let transport = ["content-length", "transfer-encoding", "content-encoding", "connection", "keep-alive"];
            if !transport.contains(&name.to_ascii_lowercase().as_str()) {
                reply = reply.header(name, value);
            }
        }
        if !reply.headers.contains_key("content-type") {
            reply = reply.header("content-type", recording.response.form.content_type());
        }
        reply
    }

    /// An error in OpenAI's envelope.
    #[must_use]
    pub fn openai_error(status: u16, kind: &str, code: Option<&str>, message: &str) -> Self {
        let error = serde_json::json!({"error": {"message": message, "type": kind, "param": null, "code": code}});
        Self::json(status, error.to_string())
    }

    /// An error in Anthropic's envelope.
    #[must_use]
    pub fn anthropic_error(status: u16, kind: &str, message: &str) -> Self {
        let error = serde_json::json!({"type": "error", "error": {"type": kind, "message": message}});
        Self::json(status, error.to_string())
    }

    /// 429, perhaps with the seconds to wait.
    #[must_use]
    pub fn rate_limited(retry_after_s: Option<u64>) -> Self {
        let reply = Self::openai_error(429, "requests", Some("rate_limit_exceeded"), "Rate limit reached");
        match retry_after_s {
            Some(seconds) => reply.header("retry-after", &seconds.to_string()),
            None => reply,
        }
    }

    /// 401: the key is refused.
    #[must_use]
    pub fn unauthorized() -> Self {
        Self::openai_error(401, "invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided")
    }

    /// A web page where an API should be.
    #[must_use]
    pub fn html(status: u16) -> Self {
        Self::new(status).header("content-type", "text/html").bytes("<html><body>Bad gateway</body></html>")
    }

    /// A stream whose first event has this many bytes of data.
    #[must_use]
    pub fn huge_event(bytes: usize) -> Self {
        let mut event = b"data: \"".to_vec();
        event.resize(event.len() + bytes, b'x');
        event.extend_from_slice(b"\"\n\n");
        Self::sse(event)
    }

    /// The connection breaks before any header.
    #[must_use]
    pub fn hang_up() -> Self {
        Self::new(200).before(Step::Cut)
    }

    /// Silence before the headers, until the client leaves.
    #[must_use]
    pub fn silence() -> Self {
        Self::new(200).before(Step::Stall)
    }

    /// Adds a header.
    ///
    /// # Panics
    /// When name or value is not a header's.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        let name = HeaderName::from_bytes(name.as_bytes()).expect("a script names a real header");
        self.headers.append(name, HeaderValue::from_str(value).expect("a script gives a real header value"));
        self
    }

    /// Adds bytes that leave as one chunk.
    #[must_use]
    pub fn bytes(self, bytes: impl Into<Bytes>) -> Self {
        self.then(Step::Bytes(bytes.into()))
    }

    /// Adds a step after the others.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// Adds a step before the headers.
    #[must_use]
    pub fn before(mut self, step: Step) -> Self {
        self.before.push(step);
        self
    }

    /// Puts a step after this many bytes of the body.
    #[must_use]
    pub fn after_bytes(mut self, mut offset: usize, step: Step) -> Self {
        for at in 0..self.steps.len() {
            let Step::Bytes(bytes) = &mut self.steps[at] else { continue };
            if offset < bytes.len() {
                let rest = bytes.split_off(offset);
                self.steps.splice(at + 1..at + 1, [step, Step::Bytes(rest)]);
                return self;
            }
            offset -= bytes.len();
        }
        self.then(step)
    }

    /// Breaks the connection after this many bytes of the body.
    #[must_use]
    pub fn cut_after(self, bytes: usize) -> Self {
        self.after_bytes(bytes, Step::Cut)
    }

    /// Falls silent after this many bytes of the body.
    #[must_use]
    pub fn stall_after(self, bytes: usize) -> Self {
        self.after_bytes(bytes, Step::Stall)
    }

    /// Splits the bytes into chunks, each flushed by itself.
    #[must_use]
    pub fn split(mut self, split: &Split) -> Self {
        let length = self.length();
        let points = split.points(length);
        let (mut start, mut steps) = (0, Vec::new());
        for step in std::mem::take(&mut self.steps) {
            let Step::Bytes(mut bytes) = step else {
                steps.push(step);
                continue;
            };
            let end = start + bytes.len();
            let begin = start;
            for at in points.iter().copied().filter(|at| begin < *at && *at < end) {
                let piece = bytes.split_to(at - start);
                start = at;
                steps.push(Step::Bytes(piece));
            }
            start = end;
            steps.push(Step::Bytes(bytes));
        }
        self.steps = steps;
        self
    }

    /// Bills this much once the headers leave, whether or not the client stays.
    #[must_use]
    pub const fn bills(mut self, nano_usd: u64) -> Self {
        self.bills_nano_usd = nano_usd;
        self
    }

    /// Bills this much for each chunk as it leaves.
    #[must_use]
    pub const fn bills_per_piece(mut self, nano_usd: u64) -> Self {
        self.bills_per_piece_nano_usd = nano_usd;
        self
    }

    fn length(&self) -> usize {
        self.steps.iter().map(|step| if let Step::Bytes(bytes) = step { bytes.len() } else { 0 }).sum()
    }

    pub(super) fn respond(self, progress: Progress) -> Result<Response<ScriptBody>> {
        let declared = self.declare_length.then(|| self.length() as u64);
        progress.started(self.bills_nano_usd);
        let body = ScriptBody::new(self.steps, declared, self.bills_per_piece_nano_usd, progress);
        let mut response = Response::builder().status(self.status).body(body).context("the reply is not a response")?;
        *response.headers_mut() = self.headers;
        Ok(response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn chunks(reply: &Reply) -> Vec<&[u8]> {
        reply
            .steps
            .iter()
            .filter_map(|step| if let Step::Bytes(bytes) = step { Some(&bytes[..]) } else { None })
            .collect()
    }

    #[test]
    fn a_body_splits_where_it_is_told() {
        let reply = Reply::sse("abcdef");
        assert_eq!(chunks(&reply.clone().split(&Split::At(vec![4, 2, 9, 0]))), [&b"ab"[..], b"cd", b"ef"]);
        assert_eq!(chunks(&reply.clone().split(&Split::EachByte)).len(), 6);
        assert_eq!(chunks(&reply.split(&Split::Whole)), [b"abcdef"]);
    }

    #[test]
    fn a_step_goes_where_its_offset_says() {
        let reply = Reply::sse("abcdef").split(&Split::At(vec![3])).cut_after(4);
        let shape: Vec<_> = reply.steps.iter().map(|step| matches!(step, Step::Cut)).collect();
        assert_eq!((chunks(&reply), shape), (vec![&b"abc"[..], b"d", b"ef"], vec![false, false, true, false]));
        assert!(matches!(Reply::sse("ab").cut_after(9).steps.last(), Some(Step::Cut)));
    }

    proptest! {
        #[test]
        fn splitting_never_changes_the_bytes(body in proptest::collection::vec(any::<u8>(), 0..200), seed: u64, most in 0_usize..20) {
            let reply = Reply::sse(body.clone()).split(&Split::Random(Seed::new(seed), most)).split(&Split::At(vec![1, 7]));
            prop_assert_eq!(chunks(&reply).concat(), body);
        }
    }
}
