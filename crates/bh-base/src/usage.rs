//! What a call used, and how large a prompt can be, in units no provider disagrees about.

/// What one attempt used, in disjoint buckets: nothing is counted twice, whatever the provider's own habit.
/// Token counts unless the name says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Prompt tokens billed at the plain input price.
    pub input_uncached: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read: u64,
    /// Prompt tokens written to the provider's five-minute (default) cache.
    pub cache_write_5m: u64,
    /// Prompt tokens written to the provider's one-hour cache.
    pub cache_write_1h: u64,
    /// Answer tokens other than reasoning.
    pub output: u64,
    /// Answer tokens spent on reasoning.
    pub reasoning: u64,
    /// Audio tokens of the prompt.
    pub audio_input: u64,
    /// Audio tokens of the answer.
    pub audio_output: u64,
    /// Image tokens of the prompt, where the provider counts them apart.
    pub image_input: u64,
    /// Web searches the provider ran and bills per call.
    pub web_searches: u64,
}

impl Usage {
    /// Every prompt token, however it is billed; saturates.
    #[must_use]
    pub fn prompt_tokens(&self) -> u64 {
        [self.cache_read, self.cache_write_5m, self.cache_write_1h, self.audio_input, self.image_input]
            .into_iter()
            .fold(self.input_uncached, u64::saturating_add)
    }

    /// Every answer token, reasoning included; saturates.
    #[must_use]
    pub fn answer_tokens(&self) -> u64 {
        self.output.saturating_add(self.reasoning).saturating_add(self.audio_output)
    }

    /// Prompt and answer tokens together; saturates.
    #[must_use]
    pub fn total_tokens(&self) -> u64 {
        self.prompt_tokens().saturating_add(self.answer_tokens())
    }
}

/// Why the tokens of a prompt cannot be bounded from its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unbounded {
    /// A tool that the provider runs itself adds its own text.
    ServerTool,
    /// Content behind a URL that the provider fetches.
    RemoteUrl,
    /// Content behind an id stored at the provider.
    StoredFile,
    /// A document whose pages become text and images.
    Document,
    /// Audio, billed by duration.
    Audio,
    /// An image, for a model whose most tokens per image are not known.
    Image,
    /// A model whose price or tokenizer is not known.
    UnknownModel,
    /// A part or field this gateway does not know.
    UnknownPart,
}

impl Unbounded {
    /// The spelling used in refusals and records.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Unbounded::ServerTool => "server_tool",
            Unbounded::RemoteUrl => "remote_url",
            Unbounded::StoredFile => "stored_file",
            Unbounded::Document => "document",
            Unbounded::Audio => "audio",
            Unbounded::Image => "image",
            Unbounded::UnknownModel => "unknown_model",
            Unbounded::UnknownPart => "unknown_part",
        }
    }
}

/// The facts of a prompt from which an upper bound of its tokens follows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PromptSize {
    /// Bytes of text the model reads (UTF-8; byte-level BPE never makes more tokens than bytes). Base64 is not text.
    pub text_bytes: u64,
    /// Of `text_bytes`, those outside ASCII once JSON escapes are read (`\u00e9` is two). Some tokenizers normalise
    /// Unicode first, which can make non-ASCII text longer; ASCII never grows. At most `text_bytes`.
    pub non_ascii_bytes: u64,
    /// Messages, the system prompt included.
    pub messages: u64,
    /// Tools the client declares.
    pub tools: u64,
    /// Features other than tools for which some providers add instructions of their own, each counted once: an answer
    /// of a given JSON shape, citations, a token budget the model is told of.
    pub features: u64,
    /// Inline images.
    pub images: u64,
    /// Whether any part asks for a provider-side cache write.
    pub cache_writes: bool,
    /// The first reason found why no bound exists, if any.
    pub unbounded: Option<Unbounded>,
}

/// What a provider adds to the text of a prompt: upper bounds in tokens, measured with margin. From the catalog.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Overheads {
    /// Added once to every prompt.
    pub base: u64,
    /// Added for each message.
    pub per_message: u64,
    /// Added once when any tool is declared.
    pub tool_prompt: u64,
    /// Added for each declared tool, beyond the bytes of its definition.
    pub per_tool: u64,
    /// Added for each feature that [`PromptSize::features`] counts.
    pub per_feature: u64,
    /// The most tokens one image can make; absent when not known.
    pub per_image: Option<u64>,
    /// How much longer the tokenizer's Unicode normalisation can make non-ASCII text: 1 for none, 3 for NFC, 11 for
    /// NFKC or a tokenizer nobody outside has seen.
    pub non_ascii_growth: u64,
}

impl PromptSize {
    /// The most prompt tokens a provider can bill for a prompt of this size; saturates.
    ///
    /// # Errors
    /// Why no bound exists: the prompt says so itself, or it has images and their size in tokens is not known.
    pub fn tokens_upper(&self, overheads: &Overheads) -> Result<u64, Unbounded> {
        if let Some(reason) = self.unbounded {
            return Err(reason);
        }
        let images = match overheads.per_image {
            Some(most) => self.images.saturating_mul(most),
            None if self.images == 0 => 0,
            None => return Err(Unbounded::Image),
        };
        let growth = self.non_ascii_bytes.saturating_mul(overheads.non_ascii_growth.saturating_sub(1));
        let tool_prompt = if 0 < self.tools { overheads.tool_prompt } else { 0 };
        Ok([
            growth,
            overheads.base,
            self.messages.saturating_mul(overheads.per_message),
            tool_prompt,
            self.tools.saturating_mul(overheads.per_tool),
            self.features.saturating_mul(overheads.per_feature),
            images,
        ]
        .into_iter()
        .fold(self.text_bytes, u64::saturating_add))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OVERHEADS: Overheads = Overheads {
        base: 1,
        per_message: 10,
        tool_prompt: 100,
        per_tool: 1_000,
        per_feature: 10_000,
        per_image: Some(100_000),
        non_ascii_growth: 3,
    };

    #[test]
    fn every_part_of_a_prompt_raises_its_bound() {
        let check = |size: PromptSize, tokens: u64| assert_eq!(size.tokens_upper(&OVERHEADS), Ok(tokens), "{size:?}");
        check(PromptSize::default(), 1);
        check(PromptSize { text_bytes: 7, ..PromptSize::default() }, 8);
        check(PromptSize { text_bytes: 7, non_ascii_bytes: 2, ..PromptSize::default() }, 12);
        check(PromptSize { messages: 2, ..PromptSize::default() }, 21);
        check(PromptSize { tools: 2, ..PromptSize::default() }, 2_101);
        check(PromptSize { features: 2, ..PromptSize::default() }, 20_001);
        check(PromptSize { images: 2, ..PromptSize::default() }, 200_001);
        check(PromptSize { text_bytes: u64::MAX, images: u64::MAX, ..PromptSize::default() }, u64::MAX);
    }

    #[test]
    fn what_cannot_be_bounded_is_said_and_not_guessed() {
        let blind = Overheads { per_image: None, ..OVERHEADS };
        let image = PromptSize { images: 1, ..PromptSize::default() };
        assert_eq!(image.tokens_upper(&blind), Err(Unbounded::Image));
        let tool = PromptSize { unbounded: Some(Unbounded::ServerTool), ..PromptSize::default() };
        assert_eq!(tool.tokens_upper(&OVERHEADS), Err(Unbounded::ServerTool));
    }

    #[test]
    fn totals_count_every_bucket_once() {
        let usage = Usage {
            input_uncached: 1,
            cache_read: 10,
            cache_write_5m: 100,
            cache_write_1h: 1_000,
            output: 10_000,
            reasoning: 100_000,
            audio_input: 2,
            audio_output: 20_000,
            image_input: 20,
            web_searches: 9,
        };
        assert_eq!(usage.prompt_tokens(), 1_133);
        assert_eq!(usage.answer_tokens(), 130_000);
        assert_eq!(usage.total_tokens(), 131_133);
    }
}
