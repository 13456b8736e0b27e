//! Byte-pair encodings by model name.

use bh_base::{Overheads, PromptSize, Unbounded};

/// A byte-level encoding this crate has the vocabulary of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Encoding {
    /// GPT-4o and later OpenAI models.
    O200k,
    /// GPT-4, GPT-4 Turbo and GPT-3.5 Turbo.
    Cl100k,
}

impl Encoding {
    /// The encoding of an OpenAI model, by its name; nothing for names that are not OpenAI's.
    #[must_use]
    pub fn for_model(model: &str) -> Option<Self> {
        let name = model.strip_prefix("ft:").unwrap_or(model);
        let name = name.strip_prefix("openai/").unwrap_or(name);
        let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if starts(&["gpt-4o", "gpt-4.", "chatgpt-4o"]) {
            return Some(Encoding::O200k);
        }
        if starts(&["gpt-4", "gpt-3.5"]) {
            return Some(Encoding::Cl100k);
        }
        let reasoning =
            name.strip_prefix('o').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
        (reasoning || starts(&["gpt-", "codex-"])).then_some(Encoding::O200k)
    }

    /// The name people know it by.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Encoding::O200k => "o200k_base",
            Encoding::Cl100k => "cl100k_base",
        }
    }

    fn tokenizer(self) -> &'static bpe_openai::Tokenizer {
        match self {
            Encoding::O200k => bpe_openai::o200k_base(),
            Encoding::Cl100k => bpe_openai::cl100k_base(),
        }
    }
}

/// The tokens of a text. Words such as `<|endoftext|>` count as the plain text a client sent.
#[must_use]
pub fn count_text(encoding: Encoding, text: &str) -> u64 {
    encoding.tokenizer().count(text) as u64
}

/// Tokens to expect of so many bytes of text when nothing better is known: one per four, rounded up. An estimate, to be
/// flagged as one; never a bound.
#[must_use]
pub const fn estimate_from_bytes(bytes: u64) -> u64 {
    bytes.div_ceil(4)
}

/// The most prompt tokens a provider can bill for a prompt of this size; see [`PromptSize::tokens_upper`].
///
/// # Errors
/// Why no bound exists.
pub fn upper_bound(size: &PromptSize, overheads: &Overheads) -> Result<u64, Unbounded> {
    size.tokens_upper(overheads)
}

/// Unpacks every vocabulary, about a tenth of a second of work that the first request should not wait for.
pub fn warm() {
    for encoding in [Encoding::O200k, Encoding::Cl100k] {
        std::hint::black_box(count_text(encoding, "warm"));
    }
}
