//! Usage on Anthropic's wire, into disjoint buckets and back.

use bh_chat::Usage;
use serde::Deserialize;

use crate::write::Writer;

/// A `usage` object as it comes; every count may be absent or null.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct RawUsage {
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<RawWrites>,
    output_tokens: Option<u64>,
    output_tokens_details: Option<RawOutputDetails>,
    server_tool_use: Option<RawServerTools>,
    iterations: Option<Vec<RawIteration>>,
    pub(super) service_tier: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawWrites {
    ephemeral_5m_input_tokens: Option<u64>,
    ephemeral_1h_input_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawOutputDetails {
    thinking_tokens: Option<u64>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawServerTools {
    web_search_requests: Option<u64>,
}

/// One sampling pass inside the call. The totals above already hold those of type `message`.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct RawIteration {
    r#type: Option<String>,
    input_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    output_tokens: Option<u64>,
}

/// The counts of one answer. On a stream they are cumulative and come several times: the last one said wins.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Counts {
    seen: bool,
    input: u64,
    cache_read: u64,
    writes: Option<u64>,
    writes_5m: u64,
    writes_1h: u64,
    output: u64,
    thinking: u64,
    web_searches: u64,
    compaction: Usage,
}

impl Counts {
    /// Takes over every count that is said.
    pub(super) fn merge(&mut self, raw: &RawUsage) {
        self.seen = true;
        replace(&mut self.input, raw.input_tokens);
        replace(&mut self.cache_read, raw.cache_read_input_tokens);
        replace(&mut self.output, raw.output_tokens);
        if raw.cache_creation_input_tokens.is_some() {
            self.writes = raw.cache_creation_input_tokens;
        }
        if let Some(writes) = &raw.cache_creation {
            replace(&mut self.writes_5m, writes.ephemeral_5m_input_tokens);
            replace(&mut self.writes_1h, writes.ephemeral_1h_input_tokens);
        }
        if let Some(details) = &raw.output_tokens_details {
            replace(&mut self.thinking, details.thinking_tokens);
        }
        if let Some(tools) = &raw.server_tool_use {
            replace(&mut self.web_searches, tools.web_search_requests);
        }
        if let Some(iterations) = &raw.iterations {
            self.compaction = compaction(iterations);
        }
    }

    /// The buckets, once any count was said.
    pub(super) fn usage(&self) -> Option<Usage> {
        if !self.seen {
            return None;
        }
        // Deltas repeat the total of the writes but not their split by lifetime: the one-hour part stays as first
        // said and the rest is the default lifetime.
        let total = self.writes.unwrap_or(self.writes_5m.saturating_add(self.writes_1h));
        let write_1h = self.writes_1h.min(total);
        let reasoning = self.thinking.min(self.output);
        let compaction = self.compaction;
        Some(Usage {
            input_uncached: self.input.saturating_add(compaction.input_uncached),
            cache_read: self.cache_read.saturating_add(compaction.cache_read),
            cache_write_5m: (total - write_1h).saturating_add(compaction.cache_write_5m),
            cache_write_1h: write_1h,
            output: (self.output - reasoning).saturating_add(compaction.output),
            reasoning,
            web_searches: self.web_searches,
            ..Usage::default()
        })
    }
}

/// Writes a `usage` object as the next value.
pub(super) fn write_usage(usage: &Usage, json: &mut Writer<'_>) {
    let writes = usage.cache_write_5m.saturating_add(usage.cache_write_1h);
    let input = usage.input_uncached.saturating_add(usage.audio_input).saturating_add(usage.image_input);
    json.open();
    json.field_number("input_tokens", input);
    json.field_number("cache_creation_input_tokens", writes);
    json.field_number("cache_read_input_tokens", usage.cache_read);
    json.key("cache_creation");
    json.open();
    json.field_number("ephemeral_5m_input_tokens", usage.cache_write_5m);
    json.field_number("ephemeral_1h_input_tokens", usage.cache_write_1h);
    json.close();
    json.field_number("output_tokens", usage.answer_tokens());
    if 0 < usage.reasoning {
        json.key("output_tokens_details");
        json.open();
        json.field_number("thinking_tokens", usage.reasoning);
        json.close();
    }
    if 0 < usage.web_searches {
        json.key("server_tool_use");
        json.open();
        json.field_number("web_search_requests", usage.web_searches);
        json.close();
    }
    json.close();
}

fn replace(count: &mut u64, said: Option<u64>) {
    *count = said.unwrap_or(*count);
}

/// Compacting the context is billed at the model's own price and is not part of the totals.
fn compaction(iterations: &[RawIteration]) -> Usage {
    let mut sum = Usage::default();
    for pass in iterations.iter().filter(|pass| pass.r#type.as_deref() == Some("compaction")) {
        let add = |to: &mut u64, said: Option<u64>| *to = to.saturating_add(said.unwrap_or(0));
        add(&mut sum.input_uncached, pass.input_tokens);
        add(&mut sum.cache_read, pass.cache_read_input_tokens);
        add(&mut sum.cache_write_5m, pass.cache_creation_input_tokens);
        add(&mut sum.output, pass.output_tokens);
    }
    sum
}
