//! Whole answers, both ways.

use bh_chat::{Answer, Choice, Citation, Fault, FaultClass, Finish, Json, Part};

use super::error::{in_answer, malformed};
use super::facts::finish_of;
use super::thoughts::{self, Detail};
use super::usage::{self, WireUsage};
use super::{classify, parts};
use crate::AnswerOptions;
use crate::fields::{Fields, elements, string};
use crate::write::Writer;

/// A plain answer into the conversation.
pub(crate) fn decode_answer(body: &[u8]) -> Result<Answer, Fault> {
    let unreadable = || malformed("the provider's answer is not valid JSON of its dialect");
    let mut fields = str::from_utf8(body).ok().and_then(Fields::parse).ok_or_else(unreadable)?;
    if let Some(error) = fields.peek("error").filter(|error| *error != "null") {
        return Err(in_answer(error));
    }
    let mut answer = Answer {
        id: fields.take_string("id").unwrap_or_default(),
        model: fields.take_string("model").unwrap_or_default(),
        created: fields.take_u64("created"),
        usage: fields.take("usage").and_then(read_usage),
        ..Answer::default()
    };
    let Some(choices) = fields.take("choices").and_then(elements) else {
        let fault = classify(200, &|_| None, body);
        return Err(if fault.class == FaultClass::Malformed { unreadable() } else { fault });
    };
    fields.take("object");
    for choice in choices {
        answer.choices.push(decode_choice(choice.get()).ok_or_else(unreadable)??);
    }
    answer.extras = fields.rest();
    Ok(answer)
}

/// A plain answer out of the conversation. Options fill id, model and date where the answer has none.
pub(crate) fn encode_answer(answer: &Answer, options: &AnswerOptions) -> Vec<u8> {
    let mut out = Vec::with_capacity(1024);
    let mut json = Writer(&mut out);
    json.open();
    json.field("id", if answer.id.is_empty() { &options.id } else { &answer.id });
    json.field("object", "chat.completion");
    json.field_number("created", answer.created.unwrap_or(options.created));
    json.field("model", if answer.model.is_empty() { &options.model } else { &answer.model });
    json.key("choices");
    json.open_list();
    for (index, choice) in (0..).zip(&answer.choices) {
        json.open();
        json.field_number("index", index);
        json.key("message");
        write_message(choice, &mut json);
        json.field_or_null("logprobs", None);
        let refused = choice.parts.iter().any(|part| matches!(part, Part::Refusal { .. }));
        json.field("finish_reason", choice.finish.as_ref().map_or("stop", |finish| finish_word(finish, refused)));
        json.close();
    }
    json.close_list();
    if let Some(usage) = &answer.usage {
        json.key("usage");
        usage::write(usage, &mut json);
    }
    json.close();
    out
}

/// OpenAI's word for why a model stopped. A refusal that is said in its own field ends like any other answer.
pub(super) fn finish_word(finish: &Finish, refused: bool) -> &str {
    match finish {
        Finish::Refusal if refused => "stop",
        Finish::Stop | Finish::StopSequence(_) | Finish::Pause => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Refusal | Finish::ContentFilter => "content_filter",
        Finish::Other(word) => word,
    }
}

/// Why a choice ended, given what it said: providers tell refusals by their text only, and some forget their calls.
pub(super) fn finish_given(finish: Option<Finish>, refused: bool, calls: bool) -> Finish {
    match finish {
        Some(Finish::Stop) | None if refused => Finish::Refusal,
        Some(Finish::Stop) | None if calls => Finish::ToolCalls,
        Some(finish) => finish,
        None => Finish::Stop,
    }
}

fn read_usage(text: &str) -> Option<bh_chat::Usage> {
    let wire: WireUsage = serde_json::from_str(text).ok()?;
    wire.says_something().then(|| wire.buckets())
}

fn decode_choice(text: &str) -> Option<Result<Choice, Fault>> {
    let mut fields = Fields::parse(text)?;
    if let Some(error) = fields.peek("error").filter(|error| *error != "null") {
        return Some(Err(in_answer(error)));
    }
    fields.take("index");
    // Azure leaves the message out where its filter took all of it.
    let mut message = Fields::parse(fields.take("message").unwrap_or("{}"))?;
    let mut found = Vec::new();
    thoughts::read(&message, &mut found);
    let (content, _) = parts::content(&mut message, "content").ok()?;
    found.extend(content);
    if let Some(Part::Text { citations, .. }) = found.iter_mut().find(|part| matches!(part, Part::Text { .. })) {
        citations.extend(
            message
                .take("annotations")
                .and_then(elements)
                .unwrap_or_default()
                .iter()
                .filter_map(|one| citation(one.get())),
        );
    }
    let refusal = message.take_string("refusal").filter(|text| !text.is_empty());
    let refused = refusal.is_some();
    found.extend(refusal.map(|text| Part::Refusal { text }));
    let calls = message.take_if("tool_calls", parts::tool_calls).unwrap_or_default();
    let called = !calls.is_empty();
    found.extend(calls);
    let word = fields.take_string("finish_reason").filter(|word| !word.is_empty());
    let details = || Fields::parse(fields.peek("finish_details")?)?.take_string("type");
    let finish = word.or_else(details).as_deref().and_then(finish_of);
    let finish = Some(finish_given(finish, refused, called));
    Some(Ok(Choice { parts: found, finish, extras: fields.rest() }))
}

/// `{"type":"url_citation","url_citation":{…}}`.
fn citation(text: &str) -> Option<Citation> {
    let mut fields = Fields::parse(text)?;
    let kind = fields.take_string("type")?;
    let mut inner = Fields::parse(fields.take(&kind)?)?;
    Some(Citation {
        url: inner.take_string("url"),
        title: inner.take_string("title"),
        quoted: None,
        value: Json(text.into()),
        kind,
    })
}

fn write_message(choice: &Choice, json: &mut Writer<'_>) {
    let mut text: Option<String> = None;
    let mut refusal: Option<String> = None;
    let mut calls = false;
    for part in &choice.parts {
        match part {
            Part::Text { text: more, .. } => text.get_or_insert_default().push_str(more),
            Part::Refusal { text: more } => refusal.get_or_insert_default().push_str(more),
            Part::ToolCall { .. } => calls = true,
            Part::Thinking { .. }
            | Part::RedactedThinking { .. }
            | Part::Image { .. }
            | Part::Document { .. }
            | Part::Audio { .. }
            | Part::ToolResult { .. }
            | Part::Opaque { .. } => {}
        }
    }
    if text.is_none() && refusal.is_none() && !calls {
        text = Some(String::new());
    }
    json.open();
    json.field("role", "assistant");
    json.field_or_null("content", text.as_deref());
    json.field_or_null("refusal", refusal.as_deref());
    write_thoughts(choice, json);
    if calls {
        write_calls(choice, json);
    }
    json.close();
}

fn write_thoughts(choice: &Choice, json: &mut Writer<'_>) {
    let mut text = String::new();
    let mut details = Vec::new();
    for part in &choice.parts {
        if let Part::Thinking { text: more, signature, .. } = part {
            text.push_str(more);
            details.push(Detail::Whole(more, signature.as_deref()));
        } else if let Part::RedactedThinking { data } = part {
            details.push(Detail::Encrypted(data));
        }
    }
    if details.is_empty() {
        return;
    }
    json.field("reasoning_content", &text);
    json.key("reasoning_details");
    json.open_list();
    for (index, detail) in (0..).zip(details) {
        thoughts::write(detail, index, json);
    }
    json.close_list();
}

fn write_calls(choice: &Choice, json: &mut Writer<'_>) {
    json.key("tool_calls");
    json.open_list();
    for part in &choice.parts {
        if let Part::ToolCall { id, name, arguments, .. } = part {
            json.open();
            json.field("id", id);
            json.field("type", "function");
            json.key("function");
            json.open();
            json.field("name", name);
            json.field("arguments", if arguments.is_empty() { "{}" } else { arguments });
            json.close();
            json.close();
        }
    }
    json.close_list();
}

/// The text of a delta's field, if it has any.
pub(super) fn said(fields: &Fields<'_>, name: &str) -> Option<String> {
    fields.peek(name).and_then(string).filter(|text| !text.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_whose_message_was_filtered_away_is_an_empty_answer() {
        let body = r#"{"choices":[{"index":0,"finish_reason":"content_filter"}]}"#;
        let choice = decode_answer(body.as_bytes()).unwrap().choices.remove(0);
        assert_eq!((choice.parts.len(), choice.finish), (0, Some(Finish::ContentFilter)));
    }

    #[test]
    fn a_refusal_without_words_is_none() {
        let finish = |refusal: &str| {
            let body = format!(
                r#"{{"choices":[{{"index":0,"finish_reason":"","message":{{"role":"assistant","content":"on it","refusal":{refusal},
                "tool_calls":[{{"id":"c","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}}}}]}}"#
            );
            decode_answer(body.as_bytes()).unwrap().choices.remove(0).finish
        };
        assert_eq!(finish(r#""""#), Some(Finish::ToolCalls));
        assert_eq!(finish("null"), Some(Finish::ToolCalls));
        assert_eq!(finish(r#""no""#), Some(Finish::Refusal));
    }
}
