//! The two dialects from both ends: what a client sends and reads, what a provider answers.

use anyhow::{Context, Result, bail, ensure};
use bh_testkit::answers::{self, Tokens};
use bh_testkit::client::Answer;
use bh_testkit::sse::{Item, read_all};
use bh_testkit::{Client, Reply, Seen};
use serde_json::{Value, json};

/// A dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wire {
    /// Chat completions.
    OpenAi,
    /// Messages.
    Anthropic,
}

/// An error as a client reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// The HTTP status.
    pub status: u16,
    /// `error.type`.
    pub kind: String,
    /// `error.code`; Anthropic's envelope has none.
    pub code: Option<String>,
    /// `error.message`.
    pub message: String,
}

impl Wire {
    /// Both.
    pub const BOTH: [Wire; 2] = [Wire::OpenAi, Wire::Anthropic];

    /// The kind of provider that speaks it, in a configuration.
    #[must_use]
    pub const fn kind(self) -> &'static str {
        match self {
            Wire::OpenAi => "openai",
            Wire::Anthropic => "anthropic",
        }
    }

    /// Where clients send it.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Wire::OpenAi => "/v1/chat/completions",
            Wire::Anthropic => "/v1/messages",
        }
    }

    /// A provider's address as its SDK takes it.
    #[must_use]
    pub fn base_url(self, url: &str) -> String {
        match self {
            Wire::OpenAi => format!("{url}/v1"),
            Wire::Anthropic => url.to_owned(),
        }
    }

    /// A request for a few words.
    #[must_use]
    pub fn ask(self, model: &str, stream: bool) -> Value {
        self.ask_at_most(model, stream, 64)
    }

    /// A request for an answer of so many tokens at most.
    #[must_use]
    pub fn ask_at_most(self, model: &str, stream: bool, tokens: u64) -> Value {
        let messages = json!([{"role": "user", "content": "Say something short, please."}]);
        let mut body = json!({"model": model, "max_tokens": tokens, "messages": messages});
        if stream {
            body["stream"] = json!(true);
        }
        if stream && self == Wire::OpenAi {
            body["stream_options"] = json!({"include_usage": true});
        }
        body
    }

    /// A plain answer of a provider.
    #[must_use]
    pub fn plain(self, text: &str, tokens: Tokens) -> Reply {
        Reply::json(
            200,
            match self {
                Wire::OpenAi => answers::openai("scripted", text, tokens),
                Wire::Anthropic => answers::anthropic("scripted", text, tokens),
            },
        )
    }

    /// A streamed answer of a provider.
    #[must_use]
    pub fn stream(self, pieces: &[&str], tokens: Tokens) -> String {
        match self {
            Wire::OpenAi => answers::openai_stream("scripted", pieces, Some(tokens)),
            Wire::Anthropic => answers::anthropic_stream("scripted", pieces, tokens),
        }
    }

    /// What a healthy provider answers: plain or streamed, as it was asked.
    #[must_use]
    pub fn reply_to(self, seen: &Seen, text: &str, tokens: Tokens) -> Reply {
        if is_stream(seen) { Reply::sse(self.stream(&[text], tokens)) } else { self.plain(text, tokens) }
    }

    /// A provider's error.
    #[must_use]
    pub fn error(self, status: u16, kind: &str, message: &str) -> Reply {
        match self {
            Wire::OpenAi => Reply::openai_error(status, kind, None, message),
            Wire::Anthropic => Reply::anthropic_error(status, kind, message),
        }
    }

    /// An error event inside a stream.
    #[must_use]
    pub fn error_event(self, kind: &str, message: &str) -> String {
        match self {
            Wire::OpenAi => format!("data: {}\n\n", json!({"error": {"message": message, "type": kind, "code": null}})),
            Wire::Anthropic => {
                let error = json!({"type": "error", "error": {"type": kind, "message": message}});
                format!("event: error\ndata: {error}\n\n")
            }
        }
    }

    /// The text of an answer, and of its stream.
    ///
    /// # Errors
    /// The answer is an error, or no whole answer of this dialect.
    pub async fn text(self, answer: Answer) -> Result<String> {
        let status = answer.status;
        if status != 200 {
            bail!("status {status}: {}", answer.text().await?);
        }
        if !answer.header("content-type").starts_with("text/event-stream") {
            let body = answer.json().await?;
            let at = if self == Wire::OpenAi { "/choices/0/message/content" } else { "/content/0/text" };
            return Ok(body.pointer(at).and_then(Value::as_str).context("the answer has no text")?.to_owned());
        }
        let bytes = answer.bytes().await?;
        let (items, rest) = read_all(&bytes);
        ensure!(rest.is_empty(), "the stream ended inside an event");
        if let Some(told) = self.error_in(&items) {
            bail!("an error event: {told:?}");
        }
        ensure!(self.is_complete(&items), "the stream has no end: {}", String::from_utf8_lossy(&bytes));
        Ok(self.text_in(&items))
    }

    /// The text of these events.
    #[must_use]
    pub fn text_in(self, items: &[Item]) -> String {
        let at = if self == Wire::OpenAi { "/choices/0/delta/content" } else { "/delta/text" };
        items.iter().filter_map(|item| item.json()?.pointer(at)?.as_str().map(str::to_owned)).collect()
    }

    /// Whether the stream said its last word.
    #[must_use]
    pub fn is_complete(self, items: &[Item]) -> bool {
        items.iter().any(|item| match self {
            Wire::OpenAi => item.data() == Some("[DONE]"),
            Wire::Anthropic => item.json().is_some_and(|event| event["type"] == "message_stop"),
        })
    }

    /// The error event of a stream, if there is one.
    #[must_use]
    pub fn error_in(self, items: &[Item]) -> Option<Told> {
        let error = items.iter().filter_map(Item::json).find(|event| event.get("error").is_some())?;
        Some(told(200, &error["error"]))
    }

    /// The error of an answer, after its envelope was checked.
    ///
    /// # Errors
    /// The envelope is not this dialect's.
    pub async fn told(self, answer: Answer) -> Result<Told> {
        let status = answer.status;
        let id = answer.header("x-request-id").to_owned();
        let body = answer.json().await?;
        let error = &body["error"];
        match self {
            Wire::OpenAi => {
                for key in ["message", "type", "param", "code"] {
                    ensure!(error.get(key).is_some(), "`{key}` is missing: {body}");
                }
            }
            Wire::Anthropic => {
                ensure!(body["type"] == "error", "no Anthropic envelope: {body}");
                ensure!(id.is_empty() || body["request_id"] == *id, "another request id than {id}: {body}");
            }
        }
        Ok(told(status, error))
    }

    /// Sends a request with a token.
    ///
    /// # Errors
    /// The gateway cannot be reached.
    pub async fn send(self, client: &Client, base: &str, token: &str, body: &Value) -> Result<Answer> {
        client.post(format!("{base}{}", self.path())).bearer(token).json(body).send().await
    }
}

/// Whether the gateway asked its provider for a stream.
#[must_use]
pub fn is_stream(seen: &Seen) -> bool {
    seen.json().is_ok_and(|body| body["stream"] == true)
}

fn told(status: u16, error: &Value) -> Told {
    let text = |key: &str| error[key].as_str().map(str::to_owned);
    Told {
        status,
        kind: text("type").unwrap_or_default(),
        code: text("code"),
        message: text("message").unwrap_or_default(),
    }
}
