//! Streams of this dialect: facts read off a stream that passes through, and events for the conversation.

use bh_chat::{Event, Extra, Fault, Json, Part};
use serde::Deserialize;
use serde_json::value::RawValue;

use super::answer::{finish, refusal};
use super::error::{cut, in_stream, malformed};
use super::request_decode::{decode_citation, decode_part};
use super::usage::{Counts, RawUsage};
use crate::AnswerFacts;
use crate::fields::{Fields, string};
use crate::stream::Tapped;
use crate::write::Writer;

/// Reads facts off one event of a stream that is passed on as it came.
#[derive(Debug, Default)]
pub(crate) struct StreamTap {
    counts: Counts,
}

/// What is read of an event on its way through. Its own `type` is believed rather than the name in front of it,
/// which some providers leave out.
#[derive(Deserialize)]
struct RawEvent<'a> {
    r#type: EventKind,
    message: Option<RawStart>,
    content_block: Option<RawKind>,
    #[serde(borrow)]
    delta: Option<RawDelta<'a>>,
    usage: Option<RawUsage>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum EventKind {
    MessageStart,
    ContentBlockStart,
    ContentBlockDelta,
    ContentBlockStop,
    MessageDelta,
    MessageStop,
    Ping,
    Error,
    #[serde(other)]
    Unknown,
}

#[derive(Deserialize)]
struct RawStart {
    id: Option<String>,
    model: Option<String>,
    usage: Option<RawUsage>,
}

#[derive(Deserialize)]
struct RawKind {
    r#type: BlockKind,
}

/// Blocks that begin empty, and all others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum BlockKind {
    Text,
    Thinking,
    #[serde(other)]
    Other,
}

#[derive(Deserialize)]
struct RawDelta<'a> {
    #[serde(borrow)]
    text: Option<&'a RawValue>,
    #[serde(borrow)]
    thinking: Option<&'a RawValue>,
    #[serde(borrow)]
    partial_json: Option<&'a RawValue>,
    stop_reason: Option<String>,
    stop_sequence: Option<String>,
}

impl StreamTap {
    /// Looks at one event: `data` is its data. Updates `facts` (usage: merged, last total wins) and says what the
    /// event is.
    pub(crate) fn event(&mut self, _name: &[u8], data: &[u8], facts: &mut AnswerFacts) -> Result<Tapped, Fault> {
        let text = str::from_utf8(data).map_err(|_| unreadable())?;
        let raw: RawEvent<'_> = serde_json::from_str(text).map_err(|_| unreadable())?;
        match raw.r#type {
            EventKind::MessageStart => {
                self.start(raw.message, facts);
                Ok(Tapped::Pass)
            }
            EventKind::ContentBlockStart => Ok(match raw.content_block {
                Some(RawKind { r#type: BlockKind::Other }) => Tapped::Content,
                Some(RawKind { r#type: BlockKind::Text | BlockKind::Thinking }) | None => Tapped::Pass,
            }),
            EventKind::ContentBlockDelta => {
                if let Some(delta) = &raw.delta {
                    let written = [delta.text, delta.thinking, delta.partial_json].into_iter().flatten();
                    facts.text_bytes += written.map(|text| text.get().len().saturating_sub(2) as u64).sum::<u64>();
                }
                Ok(Tapped::Content)
            }
            EventKind::MessageDelta => {
                if let Some(delta) = raw.delta
                    && let Some(reason) = delta.stop_reason
                {
                    facts.finish = Some(finish(&reason, delta.stop_sequence));
                }
                self.count(raw.usage, facts);
                Ok(Tapped::Pass)
            }
            EventKind::MessageStop => Ok(Tapped::Terminal),
            EventKind::Error => Err(in_stream(text)),
            EventKind::ContentBlockStop | EventKind::Ping | EventKind::Unknown => Ok(Tapped::Pass),
        }
    }

    /// The provider closed the stream without a terminal event, which this dialect always sends.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        Err(cut())
    }

    fn start(&mut self, message: Option<RawStart>, facts: &mut AnswerFacts) {
        facts.choices = 1;
        if let Some(message) = message {
            facts.id = message.id.unwrap_or_default();
            facts.model = message.model.unwrap_or_default();
            self.count(message.usage, facts);
        }
    }

    fn count(&mut self, usage: Option<RawUsage>, facts: &mut AnswerFacts) {
        if let Some(usage) = usage {
            self.counts.merge(&usage);
            facts.usage = self.counts.usage();
            facts.service_tier = usage.service_tier.or(facts.service_tier.take());
        }
    }
}

/// Reads a stream into the conversation's events.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    counts: Counts,
    open: Vec<Block>,
    parts: u32,
    finished: bool,
    ended: bool,
}

/// A block that has begun and not ended.
#[derive(Debug)]
struct Block {
    index: u64,
    part: u32,
    held: Held,
}

/// What of a block cannot be said yet.
#[derive(Debug)]
enum Held {
    /// Nothing: it is said as it comes.
    Nothing,
    /// The arguments a call began with, which count only if no others follow.
    Arguments(String),
    /// A block of which the conversation knows no pieces: its members, and the input that is still growing.
    Whole {
        /// Its `type`.
        kind: String,
        /// Its members so far.
        members: Vec<Extra>,
        /// The text of its `input` so far.
        input: String,
    },
}

impl StreamDecoder {
    /// One event in; any number of events out (appended). `Event::End` says that the terminal event was seen.
    pub(crate) fn event(&mut self, _name: &[u8], data: &[u8], out: &mut Vec<Event>) -> Result<(), Fault> {
        if self.ended {
            return Ok(());
        }
        let text = str::from_utf8(data).map_err(|_| unreadable())?;
        let mut fields = Fields::parse(text).ok_or_else(unreadable)?;
        match fields.take_string("type").ok_or_else(unreadable)?.as_str() {
            "message_start" => self.start(&mut fields, out)?,
            "content_block_start" => self.open(&mut fields, out)?,
            "content_block_delta" => self.more(&mut fields, out)?,
            "content_block_stop" => {
                let index = fields.take_u64("index").ok_or_else(unreadable)?;
                self.close(|block| block.index == index, out);
            }
            "message_delta" => self.delta(&mut fields, out),
            "message_stop" => {
                self.close(|_| true, out);
                self.ended = true;
                out.push(Event::End);
            }
            "ping" => out.push(Event::Ping),
            "error" => return Err(in_stream(text)),
            _ => {}
        }
        Ok(())
    }

    /// The provider closed the stream; without the terminal event the answer is not whole.
    pub(crate) fn finish(&mut self, _out: &mut Vec<Event>) -> Result<(), Fault> {
        if self.ended { Ok(()) } else { Err(cut()) }
    }

    fn start(&mut self, fields: &mut Fields<'_>, out: &mut Vec<Event>) -> Result<(), Fault> {
        let mut message = fields.take("message").and_then(Fields::parse).ok_or_else(unreadable)?;
        out.push(Event::Start {
            id: message.take_string("id").unwrap_or_default(),
            model: message.take_string("model").unwrap_or_default(),
            created: None,
        });
        self.count(&mut message, out);
        Ok(())
    }

    fn count(&mut self, fields: &mut Fields<'_>, out: &mut Vec<Event>) {
        if let Some(usage) = fields.take("usage").and_then(|usage| serde_json::from_str(usage).ok()) {
            self.counts.merge(&usage);
            out.extend(self.counts.usage().map(Event::Usage));
        }
    }

    fn open(&mut self, fields: &mut Fields<'_>, out: &mut Vec<Event>) -> Result<(), Fault> {
        let index = fields.take_u64("index").ok_or_else(unreadable)?;
        let text = fields.take("content_block").ok_or_else(unreadable)?;
        let part = self.parts;
        self.parts += 1;
        let mut begun = decode_part(text, "content_block").map_err(|_| unreadable())?;
        let held = match &mut begun {
            Part::Opaque { kind, .. } => Held::Whole {
                kind: std::mem::take(kind),
                members: Fields::parse(text).ok_or_else(unreadable)?.rest(),
                input: String::new(),
            },
            Part::ToolCall { arguments, .. } => Held::Arguments(std::mem::take(arguments)),
            Part::Thinking { signature, .. } => {
                *signature = signature.take().filter(|signature| !signature.is_empty());
                Held::Nothing
            }
            Part::Text { extras, .. } => {
                extras.retain(|extra| &*extra.name != "citations");
                Held::Nothing
            }
            Part::Image { .. }
            | Part::Document { .. }
            | Part::Audio { .. }
            | Part::ToolResult { .. }
            | Part::RedactedThinking { .. }
            | Part::Refusal { .. } => Held::Nothing,
        };
        if !matches!(held, Held::Whole { .. }) {
            out.push(Event::Open { choice: 0, part, begun });
        }
        self.open.push(Block { index, part, held });
        Ok(())
    }

    fn more(&mut self, fields: &mut Fields<'_>, out: &mut Vec<Event>) -> Result<(), Fault> {
        let index = fields.take_u64("index").ok_or_else(unreadable)?;
        let mut delta = fields.take("delta").and_then(Fields::parse).ok_or_else(unreadable)?;
        let block = self.open.iter_mut().find(|block| block.index == index).ok_or_else(unreadable)?;
        let (choice, part) = (0, block.part);
        let kind = delta.take_string("type").ok_or_else(unreadable)?;
        if let Held::Whole { members, input, .. } = &mut block.held {
            match delta.take_string("partial_json").filter(|_| kind == "input_json_delta") {
                Some(piece) => input.push_str(&piece),
                None => grow(members, delta.rest()),
            }
            return Ok(());
        }
        let text = |delta: &mut Fields<'_>, name: &str| delta.take_string(name).ok_or_else(unreadable);
        match kind.as_str() {
            "text_delta" => out.push(Event::More { choice, part, text: text(&mut delta, "text")? }),
            "thinking_delta" => out.push(Event::More { choice, part, text: text(&mut delta, "thinking")? }),
            "input_json_delta" => {
                let piece = text(&mut delta, "partial_json")?;
                if !piece.is_empty() {
                    block.held = Held::Nothing;
                    out.push(Event::More { choice, part, text: piece });
                }
            }
            "signature_delta" => {
                out.push(Event::Signature { choice, part, signature: text(&mut delta, "signature")? });
            }
            "citations_delta" => {
                let citation = delta.take("citation").and_then(decode_citation).ok_or_else(unreadable)?;
                out.push(Event::Cite { choice, part, citation });
            }
            _ => {}
        }
        Ok(())
    }

    /// Ends the blocks that `which` picks.
    fn close(&mut self, which: impl Fn(&Block) -> bool, out: &mut Vec<Event>) {
        for block in self.open.extract_if(.., |block| which(block)) {
            let (choice, part) = (0, block.part);
            match block.held {
                Held::Nothing => {}
                Held::Arguments(text) => out.push(Event::More { choice, part, text }),
                Held::Whole { kind, members, input } => {
                    out.push(Event::Open { choice, part, begun: whole(kind, members, &input) });
                }
            }
            out.push(Event::Close { choice, part });
        }
    }

    fn delta(&mut self, fields: &mut Fields<'_>, out: &mut Vec<Event>) {
        let mut delta = fields.take("delta").and_then(Fields::parse).unwrap_or_default();
        let stop_sequence = delta.take_string("stop_sequence");
        if let Some(reason) = delta.take_string("stop_reason")
            && !self.finished
        {
            self.finished = true;
            self.close(|_| true, out);
            if let Some(begun) = delta.take("stop_details").and_then(refusal) {
                let (choice, part) = (0, self.parts);
                out.extend([Event::Open { choice, part, begun }, Event::Close { choice, part }]);
            }
            out.push(Event::Finish { choice: 0, finish: finish(&reason, stop_sequence) });
        }
        self.count(fields, out);
    }
}

fn unreadable() -> Fault {
    malformed("the provider sent an event that cannot be read")
}

/// Adds the members of a delta to those of its block: text is continued, anything else is replaced.
fn grow(members: &mut Vec<Extra>, delta: Vec<Extra>) {
    for piece in delta {
        let Some(member) = members.iter_mut().find(|member| member.name == piece.name) else {
            members.push(piece);
            continue;
        };
        match (string(member.value.as_str()), string(piece.value.as_str())) {
            (Some(before), Some(more)) => {
                let mut text = Vec::new();
                Writer(&mut text).string(&(before + &more));
                member.value = Json(String::from_utf8(text).expect("made of texts").into());
            }
            (Some(_) | None, _) => member.value = piece.value,
        }
    }
}

/// The complete block, with the input that was streamed.
fn whole(kind: String, mut members: Vec<Extra>, input: &str) -> Part {
    if Fields::parse(input).is_some() {
        members.retain(|member| &*member.name != "input");
        members.push(Extra { name: "input".into(), value: Json(input.into()) });
    }
    let mut text = Vec::new();
    let mut json = Writer(&mut text);
    json.open();
    json.extras(&members);
    json.close();
    Part::Opaque { kind, value: Json(String::from_utf8(text).expect("made of texts").into()) }
}
