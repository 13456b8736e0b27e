//! A messages request into the conversation, with nothing lost.
//!
//! What the conversation has a place for goes there if its form is the plain one; everything else travels as extras
//! or opaque parts in its own text. [`said_elsewhere`] tells which extras repeat what the conversation says already.

use bh_chat::{
    Citation, Extra, Format, ImageSource, Json, Message, Part, Reasoning, Request, Role, ServerTool, Tool, ToolChoice,
};

use crate::DecodeError;
use crate::fields::{Fields, elements, string};
use crate::strict;
use crate::write::Writer;

/// See [`crate::decode_request`].
pub(crate) fn decode_request(body: &[u8]) -> Result<Request, DecodeError> {
    let mut fields = Fields::parse(strict::check(body)?).ok_or_else(|| wrong("body", "an object"))?;
    let mut request = Request { model: required_string(&mut fields, "model", "model")?, ..Request::default() };
    if let Some(system) = decode_system(&mut fields)? {
        request.messages.push(system);
    }
    let messages = fields.take("messages").ok_or_else(|| missing("messages"))?;
    for (at, message) in elements(messages).ok_or_else(|| wrong("messages", "a list"))?.iter().enumerate() {
        request.messages.push(decode_message(message.get(), &format!("messages[{at}]"))?);
    }
    decode_tools(&mut fields, &mut request)?;
    let output_config = decode_output(&mut fields, &mut request);
    decode_thinking(&mut fields, &mut request);
    request.max_output = fields.take_u64("max_tokens");
    request.stream = fields.take_bool("stream");
    request.sampling.temperature = fields.take_json("temperature");
    request.sampling.top_p = fields.take_json("top_p");
    request.sampling.top_k = fields.take_json("top_k");
    request.sampling.stop = fields.take_if("stop_sequences", non_empty_strings).unwrap_or_default();
    request.service_tier = fields.take_string("service_tier");
    request.user = fields.take_if("metadata", |metadata| lone_string(metadata, "user_id"));
    request.extras = fields.rest();
    request.extras.extend(output_config);
    Ok(request)
}

/// Whether an extra of a decoded messages request repeats what the conversation says in its own words, or says
/// nothing at all: another dialect need not report it.
pub(crate) fn said_elsewhere(extra: &Extra) -> bool {
    let value = extra.value.as_str();
    match &*extra.name {
        "thinking" => Fields::parse(value).is_some_and(|mut fields| {
            let adaptive = fields.take_string("type").as_deref() == Some("adaptive");
            fields.take("display");
            adaptive && fields.rest().is_empty()
        }),
        "output_format" => decode_format(value).is_some(),
        "type" => value == r#""custom""#,
        _ => matches!(value, "null" | "[]"),
    }
}

fn decode_system(fields: &mut Fields<'_>) -> Result<Option<Message>, DecodeError> {
    let Some(system) = fields.take_if("system", |text| (!matches!(text, "null" | "[]")).then_some(text)) else {
        return Ok(None);
    };
    let (parts, bare) = decode_content(system, "system")?;
    Ok(Some(Message { role: Role::System, parts, bare, extras: Vec::new() }))
}

fn decode_message(text: &str, path: &str) -> Result<Message, DecodeError> {
    let mut fields = Fields::parse(text).ok_or_else(|| wrong(path, "an object"))?;
    let role = match required_string(&mut fields, "role", &format!("{path}.role"))?.as_str() {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(wrong(&format!("{path}.role"), "`user`, `assistant` or `system`")),
    };
    let content_path = format!("{path}.content");
    let content = fields.take("content").ok_or_else(|| missing(&content_path))?;
    let (parts, bare) = decode_content(content, &content_path)?;
    Ok(Message { role, parts, bare, extras: fields.rest() })
}

/// A bare string or a list of blocks; whether it was bare.
fn decode_content(text: &str, path: &str) -> Result<(Vec<Part>, bool), DecodeError> {
    if let Some(text) = string(text) {
        return Ok((vec![Part::text(text)], true));
    }
    let blocks = elements(text).ok_or_else(|| wrong(path, "a string or a list of content blocks"))?;
    let parts = blocks.iter().enumerate().map(|(at, block)| decode_part(block.get(), &format!("{path}[{at}]")));
    Ok((parts.collect::<Result<_, _>>()?, false))
}

/// One content block, of a request or of an answer.
pub(super) fn decode_part(text: &str, path: &str) -> Result<Part, DecodeError> {
    let mut fields = Fields::parse(text).ok_or_else(|| wrong(path, "an object"))?;
    let kind = required_string(&mut fields, "type", &format!("{path}.type"))?;
    let opaque = |kind: String| Part::Opaque { kind, value: Json(text.into()) };
    Ok(match kind.as_str() {
        "text" => Part::Text {
            text: required_string(&mut fields, "text", &format!("{path}.text"))?,
            citations: fields.take_if("citations", decode_citations).unwrap_or_default(),
            extras: fields.rest(),
        },
        "image" => match fields.take_if("source", decode_source) {
            Some(source) => Part::Image { source, detail: None, extras: fields.rest() },
            None => opaque(kind),
        },
        "document" => match fields.take_if("source", decode_source) {
            Some(source) => Part::Document { source, name: fields.take_string("title"), extras: fields.rest() },
            None => opaque(kind),
        },
        "tool_use" => Part::ToolCall {
            id: required_string(&mut fields, "id", &format!("{path}.id"))?,
            name: required_string(&mut fields, "name", &format!("{path}.name"))?,
            arguments: fields.take("input").ok_or_else(|| missing(&format!("{path}.input")))?.to_owned(),
            extras: fields.rest(),
        },
        "tool_result" => decode_tool_result(fields, path)?,
        "thinking" => Part::Thinking {
            text: required_string(&mut fields, "thinking", &format!("{path}.thinking"))?,
            signature: fields.take_string("signature"),
            extras: fields.rest(),
        },
        "redacted_thinking" => match lone_data(&mut fields) {
            Some(data) => Part::RedactedThinking { data },
            None => opaque(kind),
        },
        _ => opaque(kind),
    })
}

fn decode_tool_result(mut fields: Fields<'_>, path: &str) -> Result<Part, DecodeError> {
    let id = required_string(&mut fields, "tool_use_id", &format!("{path}.tool_use_id"))?;
    // No content at all is told from an empty list by calling it bare.
    let (parts, bare) = match fields.take_if("content", |text| (text != "null").then_some(text)) {
        Some(content) => decode_content(content, &format!("{path}.content"))?,
        None => (Vec::new(), true),
    };
    let is_error = fields.take_bool("is_error");
    Ok(Part::ToolResult { id, parts, bare, is_error, extras: fields.rest() })
}

fn lone_data(fields: &mut Fields<'_>) -> Option<String> {
    let data = fields.take_string("data")?;
    std::mem::take(fields).rest().is_empty().then_some(data)
}

/// A list of citations that is not empty; an empty one stays an extra so that it is written again.
pub(super) fn decode_citations(text: &str) -> Option<Vec<Citation>> {
    let list: Vec<Citation> = elements(text)?.iter().map(|one| decode_citation(one.get())).collect::<Option<_>>()?;
    (!list.is_empty()).then_some(list)
}

/// One citation, with the members that dialects share picked out.
pub(super) fn decode_citation(text: &str) -> Option<Citation> {
    let mut fields = Fields::parse(text)?;
    Some(Citation {
        kind: fields.take_string("type")?,
        url: fields.take_string("url"),
        title: fields.take_string("title").or_else(|| fields.take_string("document_title")),
        quoted: fields.take_string("cited_text"),
        value: Json(text.into()),
    })
}

/// Where an image or document is, in one of the plain forms; any other form is kept whole by the caller.
fn decode_source(text: &str) -> Option<ImageSource> {
    let mut fields = Fields::parse(text)?;
    let source = match fields.take_string("type")?.as_str() {
        "base64" => {
            ImageSource::Base64 { media_type: fields.take_string("media_type")?, data: fields.take_string("data")? }
        }
        "url" => ImageSource::Url(fields.take_string("url")?),
        "file" => ImageSource::FileId(fields.take_string("file_id")?),
        _ => return None,
    };
    fields.rest().is_empty().then_some(source)
}

fn decode_tools(fields: &mut Fields<'_>, request: &mut Request) -> Result<(), DecodeError> {
    if let Some(list) = fields.take_if("tools", |text| (!matches!(text, "null" | "[]")).then_some(text)) {
        let list = elements(list).ok_or_else(|| wrong("tools", "a list"))?;
        for (position, tool) in list.iter().enumerate() {
            decode_tool(tool.get(), position, request)?;
        }
    }
    let Some(choice) = fields.take_json("tool_choice") else {
        return Ok(());
    };
    let Some((plain, parallel)) = decode_tool_choice(choice.as_str()) else {
        request.tool_choice = Some(ToolChoice::Opaque(choice));
        return Ok(());
    };
    request.tool_choice = Some(plain);
    request.parallel_tool_calls = parallel;
    Ok(())
}

fn decode_tool(text: &str, position: usize, request: &mut Request) -> Result<(), DecodeError> {
    let path = format!("tools[{position}]");
    let mut fields = Fields::parse(text).ok_or_else(|| wrong(&path, "an object"))?;
    let kind = fields.peek("type").and_then(string);
    if let Some(kind) = kind.filter(|kind| kind != "custom") {
        request.server_tools.push(ServerTool { kind, value: Json(text.into()), position });
        return Ok(());
    }
    request.tools.push(Tool {
        name: required_string(&mut fields, "name", &format!("{path}.name"))?,
        description: fields.take_string("description"),
        schema: fields.take_json("input_schema"),
        strict: fields.take_bool("strict"),
        extras: fields.rest(),
    });
    Ok(())
}

/// The choice and whether calls may be parallel; `None` for a form that is not plain.
fn decode_tool_choice(text: &str) -> Option<(ToolChoice, Option<bool>)> {
    let mut fields = Fields::parse(text)?;
    let choice = match fields.take_string("type")?.as_str() {
        "auto" => ToolChoice::Auto,
        "any" => ToolChoice::Required,
        "none" => ToolChoice::None,
        "tool" => ToolChoice::Named(fields.take_string("name")?),
        _ => return None,
    };
    let parallel = fields.take_bool("disable_parallel_tool_use").map(|disabled| !disabled);
    fields.rest().is_empty().then_some((choice, parallel))
}

/// `output_config` (effort and form of the answer) and the older `output_format`. Members of `output_config` that have
/// no place come back together under its name.
fn decode_output(fields: &mut Fields<'_>, request: &mut Request) -> Option<Extra> {
    if let Some(format) = fields.peek("output_format").and_then(decode_format) {
        // The old field stays among the extras as well, so that it is written back where it stood.
        request.format = format;
    }
    let mut config = Fields::parse(fields.peek("output_config")?)?;
    if let Some(effort) = config.take_string("effort") {
        request.reasoning = Some(Reasoning::Effort(effort));
    }
    if request.format == Format::Unset {
        request.format = config.take_if("format", decode_format).unwrap_or_default();
    }
    if request.reasoning.is_none() && request.format == Format::Unset {
        return None;
    }
    fields.take("output_config");
    let rest = config.rest();
    let mut value = Vec::new();
    let mut json = Writer(&mut value);
    json.open();
    json.extras(&rest);
    json.close();
    let value = String::from_utf8(value).expect("made of texts");
    (!rest.is_empty()).then(|| Extra { name: "output_config".into(), value: Json(value.into()) })
}

/// `{"type":"json_schema","schema":…}` and nothing else in it.
fn decode_format(text: &str) -> Option<Format> {
    let mut fields = Fields::parse(text)?;
    let (kind, schema) = (fields.take_string("type")?, fields.take_json("schema")?);
    (kind == "json_schema" && fields.rest().is_empty()).then(|| Format::JsonSchema {
        name: String::new(),
        schema,
        strict: Some(true),
        extras: Vec::new(),
    })
}

/// `thinking` where the conversation has a word for it. Adaptive thinking is the default of dialects that only know
/// an effort, so it stays an extra beside the effort.
fn decode_thinking(fields: &mut Fields<'_>, request: &mut Request) {
    let effort = matches!(request.reasoning, Some(Reasoning::Effort(_)));
    if effort {
        return;
    }
    let plain = |text: &str| {
        let mut thinking = Fields::parse(text)?;
        let reasoning = match thinking.take_string("type")?.as_str() {
            "enabled" => Reasoning::Budget(thinking.take_u64("budget_tokens")?),
            "disabled" => Reasoning::Off,
            _ => return None,
        };
        thinking.rest().is_empty().then_some(reasoning)
    };
    if let Some(reasoning) = fields.take_if("thinking", plain) {
        request.reasoning = Some(reasoning);
    }
}

fn lone_string(text: &str, name: &str) -> Option<String> {
    let mut fields = Fields::parse(text)?;
    let found = fields.take_string(name)?;
    fields.rest().is_empty().then_some(found)
}

fn non_empty_strings(text: &str) -> Option<Vec<String>> {
    let list: Vec<String> = elements(text)?.iter().map(|one| string(one.get())).collect::<Option<_>>()?;
    (!list.is_empty()).then_some(list)
}

fn required_string(fields: &mut Fields<'_>, name: &str, path: &str) -> Result<String, DecodeError> {
    match fields.peek(name) {
        Some(_) => fields.take_string(name).ok_or_else(|| wrong(path, "a string")),
        None => Err(missing(path)),
    }
}

fn missing(field: &str) -> DecodeError {
    DecodeError::Missing { field: field.to_owned() }
}

fn wrong(field: &str, expected: &'static str) -> DecodeError {
    DecodeError::Wrong { field: field.to_owned(), expected }
}
