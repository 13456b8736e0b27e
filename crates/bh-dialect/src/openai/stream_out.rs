//! The conversation's events as a stream of chunks.

use bh_chat::{Event, Part, Usage};
use bytes::BytesMut;

use super::answer::finish_word;
use super::thoughts::{self, Detail};
use super::usage;
use crate::AnswerOptions;
use crate::write::{Writer, frame};

/// Writes the conversation's events as a stream.
#[derive(Debug)]
pub(crate) struct StreamEncoder {
    id: String,
    model: String,
    created: u64,
    wants_usage: bool,
    usage: Option<Usage>,
    parts: Vec<OpenPart>,
    calls: u64,
    thoughts: u64,
    refused: bool,
    scratch: Vec<u8>,
}

/// A part that has begun.
#[derive(Debug)]
struct OpenPart {
    choice: u32,
    part: u32,
    kind: Kind,
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    Text,
    Refusal,
    Thinking {
        index: u64,
    },
    Call {
        index: u64,
        silent: bool,
    },
    /// Nothing this dialect shows.
    Hidden,
}

/// What a delta adds.
#[derive(Clone, Copy)]
enum Delta<'a> {
    Role,
    Content(&'a str),
    Refusal(&'a str),
    Thought(&'a str, u64),
    Detail(Detail<'a>, u64),
    CallOpens { index: u64, id: &'a str, name: &'a str, arguments: &'a str },
    CallGoesOn { index: u64, arguments: &'a str },
    Nothing,
}

impl StreamEncoder {
    /// Nothing is written before the first event.
    pub(crate) fn new(options: &AnswerOptions) -> Self {
        StreamEncoder {
            id: options.id.clone(),
            model: options.model.clone(),
            created: options.created,
            wants_usage: options.client_wants_usage,
            usage: None,
            parts: Vec::new(),
            calls: 0,
            thoughts: 0,
            refused: false,
            scratch: Vec::new(),
        }
    }

    /// One event in, whole SSE events out. `Event::Failed` never arrives here.
    pub(crate) fn event(&mut self, event: &Event, out: &mut BytesMut) {
        match event {
            Event::Start { id, model, created } => {
                if !id.is_empty() {
                    self.id.clone_from(id);
                }
                if !model.is_empty() {
                    self.model.clone_from(model);
                }
                self.created = created.unwrap_or(self.created);
                self.chunk(0, Delta::Role, None, out);
            }
            Event::Open { choice, part, begun } => self.open(*choice, *part, begun, out),
            Event::More { choice, part, text } => self.more(*choice, *part, text, out),
            Event::Signature { choice, part, signature } => {
                if let Some(Kind::Thinking { index }) = self.kind(*choice, *part).copied() {
                    self.chunk(*choice, Delta::Detail(Detail::Signature(signature), index), None, out);
                }
            }
            Event::Close { choice, part } => self.close(*choice, *part, out),
            Event::Finish { choice, finish } => {
                let word = finish_word(finish, self.refused).to_owned();
                self.chunk(*choice, Delta::Nothing, Some(&word), out);
            }
            Event::Usage(usage) => self.usage = Some(*usage),
            Event::End => self.end(out),
            Event::Cite { .. } | Event::Ping | Event::Failed(_) => {}
        }
    }

    fn open(&mut self, choice: u32, part: u32, begun: &Part, out: &mut BytesMut) {
        let kind = match begun {
            Part::Text { text, .. } => {
                self.text(choice, Delta::Content(text), text, out);
                Kind::Text
            }
            Part::Refusal { text } => {
                self.refused = true;
                self.text(choice, Delta::Refusal(text), text, out);
                Kind::Refusal
            }
            Part::Thinking { text, signature, .. } => {
                let index = self.next_thought();
                self.text(choice, Delta::Thought(text, index), text, out);
                if let Some(signature) = signature {
                    self.chunk(choice, Delta::Detail(Detail::Signature(signature), index), None, out);
                }
                Kind::Thinking { index }
            }
            Part::RedactedThinking { data } => {
                let index = self.next_thought();
                self.chunk(choice, Delta::Detail(Detail::Encrypted(data), index), None, out);
                Kind::Hidden
            }
            Part::ToolCall { id, name, arguments, .. } => {
                let index = self.calls;
                self.calls += 1;
                self.chunk(choice, Delta::CallOpens { index, id, name, arguments }, None, out);
                Kind::Call { index, silent: arguments.is_empty() }
            }
            Part::Image { .. }
            | Part::Document { .. }
            | Part::Audio { .. }
            | Part::ToolResult { .. }
            | Part::Opaque { .. } => Kind::Hidden,
        };
        self.parts.push(OpenPart { choice, part, kind });
    }

    fn more(&mut self, choice: u32, part: u32, text: &str, out: &mut BytesMut) {
        let Some(kind) = self.kind(choice, part).filter(|_| !text.is_empty()) else { return };
        let delta = match kind {
            Kind::Text => Delta::Content(text),
            Kind::Refusal => Delta::Refusal(text),
            Kind::Thinking { index } => Delta::Thought(text, *index),
            Kind::Call { index, silent } => {
                *silent = false;
                Delta::CallGoesOn { index: *index, arguments: text }
            }
            Kind::Hidden => return,
        };
        self.chunk(choice, delta, None, out);
    }

    /// A call without arguments still owes its client an object.
    fn close(&mut self, choice: u32, part: u32, out: &mut BytesMut) {
        let Some(at) = self.parts.iter().position(|open| open.choice == choice && open.part == part) else { return };
        if let Kind::Call { index, silent: true } = self.parts.swap_remove(at).kind {
            self.chunk(choice, Delta::CallGoesOn { index, arguments: "{}" }, None, out);
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        if let Some(usage) = self.usage.filter(|_| self.wants_usage) {
            let mut json = Writer(&mut self.scratch);
            json.open();
            head(&mut json, &self.id, &self.model, self.created);
            json.key("choices");
            json.open_list();
            json.close_list();
            json.key("usage");
            usage::write(&usage, &mut json);
            json.close();
            frame(None, &mut self.scratch, out);
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    fn text(&mut self, choice: u32, delta: Delta<'_>, text: &str, out: &mut BytesMut) {
        if !text.is_empty() {
            self.chunk(choice, delta, None, out);
        }
    }

    fn chunk(&mut self, choice: u32, delta: Delta<'_>, finish: Option<&str>, out: &mut BytesMut) {
        let mut json = Writer(&mut self.scratch);
        json.open();
        head(&mut json, &self.id, &self.model, self.created);
        json.key("choices");
        json.open_list();
        json.open();
        json.field_number("index", choice.into());
        json.key("delta");
        json.open();
        write_delta(delta, &mut json);
        json.close();
        json.field_or_null("logprobs", None);
        json.field_or_null("finish_reason", finish);
        json.close();
        json.close_list();
        if self.wants_usage {
            json.field_or_null("usage", None);
        }
        json.close();
        frame(None, &mut self.scratch, out);
    }

    fn kind(&mut self, choice: u32, part: u32) -> Option<&mut Kind> {
        self.parts.iter_mut().find(|open| open.choice == choice && open.part == part).map(|open| &mut open.kind)
    }

    fn next_thought(&mut self) -> u64 {
        self.thoughts += 1;
        self.thoughts - 1
    }
}

fn head(json: &mut Writer<'_>, id: &str, model: &str, created: u64) {
    json.field("id", id);
    json.field("object", "chat.completion.chunk");
    json.field_number("created", created);
    json.field("model", model);
}

fn write_delta(delta: Delta<'_>, json: &mut Writer<'_>) {
    match delta {
        Delta::Role => {
            json.field("role", "assistant");
            json.field("content", "");
        }
        Delta::Content(text) => json.field("content", text),
        Delta::Refusal(text) => json.field("refusal", text),
        Delta::Thought(text, index) => {
            json.field("reasoning_content", text);
            write_detail(Detail::Text(text), index, json);
        }
        Delta::Detail(detail, index) => write_detail(detail, index, json),
        Delta::CallOpens { index, id, name, arguments } => write_call(json, index, |json| {
            json.field("id", id);
            json.field("type", "function");
            json.key("function");
            json.open();
            json.field("name", name);
            json.field("arguments", arguments);
            json.close();
        }),
        Delta::CallGoesOn { index, arguments } => write_call(json, index, |json| {
            json.key("function");
            json.open();
            json.field("arguments", arguments);
            json.close();
        }),
        Delta::Nothing => {}
    }
}

fn write_detail(detail: Detail<'_>, index: u64, json: &mut Writer<'_>) {
    json.key("reasoning_details");
    json.open_list();
    thoughts::write(detail, index, json);
    json.close_list();
}

fn write_call(json: &mut Writer<'_>, index: u64, rest: impl FnOnce(&mut Writer<'_>)) {
    json.key("tool_calls");
    json.open_list();
    json.open();
    json.field_number("index", index);
    rest(json);
    json.close();
    json.close_list();
}
