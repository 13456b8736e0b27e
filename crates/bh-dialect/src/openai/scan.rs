//! One strict pass over a chat completions request.

use bh_base::Unbounded;

use super::prompt::Prompt;
use crate::scan::{Limit, Scan, UsageSwitch, note_unbounded};
use crate::strict::{Kind, Reader, no_lookalike};
use crate::{DecodeError, LimitField};

/// Most answers one request may ask for.
const CHOICES_MAX: u32 = 128;

/// Top-level fields that do not add to the prompt, of OpenAI and of the providers that copy it.
const SETTINGS: &[&str] = &[
    "frequency_penalty",
    "function_call",
    "logit_bias",
    "logprobs",
    "metadata",
    "moderation",
    "parallel_tool_calls",
    "presence_penalty",
    "prompt_cache_key",
    "prompt_cache_options",
    "prompt_cache_retention",
    "safety_identifier",
    "seed",
    "stop",
    "store",
    "temperature",
    "tool_choice",
    "top_logprobs",
    "top_p",
    "verbosity",
    "clear_thinking",
    "echo",
    "enable_thinking",
    "include_reasoning",
    "min_p",
    "min_tokens",
    "provider",
    "random_seed",
    "reasoning_format",
    "reasoning_split",
    "repetition_penalty",
    "safe_prompt",
    "safety_model",
    "thinking_budget",
    "top_k",
    "usage",
];

/// Every top-level field this gateway reads or knows to be harmless: another spelling of one of them is refused.
const KNOWN: &[&str] = &[
    "audio",
    "functions",
    "max_completion_tokens",
    "max_tokens",
    "messages",
    "modalities",
    "model",
    "models",
    "n",
    "prediction",
    "reasoning",
    "reasoning_effort",
    "response_format",
    "service_tier",
    "stream",
    "stream_options",
    "thinking",
    "tools",
    "user",
    "web_search_options",
];

/// See [`crate::scan`].
pub(crate) fn scan(body: &[u8]) -> Result<Scan, DecodeError> {
    let mut reader = Reader::new(body)?;
    if reader.kind()? != Kind::Object {
        return Err(DecodeError::Wrong { field: "body".into(), expected: "a JSON object" });
    }
    let mut found = Found::default();
    found.scan.choices = 1;
    found.scan.spans.first_field = reader.at() + 1;
    // The provider caches long prompts by itself, asked or not, and some models bill the write.
    found.scan.size.cache_writes = true;
    reader.object(|reader, key| found.field(reader, key))?;
    reader.finish()?;
    found.whole()
}

/// What the pass has found so far.
#[derive(Default)]
struct Found {
    scan: Scan,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    has_messages: bool,
}

impl Found {
    fn field(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), DecodeError> {
        match key {
            "model" => self.model(reader),
            "messages" => {
                self.has_messages = true;
                self.prompt().messages(reader)
            }
            "stream" => {
                self.scan.stream = boolean(reader, key)?.unwrap_or(false);
                Ok(())
            }
            "stream_options" => self.stream_options(reader),
            "max_tokens" => {
                self.max_tokens = self.limit(reader, LimitField::MaxTokens)?;
                Ok(())
            }
            "max_completion_tokens" => {
                self.max_completion_tokens = self.limit(reader, LimitField::MaxCompletionTokens)?;
                Ok(())
            }
            "n" => self.choices(reader),
            "user" => {
                self.scan.user = text(reader, key)?;
                Ok(())
            }
            "service_tier" => {
                self.scan.service_tier = text(reader, key)?;
                Ok(())
            }
            "tools" => self.prompt().tools(reader),
            "functions" => self.prompt().functions(reader),
            "models" => self.other_models(reader),
            "response_format" => self.prompt().response_format(reader),
            "reasoning_effort" | "reasoning" | "thinking" => self.reasoning(reader),
            "modalities" | "audio" | "prediction" | "web_search_options" => self.extension(reader, key),
            _ => self.other(reader, key),
        }
    }

    fn prompt(&mut self) -> Prompt<'_> {
        Prompt { size: &mut self.scan.size, needs: &mut self.scan.needs }
    }

    /// A setting that adds nothing to the prompt, or a field nobody here knows.
    fn other(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), DecodeError> {
        if SETTINGS.contains(&key) {
            return reader.skip().map(drop);
        }
        no_lookalike(key, KNOWN)?;
        no_lookalike(key, SETTINGS)?;
        if !absent(reader)? {
            note_unbounded(&mut self.scan.size, Unbounded::UnknownPart);
        }
        Ok(())
    }

    fn model(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? != Kind::String {
            return Err(wrong("model", "a string"));
        }
        let model = reader.string()?;
        if model.raw.is_empty() {
            return Err(wrong("model", "a model's name"));
        }
        self.scan.model = model.decode().into_owned();
        self.scan.model_span = model.span;
        Ok(())
    }

    fn stream_options(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        let mut switch = match reader.kind()? {
            Kind::Null => UsageSwitch::Null(reader.skip()?),
            Kind::Object => UsageSwitch::Empty(reader.at() + 1),
            Kind::Array | Kind::String | Kind::Number | Kind::Bool => return Err(wrong("stream_options", "an object")),
        };
        let mut wanted = false;
        if let UsageSwitch::Empty(inside) = switch {
            reader.object(|reader, key| {
                if key == "include_usage" {
                    reader.kind()?;
                    let start = reader.at();
                    wanted = boolean(reader, "stream_options.include_usage")?.unwrap_or(false);
                    switch = UsageSwitch::Value(start..reader.at());
                    return Ok(());
                }
                no_lookalike(key, &["include_usage"])?;
                if switch == UsageSwitch::Empty(inside) {
                    switch = UsageSwitch::Others(inside);
                }
                reader.skip().map(drop)
            })?;
        }
        self.scan.spans.usage_switch = Some(switch);
        self.scan.stream_usage = wanted;
        Ok(())
    }

    fn limit(&mut self, reader: &mut Reader<'_>, field: LimitField) -> Result<Option<u64>, DecodeError> {
        reader.kind()?;
        let start = reader.at();
        let tokens = whole(reader, field.as_str())?;
        self.scan.spans.limits.push(Limit { field: field.as_str(), span: start..reader.at(), tokens });
        Ok(tokens)
    }

    fn choices(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if let Some(n) = whole(reader, "n")? {
            let choices = u32::try_from(n).ok().filter(|n| (1..=CHOICES_MAX).contains(n));
            self.scan.choices = choices.ok_or_else(|| wrong("n", "a whole number from 1 to 128"))?;
        }
        Ok(())
    }

    fn other_models(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        if reader.kind()? == Kind::Null {
            return reader.skip().map(drop);
        }
        let others = &mut self.scan.other_models;
        reader.array(|reader, _| {
            others.push(reader.string()?.decode().into_owned());
            Ok(())
        })?;
        note_unbounded(&mut self.scan.size, Unbounded::UnknownPart);
        Ok(())
    }

    fn reasoning(&mut self, reader: &mut Reader<'_>) -> Result<(), DecodeError> {
        match reader.kind()? {
            Kind::String => self.scan.needs.reasoning |= reader.string()?.raw != "none",
            Kind::Object => {
                let mut on = true;
                reader.object(|reader, _| {
                    if reader.kind()? == Kind::String {
                        on &= !matches!(reader.string()?.raw, "disabled" | "none");
                        return Ok(());
                    }
                    reader.skip().map(drop)
                })?;
                self.scan.needs.reasoning |= on;
            }
            Kind::Array | Kind::Number | Kind::Bool | Kind::Null => {
                reader.skip()?;
            }
        }
        Ok(())
    }

    /// Fields that make the cost depend on more than text.
    fn extension(&mut self, reader: &mut Reader<'_>, key: &str) -> Result<(), DecodeError> {
        let Scan { size, needs, .. } = &mut self.scan;
        if key == "modalities" && reader.kind()? == Kind::Array {
            return reader.array(|reader, _| {
                if reader.kind()? == Kind::String && reader.string()?.raw == "audio" {
                    needs.audio = true;
                    note_unbounded(size, Unbounded::Audio);
                    return Ok(());
                }
                Ok(())
            });
        }
        if absent(reader)? {
            return Ok(());
        }
        match key {
            "web_search_options" => {
                needs.server_tools = true;
                note_unbounded(size, Unbounded::ServerTool);
            }
            "prediction" => note_unbounded(size, Unbounded::UnknownPart),
            // `audio` says how the answer sounds; only `modalities` asks for sound.
            _ => {}
        }
        Ok(())
    }

    fn whole(mut self) -> Result<Scan, DecodeError> {
        if self.scan.model.is_empty() {
            return Err(DecodeError::Missing { field: "model".into() });
        }
        if !self.has_messages {
            return Err(DecodeError::Missing { field: "messages".into() });
        }
        if let (Some(new), Some(old)) = (self.max_completion_tokens, self.max_tokens)
            && new != old
        {
            return Err(DecodeError::Conflict {
                field: LimitField::MaxCompletionTokens.as_str(),
                other: LimitField::MaxTokens.as_str(),
            });
        }
        self.scan.max_output = self.max_completion_tokens.or(self.max_tokens);
        let size = &mut self.scan.size;
        size.non_ascii_bytes = size.non_ascii_bytes.min(size.text_bytes);
        Ok(self.scan)
    }
}

pub(super) fn wrong(field: &str, expected: &'static str) -> DecodeError {
    DecodeError::Wrong { field: field.to_owned(), expected }
}

/// Reads a value and says whether it asks for nothing: `null`, `false`.
pub(super) fn absent(reader: &mut Reader<'_>) -> Result<bool, DecodeError> {
    let kind = reader.kind()?;
    let before = reader.compact_bytes;
    reader.skip()?;
    Ok(kind == Kind::Null || kind == Kind::Bool && reader.compact_bytes - before == 5)
}

fn boolean(reader: &mut Reader<'_>, field: &str) -> Result<Option<bool>, DecodeError> {
    match reader.kind()? {
        Kind::Null => reader.skip().map(|_| None),
        Kind::Bool => absent(reader).map(|no| Some(!no)),
        Kind::Object | Kind::Array | Kind::String | Kind::Number => Err(wrong(field, "true or false")),
    }
}

fn text(reader: &mut Reader<'_>, field: &str) -> Result<Option<String>, DecodeError> {
    match reader.kind()? {
        Kind::Null => reader.skip().map(|_| None),
        Kind::String => reader.string().map(|text| Some(text.decode().into_owned())),
        Kind::Object | Kind::Array | Kind::Number | Kind::Bool => Err(wrong(field, "a string")),
    }
}

fn whole(reader: &mut Reader<'_>, field: &str) -> Result<Option<u64>, DecodeError> {
    match reader.kind()? {
        Kind::Null => reader.skip().map(|_| None),
        Kind::Number => {
            let digits = reader.number_text()?;
            digits.parse().map(Some).map_err(|_| wrong(field, "a whole number"))
        }
        Kind::Object | Kind::Array | Kind::String | Kind::Bool => Err(wrong(field, "a whole number")),
    }
}
