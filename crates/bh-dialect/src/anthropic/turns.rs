//! Turns and content blocks out of the conversation.

use bh_chat::{Citation, Extra, ImageSource, Message, Part, Role};

use super::refusal;
use crate::fields::Fields;
use crate::openai::said_elsewhere;
use crate::report::Report;
use crate::write::Writer;
use crate::{Capability, Dialect, Unsupported};

/// Messages that become one turn on the wire, with their places in the conversation.
#[derive(Debug)]
pub(super) struct Turn<'r> {
    role: &'static str,
    messages: Vec<(usize, &'r Message)>,
}

/// The system prompt and the turns of a conversation.
#[derive(Debug, Default)]
pub(super) struct Turns<'r> {
    system: Vec<(usize, &'r Message)>,
    turns: Vec<Turn<'r>>,
    /// Instructions that stood behind the first turn of a foreign conversation.
    moved: Vec<usize>,
}

/// Writes content blocks, and knows where the conversation came from.
pub(super) struct Blocks<'a> {
    /// The dialect whose extras the parts carry.
    pub(super) from: Dialect,
    /// What could not be said.
    pub(super) report: &'a mut Report,
}

impl<'r> Turns<'r> {
    /// Sorts a conversation. One of this dialect keeps its turns and lets only a first system message be the system
    /// prompt. A foreign one has all its instructions gathered there, and neighbours of one role made one turn: the
    /// API wants roles to alternate and the results of parallel calls together.
    pub(super) fn sort(messages: &'r [Message], from: Dialect) -> Self {
        let native = from == Dialect::AnthropicMessages;
        let mut sorted = Turns::default();
        for (at, message) in messages.iter().enumerate() {
            let role = match message.role {
                Role::System | Role::Developer if !native || at == 0 => {
                    sorted.system.push((at, message));
                    sorted.moved.extend((!sorted.turns.is_empty()).then_some(at));
                    continue;
                }
                Role::System | Role::Developer => "system",
                Role::User | Role::Tool => "user",
                Role::Assistant => "assistant",
            };
            match sorted.turns.last_mut() {
                Some(turn) if !native && turn.role == role => turn.messages.push((at, message)),
                Some(_) | None => sorted.turns.push(Turn { role, messages: vec![(at, message)] }),
            }
        }
        sorted
    }

    /// Whether results of calls are waiting for an answer, and the turn that made the calls does not begin with
    /// thinking that its maker signed.
    pub(super) fn pending_calls_lack_thinking(&self) -> bool {
        let signed =
            |part: &Part| matches!(part, Part::Thinking { signature: Some(_), .. } | Part::RedactedThinking { .. });
        match self.turns.as_slice() {
            [.., calls, results] => {
                let pending = results.parts().any(|part| matches!(part, Part::ToolResult { .. }));
                pending && !calls.parts().next().is_some_and(signed)
            }
            [_] | [] => false,
        }
    }

    /// Looks for what a foreign conversation does in an order that means something else here.
    ///
    /// # Errors
    /// There is no turn to answer: none at all, or a last one of the model's own, which it would go on with here. Or
    /// instructions stand among the turns, and the caller wants such conversations refused.
    pub(super) fn check_order(&self, report: &mut Report) -> Result<(), Unsupported> {
        let Some(last) = self.turns.iter().rfind(|turn| !turn.is_silent()) else {
            return Err(refusal("messages", Capability::History));
        };
        for at in &self.moved {
            report.leave_out(format!("messages[{at}].role"), Capability::History)?;
        }
        match last.messages.last() {
            Some((at, _)) if last.role == "assistant" => Err(refusal(format!("messages[{at}]"), Capability::History)),
            Some(_) | None => Ok(()),
        }
    }

    /// Writes `system`, where there is one.
    pub(super) fn write_system(&self, json: &mut Writer<'_>, blocks: &mut Blocks<'_>) -> Result<(), Unsupported> {
        if self.system.is_empty() {
            return Ok(());
        }
        if !blocks.native() {
            for (at, message) in &self.system {
                if !message.parts.iter().all(|part| matches!(part, Part::Text { .. })) {
                    return Err(refusal(format!("messages[{at}].content"), Capability::Content));
                }
            }
        }
        json.key("system");
        blocks.write_content(json, &self.system)
    }

    /// Writes `messages`.
    pub(super) fn write_messages(&self, json: &mut Writer<'_>, blocks: &mut Blocks<'_>) -> Result<(), Unsupported> {
        json.key("messages");
        json.open_list();
        for turn in &self.turns {
            if turn.is_silent() && !blocks.native() {
                continue;
            }
            json.open();
            json.field("role", turn.role);
            json.key("content");
            blocks.write_content(json, &turn.messages)?;
            if blocks.native() {
                turn.messages.iter().for_each(|(_, message)| json.extras(&message.extras));
            }
            json.close();
        }
        json.close_list();
        Ok(())
    }
}

impl Turn<'_> {
    fn parts(&self) -> impl Iterator<Item = &Part> {
        self.messages.iter().flat_map(|(_, message)| &message.parts)
    }

    /// An assistant's turn with nothing to write, as left by clients that keep empty answers: the API refuses it.
    fn is_silent(&self) -> bool {
        let unwritten = |part: &Part| is_empty_text(part) || matches!(part, Part::Thinking { signature: None, .. });
        self.role == "assistant" && self.parts().all(unwritten)
    }
}

impl Blocks<'_> {
    fn native(&self) -> bool {
        self.from == Dialect::AnthropicMessages
    }

    /// Writes the content of one turn: a bare string where it was one, otherwise a list of blocks.
    fn write_content(&mut self, json: &mut Writer<'_>, messages: &[(usize, &Message)]) -> Result<(), Unsupported> {
        if !self.native() {
            for (at, message) in messages {
                self.report_extras(&message.extras, &format!("messages[{at}]"))?;
            }
        }
        if let [(_, Message { bare: true, parts, .. })] = messages
            && let [Part::Text { text, .. }] = parts.as_slice()
        {
            json.string(text);
            return Ok(());
        }
        let silent = messages.iter().flat_map(|(_, message)| &message.parts).all(is_empty_text);
        json.open_list();
        for (at, message) in messages {
            for (place, part) in message.parts.iter().enumerate() {
                // The API refuses empty text, which other dialects put beside tool calls.
                if !self.native() && !silent && is_empty_text(part) {
                    continue;
                }
                self.write_part(json, part, &path_of(*at, message, place))?;
            }
        }
        json.close_list();
        Ok(())
    }

    fn write_part(&mut self, json: &mut Writer<'_>, part: &Part, path: &str) -> Result<(), Unsupported> {
        match part {
            Part::Text { text, citations, extras } => {
                json.open();
                json.field("type", "text");
                json.field("text", text);
                self.write_citations(json, citations);
                self.close_with(json, extras, path)
            }
            Part::Refusal { text } => {
                json.open();
                json.field("type", "text");
                json.field("text", text);
                json.close();
                Ok(())
            }
            Part::Image { source, detail, extras } => {
                if detail.as_deref().is_some_and(|detail| detail != "auto") {
                    self.report.leave_out(format!("{path}.image_url.detail"), Capability::Parameter)?;
                }
                self.write_media(json, "image", source, path)?;
                self.close_with(json, extras, path)
            }
            Part::Document { source, name, extras } => {
                self.write_media(json, "document", source, path)?;
                if let Some(name) = name {
                    json.field("title", name);
                }
                self.close_with(json, extras, path)
            }
            Part::ToolCall { id, name, arguments, extras } => {
                json.open();
                json.field("type", "tool_use");
                json.field("id", &self.call_id(id));
                json.field("name", name);
                json.key("input");
                json.raw(self.call_input(arguments, path)?);
                self.close_with(json, extras, path)
            }
            Part::ToolResult { .. } => self.write_tool_result(json, part, path),
            // Only the family that signed a thought can read it; without a signature it is taken for forged.
            Part::Thinking { signature: None, .. } if !self.native() => {
                self.report.note(path, Capability::Reasoning);
                Ok(())
            }
            Part::Thinking { .. } | Part::RedactedThinking { .. } => {
                write_thinking(json, part);
                Ok(())
            }
            Part::Opaque { value, .. } if self.native() => {
                json.raw(value.as_str());
                Ok(())
            }
            Part::Opaque { .. } => Err(refusal(path, Capability::Content)),
            Part::Audio { .. } => Err(refusal(path, Capability::Audio)),
        }
    }

    fn write_tool_result(&mut self, json: &mut Writer<'_>, part: &Part, path: &str) -> Result<(), Unsupported> {
        let Part::ToolResult { id, parts, bare, is_error, extras } = part else {
            return Ok(());
        };
        json.open();
        json.field("type", "tool_result");
        json.field("tool_use_id", &self.call_id(id));
        match parts.as_slice() {
            [] if *bare => {}
            [Part::Text { text, .. }] if *bare => json.field("content", text),
            parts => {
                json.key("content");
                json.open_list();
                for (place, part) in parts.iter().enumerate() {
                    if self.native() || !is_empty_text(part) {
                        self.write_part(json, part, &format!("{path}.content[{place}]"))?;
                    }
                }
                json.close_list();
            }
        }
        if let Some(is_error) = is_error {
            json.field_bool("is_error", *is_error);
        }
        self.close_with(json, extras, path)
    }

    /// Opens a block of media and writes its source; the caller closes it.
    fn write_media(
        &mut self,
        json: &mut Writer<'_>,
        kind: &'static str,
        source: &ImageSource,
        path: &str,
    ) -> Result<(), Unsupported> {
        let capability = if kind == "image" { Capability::Image } else { Capability::Document };
        let mut form = |fields: &[(&str, &str)]| {
            json.open();
            json.field("type", kind);
            json.key("source");
            json.open();
            fields.iter().for_each(|(name, value)| json.field(name, value));
            json.close();
        };
        match source {
            ImageSource::Base64 { media_type, data } => {
                let pdf = media_type == "application/pdf";
                if !self.native() && (kind == "document") != pdf {
                    return Err(refusal(path, capability));
                }
                form(&[("type", "base64"), ("media_type", media_type), ("data", data)]);
            }
            ImageSource::Url(url) => match data_url(url) {
                Some((media_type, data)) if !self.native() => {
                    form(&[("type", "base64"), ("media_type", media_type), ("data", data)]);
                }
                Some(_) | None if !self.native() && !url.starts_with("https://") && !url.starts_with("http://") => {
                    return Err(refusal(path, capability));
                }
                Some(_) | None => form(&[("type", "url"), ("url", url)]),
            },
            ImageSource::FileId(id) if self.native() => form(&[("type", "file"), ("file_id", id)]),
            ImageSource::FileId(_) => return Err(refusal(path, Capability::StoredFile)),
        }
        Ok(())
    }

    /// Citations of another dialect point into its own answers, so they are not replayed.
    fn write_citations(&mut self, json: &mut Writer<'_>, citations: &[Citation]) {
        if !self.native() || citations.is_empty() {
            return;
        }
        json.key("citations");
        json.open_list();
        citations.iter().for_each(|citation| json.raw(citation.value.as_str()));
        json.close_list();
    }

    /// Ends a block with what travelled along. A foreign block may carry `cache_control`, which many clients of other
    /// dialects know how to set; anything else is left out by name.
    fn close_with(&mut self, json: &mut Writer<'_>, extras: &[Extra], path: &str) -> Result<(), Unsupported> {
        if self.native() {
            json.extras(extras);
        } else {
            if let Some(cache) = extras.iter().find(|extra| &*extra.name == "cache_control") {
                json.field_json("cache_control", &cache.value);
            }
            self.report_extras(extras, path)?;
        }
        json.close();
        Ok(())
    }

    fn report_extras(&mut self, extras: &[Extra], path: &str) -> Result<(), Unsupported> {
        let told = |extra: &&Extra| &*extra.name != "cache_control" && !said_elsewhere(extra);
        for extra in extras.iter().filter(told) {
            self.report.leave_out(format!("{path}.{}", extra.name), Capability::Parameter)?;
        }
        Ok(())
    }

    /// The API takes only letters, digits, `_` and `-` in the ids of calls.
    fn call_id(&self, id: &str) -> String {
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
        if self.native() { id.to_owned() } else { id.replace(|c| !allowed(c), "_") }
    }

    /// The arguments of a call as the JSON object the API wants.
    fn call_input<'p>(&self, arguments: &'p str, path: &str) -> Result<&'p str, Unsupported> {
        if self.native() || Fields::parse(arguments).is_some() {
            Ok(arguments)
        } else if arguments.trim().is_empty() {
            Ok("{}")
        } else {
            Err(refusal(format!("{path}.function.arguments"), Capability::Content))
        }
    }
}

/// A part's place in a chat completions request, where calls and reasoning stand beside the content.
fn path_of(at: usize, message: &Message, place: usize) -> String {
    let is_call = |part: &&Part| matches!(part, Part::ToolCall { .. });
    let is_thought = |part: &&Part| matches!(part, Part::Thinking { .. } | Part::RedactedThinking { .. });
    let (before, part) = (&message.parts[..place], &message.parts[place]);
    if is_thought(&part) {
        format!("messages[{at}].reasoning_content")
    } else if is_call(&part) {
        format!("messages[{at}].tool_calls[{}]", before.iter().filter(is_call).count())
    } else if message.bare {
        format!("messages[{at}].content")
    } else {
        let place = before.iter().filter(|part| !is_call(part) && !is_thought(part)).count();
        format!("messages[{at}].content[{place}]")
    }
}

fn write_thinking(json: &mut Writer<'_>, part: &Part) {
    json.open();
    if let Part::Thinking { text, signature, extras } = part {
        json.field("type", "thinking");
        json.field("thinking", text);
        if let Some(signature) = signature {
            json.field("signature", signature);
        }
        json.extras(extras);
    } else if let Part::RedactedThinking { data } = part {
        json.field("type", "redacted_thinking");
        json.field("data", data);
    }
    json.close();
}

fn is_empty_text(part: &Part) -> bool {
    matches!(part, Part::Text { text, .. } if text.is_empty())
}

/// Media type and base64 text of a data URL.
fn data_url(url: &str) -> Option<(&str, &str)> {
    let (head, data) = url.strip_prefix("data:")?.split_once(',')?;
    let media_type = head.strip_suffix(";base64")?;
    Some((media_type.split(';').next()?, data))
}
