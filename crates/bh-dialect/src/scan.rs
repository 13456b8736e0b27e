//! What one strict pass over a request's bytes finds, and the edits made on its byte spans.

use std::ops::Range;

use bh_base::{PromptSize, Unbounded};
use bytes::Bytes;

use crate::{Dialect, Edits, LimitField};

/// What a request needs of a model; a target that lacks one of them cannot serve it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// Tools the client runs.
    pub tools: bool,
    /// Tools the provider runs.
    pub server_tools: bool,
    /// Images in the prompt.
    pub images: bool,
    /// Documents in the prompt.
    pub documents: bool,
    /// Audio in the prompt or the answer.
    pub audio: bool,
    /// An answer that matches a JSON schema.
    pub json_schema: bool,
    /// Reasoning asked for.
    pub reasoning: bool,
}

/// What one pass over a request found. Spans are byte offsets into the body it was made from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Scan {
    /// The model as the client named it.
    pub model: String,
    /// The value of `model`, quotes included.
    pub model_span: Range<usize>,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// Whether the client asked for usage on the stream (always true where the dialect always says it).
    pub stream_usage: bool,
    /// Most answer tokens, where the client said.
    pub max_output: Option<u64>,
    /// How many answers.
    pub choices: u32,
    /// The facts of the prompt from which an upper bound of its tokens follows.
    pub size: PromptSize,
    /// What the request needs of a model.
    pub needs: Needs,
    /// Other models the body itself names as fall-backs (OpenRouter's `models`). Some providers would honour them, so
    /// whoever may call `model` only must not send them.
    pub other_models: Vec<String>,
    /// The client's own name for its end user.
    pub user: Option<String>,
    /// The service tier asked for.
    pub service_tier: Option<String>,
    /// Where [`splice`] writes.
    pub(crate) spans: Spans,
}

/// The places [`splice`] may write to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spans {
    /// Just behind the opening brace of the body, which is never an empty object.
    pub(crate) first_field: usize,
    /// Fields that limit the answer.
    pub(crate) limits: Vec<Limit>,
    /// Where usage is asked for, if the body has `stream_options` at all.
    pub(crate) usage_switch: Option<UsageSwitch>,
}

/// The form `stream_options` has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum UsageSwitch {
    /// `null`, here.
    Null(Range<usize>),
    /// An object without fields; this is just behind its brace.
    Empty(usize),
    /// An object with other fields; this is just behind its brace.
    Others(usize),
    /// `include_usage` is there; this is its value.
    Value(Range<usize>),
}

/// A field that limits the answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Limit {
    /// Its name.
    pub(crate) field: &'static str,
    /// Its value's place.
    pub(crate) span: Range<usize>,
    /// Its value; `None` for `null`.
    pub(crate) tokens: Option<u64>,
}

/// Writes the gateway's edits into a request that stays in its dialect; every other byte is kept. Without a change
/// the very same `Bytes` come back. `scan` must have been made from this `body`.
#[must_use]
pub fn splice(dialect: Dialect, body: &Bytes, scan: &Scan, edits: &Edits<'_>) -> Bytes {
    let mut patches = Vec::new();
    if let Some(model) = edits.model.filter(|model| *model != scan.model) {
        let quoted = serde_json::to_string(model).expect("writing a string to memory cannot fail");
        patches.push(Patch { span: scan.model_span.clone(), text: quoted });
    }
    if let Some(tokens) = edits.max_output {
        limit_output(dialect, &scan.spans, (tokens, edits.limit_field), &mut patches);
    }
    match dialect {
        Dialect::OpenAiChat if edits.ask_usage && scan.stream && !scan.stream_usage => {
            patches.push(ask_usage(&scan.spans));
        }
        Dialect::OpenAiChat | Dialect::AnthropicMessages => {}
    }
    apply(body, patches)
}

/// Notes why a prompt has no bound; the first reason stays.
pub(crate) fn note_unbounded(size: &mut PromptSize, why: Unbounded) {
    size.unbounded.get_or_insert(why);
}

/// Text to put in place of a span of the body.
struct Patch {
    span: Range<usize>,
    text: String,
}

fn limit_output(dialect: Dialect, spans: &Spans, wanted: (u64, LimitField), patches: &mut Vec<Patch>) {
    let (tokens, field) = wanted;
    let field = match dialect {
        Dialect::OpenAiChat => field.as_str(),
        Dialect::AnthropicMessages => LimitField::MaxTokens.as_str(),
    };
    let lower = |limit: &&Limit| limit.tokens.is_some_and(|given| given > tokens);
    patches.extend(
        spans.limits.iter().filter(lower).map(|limit| Patch { span: limit.span.clone(), text: tokens.to_string() }),
    );
    if spans.limits.iter().any(|limit| limit.tokens.is_some()) {
        return;
    }
    patches.push(match spans.limits.iter().find(|limit| limit.field == field) {
        Some(null) => Patch { span: null.span.clone(), text: tokens.to_string() },
        None => Patch { span: spans.first_field..spans.first_field, text: format!("\"{field}\":{tokens},") },
    });
}

fn ask_usage(spans: &Spans) -> Patch {
    let (span, text) = match &spans.usage_switch {
        Some(UsageSwitch::Value(span)) => (span.clone(), "true"),
        Some(UsageSwitch::Null(span)) => (span.clone(), "{\"include_usage\":true}"),
        Some(UsageSwitch::Empty(at)) => (*at..*at, "\"include_usage\":true"),
        Some(UsageSwitch::Others(at)) => (*at..*at, "\"include_usage\":true,"),
        None => (spans.first_field..spans.first_field, "\"stream_options\":{\"include_usage\":true},"),
    };
    Patch { span, text: text.into() }
}

fn apply(body: &Bytes, mut patches: Vec<Patch>) -> Bytes {
    if patches.is_empty() {
        return body.clone();
    }
    patches.sort_by_key(|patch| patch.span.start);
    let added: usize = patches.iter().map(|patch| patch.text.len()).sum();
    let mut out = Vec::with_capacity(body.len() + added);
    let mut done = 0;
    for patch in patches {
        out.extend_from_slice(&body[done..patch.span.start]);
        out.extend_from_slice(patch.text.as_bytes());
        done = patch.span.end;
    }
    out.extend_from_slice(&body[done..]);
    out.into()
}
