//! A stream of chunks into the conversation's events.

use bh_chat::{Event, Fault, Finish, Part};
use serde_json::value::RawValue;

use super::answer::{finish_given, said};
use super::error::malformed;
use super::facts::{DONE, GroqExtra, finish_of};
use super::thoughts;
use super::usage::WireUsage;
use crate::fields::{Fields, elements, string};

/// Reads a stream into the conversation's events. Errors inside the stream have been found before.
///
/// Text, reasoning and refusal come one after the other: another kind closes the part before it. Tool calls close when
/// their arguments are a whole JSON value and something else begins, or at the end, so that interleaved ones stay open.
#[derive(Debug, Default)]
pub(crate) struct StreamDecoder {
    started: bool,
    ended: bool,
    id: String,
    choices: Vec<ChoiceState>,
}

#[derive(Debug, Default)]
struct ChoiceState {
    index: u32,
    parts: u32,
    /// The part that text is appended to.
    open: Option<(u32, Kind)>,
    calls: Vec<Call>,
    finish: Option<Finish>,
    refused: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    /// With the provider's number of the thought, where it gives one.
    Thinking(Option<u64>),
    Refusal,
}

#[derive(Debug)]
struct Call {
    index: u64,
    id: String,
    part: u32,
    open: bool,
    arguments: Nesting,
}

/// Follows JSON text far enough to know when its outermost object or list is closed.
#[derive(Debug, Default)]
struct Nesting {
    depth: u32,
    in_string: bool,
    escaped: bool,
    whole: bool,
}

#[derive(serde::Deserialize)]
struct Chunk<'a> {
    #[serde(default)]
    id: Option<String>,
    #[serde(default)]
    model: Option<String>,
    #[serde(default)]
    created: Option<u64>,
    #[serde(borrow, default)]
    choices: Option<Vec<&'a RawValue>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    x_groq: Option<GroqExtra>,
}

impl StreamDecoder {
    /// One event in; any number of events out (appended). `Event::End` says that the terminal event was seen.
    pub(crate) fn event(&mut self, _name: &[u8], data: &[u8], out: &mut Vec<Event>) -> Result<(), Fault> {
        let data = data.trim_ascii();
        if data == DONE {
            return self.finish(out);
        }
        if data.is_empty() {
            return Ok(());
        }
        let unreadable = |_| malformed("a chunk of the provider's stream is not valid JSON of its dialect");
        let chunk: Chunk<'_> = serde_json::from_slice(data).map_err(unreadable)?;
        let choices = chunk.choices.unwrap_or_default();
        if !self.started && !choices.is_empty() {
            self.started = true;
            self.id = chunk.id.unwrap_or_default();
            let model = chunk.model.unwrap_or_default();
            out.push(Event::Start { id: self.id.clone(), model, created: chunk.created.filter(|at| *at > 0) });
        }
        for choice in choices {
            if let Some(fields) = Fields::parse(choice.get()) {
                self.choice(fields, out);
            }
        }
        let groq = chunk.x_groq.and_then(|extra| extra.usage);
        if let Some(usage) = chunk.usage.or(groq).filter(WireUsage::says_something) {
            out.push(Event::Usage(usage.buckets()));
        }
        Ok(())
    }

    /// The stream has ended, with its terminal event or without: what is left to say.
    pub(crate) fn finish(&mut self, out: &mut Vec<Event>) -> Result<(), Fault> {
        if !self.ended {
            self.ended = true;
            self.choices.iter_mut().for_each(|choice| choice.end(out));
            out.push(Event::End);
        }
        Ok(())
    }

    fn choice(&mut self, mut fields: Fields<'_>, out: &mut Vec<Event>) {
        let index = fields.take("index").and_then(|text| text.parse().ok()).unwrap_or(0);
        let at = self.choices.iter().position(|choice| choice.index == index).unwrap_or_else(|| {
            self.choices.push(ChoiceState { index, ..ChoiceState::default() });
            self.choices.len() - 1
        });
        let choice = &mut self.choices[at];
        if let Some(delta) = fields.take("delta").and_then(Fields::parse) {
            choice.delta(&delta, &self.id, out);
        }
        let word = fields.take_string("finish_reason");
        choice.finish = word.as_deref().and_then(finish_of).or(choice.finish.take());
    }
}

impl ChoiceState {
    fn delta(&mut self, delta: &Fields<'_>, answer: &str, out: &mut Vec<Event>) {
        self.reasoning(delta, out);
        if let Some(text) = said(delta, "content") {
            self.say(Kind::Text, text, out);
        } else if let Some(list) = delta.peek("content").and_then(elements) {
            list.iter().filter_map(|part| Fields::parse(part.get())).for_each(|part| self.part(&part, out));
        }
        if let Some(text) = said(delta, "refusal") {
            self.refused = true;
            self.say(Kind::Refusal, text, out);
        }
        for call in delta.peek("tool_calls").and_then(elements).unwrap_or_default() {
            if let Some(call) = Fields::parse(call.get()) {
                self.call(call, answer, out);
            }
        }
    }

    /// Reasoning in whichever field the provider has for it.
    fn reasoning(&mut self, delta: &Fields<'_>, out: &mut Vec<Event>) {
        let mut understood = false;
        for detail in delta.peek("reasoning_details").and_then(elements).unwrap_or_default() {
            let Some(part) = thoughts::one(detail.get()) else { continue };
            let number = Fields::parse(detail.get()).and_then(|mut fields| fields.take_u64("index"));
            understood = true;
            if let Part::Thinking { text, signature, .. } = part {
                if !text.is_empty() {
                    self.say(Kind::Thinking(number), text, out);
                }
                if let Some(signature) = signature {
                    let part = self.place(Kind::Thinking(number), out);
                    out.push(Event::Signature { choice: self.index, part, signature });
                }
            } else {
                self.close_text(out);
                let place = self.next_part();
                out.push(Event::Open { choice: self.index, part: place, begun: part });
                out.push(Event::Close { choice: self.index, part: place });
            }
        }
        if understood {
            return;
        }
        if let Some(text) = said(delta, "reasoning_content").or_else(|| said(delta, "reasoning")) {
            self.say(Kind::Thinking(None), text, out);
        }
    }

    /// A piece of content written as a part.
    fn part(&mut self, part: &Fields<'_>, out: &mut Vec<Event>) {
        if let Some(text) = said(part, "text") {
            self.say(Kind::Text, text, out);
        } else if let Some(text) = said(part, "thinking") {
            self.say(Kind::Thinking(None), text, out);
        } else {
            for piece in part.peek("thinking").and_then(elements).unwrap_or_default() {
                if let Some(text) = Fields::parse(piece.get()).and_then(|piece| said(&piece, "text")) {
                    self.say(Kind::Thinking(None), text, out);
                }
            }
        }
    }

    fn say(&mut self, kind: Kind, text: String, out: &mut Vec<Event>) {
        let part = self.place(kind, out);
        out.push(Event::More { choice: self.index, part, text });
    }

    /// The open part of this kind; another one is closed and a new one opened if need be.
    fn place(&mut self, kind: Kind, out: &mut Vec<Event>) -> u32 {
        if let Some((part, open)) = self.open
            && open == kind
        {
            return part;
        }
        self.close_text(out);
        self.close_whole_calls(out);
        let part = self.next_part();
        self.open = Some((part, kind));
        let begun = match kind {
            Kind::Text => Part::text(""),
            Kind::Thinking(_) => Part::Thinking { text: String::new(), signature: None, extras: Vec::new() },
            Kind::Refusal => Part::Refusal { text: String::new() },
        };
        out.push(Event::Open { choice: self.index, part, begun });
        part
    }

    fn call(&mut self, mut call: Fields<'_>, answer: &str, out: &mut Vec<Event>) {
        let index = call.take_u64("index").unwrap_or(0);
        let id = call.take_string("id").unwrap_or_default();
        let mut function = call.take("function").and_then(Fields::parse).unwrap_or_default();
        let name = function.take_string("name").unwrap_or_default();
        let arguments = function.take("arguments").map(|value| string(value).unwrap_or_else(|| value.to_owned()));
        let known = self.calls.iter().rposition(|call| call.index == index);
        // Some providers give every call of a turn the same index; a new id with a name is a new call all the same.
        let known = known.filter(|at| id.is_empty() || name.is_empty() || self.calls[*at].id == id);
        let at = known.unwrap_or_else(|| {
            self.close_text(out);
            self.close_whole_calls(out);
            let part = self.next_part();
            let id = if id.is_empty() { format!("call_{answer}_{part}") } else { id };
            let begun = Part::ToolCall { id: id.clone(), name, arguments: String::new(), extras: Vec::new() };
            out.push(Event::Open { choice: self.index, part, begun });
            self.calls.push(Call { index, id, part, open: true, arguments: Nesting::default() });
            self.calls.len() - 1
        });
        let call = &mut self.calls[at];
        if let Some(text) = arguments.filter(|text| !text.is_empty() && text != "null" && call.open) {
            call.arguments.follow(&text);
            out.push(Event::More { choice: self.index, part: call.part, text });
        }
    }

    fn end(&mut self, out: &mut Vec<Event>) {
        self.close_text(out);
        for call in self.calls.iter_mut().filter(|call| call.open) {
            call.open = false;
            out.push(Event::Close { choice: self.index, part: call.part });
        }
        let finish = finish_given(self.finish.take(), self.refused, !self.calls.is_empty());
        out.push(Event::Finish { choice: self.index, finish });
    }

    fn close_text(&mut self, out: &mut Vec<Event>) {
        if let Some((part, _)) = self.open.take() {
            out.push(Event::Close { choice: self.index, part });
        }
    }

    fn close_whole_calls(&mut self, out: &mut Vec<Event>) {
        for call in self.calls.iter_mut().filter(|call| call.open && call.arguments.whole) {
            call.open = false;
            out.push(Event::Close { choice: self.index, part: call.part });
        }
    }

    fn next_part(&mut self) -> u32 {
        self.parts += 1;
        self.parts - 1
    }
}

impl Nesting {
    fn follow(&mut self, text: &str) {
        for byte in text.bytes() {
            match byte {
                _ if self.escaped => self.escaped = false,
                b'\\' if self.in_string => self.escaped = true,
                b'"' => self.in_string = !self.in_string,
                _ if self.in_string => {}
                b'{' | b'[' => self.depth += 1,
                b'}' | b']' => {
                    self.depth = self.depth.saturating_sub(1);
                    self.whole = self.depth == 0;
                }
                _ => {}
            }
        }
    }
}
