//! Usage as OpenAI and its followers count it, into disjoint buckets and back.

use std::fmt;

use bh_chat::Usage;
use serde::de::{Deserialize, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};

use crate::write::Writer;

/// The `usage` object. Absent and `null` counts are zero.
#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default)]
pub(super) struct WireUsage {
    prompt_tokens: Count,
    completion_tokens: Count,
    total_tokens: Count,
    prompt_tokens_details: Option<PromptDetails>,
    completion_tokens_details: Option<CompletionDetails>,
    cache_creation: Option<CacheCreation>,
    server_tool_use: Option<ServerToolUse>,
    server_tool_use_details: Option<ServerToolUse>,
    // Spellings of single providers.
    cached_tokens: Count,
    num_cached_tokens: Count,
    prompt_cache_hit_tokens: Count,
    cache_read_input_tokens: Count,
    cache_creation_input_tokens: Count,
    reasoning_tokens: Count,
    num_search_queries: Count,
}

#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default)]
struct PromptDetails {
    cached_tokens: Count,
    cache_write_tokens: Count,
    audio_tokens: Count,
    image_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default)]
struct CompletionDetails {
    reasoning_tokens: Count,
    audio_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default)]
struct CacheCreation {
    ephemeral_1h_input_tokens: Count,
}

#[derive(Clone, Copy, Debug, Default, serde::Deserialize)]
#[serde(default)]
struct ServerToolUse {
    web_search_requests: Count,
}

/// A count, however the provider writes it; anything that is no number counts as zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Count(u64);

impl WireUsage {
    /// Whether the provider counted anything at all; some send an empty object before they know.
    pub(super) fn says_something(&self) -> bool {
        self.prompt_tokens.0 > 0 || self.completion_tokens.0 > 0 || self.total_tokens.0 > 0
    }

    /// The disjoint buckets. The prompt's parts never add up to more than the prompt, nor the answer's to more than
    /// the answer, whatever the details claim.
    pub(super) fn buckets(&self) -> Usage {
        let prompt = self.prompt_tokens_details.unwrap_or_default();
        let answer = self.completion_tokens_details.unwrap_or_default();
        let first = |counts: &[Count]| counts.iter().map(|count| count.0).find(|count| *count > 0).unwrap_or(0);
        let mut left = self.prompt_tokens.0;
        let cache_read = take(
            &mut left,
            first(&[
                prompt.cached_tokens,
                self.prompt_cache_hit_tokens,
                self.cached_tokens,
                self.num_cached_tokens,
                self.cache_read_input_tokens,
            ]),
        );
        let written = take(&mut left, first(&[prompt.cache_write_tokens, self.cache_creation_input_tokens]));
        let cache_write_1h = written.min(self.cache_creation.unwrap_or_default().ephemeral_1h_input_tokens.0);
        let audio_input = take(&mut left, prompt.audio_tokens.0);
        let image_input = take(&mut left, prompt.image_tokens.0);
        let named = first(&[answer.reasoning_tokens, self.reasoning_tokens]);
        let apart = self.reasoning_apart(named);
        let mut output = self.completion_tokens.0;
        let reasoning = if apart > 0 { apart } else { take(&mut output, named) };
        let audio_output = take(&mut output, answer.audio_tokens.0);
        Usage {
            input_uncached: left,
            cache_read,
            cache_write_5m: written - cache_write_1h,
            cache_write_1h,
            output,
            reasoning,
            audio_input,
            audio_output,
            image_input,
            web_searches: first(&[
                self.server_tool_use.unwrap_or_default().web_search_requests,
                self.server_tool_use_details.unwrap_or_default().web_search_requests,
                self.num_search_queries,
            ]),
        }
    }

    /// Reasoning that `completion_tokens` leaves out. Most providers include it; some add it to the total only, with
    /// its number (xAI) or without (Gemini), so the total tells them apart.
    fn reasoning_apart(&self, named: u64) -> u64 {
        let counted = self.prompt_tokens.0.saturating_add(self.completion_tokens.0);
        let more = self.total_tokens.0.saturating_sub(counted);
        if named == 0 || named == more { more } else { 0 }
    }
}

/// Writes the `usage` object.
pub(super) fn write(usage: &Usage, json: &mut Writer<'_>) {
    json.open();
    json.field_number("prompt_tokens", usage.prompt_tokens());
    json.field_number("completion_tokens", usage.answer_tokens());
    json.field_number("total_tokens", usage.total_tokens());
    json.key("prompt_tokens_details");
    json.open();
    json.field_number("cached_tokens", usage.cache_read);
    json.field_number("cache_write_tokens", usage.cache_write_5m.saturating_add(usage.cache_write_1h));
    json.field_number("audio_tokens", usage.audio_input);
    if usage.image_input > 0 {
        json.field_number("image_tokens", usage.image_input);
    }
    json.close();
    json.key("completion_tokens_details");
    json.open();
    json.field_number("reasoning_tokens", usage.reasoning);
    json.field_number("audio_tokens", usage.audio_output);
    json.field_number("accepted_prediction_tokens", 0);
    json.field_number("rejected_prediction_tokens", 0);
    json.close();
    if usage.cache_write_1h > 0 {
        json.key("cache_creation");
        json.open();
        json.field_number("ephemeral_5m_input_tokens", usage.cache_write_5m);
        json.field_number("ephemeral_1h_input_tokens", usage.cache_write_1h);
        json.close();
    }
    if usage.web_searches > 0 {
        json.key("server_tool_use");
        json.open();
        json.field_number("web_search_requests", usage.web_searches);
        json.close();
    }
    json.close();
}

fn take(left: &mut u64, wanted: u64) -> u64 {
    let taken = wanted.min(*left);
    *left -= taken;
    taken
}

impl<'de> Deserialize<'de> for Count {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyCount)
    }
}

struct AnyCount;

impl<'de> Visitor<'de> for AnyCount {
    type Value = Count;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a count")
    }

    fn visit_u64<E>(self, count: u64) -> Result<Count, E> {
        Ok(Count(count))
    }

    fn visit_i64<E>(self, count: i64) -> Result<Count, E> {
        Ok(Count(u64::try_from(count).unwrap_or(0)))
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
    fn visit_f64<E>(self, count: f64) -> Result<Count, E> {
        Ok(Count(count.ceil() as u64))
    }

    fn visit_bool<E>(self, _: bool) -> Result<Count, E> {
        Ok(Count(0))
    }

    fn visit_str<E>(self, _: &str) -> Result<Count, E> {
        Ok(Count(0))
    }

    fn visit_unit<E>(self) -> Result<Count, E> {
        Ok(Count(0))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Count, A::Error> {
        while seq.next_element::<IgnoredAny>()?.is_some() {}
        Ok(Count(0))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Count, A::Error> {
        while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {}
        Ok(Count(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(json: &str, expected: Usage) {
        let wire: WireUsage = serde_json::from_str(json).unwrap();
        assert_eq!(wire.buckets(), expected, "{json}");
    }

    #[test]
    fn what_is_included_is_taken_out() {
        check(
            r#"{"prompt_tokens":100,"completion_tokens":50,"total_tokens":150,
                "prompt_tokens_details":{"cached_tokens":60,"cache_write_tokens":10,"audio_tokens":5},
                "completion_tokens_details":{"reasoning_tokens":30,"audio_tokens":4}}"#,
            Usage {
                input_uncached: 25,
                cache_read: 60,
                cache_write_5m: 10,
                audio_input: 5,
                output: 16,
                reasoning: 30,
                audio_output: 4,
                ..Usage::default()
            },
        );
    }

    #[test]
    fn the_total_tells_whether_reasoning_is_included() {
        let answer = |output, reasoning| Usage { input_uncached: 10, output, reasoning, ..Usage::default() };
        let usage = |total: u64, details: &str| {
            format!(
                r#"{{"prompt_tokens":10,"completion_tokens":20,"total_tokens":{total},"completion_tokens_details":{details}}}"#
            )
        };
        check(&usage(30, r#"{"reasoning_tokens":15}"#), answer(5, 15));
        check(&usage(45, r#"{"reasoning_tokens":15}"#), answer(20, 15));
        check(&usage(92, "null"), answer(20, 62));
        check(&usage(31, r#"{"reasoning_tokens":15}"#), answer(5, 15));
    }

    #[test]
    fn other_spellings_and_odd_values_are_read() {
        let cached = |cache_read| Usage { input_uncached: 10 - cache_read, cache_read, output: 1, ..Usage::default() };
        for field in ["prompt_cache_hit_tokens", "cached_tokens", "num_cached_tokens", "cache_read_input_tokens"] {
            check(&format!(r#"{{"prompt_tokens":10,"completion_tokens":1,"{field}":4}}"#), cached(4));
        }
        check(
            r#"{"prompt_tokens":10,"completion_tokens":1,"server_tool_use_details":{"web_search_requests":2}}"#,
            Usage { web_searches: 2, ..cached(0) },
        );
        check(
            r#"{"prompt_tokens":10,"completion_tokens":1.0,"prompt_tokens_details":{"cached_tokens":157}}"#,
            cached(10),
        );
        check(r#"{"prompt_tokens":10,"completion_tokens":1,"cached_tokens":null,"reasoning_tokens":"?"}"#, cached(0));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let usage = Usage {
            input_uncached: 1,
            cache_read: 2,
            cache_write_5m: 3,
            cache_write_1h: 4,
            output: 5,
            reasoning: 6,
            audio_input: 7,
            audio_output: 8,
            image_input: 9,
            web_searches: 10,
        };
        let mut out = Vec::new();
        write(&usage, &mut Writer(&mut out));
        check(str::from_utf8(&out).unwrap(), usage);
    }
}
