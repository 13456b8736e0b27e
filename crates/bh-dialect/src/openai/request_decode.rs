//! A chat completions request into the conversation, with nothing lost.
//!
//! What the conversation has a place for goes there if its form is the plain one; everything else travels as extras
//! or opaque parts in its own text. [`said_elsewhere`] tells which extras repeat what the conversation says already.

use bh_chat::{Extra, Format, Json, Message, Part, Reasoning, Request, Role, ServerTool, Tool, ToolChoice};

use super::parts;
use super::thoughts;
use crate::fields::{Fields, elements, string};
use crate::{DecodeError, LimitField, strict};

/// The `kind` of an opaque part that is a whole message of a role the conversation does not have.
pub(super) const WHOLE_MESSAGE: &str = "message";
/// Before the names of a tool's extras that stood inside its `function`.
pub(super) const IN_FUNCTION: &str = "function.";

/// See [`crate::decode_request`].
pub(crate) fn decode_request(body: &[u8]) -> Result<Request, DecodeError> {
    let mut fields = Fields::parse(strict::check(body)?).ok_or_else(|| wrong("body", "an object"))?;
    let mut request = Request { model: required_string(&mut fields, "model", "model")?, ..Request::default() };
    let messages = fields.take("messages").ok_or_else(|| missing("messages"))?;
    for (at, message) in elements(messages).ok_or_else(|| wrong("messages", "a list"))?.iter().enumerate() {
        request.messages.push(decode_message(message.get(), &format!("messages[{at}]"))?);
    }
    decode_tools(&mut fields, &mut request)?;
    request.tool_choice = fields.take_if("tool_choice", decode_tool_choice);
    request.parallel_tool_calls = fields.take_bool("parallel_tool_calls");
    decode_sampling(&mut fields, &mut request);
    request.max_output = decode_limit(&mut fields)?;
    decode_reasoning(&mut fields, &mut request);
    request.format = fields.take_if("response_format", decode_format).unwrap_or_default();
    request.choices = fields.take_if("n", |text| serde_json::from_str(text).ok());
    request.stream = fields.take_bool("stream");
    decode_stream_options(&mut fields, &mut request);
    request.user = fields.take_string("user");
    request.service_tier = fields.take_string("service_tier");
    request.extras = fields.rest();
    Ok(request)
}

/// Whether an extra of a decoded chat completions request, or of a message or tool in it, repeats what the
/// conversation says in its own words, or says nothing at all: another dialect need not report it.
pub(crate) fn said_elsewhere(extra: &Extra) -> bool {
    let value = extra.value.as_str();
    match &*extra.name {
        // In a message this is text, which became thinking.
        "reasoning" if string(value).is_some() => true,
        "reasoning_effort" | "reasoning" | "thinking" => wholly_understood(&extra.name, value),
        "reasoning_content" | "reasoning_details" | "refusal" | "max_tokens" | "stream_options" => true,
        // These say what is the case anyway.
        "logprobs" | "store" | "echo" => matches!(value, "null" | "false"),
        "top_logprobs" => matches!(value, "null" | "0"),
        _ => matches!(value, "null" | "[]"),
    }
}

fn decode_message(text: &str, path: &str) -> Result<Message, DecodeError> {
    let mut fields = Fields::parse(text).ok_or_else(|| wrong(path, "an object"))?;
    let role = match required_string(&mut fields, "role", &format!("{path}.role"))?.as_str() {
        "system" => Role::System,
        "developer" => Role::Developer,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => return decode_tool_message(fields, path),
        "function" => {
            let whole = Part::Opaque { kind: WHOLE_MESSAGE.into(), value: Json(text.into()) };
            return Ok(Message { role: Role::User, parts: vec![whole], bare: false, extras: Vec::new() });
        }
        _ => return Err(wrong(&format!("{path}.role"), "system, developer, user, assistant or tool")),
    };
    let mut parts = Vec::new();
    if role == Role::Assistant {
        thoughts::read(&fields, &mut parts);
    }
    let (content, bare) = parts::content(&mut fields, &format!("{path}.content"))?;
    parts.extend(content);
    if role == Role::Assistant {
        parts.extend(fields.peek("refusal").and_then(string).map(|text| Part::Refusal { text }));
        parts.extend(fields.take_if("tool_calls", parts::tool_calls).unwrap_or_default());
    }
    Ok(Message { role, parts, bare, extras: fields.rest() })
}

fn decode_tool_message(mut fields: Fields<'_>, path: &str) -> Result<Message, DecodeError> {
    let id = required_string(&mut fields, "tool_call_id", &format!("{path}.tool_call_id"))?;
    let (parts, bare) = parts::content(&mut fields, &format!("{path}.content"))?;
    let result = Part::ToolResult { id, parts, bare, is_error: None, extras: Vec::new() };
    Ok(Message { role: Role::Tool, parts: vec![result], bare, extras: fields.rest() })
}

fn decode_tools(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), DecodeError> {
    let Some(tools) = fields.take_if("tools", |text| elements(text).filter(|tools| !tools.is_empty())) else {
        return Ok(());
    };
    for (position, tool) in tools.iter().enumerate() {
        let path = format!("tools[{position}]");
        let plain = Fields::parse(tool.get()).ok_or_else(|| wrong(&path, "an object"))?;
        match decode_tool(plain) {
            Some(tool) => request.tools.push(tool),
            None => {
                let kind = Fields::parse(tool.get()).and_then(|mut fields| fields.take_string("type"));
                let value = Json(tool.get().into());
                request.server_tools.push(ServerTool { kind: kind.unwrap_or_default(), value, position });
            }
        }
    }
    Ok(())
}

/// A function; `None` for any other tool.
fn decode_tool(mut fields: Fields<'_>) -> Option<Tool> {
    // Some clients leave the type out. An extra of `null` remembers that, and says nothing to other dialects.
    let mut extras = Vec::new();
    match fields.peek("type") {
        None => extras.push(Extra { name: "type".into(), value: Json::default() }),
        Some(_) => drop(fields.take_string("type").filter(|kind| kind == "function")?),
    }
    let mut function = Fields::parse(fields.take("function")?)?;
    let mut tool = Tool {
        name: function.take_string("name")?,
        description: function.take_string("description"),
        schema: function.take_json("parameters"),
        strict: function.take_bool("strict"),
        extras,
    };
    tool.extras.extend(function.rest().into_iter().map(|extra| {
        let name = format!("{IN_FUNCTION}{}", extra.name).into();
        Extra { name, value: extra.value }
    }));
    tool.extras.extend(fields.rest());
    Some(tool)
}

fn decode_tool_choice(text: &str) -> Option<ToolChoice> {
    if text == "null" {
        return None;
    }
    let opaque = || ToolChoice::Opaque(Json(text.into()));
    let Some(word) = string(text) else {
        return Some(named_function(text).map_or_else(opaque, ToolChoice::Named));
    };
    Some(match word.as_str() {
        "auto" => ToolChoice::Auto,
        "none" => ToolChoice::None,
        "required" => ToolChoice::Required,
        _ => opaque(),
    })
}

/// The name in `{"type":"function","function":{"name":…}}`, if nothing else is in it.
fn named_function(text: &str) -> Option<String> {
    let mut fields = Fields::parse(text)?;
    fields.take_string("type").filter(|kind| kind == "function")?;
    let mut function = Fields::parse(fields.take("function")?)?;
    let name = function.take_string("name")?;
    (function.rest().is_empty() && fields.rest().is_empty()).then_some(name)
}

fn decode_sampling(fields: &mut Fields<'_>, request: &mut Request) {
    let sampling = &mut request.sampling;
    sampling.temperature = fields.take_json("temperature");
    sampling.top_p = fields.take_json("top_p");
    sampling.top_k = fields.take_json("top_k");
    sampling.frequency_penalty = fields.take_json("frequency_penalty");
    sampling.presence_penalty = fields.take_json("presence_penalty");
    sampling.seed = fields.take_json("seed");
    if let Some(stop) = fields.take_string("stop") {
        sampling.stop = vec![stop];
        sampling.stop_bare = true;
    } else {
        let strings = |text: &str| elements(text)?.iter().map(|one| string(one.get())).collect::<Option<Vec<_>>>();
        sampling.stop =
            fields.take_if("stop", |text| strings(text).filter(|list| !list.is_empty())).unwrap_or_default();
    }
}

/// The limit under its new name, or else under its old one. With both, the old one stays an extra.
fn decode_limit(fields: &mut Fields<'_>) -> Result<Option<u64>, DecodeError> {
    let (new, old) = (LimitField::MaxCompletionTokens.as_str(), LimitField::MaxTokens.as_str());
    let both =
        fields.peek(new).is_some_and(|value| value != "null") && fields.peek(old).is_some_and(|value| value != "null");
    if !both {
        return Ok(fields.take_u64(new).or_else(|| fields.take_u64(old)));
    }
    if fields.peek(new) != fields.peek(old) {
        return Err(DecodeError::Conflict { field: new, other: old });
    }
    Ok(fields.take_u64(new))
}

/// Where several fields speak of reasoning they all stay extras, so that each is written back where it stood.
fn decode_reasoning(fields: &mut Fields<'_>, request: &mut Request) {
    let others = ["reasoning", "thinking"];
    let first = fields.peek("reasoning_effort").and_then(string).map(Reasoning::Effort);
    let told = |name: &&str| fields.peek(name).and_then(|text| understand(name, text));
    request.reasoning = first.or_else(|| others.iter().find_map(told).map(|(reasoning, _)| reasoning));
    if others.iter().all(|name| fields.peek(name).is_none()) {
        fields.take_string("reasoning_effort");
    }
}

fn wholly_understood(name: &str, value: &str) -> bool {
    value == "null" || understand(name, value).is_some_and(|(_, whole)| whole)
}

/// What a field says of reasoning, and whether that is all it says.
fn understand(name: &str, text: &str) -> Option<(Reasoning, bool)> {
    if name == "reasoning_effort" {
        return string(text).map(|effort| (Reasoning::Effort(effort), true));
    }
    let mut fields = Fields::parse(text)?;
    let reasoning = if name == "thinking" {
        match fields.take_string("type")?.as_str() {
            "enabled" => fields.take_u64("budget_tokens").map_or(Reasoning::Effort("medium".into()), Reasoning::Budget),
            "disabled" => Reasoning::Off,
            _ => return None,
        }
    } else if fields.take_bool("enabled") == Some(false) {
        Reasoning::Off
    } else {
        let budget = fields.take_u64("max_tokens").map(Reasoning::Budget);
        budget.or_else(|| fields.take_string("effort").map(Reasoning::Effort))?
    };
    Some((reasoning, fields.rest().is_empty()))
}

fn decode_format(text: &str) -> Option<Format> {
    let mut fields = Fields::parse(text)?;
    let format = match fields.take_string("type")?.as_str() {
        "text" => Format::Text,
        "json_object" => Format::JsonObject,
        "json_schema" => {
            let mut inner = Fields::parse(fields.take("json_schema")?)?;
            Format::JsonSchema {
                name: inner.take_string("name")?,
                schema: inner.take_json("schema")?,
                strict: inner.take_bool("strict"),
                extras: inner.rest(),
            }
        }
        _ => return None,
    };
    fields.rest().is_empty().then_some(format)
}

/// The whole field if `include_usage` is all it says; otherwise it stays an extra beside what was read.
fn decode_stream_options(fields: &mut Fields<'_>, request: &mut Request) {
    let Some(mut options) = fields.peek("stream_options").and_then(Fields::parse) else { return };
    request.stream_usage = options.take_bool("include_usage");
    if request.stream_usage.is_some() && options.rest().is_empty() {
        fields.take("stream_options");
    }
}

pub(super) fn required_string(fields: &mut Fields<'_>, name: &str, path: &str) -> Result<String, DecodeError> {
    match fields.peek(name) {
        Some(_) => fields.take_string(name).ok_or_else(|| wrong(path, "a string")),
        None => Err(missing(path)),
    }
}

fn missing(field: &str) -> DecodeError {
    DecodeError::Missing { field: field.to_owned() }
}

pub(super) fn wrong(field: &str, expected: &'static str) -> DecodeError {
    DecodeError::Wrong { field: field.to_owned(), expected }
}
