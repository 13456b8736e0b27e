//! Whole messages: their facts, into the conversation, and out of it.

use bh_chat::{Answer, Choice, Citation, Extra, Fault, Finish, Part};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::error::{in_stream, malformed};
use super::request_decode::decode_part;
use super::usage::{Counts, RawUsage, write_usage};
use crate::fields::{Fields, elements};
use crate::write::Writer;
use crate::{AnswerFacts, AnswerOptions};

/// Citations the API itself makes; others are written as the nearest of these.
const NATIVE_CITATIONS: [&str; 5] = [
    "char_location",
    "page_location",
    "content_block_location",
    "web_search_result_location",
    "search_result_location",
];

/// What is read of a message on its way through.
#[derive(Deserialize)]
struct RawMessage<'a> {
    r#type: Option<String>,
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<RawBlock<'a>>>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
    usage: Option<RawUsage>,
}

/// What the model wrote of a block.
#[derive(Deserialize)]
struct RawBlock<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
}

/// Facts of a plain answer, read without building a tree. An error body is `Err` here (status 200 or not).
pub(crate) fn answer_facts(body: &[u8]) -> Result<AnswerFacts, Fault> {
    let unreadable = || malformed("the provider's answer is not a message");
    let text = str::from_utf8(body).map_err(|_| unreadable())?;
    let raw: RawMessage<'_> = serde_json::from_str(text).map_err(|_| unreadable())?;
    if raw.r#type.as_deref() == Some("error") {
        return Err(in_stream(text));
    }
    let content = raw.content.ok_or_else(unreadable)?;
    let mut counts = Counts::default();
    raw.usage.iter().for_each(|usage| counts.merge(usage));
    let written = content.iter().flat_map(|block| [block.text, block.thinking, block.input]).flatten();
    Ok(AnswerFacts {
        id: raw.id.unwrap_or_default(),
        model: raw.model.unwrap_or_default(),
        usage: counts.usage(),
        finish: raw.stop_reason.map(|reason| finish(&reason, raw.stop_sequence)),
        choices: 1,
        text_bytes: written.map(written_bytes).sum(),
        service_tier: raw.usage.and_then(|usage| usage.service_tier),
    })
}

/// A plain answer into the conversation.
pub(crate) fn decode_answer(body: &[u8]) -> Result<Answer, Fault> {
    let unreadable = || malformed("the provider's answer is not a message");
    let text = str::from_utf8(body).map_err(|_| unreadable())?;
    let mut fields = Fields::parse(text).ok_or_else(unreadable)?;
    if fields.take_string("type").as_deref() == Some("error") {
        return Err(in_stream(text));
    }
    fields.take("role");
    let content = fields.take("content").and_then(elements).ok_or_else(unreadable)?;
    let mut parts = Vec::with_capacity(content.len());
    for (at, block) in content.iter().enumerate() {
        let part = decode_part(block.get(), &format!("content[{at}]"));
        parts.push(part.map_err(|error| malformed(&format!("the provider's answer cannot be read: {error}")))?);
    }
    parts.extend(fields.peek("stop_details").and_then(refusal));
    let stop_sequence = fields.take_string("stop_sequence");
    let finish = fields.take_string("stop_reason").map(|reason| finish(&reason, stop_sequence));
    let mut counts = Counts::default();
    if let Some(usage) = fields.take("usage").and_then(|usage| serde_json::from_str(usage).ok()) {
        counts.merge(&usage);
    }
    Ok(Answer {
        id: fields.take_string("id").unwrap_or_default(),
        model: fields.take_string("model").unwrap_or_default(),
        created: None,
        choices: vec![Choice { parts, finish, extras: Vec::new() }],
        usage: counts.usage(),
        extras: fields.rest(),
    })
}

/// A plain answer out of the conversation. Options fill id and model where the answer has none.
pub(crate) fn encode_answer(answer: &Answer, options: &AnswerOptions) -> Vec<u8> {
    let mut body = Vec::with_capacity(1024);
    let mut json = Writer(&mut body);
    let choice = answer.choices.first();
    let parts = choice.map(|choice| choice.parts.as_slice()).unwrap_or_default();
    json.open();
    json.field("id", or(&answer.id, &options.id));
    json.field("type", "message");
    json.field("role", "assistant");
    json.field("model", or(&answer.model, &options.model));
    json.key("content");
    json.open_list();
    parts.iter().for_each(|part| write_block(&mut json, part));
    json.close_list();
    let calls = parts.iter().any(|part| matches!(part, Part::ToolCall { .. }));
    let (reason, sequence) = stop_reason(choice.and_then(|choice| choice.finish.as_ref()), calls);
    json.field_or_null("stop_reason", reason);
    json.field_or_null("stop_sequence", sequence);
    json.key("usage");
    write_usage(&answer.usage.unwrap_or_default(), &mut json);
    json.close();
    body
}

/// The first of two texts that is not empty.
pub(super) fn or<'t>(text: &'t str, other: &'t str) -> &'t str {
    if text.is_empty() { other } else { text }
}

/// Why the model stopped, in the conversation's words.
pub(super) fn finish(reason: &str, stop_sequence: Option<String>) -> Finish {
    match reason {
        "end_turn" => Finish::Stop,
        "stop_sequence" => Finish::StopSequence(stop_sequence),
        "max_tokens" | "model_context_window_exceeded" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::Refusal,
        "pause_turn" => Finish::Pause,
        other => Finish::Other(other.to_owned()),
    }
}

/// Why the model stopped, in the API's words, and the stop sequence. Providers of another dialect say `stop` of a call
/// they were forced to make; the API says `tool_use` of every answer that ends in calls, and clients act on it.
pub(super) fn stop_reason(finish: Option<&Finish>, calls: bool) -> (Option<&str>, Option<&str>) {
    let reason = match finish {
        None => return (None, None),
        Some(Finish::Stop) if calls => "tool_use",
        Some(Finish::Stop) => "end_turn",
        Some(Finish::StopSequence(sequence)) => return (Some("stop_sequence"), sequence.as_deref()),
        Some(Finish::Length) => "max_tokens",
        Some(Finish::ToolCalls) => "tool_use",
        Some(Finish::Refusal | Finish::ContentFilter) => "refusal",
        Some(Finish::Pause) => "pause_turn",
        Some(Finish::Other(other)) => other,
    };
    (Some(reason), None)
}

/// The explanation of a refusal, where the API gives one.
pub(super) fn refusal(stop_details: &str) -> Option<Part> {
    Some(Part::Refusal { text: Fields::parse(stop_details)?.take_string("explanation")? })
}

/// A citation as the API would write it.
pub(super) fn write_citation(json: &mut Writer<'_>, citation: &Citation) {
    if NATIVE_CITATIONS.contains(&citation.kind.as_str()) {
        return json.raw(citation.value.as_str());
    }
    json.open();
    json.field("type", "web_search_result_location");
    json.field("url", citation.url.as_deref().unwrap_or_default());
    json.field_or_null("title", citation.title.as_deref());
    json.field("cited_text", citation.quoted.as_deref().unwrap_or_default());
    json.field("encrypted_index", "");
    json.close();
}

/// Writes one block of an answer. Inputs of the conversation (images, results) are no part of answers.
fn write_block(json: &mut Writer<'_>, part: &Part) {
    match part {
        Part::Text { text, citations, .. } => write_text(json, text, citations),
        Part::Refusal { text } => write_text(json, text, &[]),
        Part::ToolCall { id, name, arguments, extras } => {
            json.open();
            json.field("type", "tool_use");
            json.field("id", id);
            json.field("name", name);
            json.key("input");
            write_input(json, arguments);
            write_caller(json, extras);
            json.close();
        }
        Part::Thinking { text, signature, .. } => {
            json.open();
            json.field("type", "thinking");
            json.field("thinking", text);
            json.field("signature", signature.as_deref().unwrap_or_default());
            json.close();
        }
        Part::RedactedThinking { data } => {
            json.open();
            json.field("type", "redacted_thinking");
            json.field("data", data);
            json.close();
        }
        Part::Opaque { value, .. } => json.raw(value.as_str()),
        Part::Image { .. } | Part::Document { .. } | Part::Audio { .. } | Part::ToolResult { .. } => {}
    }
}

fn write_text(json: &mut Writer<'_>, text: &str, citations: &[Citation]) {
    json.open();
    json.field("type", "text");
    json.field("text", text);
    if !citations.is_empty() {
        json.key("citations");
        json.open_list();
        citations.iter().for_each(|citation| write_citation(json, citation));
        json.close_list();
    }
    json.close();
}

/// Arguments are an object here; a model of another dialect may have been cut inside them. The API's own advice for
/// text that is no JSON is to wrap it under this name.
fn write_input(json: &mut Writer<'_>, arguments: &str) {
    if says_nothing(arguments) {
        json.raw("{}");
    } else if Fields::parse(arguments).is_some() {
        json.raw(arguments);
    } else {
        json.open();
        json.field("INVALID_JSON", arguments);
        json.close();
    }
}

/// Some models write `null` for a tool that takes nothing.
pub(super) fn says_nothing(arguments: &str) -> bool {
    matches!(arguments.trim(), "" | "null")
}

/// Who made a call, which clients replay.
pub(super) fn write_caller(json: &mut Writer<'_>, extras: &[Extra]) {
    extras.iter().filter(|extra| &*extra.name == "caller").for_each(|extra| json.field_json("caller", &extra.value));
}

fn written_bytes(value: &RawValue) -> u64 {
    let text = value.get();
    let quotes = if text.starts_with('"') { 2 } else { 0 };
    (text.len() - quotes) as u64
}
