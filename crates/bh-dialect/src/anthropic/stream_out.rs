//! The conversation's events as a stream of this dialect.

use bh_chat::{Citation, Event, Finish, Part, Usage};
use bytes::BytesMut;

use super::answer::{or, says_nothing, stop_reason, write_caller, write_citation};
use super::usage::write_usage;
use crate::AnswerOptions;
use crate::write::{Writer, frame};

/// Writes the conversation's events as a stream. One block is open at a time, as clients of this dialect expect; what
/// comes for another part meanwhile waits for its turn.
#[derive(Debug)]
pub(crate) struct StreamEncoder {
    id: String,
    model: String,
    started: bool,
    ended: bool,
    blocks: u64,
    calls: bool,
    live: Option<(u32, Live)>,
    waiting: Vec<(u32, Vec<Event>)>,
    finish: Option<Finish>,
    usage: Option<Usage>,
    scratch: Vec<u8>,
}

/// What the open block takes.
#[derive(Clone, Copy, Debug)]
enum Live {
    Text,
    Thinking,
    /// A call's, of which none has come.
    NoArguments,
    Arguments,
    /// It was complete when it began.
    Nothing,
    /// It has no place on the wire.
    Absent,
}

impl StreamEncoder {
    /// Nothing is written before the first event.
    pub(crate) fn new(options: &AnswerOptions) -> Self {
        StreamEncoder {
            id: options.id.clone(),
            model: options.model.clone(),
            started: false,
            ended: false,
            blocks: 0,
            calls: false,
            live: None,
            waiting: Vec::new(),
            finish: None,
            usage: None,
            scratch: Vec::new(),
        }
    }

    /// One event in, whole SSE events out. `Event::Failed` never arrives here.
    pub(crate) fn event(&mut self, event: &Event, out: &mut BytesMut) {
        if self.ended {
            return;
        }
        match event {
            Event::Start { id, model, .. } => {
                self.id = or(id, &self.id).to_owned();
                self.model = or(model, &self.model).to_owned();
                self.start(out);
            }
            // Requests of this dialect ask for one answer.
            Event::Open { choice: 0, part, .. }
            | Event::More { choice: 0, part, .. }
            | Event::Signature { choice: 0, part, .. }
            | Event::Cite { choice: 0, part, .. }
            | Event::Close { choice: 0, part } => {
                self.start(out);
                self.piece(*part, event, out);
            }
            Event::Finish { choice: 0, finish } => self.finish = Some(finish.clone()),
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::Ping => out.extend_from_slice(super::KEEP_ALIVE),
            Event::End => self.end(out),
            Event::Open { .. }
            | Event::More { .. }
            | Event::Signature { .. }
            | Event::Cite { .. }
            | Event::Close { .. }
            | Event::Finish { .. }
            | Event::Failed(_) => {}
        }
    }

    fn start(&mut self, out: &mut BytesMut) {
        if self.started {
            return;
        }
        self.started = true;
        let (id, model) = (std::mem::take(&mut self.id), std::mem::take(&mut self.model));
        // Answer tokens are counted in the end; the prompt's only where the provider has said them by now.
        let usage = Usage { output: 0, reasoning: 0, audio_output: 0, ..self.usage.unwrap_or_default() };
        self.write("message_start", out, |json| {
            json.key("message");
            json.open();
            json.field("id", &id);
            json.field("type", "message");
            json.field("role", "assistant");
            json.field("model", &model);
            json.key("content");
            json.raw("[]");
            json.field_or_null("stop_reason", None);
            json.field_or_null("stop_sequence", None);
            json.key("usage");
            write_usage(&usage, json);
            json.close();
        });
    }

    fn piece(&mut self, part: u32, event: &Event, out: &mut BytesMut) {
        let opens = matches!(event, Event::Open { .. });
        if self.live.is_some_and(|(live, _)| live == part) || (self.live.is_none() && opens) {
            return self.say(part, event, out);
        }
        match self.waiting.iter_mut().find(|(waiting, _)| *waiting == part) {
            Some((_, events)) => events.push(event.clone()),
            None if opens => self.waiting.push((part, vec![event.clone()])),
            None => {}
        }
    }

    /// Writes what an event says of the open block; when the block ends, the next that waits has its turn.
    fn say(&mut self, part: u32, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Open { begun, .. } => self.open(part, begun, out),
            Event::More { text, .. } => self.more(text, out),
            Event::Signature { signature, .. } => self.sign(signature, out),
            Event::Cite { citation, .. } => self.cite(citation, out),
            Event::Close { .. } => {
                self.close(out);
                self.next(out);
            }
            Event::Start { .. }
            | Event::Finish { .. }
            | Event::Usage(_)
            | Event::Ping
            | Event::End
            | Event::Failed(_) => {}
        }
    }

    fn next(&mut self, out: &mut BytesMut) {
        while self.live.is_none() && !self.waiting.is_empty() {
            let (part, events) = self.waiting.remove(0);
            for event in &events {
                if matches!(event, Event::Close { .. }) {
                    self.close(out);
                } else {
                    self.say(part, event, out);
                }
            }
        }
    }

    fn open(&mut self, part: u32, begun: &Part, out: &mut BytesMut) {
        let (live, first) = match begun {
            Part::Text { text, .. } | Part::Refusal { text } => (Live::Text, text.as_str()),
            Part::Thinking { text, .. } => (Live::Thinking, text.as_str()),
            Part::ToolCall { arguments, .. } => (Live::NoArguments, arguments.as_str()),
            Part::RedactedThinking { .. } | Part::Opaque { .. } => (Live::Nothing, ""),
            // Inputs of a conversation are no part of answers.
            Part::Image { .. } | Part::Document { .. } | Part::Audio { .. } | Part::ToolResult { .. } => {
                self.live = Some((part, Live::Absent));
                return;
            }
        };
        self.calls |= matches!(live, Live::NoArguments);
        self.live = Some((part, live));
        let index = self.blocks;
        self.blocks += 1;
        self.write("content_block_start", out, |json| {
            json.field_number("index", index);
            json.key("content_block");
            write_begun(json, begun);
        });
        self.more(first, out);
        if let Part::Text { citations, .. } = begun {
            for citation in citations {
                self.cite(citation, out);
            }
        }
        if let Part::Thinking { signature: Some(signature), .. } = begun {
            self.sign(signature, out);
        }
    }

    fn more(&mut self, text: &str, out: &mut BytesMut) {
        let (kind, name) = match self.live {
            Some((_, Live::Text)) => ("text_delta", "text"),
            Some((_, Live::Thinking)) => ("thinking_delta", "thinking"),
            Some((_, Live::NoArguments)) if says_nothing(text) => return,
            Some((part, Live::NoArguments | Live::Arguments)) => {
                self.live = Some((part, Live::Arguments));
                ("input_json_delta", "partial_json")
            }
            Some((_, Live::Nothing | Live::Absent)) | None => return,
        };
        if !text.is_empty() {
            self.delta(out, |json| {
                json.field("type", kind);
                json.field(name, text);
            });
        }
    }

    fn sign(&mut self, signature: &str, out: &mut BytesMut) {
        self.delta(out, |json| {
            json.field("type", "signature_delta");
            json.field("signature", signature);
        });
    }

    fn cite(&mut self, citation: &Citation, out: &mut BytesMut) {
        self.delta(out, |json| {
            json.field("type", "citations_delta");
            json.key("citation");
            write_citation(json, citation);
        });
    }

    /// A delta of the open block.
    fn delta(&mut self, out: &mut BytesMut, members: impl FnOnce(&mut Writer<'_>)) {
        let index = self.blocks.saturating_sub(1);
        self.write("content_block_delta", out, |json| {
            json.field_number("index", index);
            json.key("delta");
            json.open();
            members(json);
            json.close();
        });
    }

    fn close(&mut self, out: &mut BytesMut) {
        if self.live.take().is_some_and(|(_, live)| !matches!(live, Live::Absent)) {
            let index = self.blocks.saturating_sub(1);
            self.write("content_block_stop", out, |json| json.field_number("index", index));
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        self.start(out);
        while self.live.is_some() || !self.waiting.is_empty() {
            self.close(out);
            self.next(out);
        }
        self.ended = true;
        let (finish, usage, calls) = (self.finish.take(), self.usage.unwrap_or_default(), self.calls);
        self.write("message_delta", out, |json| {
            let (reason, sequence) = stop_reason(finish.as_ref(), calls);
            json.key("delta");
            json.open();
            json.field_or_null("stop_reason", reason);
            json.field_or_null("stop_sequence", sequence);
            json.close();
            json.key("usage");
            write_usage(&usage, json);
        });
        self.write("message_stop", out, |_| {});
    }

    /// Writes one event whose data has its own name as `type`.
    fn write(&mut self, name: &str, out: &mut BytesMut, members: impl FnOnce(&mut Writer<'_>)) {
        self.scratch.clear();
        let mut json = Writer(&mut self.scratch);
        json.open();
        json.field("type", name);
        members(&mut json);
        json.close();
        frame(Some(name), &mut self.scratch, out);
    }
}

/// The block as it stands before its first delta.
fn write_begun(json: &mut Writer<'_>, begun: &Part) {
    if let Part::Opaque { value, .. } = begun {
        return json.raw(value.as_str());
    }
    json.open();
    match begun {
        Part::ToolCall { id, name, extras, .. } => {
            json.field("type", "tool_use");
            json.field("id", id);
            json.field("name", name);
            json.key("input");
            json.raw("{}");
            write_caller(json, extras);
        }
        Part::Thinking { .. } => {
            json.field("type", "thinking");
            json.field("thinking", "");
            json.field("signature", "");
        }
        Part::RedactedThinking { data } => {
            json.field("type", "redacted_thinking");
            json.field("data", data);
        }
        Part::Text { .. }
        | Part::Refusal { .. }
        | Part::Image { .. }
        | Part::Document { .. }
        | Part::Audio { .. }
        | Part::ToolResult { .. }
        | Part::Opaque { .. } => {
            json.field("type", "text");
            json.field("text", "");
        }
    }
    json.close();
}
