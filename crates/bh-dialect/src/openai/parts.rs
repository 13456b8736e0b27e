//! The pieces of a message, in requests and answers alike.

use bh_chat::{ImageSource, Json, Part};

use super::request_decode::{WHOLE_MESSAGE, wrong};
use crate::DecodeError;
use crate::fields::{Fields, elements, string};

/// The `kind` of an opaque part that stood among the calls.
pub(super) const OTHER_CALL: &str = "tool_calls";

/// Takes `content` out: its parts, and whether it was a bare string. Missing, `null` and empty content have no parts
/// and stay where they are.
pub(super) fn content(fields: &mut Fields<'_>, path: &str) -> Result<(Vec<Part>, bool), DecodeError> {
    if let Some(text) = fields.take_string("content") {
        return Ok((vec![Part::text(text)], true));
    }
    match fields.peek("content") {
        None | Some("null") => return Ok((Vec::new(), false)),
        Some(_) => {}
    }
    let Some(list) = fields.take_if("content", |text| elements(text).filter(|list| !list.is_empty())) else {
        let empty = fields.peek("content").and_then(elements).is_some();
        return if empty { Ok((Vec::new(), false)) } else { Err(wrong(path, "a string or a list of parts")) };
    };
    let mut parts = Vec::with_capacity(list.len());
    for (at, part) in list.iter().enumerate() {
        let Some(fields) = Fields::parse(part.get()) else {
            return Err(wrong(&format!("{path}[{at}]"), "an object"));
        };
        parts.push(plain(fields).unwrap_or_else(|| opaque(part.get())));
    }
    Ok((parts, false))
}

/// The calls of `tool_calls`; `None` for none. Calls of other than functions are opaque, of kind [`OTHER_CALL`].
pub(super) fn tool_calls(text: &str) -> Option<Vec<Part>> {
    let calls = elements(text).filter(|calls| !calls.is_empty())?;
    let other = |call: &str| Part::Opaque { kind: OTHER_CALL.into(), value: Json(call.into()) };
    Some(calls.iter().map(|call| function_call(call.get()).unwrap_or_else(|| other(call.get()))).collect())
}

/// An image's or document's source written as a URL, data URLs included.
pub(super) fn source_of(url: String) -> Option<ImageSource> {
    let Some(inline) = url.strip_prefix("data:") else {
        return Some(ImageSource::Url(url));
    };
    let (media_type, data) = inline.split_once(";base64,")?;
    let plain = !media_type.is_empty() && !media_type.contains([';', ',']);
    plain.then(|| ImageSource::Base64 { media_type: media_type.to_owned(), data: data.to_owned() })
}

/// A part of the conversation; `None` for what only this dialect understands.
fn plain(mut fields: Fields<'_>) -> Option<Part> {
    match fields.take_string("type")?.as_str() {
        "text" => Some(Part::Text { text: fields.take_string("text")?, citations: Vec::new(), extras: fields.rest() }),
        "image_url" => image(fields),
        "input_audio" => {
            let mut audio = Fields::parse(fields.take("input_audio")?)?;
            let (format, data) = (audio.take_string("format")?, audio.take_string("data")?);
            audio.rest().is_empty().then(|| Part::Audio { format, data, extras: fields.rest() })
        }
        "file" => document(fields),
        "refusal" => {
            let text = fields.take_string("refusal")?;
            fields.rest().is_empty().then_some(Part::Refusal { text })
        }
        "thinking" => {
            // The text in its own form stays beside, for the way back.
            let text = thinking_text(fields.peek("thinking")?)?;
            Some(Part::Thinking { text, signature: None, extras: fields.rest() })
        }
        _ => None,
    }
}

/// `{"url":…,"detail":…}`; in any other form the field stays an extra beside what was read of it.
fn image(mut fields: Fields<'_>) -> Option<Part> {
    let given = fields.peek("image_url")?;
    if let Some(url) = string(given) {
        return Some(Part::Image { source: source_of(url)?, detail: None, extras: fields.rest() });
    }
    let mut inner = Fields::parse(given)?;
    let source = source_of(inner.take_string("url")?)?;
    let detail = inner.take_string("detail");
    if inner.rest().is_empty() {
        fields.take("image_url");
    }
    Some(Part::Image { source, detail, extras: fields.rest() })
}

fn document(mut fields: Fields<'_>) -> Option<Part> {
    let mut file = Fields::parse(fields.take("file")?)?;
    let name = file.take_string("filename");
    let source = match (file.take_string("file_data"), file.take_string("file_id")) {
        (Some(data), None) => source_of(data)?,
        (None, Some(id)) => ImageSource::FileId(id),
        (Some(_), Some(_)) | (None, None) => return None,
    };
    file.rest().is_empty().then(|| Part::Document { source, name, extras: fields.rest() })
}

/// Reasoning as a content part: a string, or a list of text parts.
fn thinking_text(value: &str) -> Option<String> {
    if let Some(text) = string(value) {
        return Some(text);
    }
    let parts = elements(value)?;
    parts.iter().map(|part| Fields::parse(part.get())?.take_string("text")).collect()
}

/// `{"id":…,"type":"function","function":{"name":…,"arguments":…}}`; what more there is stays an extra.
fn function_call(text: &str) -> Option<Part> {
    let mut fields = Fields::parse(text)?;
    if fields.peek("type").is_some_and(|kind| kind != "\"function\"") {
        return None;
    }
    let id = fields.take_if("id", |id| string(id).filter(|id| !id.is_empty())).unwrap_or_default();
    let mut function = Fields::parse(fields.peek("function")?)?;
    let name = function.take_string("name")?;
    let (arguments, plain) = match function.take("arguments") {
        Some(value) => match string(value) {
            Some(arguments) => (arguments, true),
            // Some providers write the object itself.
            None => (value.to_owned(), false),
        },
        None => (String::new(), false),
    };
    if plain && function.rest().is_empty() && fields.take("type").is_some() {
        fields.take("function");
    }
    Some(Part::ToolCall { id, name, arguments, extras: fields.rest() })
}

fn opaque(text: &str) -> Part {
    let kind = Fields::parse(text).and_then(|mut fields| fields.take_string("type"));
    // A part of a stranger's must not pass for what only this module puts there.
    let ours = |kind: &str| matches!(kind, OTHER_CALL | WHOLE_MESSAGE);
    Part::Opaque { kind: kind.filter(|kind| !ours(kind)).unwrap_or_default(), value: Json(text.into()) }
}
