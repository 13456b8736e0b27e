//! What an answer says, read here a second time and without any crate of the product, so that a mistake of its dialects
//! cannot hide behind itself.

mod anthropic;
mod openai;
mod spent;

use bh_dialect::Dialect;
use bh_testkit::sse::{Item, read_all};
use serde_json::Value;

pub(crate) use spent::Spent;

/// An answer, whichever dialect it came in.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Said {
    /// The provider's id of it.
    pub(crate) id: String,
    /// The provider's name of the model.
    pub(crate) model: String,
    /// The answers in it.
    pub(crate) choices: Vec<Choice>,
    /// What it used, where it says so.
    pub(crate) spent: Option<Spent>,
}

/// One answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Choice {
    /// Its text, then the text of its refusal.
    pub(crate) text: String,
    /// What it says of its reasoning.
    pub(crate) reasoning: String,
    /// The tools it calls, in order.
    pub(crate) calls: Vec<Call>,
    /// Why it ended.
    pub(crate) finish: Finish,
}

/// A call of a tool.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Call {
    /// Its id.
    pub(crate) id: String,
    /// The tool.
    pub(crate) name: String,
    /// Its arguments; text where the model was cut inside them.
    pub(crate) arguments: Value,
}

/// Why an answer ended, in words both dialects have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Finish {
    /// It was done.
    #[default]
    Stop,
    /// The token limit.
    Length,
    /// It calls tools.
    Calls,
    /// It was declined or filtered.
    Declined,
    /// A word of its own.
    Other(String),
}

/// What a recorded answer turns out to be.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Told {
    /// An answer.
    Answer(Said),
    /// An answer that failed or broke off on the way, with the provider's message where it gave one.
    Broken {
        /// What the provider said of it.
        message: Option<String>,
    },
}

/// How strictly an answer is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// As a provider wrote it, oddities included.
    Recorded,
    /// As this product promises to write it: an oddity is an error.
    Promised,
}

/// Reads a plain answer of status 200.
///
/// # Errors
/// What about it is no answer of this dialect.
pub(crate) fn plain(dialect: Dialect, body: &[u8]) -> Result<Told, String> {
    let value: Value = serde_json::from_slice(body).map_err(|error| format!("the answer is not JSON: {error}"))?;
    if let Some(message) = error_in(&value) {
        return Ok(Told::Broken { message: Some(message) });
    }
    match dialect {
        Dialect::OpenAiChat => openai::plain(&value),
        Dialect::AnthropicMessages => anthropic::plain(&value),
    }
    .map(Told::Answer)
}

/// Reads a streamed answer of status 200.
///
/// # Errors
/// What about it is no stream of this dialect, or breaks what clients rely on.
pub(crate) fn stream(dialect: Dialect, body: &[u8], strictness: Strictness) -> Result<Told, String> {
    let (items, rest) = read_all(body);
    let (mut items, strict) = (items, strictness == Strictness::Promised);
    if !rest.is_empty() {
        if strict {
            return Err("the stream ends inside an event".to_owned());
        }
        let (last, _) = read_all(&[&rest[..], b"\n\n"].concat());
        items.extend(last);
    }
    let events = items.into_iter().filter_map(|item| match item {
        Item::Event { event, data } => Some((event, data)),
        Item::Comment(_) => None,
    });
    let events: Vec<(String, String)> = events.collect();
    for (_, data) in &events {
        let value: Value = serde_json::from_str(data).unwrap_or_default();
        if let Some(message) = error_in(&value) {
            return Ok(Told::Broken { message: Some(message) });
        }
    }
    match dialect {
        Dialect::OpenAiChat => openai::stream(&events, strict),
        Dialect::AnthropicMessages => anthropic::stream(&events, strict),
    }
}

/// The message of an error, in whichever of the shapes providers use.
#[must_use]
pub(crate) fn error_in(value: &Value) -> Option<String> {
    let error = value.get("error").filter(|error| !error.is_null())?;
    Some(message_of(error).unwrap_or_else(|| error.to_string()))
}

/// The message of a refusal's body: `error.message`, `error` as text, `message` or `detail`.
#[must_use]
pub(crate) fn message_of(value: &Value) -> Option<String> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    text(value)
        .or_else(|| ["error", "message", "detail"].iter().find_map(|field| value.get(field).and_then(message_of)))
}

/// Whether one event of a stream reports usage and nothing else, so that only a client who asked for it may see it.
#[must_use]
pub(crate) fn is_usage_report(data: &str) -> bool {
    let Ok(value) = serde_json::from_str::<Value>(data) else { return false };
    let empty = match &value["choices"] {
        Value::Null => true,
        Value::Array(choices) => choices.is_empty(),
        Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Object(_) => false,
    };
    empty && value["usage"].is_object()
}

/// Arguments as JSON, or as text where they are none.
fn arguments(text: &str) -> Value {
    if text.trim().is_empty() {
        return Value::Object(serde_json::Map::new());
    }
    match serde_json::from_str(text) {
        // Some models write this for a tool that takes nothing.
        Ok(Value::Null) => Value::Object(serde_json::Map::new()),
        Ok(value) => value,
        Err(_) => Value::String(text.to_owned()),
    }
}

fn text_at(value: &Value, field: &str) -> String {
    value.get(field).and_then(Value::as_str).unwrap_or_default().to_owned()
}
