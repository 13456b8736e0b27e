//! Reasoning in messages of this dialect, which has no field of its own for it.
//!
//! Providers that reason say it in `reasoning_content` or `reasoning`, as one text. `reasoning_details` is the list in
//! which OpenRouter keeps each thought apart, with its signature and the family (`format`) that can check it; it is
//! also how this gateway shows signed thinking, so that a client that sends it back continues the thought.

use bh_chat::Part;

use crate::fields::{Fields, elements, string};
use crate::write::Writer;

/// The family of signatures that Anthropic's models check.
const ANTHROPIC: &str = "anthropic-claude-v1";

/// Appends the thoughts of a message; its fields stay.
pub(super) fn read(fields: &Fields<'_>, parts: &mut Vec<Part>) {
    if let Some(details) = fields.peek("reasoning_details").and_then(elements) {
        let before = parts.len();
        parts.extend(details.iter().filter_map(|detail| one(detail.get())));
        if before < parts.len() {
            return;
        }
    }
    let told = |name: &str| fields.peek(name).and_then(string).filter(|text| !text.is_empty());
    if let Some(text) = told("reasoning_content").or_else(|| told("reasoning")) {
        parts.push(Part::Thinking { text, signature: None, extras: Vec::new() });
    }
}

/// One entry of `reasoning_details`. Signatures and ciphertexts of other families mean nothing elsewhere.
pub(super) fn one(text: &str) -> Option<Part> {
    let mut fields = Fields::parse(text)?;
    let ours = fields.take_string("format").as_deref() == Some(ANTHROPIC);
    match fields.take_string("type")?.as_str() {
        "reasoning.text" => Some(Part::Thinking {
            text: fields.take_string("text").unwrap_or_default(),
            signature: fields.take_string("signature").filter(|_| ours),
            extras: Vec::new(),
        }),
        "reasoning.summary" => {
            Some(Part::Thinking { text: fields.take_string("summary")?, signature: None, extras: Vec::new() })
        }
        "reasoning.encrypted" if ours => Some(Part::RedactedThinking { data: fields.take_string("data")? }),
        _ => None,
    }
}

/// One thought, or a piece of one, to be written into `reasoning_details`.
#[derive(Clone, Copy, Debug)]
pub(super) enum Detail<'a> {
    /// Text.
    Text(&'a str),
    /// The signature of a text; it follows the text.
    Signature(&'a str),
    /// A text with its signature.
    Whole(&'a str, Option<&'a str>),
    /// Ciphertext.
    Encrypted(&'a str),
}

/// Writes one entry of `reasoning_details`.
pub(super) fn write(detail: Detail<'_>, index: u64, json: &mut Writer<'_>) {
    let kind = match detail {
        Detail::Text(_) | Detail::Signature(_) | Detail::Whole(..) => "reasoning.text",
        Detail::Encrypted(_) => "reasoning.encrypted",
    };
    json.open();
    json.field("type", kind);
    match detail {
        Detail::Text(text) => json.field("text", text),
        Detail::Signature(signature) => json.field("signature", signature),
        Detail::Whole(text, signature) => {
            json.field("text", text);
            if let Some(signature) = signature {
                json.field("signature", signature);
            }
        }
        Detail::Encrypted(data) => json.field("data", data),
    }
    json.field("format", ANTHROPIC);
    json.field_number("index", index);
    json.close();
}
