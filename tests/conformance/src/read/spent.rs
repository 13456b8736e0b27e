//! Usage in disjoint buckets, counted here from the recorded JSON by the providers' own documents.

use serde_json::{Value, json};

/// What an answer used: tokens in disjoint buckets, and web searches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Spent {
    /// Prompt tokens at the plain price.
    pub(crate) input_uncached: u64,
    /// Prompt tokens read from a cache.
    pub(crate) cache_read: u64,
    /// Prompt tokens written to the five-minute (default) cache.
    pub(crate) cache_write_5m: u64,
    /// Prompt tokens written to the one-hour cache.
    pub(crate) cache_write_1h: u64,
    /// Answer tokens that are no reasoning.
    pub(crate) output: u64,
    /// Answer tokens spent on reasoning.
    pub(crate) reasoning: u64,
    /// Audio tokens of the prompt.
    pub(crate) audio_input: u64,
    /// Audio tokens of the answer.
    pub(crate) audio_output: u64,
    /// Image tokens of the prompt, where counted apart.
    pub(crate) image_input: u64,
    /// Web searches.
    pub(crate) web_searches: u64,
}

/// What both dialects can tell a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Visible {
    prompt: u64,
    cache_read: u64,
    cache_write: u64,
    answer: u64,
    reasoning: u64,
}

impl Spent {
    /// From OpenAI's `usage`, where cached, audio and reasoning tokens are parts of the totals. `None` where nothing is
    /// counted. xAI and Gemini leave reasoning out of `completion_tokens`; the total shows it.
    #[must_use]
    pub(crate) fn of_openai(usage: &Value) -> Option<Self> {
        let count = |path: &str| usage.pointer(path).and_then(whole).unwrap_or(0);
        let any = |paths: &[&str]| paths.iter().map(|path| count(path)).find(|count| 0 < *count).unwrap_or(0);
        let (prompt, answer, total) = (count("/prompt_tokens"), count("/completion_tokens"), count("/total_tokens"));
        if prompt + answer + total == 0 {
            return None;
        }
        let cached = any(&[
            "/prompt_tokens_details/cached_tokens",
            "/prompt_cache_hit_tokens",
            "/cached_tokens",
            "/num_cached_tokens",
            "/cache_read_input_tokens",
        ]);
        // A cache counts in blocks and can report more than the prompt has.
        let cache_read = cached.min(prompt);
        let written = any(&["/prompt_tokens_details/cache_write_tokens", "/cache_creation_input_tokens"]);
        let cache_write = written.min(prompt - cache_read);
        let cache_write_1h = cache_write.min(count("/cache_creation/ephemeral_1h_input_tokens"));
        let audio_input = count("/prompt_tokens_details/audio_tokens").min(prompt - cache_read - cache_write);
        let images = count("/prompt_tokens_details/image_tokens");
        let image_input = images.min(prompt - cache_read - cache_write - audio_input);
        let named = any(&["/completion_tokens_details/reasoning_tokens", "/reasoning_tokens"]);
        let beyond = total.saturating_sub(prompt + answer);
        let apart = 0 < beyond && (named == 0 || named == beyond);
        let reasoning = if apart { beyond } else { named.min(answer) };
        let said = if apart { answer } else { answer - reasoning };
        let audio_output = count("/completion_tokens_details/audio_tokens").min(said);
        Some(Spent {
            input_uncached: prompt - cache_read - cache_write - audio_input - image_input,
            cache_read,
            cache_write_5m: cache_write - cache_write_1h,
            cache_write_1h,
            output: said - audio_output,
            reasoning,
            audio_input,
            audio_output,
            image_input,
            web_searches: any(&[
                "/server_tool_use/web_search_requests",
                "/server_tool_use_details/web_search_requests",
                "/num_search_queries",
            ]),
        })
    }

    /// From Anthropic's `usage`, where `input_tokens` leaves cached tokens out and thinking is part of the output.
    #[must_use]
    pub(crate) fn of_anthropic(usage: &Value) -> Option<Self> {
        usage.as_object().filter(|fields| !fields.is_empty())?;
        let count = |path: &str| usage.pointer(path).and_then(whole);
        let (five, hour) =
            (count("/cache_creation/ephemeral_5m_input_tokens"), count("/cache_creation/ephemeral_1h_input_tokens"));
        let written = count("/cache_creation_input_tokens").unwrap_or(five.unwrap_or(0) + hour.unwrap_or(0));
        let cache_write_1h = hour.unwrap_or(0).min(written);
        let output = count("/output_tokens").unwrap_or(0);
        let reasoning = count("/output_tokens_details/thinking_tokens").unwrap_or(0).min(output);
        let mut spent = Spent {
            input_uncached: count("/input_tokens").unwrap_or(0),
            cache_read: count("/cache_read_input_tokens").unwrap_or(0),
            cache_write_5m: written - cache_write_1h,
            cache_write_1h,
            output: output - reasoning,
            reasoning,
            web_searches: count("/server_tool_use/web_search_requests").unwrap_or(0),
            ..Spent::default()
        };
        // The totals leave out what compacting the context took; it is billed all the same.
        for pass in usage["iterations"].as_array().into_iter().flatten() {
            if pass["type"] == "compaction" {
                let more = |field: &str| pass.get(field).and_then(whole).unwrap_or(0);
                spent.input_uncached += more("input_tokens");
                spent.cache_read += more("cache_read_input_tokens");
                spent.cache_write_5m += more("cache_creation_input_tokens");
                spent.output += more("output_tokens");
            }
        }
        Some(spent)
    }

    /// From the gateway's own account; absent buckets are zero.
    #[must_use]
    pub(crate) fn of_account(usage: &Value) -> Self {
        let count = |field: &str| usage.get(field).and_then(whole).unwrap_or(0);
        Spent {
            input_uncached: count("input_uncached"),
            cache_read: count("cache_read"),
            cache_write_5m: count("cache_write_5m"),
            cache_write_1h: count("cache_write_1h"),
            output: count("output"),
            reasoning: count("reasoning"),
            audio_input: count("audio_input"),
            audio_output: count("audio_output"),
            image_input: count("image_input"),
            web_searches: count("web_searches"),
        }
    }

    /// What a client of either dialect can be told.
    #[must_use]
    pub(crate) fn visible(&self) -> Visible {
        let cache_write = self.cache_write_5m + self.cache_write_1h;
        Visible {
            prompt: self.input_uncached + self.cache_read + cache_write + self.audio_input + self.image_input,
            cache_read: self.cache_read,
            cache_write,
            answer: self.output + self.reasoning + self.audio_output,
            reasoning: self.reasoning,
        }
    }
}

/// Anthropic's cumulative reports of one stream, merged: the last number said wins.
pub(super) fn merge(into: &mut Value, usage: &Value) {
    if let (Some(known), Some(more)) = (into.as_object_mut(), usage.as_object()) {
        for (field, value) in more {
            if value.is_object() {
                merge(known.entry(field.clone()).or_insert_with(|| json!({})), value);
            } else if !value.is_null() {
                known.insert(field.clone(), value.clone());
            }
        }
    } else {
        *into = usage.clone();
    }
}

/// A count as a whole number; some providers write `1.0`.
fn whole(value: &Value) -> Option<u64> {
    value.as_u64().or_else(|| value.as_f64().filter(|count| 0.0 <= *count).map(ceil))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` saturates, which is meant")]
fn ceil(count: f64) -> u64 {
    count.ceil() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn openai_totals_are_taken_apart() {
        let usage = json!({"prompt_tokens": 100, "completion_tokens": 50, "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 60, "audio_tokens": 5},
            "completion_tokens_details": {"reasoning_tokens": 30, "audio_tokens": 4}});
        let spent = Spent::of_openai(&usage).unwrap();
        let expected = Spent {
            input_uncached: 35,
            cache_read: 60,
            audio_input: 5,
            output: 16,
            reasoning: 30,
            audio_output: 4,
            ..Spent::default()
        };
        assert_eq!(spent, expected);
        assert_eq!((spent.visible().prompt, spent.visible().answer), (100, 50));
    }

    #[test]
    fn reasoning_beyond_the_total_is_added() {
        let usage = json!({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 45,
            "completion_tokens_details": {"reasoning_tokens": 15}});
        let spent = Spent::of_openai(&usage).unwrap();
        assert_eq!((spent.output, spent.reasoning), (20, 15));
    }

    #[test]
    fn anthropic_writes_split_by_lifetime() {
        let usage = json!({"input_tokens": 3, "cache_creation_input_tokens": 10, "output_tokens": 5,
            "cache_creation": {"ephemeral_1h_input_tokens": 4, "ephemeral_5m_input_tokens": 6}});
        let spent = Spent::of_anthropic(&usage).unwrap();
        assert_eq!((spent.cache_write_5m, spent.cache_write_1h, spent.visible().prompt), (6, 4, 13));
    }

    #[test]
    fn the_last_report_of_a_stream_wins() {
        let mut sum =
            json!({"input_tokens": 3, "output_tokens": 1, "cache_creation": {"ephemeral_1h_input_tokens": 2}});
        merge(
            &mut sum,
            &json!({"output_tokens": 9, "input_tokens": null, "cache_creation": {"ephemeral_5m_input_tokens": 1}}),
        );
        let spent = Spent::of_anthropic(&sum).unwrap();
        assert_eq!((spent.input_uncached, spent.output, spent.cache_write_1h), (3, 9, 2));
    }
}
