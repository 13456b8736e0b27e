//! The facts of an answer, read without building it: whole answers and stream events that pass as they came.

use std::borrow::Cow;
use std::fmt;

use bh_chat::{Fault, FaultClass, Finish};
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::error::{cut, in_answer, malformed};
use super::usage::WireUsage;
use crate::AnswerFacts;
use crate::stream::Tapped;

/// The data of the event that ends a stream.
pub(super) const DONE: &[u8] = b"[DONE]";

/// An answer or a chunk of one; everything not named here is skipped.
#[derive(serde::Deserialize)]
struct Wire<'a> {
    #[serde(borrow, default)]
    id: Option<Str<'a>>,
    #[serde(borrow, default)]
    model: Option<Str<'a>>,
    #[serde(borrow, default)]
    service_tier: Option<Str<'a>>,
    #[serde(borrow, default)]
    choices: Option<Choices<'a>>,
    #[serde(default)]
    usage: Option<WireUsage>,
    #[serde(default)]
    x_groq: Option<GroqExtra>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// Where Groq says its usage when it was not asked.
#[derive(serde::Deserialize)]
pub(super) struct GroqExtra {
    #[serde(default)]
    pub(super) usage: Option<WireUsage>,
}

/// One choice; a chunk has `delta`, an answer `message`.
#[derive(serde::Deserialize)]
struct Choice<'a> {
    #[serde(default)]
    index: u32,
    #[serde(default)]
    delta: Option<Said>,
    #[serde(default)]
    message: Option<Said>,
    #[serde(default)]
    text: Option<TextBytes>,
    #[serde(borrow, default)]
    finish_reason: Option<Str<'a>>,
    #[serde(borrow, default)]
    finish_details: Option<FinishDetails<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

/// How a model without `finish_reason` says why it stopped.
#[derive(serde::Deserialize)]
struct FinishDetails<'a> {
    #[serde(borrow, default, rename = "type")]
    kind: Option<Str<'a>>,
}

/// What was said, as numbers of bytes.
#[derive(Default, serde::Deserialize)]
#[serde(default)]
struct Said {
    content: TextBytes,
    reasoning_content: TextBytes,
    reasoning: TextBytes,
    refusal: TextBytes,
    tool_calls: TextBytes,
    function_call: TextBytes,
}

/// Bytes of all strings below a value, but for kinds and ids.
#[derive(Clone, Copy, Debug, Default)]
struct TextBytes(u64);

/// All choices of one chunk, summed up as they are read.
#[derive(Default)]
struct Choices<'a> {
    count: u32,
    /// One bit per choice that appears, and per choice that ends.
    opened: u128,
    finished: u128,
    text_bytes: u64,
    finish: Option<Cow<'a, str>>,
    refused: bool,
    error: Option<&'a RawValue>,
}

/// A string, borrowed where it has no escapes.
#[derive(serde::Deserialize)]
struct Str<'a>(#[serde(borrow)] Cow<'a, str>);

/// Facts of a plain answer.
pub(crate) fn answer_facts(body: &[u8]) -> Result<AnswerFacts, Fault> {
    let mut facts = AnswerFacts::default();
    let wire = read(body)?;
    let Some(choices) = &wire.choices else {
        return Err(malformed("the provider's answer has no `choices`"));
    };
    facts.choices = choices.count;
    note(&wire, &mut facts);
    Ok(facts)
}

/// Reads facts off one event of a stream that is passed on as it came.
#[derive(Debug, Default)]
pub(crate) struct StreamTap {
    opened: u128,
    finished: u128,
    refused: bool,
}

impl StreamTap {
    /// Looks at one event.
    pub(crate) fn event(&mut self, name: &[u8], data: &[u8], facts: &mut AnswerFacts) -> Result<Tapped, Fault> {
        if data.trim_ascii() == DONE {
            return Ok(Tapped::Terminal);
        }
        if data.trim_ascii().is_empty() {
            return Ok(Tapped::Pass);
        }
        let wire = read(data)?;
        if name == b"error" {
            return Err(in_answer(str::from_utf8(data).unwrap_or("null")));
        }
        note(&wire, facts);
        let Some(choices) = &wire.choices else { return Ok(Tapped::Pass) };
        self.opened |= choices.opened;
        self.finished |= choices.finished;
        self.refused |= choices.refused;
        if self.refused && facts.finish == Some(Finish::Stop) {
            facts.finish = Some(Finish::Refusal);
        }
        facts.choices = self.opened.count_ones();
        Ok(match (choices.count, &wire.usage) {
            (0, Some(_)) => Tapped::UsageOnly,
            _ if choices.text_bytes > 0 => Tapped::Content,
            _ => Tapped::Pass,
        })
    }

    /// The provider closed the stream without `[DONE]`, as some do: the answer is whole if every choice has ended.
    pub(crate) fn finish(&mut self) -> Result<(), Fault> {
        if self.opened != 0 && self.opened == self.finished { Ok(()) } else { Err(cut()) }
    }
}

/// OpenAI's word for why a model stopped, and those of its followers; `None` for no word.
pub(super) fn finish_of(word: &str) -> Option<Finish> {
    Some(match word {
        "" => return None,
        "stop" | "eos" | "end_turn" | "stop_sequence" => Finish::Stop,
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "tool_calls" | "function_call" | "tool_use" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        "refusal" => Finish::Refusal,
        other => Finish::Other(other.to_owned()),
    })
}

fn read(body: &[u8]) -> Result<Wire<'_>, Fault> {
    let wire: Wire<'_> = serde_json::from_slice(body).map_err(|_| {
        let fault = super::classify(200, &|_| None, body);
        if fault.class == FaultClass::Malformed {
            malformed("the provider's answer is not valid JSON of its dialect")
        } else {
            fault
        }
    })?;
    let failed = wire.error.or(wire.choices.as_ref().and_then(|choices| choices.error));
    match failed.map(RawValue::get) {
        Some(error) if error != "null" => Err(in_answer(error)),
        Some(_) | None => Ok(wire),
    }
}

fn note(wire: &Wire<'_>, facts: &mut AnswerFacts) {
    let fill = |to: &mut String, from: &Option<Str<'_>>| {
        if let Some(from) = from.as_ref().filter(|_| to.is_empty()) {
            to.push_str(&from.0);
        }
    };
    fill(&mut facts.id, &wire.id);
    fill(&mut facts.model, &wire.model);
    if let Some(tier) = wire.service_tier.as_ref().filter(|tier| facts.service_tier.as_deref() != Some(&*tier.0)) {
        facts.service_tier = Some(tier.0.as_ref().to_owned());
    }
    let groq = wire.x_groq.as_ref().and_then(|extra| extra.usage);
    if let Some(usage) = wire.usage.or(groq).filter(WireUsage::says_something) {
        facts.usage = Some(usage.buckets());
    }
    if let Some(choices) = &wire.choices {
        facts.text_bytes = facts.text_bytes.saturating_add(choices.text_bytes);
        if let Some(finish) = choices.finish.as_deref().and_then(finish_of) {
            let refused = choices.refused && finish == Finish::Stop;
            facts.finish = Some(if refused { Finish::Refusal } else { finish });
        }
    }
}

impl<'a> Choices<'a> {
    fn add(&mut self, choice: Choice<'a>) {
        let bit = 1_u128.checked_shl(choice.index).unwrap_or(1 << 127);
        let said = choice.delta.or(choice.message).unwrap_or_default();
        // Some providers send reasoning under both names.
        let reasoning = said.reasoning_content.0.max(said.reasoning.0);
        let text = choice.text.unwrap_or_default().0;
        let pieces = [said.content.0, reasoning, said.refusal.0, said.tool_calls.0, said.function_call.0, text];
        self.count += 1;
        self.opened |= bit;
        self.text_bytes += pieces.iter().sum::<u64>();
        self.refused |= said.refusal.0 > 0;
        self.error = self.error.or(choice.error);
        let details = choice.finish_details.and_then(|details| details.kind);
        if let Some(finish) = choice.finish_reason.or(details).filter(|finish| !finish.0.is_empty()) {
            self.finished |= bit;
            if choice.index == 0 {
                self.finish = Some(finish.0);
            }
        }
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Choices<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Sum;
        impl<'de> Visitor<'de> for Sum {
            type Value = Choices<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of choices")
            }
            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut choices = Choices::default();
                while let Some(choice) = seq.next_element()? {
                    choices.add(choice);
                }
                Ok(choices)
            }
        }
        deserializer.deserialize_seq(Sum)
    }
}

impl<'de> Deserialize<'de> for TextBytes {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(CountText)
    }
}

struct CountText;

impl<'de> Visitor<'de> for CountText {
    type Value = TextBytes;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("any value")
    }

    fn visit_str<E>(self, text: &str) -> Result<TextBytes, E> {
        Ok(TextBytes(text.len() as u64))
    }

    fn visit_bool<E>(self, _: bool) -> Result<TextBytes, E> {
        Ok(TextBytes(0))
    }

    fn visit_u64<E>(self, _: u64) -> Result<TextBytes, E> {
        Ok(TextBytes(0))
    }

    fn visit_i64<E>(self, _: i64) -> Result<TextBytes, E> {
        Ok(TextBytes(0))
    }

    fn visit_f64<E>(self, _: f64) -> Result<TextBytes, E> {
        Ok(TextBytes(0))
    }

    fn visit_unit<E>(self) -> Result<TextBytes, E> {
        Ok(TextBytes(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<TextBytes, A::Error> {
        let mut sum = 0;
        while let Some(TextBytes(bytes)) = seq.next_element()? {
            sum += bytes;
        }
        Ok(TextBytes(sum))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<TextBytes, A::Error> {
        let mut sum = 0;
        while let Some(key) = map.next_key::<Str<'de>>()? {
            if matches!(&*key.0, "type" | "id") {
                map.next_value::<IgnoredAny>()?;
            } else {
                sum += map.next_value::<TextBytes>()?.0;
            }
        }
        Ok(TextBytes(sum))
    }
}
