//! Messages out of the conversation.

use bh_chat::{Citation, Extra, ImageSource, Message, Part, Role};

use super::parts::OTHER_CALL;
use super::refusal;
use super::request_decode::WHOLE_MESSAGE;
use crate::anthropic::said_elsewhere;
use crate::report::Report;
use crate::write::Writer;
use crate::{Capability, Unsupported};

/// Where other dialects keep the system prompt.
const SYSTEM: &str = "system";

/// Writes a message that came from this dialect, whole.
pub(super) fn write_native(message: &Message, json: &mut Writer<'_>) {
    if let [Part::Opaque { kind, value }] = message.parts.as_slice()
        && kind == WHOLE_MESSAGE
    {
        return json.raw(value.as_str());
    }
    json.open();
    json.field("role", role_word(message.role));
    if let [Part::ToolResult { id, parts, bare, .. }] = message.parts.as_slice() {
        json.field("tool_call_id", id);
        write_native_content(parts, *bare, json);
    } else {
        let apart = message.extras.iter().any(|extra| &*extra.name == "refusal" && extra.value.as_str() != "null");
        let spoken = message.parts.iter().filter(|part| is_content(part, apart));
        write_native_content(spoken, message.bare, json);
        let calls = message.parts.iter().filter(|part| is_call(part));
        if calls.clone().next().is_some() {
            json.key("tool_calls");
            json.open_list();
            calls.for_each(|call| write_native_part(call, json));
            json.close_list();
        }
    }
    json.extras(&message.extras);
    json.close();
}

/// Writes the messages of a conversation that came from another dialect.
pub(super) struct Messages<'a, 'w> {
    /// Where to.
    pub(super) json: &'a mut Writer<'w>,
    /// What could not be said.
    pub(super) report: &'a mut Report,
}

impl Messages<'_, '_> {
    /// Writes them all.
    pub(super) fn write(&mut self, messages: &[Message]) -> Result<(), Unsupported> {
        if let Some((at, _)) = messages.iter().enumerate().next_back().filter(|(_, last)| last.role == Role::Assistant)
        {
            // The target would begin a new answer instead of going on with this one.
            return Err(refusal(place_of(messages, at), Capability::History));
        }
        for (at, message) in messages.iter().enumerate() {
            let path = place_of(messages, at);
            self.report_extras(&message.extras, &path)?;
            match message.role {
                Role::Assistant => self.assistant(message, &path)?,
                Role::System | Role::Developer | Role::User | Role::Tool => self.other(message, &path)?,
            }
        }
        Ok(())
    }

    /// Results become messages of their own, ahead of what else the turn says: they must follow their calls at once.
    fn other(&mut self, message: &Message, path: &str) -> Result<(), Unsupported> {
        let mut spoken = Vec::new();
        for (at, part) in message.parts.iter().enumerate() {
            let place = if path == SYSTEM { format!("{path}[{at}]") } else { format!("{path}.content[{at}]") };
            if matches!(part, Part::ToolResult { .. }) {
                self.result(part, &place)?;
            } else {
                spoken.push((place, part));
            }
        }
        if spoken.is_empty() && !message.parts.is_empty() {
            return Ok(());
        }
        self.json.open();
        self.json.field("role", if message.role == Role::Tool { "user" } else { role_word(message.role) });
        self.json.key("content");
        self.content(&spoken, message.bare)?;
        self.json.close();
        Ok(())
    }

    fn result(&mut self, part: &Part, path: &str) -> Result<(), Unsupported> {
        let Part::ToolResult { id, parts, bare, is_error, extras } = part else { return Ok(()) };
        self.report_extras(extras, path)?;
        if *is_error == Some(true) {
            self.report.leave_out(format!("{path}.is_error"), Capability::Parameter)?;
        }
        let mut spoken = Vec::new();
        for (at, part) in parts.iter().enumerate() {
            let place = format!("{path}.content[{at}]");
            if matches!(part, Part::Image { .. }) {
                return Err(refusal(place, Capability::Image));
            }
            if matches!(part, Part::Document { .. }) {
                return Err(refusal(place, Capability::Document));
            }
            spoken.push((place, part));
        }
        self.json.open();
        self.json.field("role", "tool");
        self.json.field("tool_call_id", id);
        self.json.key("content");
        self.content(&spoken, *bare)?;
        self.json.close();
        Ok(())
    }

    fn assistant(&mut self, message: &Message, path: &str) -> Result<(), Unsupported> {
        let mut spoken = Vec::new();
        let mut calls = Vec::new();
        for (at, part) in message.parts.iter().enumerate() {
            let place = format!("{path}.content[{at}]");
            match part {
                Part::ToolCall { .. } => calls.push((place, part)),
                // The next model is of another family: it could not check the thought's signature.
                Part::Thinking { .. } | Part::RedactedThinking { .. } => self.report.note(place, Capability::Reasoning),
                Part::Text { .. }
                | Part::Image { .. }
                | Part::Document { .. }
                | Part::Audio { .. }
                | Part::ToolResult { .. }
                | Part::Refusal { .. }
                | Part::Opaque { .. } => spoken.push((place, part)),
            }
        }
        self.json.open();
        self.json.field("role", "assistant");
        if spoken.is_empty() && !calls.is_empty() {
            self.json.field_or_null("content", None);
        } else {
            self.json.key("content");
            self.content(&spoken, message.bare)?;
        }
        if !calls.is_empty() {
            self.json.key("tool_calls");
            self.json.open_list();
            for (place, call) in calls {
                self.call(call, &place)?;
            }
            self.json.close_list();
        }
        self.json.close();
        Ok(())
    }

    fn call(&mut self, part: &Part, path: &str) -> Result<(), Unsupported> {
        if let Part::ToolCall { id, name, arguments, extras } = part {
            self.report_extras(extras, path)?;
            write_call(id, name, arguments, self.json);
            self.json.close();
        }
        Ok(())
    }

    /// One text is written bare, several parts as a list.
    fn content(&mut self, parts: &[(String, &Part)], bare: bool) -> Result<(), Unsupported> {
        match parts {
            [] => self.json.string(""),
            [(path, Part::Text { text, citations, extras })] if bare || extras.is_empty() => {
                self.report_citations(citations, path)?;
                self.json.string(text);
            }
            parts => {
                self.json.open_list();
                for (path, part) in parts {
                    self.part(part, path)?;
                }
                self.json.close_list();
            }
        }
        Ok(())
    }

    fn part(&mut self, part: &Part, path: &str) -> Result<(), Unsupported> {
        match part {
            Part::Text { text, citations, extras } => {
                self.report_extras(extras, path)?;
                self.report_citations(citations, path)?;
                write_text(text, self.json);
            }
            Part::Refusal { text } => write_text(text, self.json),
            Part::Image { source, detail, extras } => {
                self.report_extras(extras, path)?;
                let url = image_url(source).ok_or_else(|| refusal(path, Capability::StoredFile))?;
                write_image(&url, detail.as_deref(), self.json);
                self.json.close();
            }
            Part::Document { source, name, extras } => self.document(source, name.as_deref(), extras, path)?,
            Part::Audio { .. } => return Err(refusal(path, Capability::Audio)),
            Part::Opaque { kind, .. } => return Err(refusal(path, capability_of(kind))),
            Part::Thinking { .. } | Part::RedactedThinking { .. } => self.report.note(path, Capability::Reasoning),
            Part::ToolCall { .. } | Part::ToolResult { .. } => return Err(refusal(path, Capability::History)),
        }
        if let Part::Text { .. } | Part::Refusal { .. } = part {
            self.json.close();
        }
        Ok(())
    }

    fn document(
        &mut self,
        source: &ImageSource,
        name: Option<&str>,
        extras: &[Extra],
        path: &str,
    ) -> Result<(), Unsupported> {
        if let Some(cites) = extras.iter().find(|extra| &*extra.name == "citations")
            && cites.value.as_str().contains("true")
        {
            return Err(refusal(format!("{path}.citations"), Capability::Citations));
        }
        self.report_extras(extras, path)?;
        match source {
            ImageSource::Base64 { media_type, data } => {
                write_file(&format!("data:{media_type};base64,{data}"), name.unwrap_or("document.pdf"), self.json);
                self.json.close();
                Ok(())
            }
            ImageSource::Url(_) => Err(refusal(path, Capability::Document)),
            ImageSource::FileId(_) => Err(refusal(path, Capability::StoredFile)),
        }
    }

    fn report_citations(&mut self, citations: &[Citation], path: &str) -> Result<(), Unsupported> {
        if citations.is_empty() {
            return Ok(());
        }
        self.report.leave_out(format!("{path}.citations"), Capability::Citations)
    }

    fn report_extras(&mut self, extras: &[Extra], path: &str) -> Result<(), Unsupported> {
        let told = extras.iter().filter(|extra| !said_elsewhere(extra));
        told.clone()
            .try_for_each(|extra| self.report.leave_out(format!("{path}.{}", extra.name), Capability::Parameter))
    }
}

/// A message's place as the client of another dialect wrote it: a first system message stood beside the list.
fn place_of(messages: &[Message], at: usize) -> String {
    let beside = messages.first().is_some_and(|first| first.role == Role::System);
    match at.checked_sub(usize::from(beside)) {
        Some(at) => format!("messages[{at}]"),
        None => SYSTEM.to_owned(),
    }
}

const fn role_word(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::Developer => "developer",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// What a part of another dialect is about, by its kind.
fn capability_of(kind: &str) -> Capability {
    match kind {
        "image" => Capability::Image,
        "document" | "search_result" => Capability::Document,
        "container_upload" => Capability::StoredFile,
        kind if kind.contains("server_tool") || kind.contains("mcp_") || kind.ends_with("_tool_result") => {
            Capability::ServerTool
        }
        _ => Capability::Content,
    }
}

fn is_call(part: &Part) -> bool {
    match part {
        Part::ToolCall { .. } => true,
        Part::Opaque { kind, .. } => kind == OTHER_CALL,
        Part::Text { .. }
        | Part::Image { .. }
        | Part::Document { .. }
        | Part::Audio { .. }
        | Part::ToolResult { .. }
        | Part::Thinking { .. }
        | Part::RedactedThinking { .. }
        | Part::Refusal { .. } => false,
    }
}

/// Whether a part of a native message belongs into `content`. Thoughts read off other fields are written with these,
/// and so is a refusal that stood `apart`.
fn is_content(part: &Part, apart: bool) -> bool {
    match part {
        Part::Thinking { extras, .. } => !extras.is_empty(),
        Part::RedactedThinking { .. } => false,
        Part::Refusal { .. } => !apart,
        Part::Text { .. }
        | Part::Image { .. }
        | Part::Document { .. }
        | Part::Audio { .. }
        | Part::ToolResult { .. }
        | Part::ToolCall { .. }
        | Part::Opaque { .. } => !is_call(part),
    }
}

fn write_native_content<'p>(parts: impl IntoIterator<Item = &'p Part>, bare: bool, json: &mut Writer<'_>) {
    let mut parts = parts.into_iter().peekable();
    if bare {
        if let Some(Part::Text { text, .. }) = parts.find(|part| matches!(part, Part::Text { .. })) {
            json.field("content", text);
        }
    } else if parts.peek().is_some() {
        json.key("content");
        json.open_list();
        parts.for_each(|part| write_native_part(part, json));
        json.close_list();
    }
}

fn write_native_part(part: &Part, json: &mut Writer<'_>) {
    let kept = |extras: &[Extra], name: &str| extras.iter().any(|extra| &*extra.name == name);
    let extras: &[Extra] = match part {
        Part::Text { text, extras, .. } => {
            write_text(text, json);
            extras
        }
        Part::Image { source, detail, extras } => {
            if kept(extras, "image_url") {
                open_typed("image_url", json);
            } else {
                write_image(&image_url(source).unwrap_or_default(), detail.as_deref(), json);
            }
            extras
        }
        Part::Document { source, name, extras } => {
            open_typed("file", json);
            json.key("file");
            json.open();
            match source {
                ImageSource::FileId(id) => json.field("file_id", id),
                ImageSource::Base64 { .. } | ImageSource::Url(_) => {
                    json.field("file_data", &image_url(source).unwrap_or_default());
                }
            }
            if let Some(name) = name {
                json.field("filename", name);
            }
            json.close();
            extras
        }
        Part::Audio { format, data, extras } => {
            open_typed("input_audio", json);
            json.key("input_audio");
            json.open();
            json.field("data", data);
            json.field("format", format);
            json.close();
            extras
        }
        Part::ToolCall { id, name, arguments, extras } => {
            if kept(extras, "function") {
                json.open();
                if !id.is_empty() {
                    json.field("id", id);
                }
            } else {
                write_call(id, name, arguments, json);
            }
            extras
        }
        Part::Thinking { extras, .. } => {
            open_typed("thinking", json);
            extras
        }
        Part::Refusal { text } => {
            open_typed("refusal", json);
            json.field("refusal", text);
            &[]
        }
        Part::Opaque { value, .. } => return json.raw(value.as_str()),
        Part::ToolResult { .. } | Part::RedactedThinking { .. } => return,
    };
    json.extras(extras);
    json.close();
}

fn open_typed(kind: &str, json: &mut Writer<'_>) {
    json.open();
    json.field("type", kind);
}

/// Opens a text part; the caller closes it.
fn write_text(text: &str, json: &mut Writer<'_>) {
    open_typed("text", json);
    json.field("text", text);
}

/// Opens an image part; the caller closes it.
fn write_image(url: &str, detail: Option<&str>, json: &mut Writer<'_>) {
    open_typed("image_url", json);
    json.key("image_url");
    json.open();
    json.field("url", url);
    if let Some(detail) = detail {
        json.field("detail", detail);
    }
    json.close();
}

/// Opens a file part; the caller closes it.
fn write_file(data: &str, name: &str, json: &mut Writer<'_>) {
    open_typed("file", json);
    json.key("file");
    json.open();
    json.field("filename", name);
    json.field("file_data", data);
    json.close();
}

/// Opens a call; the caller closes it.
fn write_call(id: &str, name: &str, arguments: &str, json: &mut Writer<'_>) {
    json.open();
    if !id.is_empty() {
        json.field("id", id);
    }
    json.field("type", "function");
    json.key("function");
    json.open();
    json.field("name", name);
    json.field("arguments", arguments);
    json.close();
}

/// An image's address: data URLs hold it whole. `None` for one stored at a provider.
fn image_url(source: &ImageSource) -> Option<String> {
    match source {
        ImageSource::Base64 { media_type, data } => Some(format!("data:{media_type};base64,{data}")),
        ImageSource::Url(url) => Some(url.clone()),
        ImageSource::FileId(_) => None,
    }
}
