//! What a model can do, as a set.

use std::fmt;
use std::ops::BitOr;

/// A set of abilities. A missing one means "not known to work", so routing may prefer a model that lists it.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Capabilities(u32);

/// The words of the data file, each with its bit.
const NAMES: [(&str, Capabilities); 15] = [
    ("streaming", Capabilities::STREAMING),
    ("system", Capabilities::SYSTEM),
    ("tools", Capabilities::TOOLS),
    ("parallel_tools", Capabilities::PARALLEL_TOOLS),
    ("tool_choice", Capabilities::TOOL_CHOICE),
    ("images", Capabilities::IMAGES),
    ("documents", Capabilities::DOCUMENTS),
    ("audio_input", Capabilities::AUDIO_INPUT),
    ("audio_output", Capabilities::AUDIO_OUTPUT),
    ("json_schema", Capabilities::JSON_SCHEMA),
    ("reasoning", Capabilities::REASONING),
    ("sampling", Capabilities::SAMPLING),
    ("prompt_cache", Capabilities::PROMPT_CACHE),
    ("web_search", Capabilities::WEB_SEARCH),
    ("prefill", Capabilities::PREFILL),
];

impl Capabilities {
    /// Nothing.
    pub const NONE: Capabilities = Capabilities(0);
    /// Sends the answer as it is made.
    pub const STREAMING: Capabilities = Capabilities(1);
    /// Takes a system prompt.
    pub const SYSTEM: Capabilities = Capabilities(1 << 1);
    /// Calls tools the client declares.
    pub const TOOLS: Capabilities = Capabilities(1 << 2);
    /// Calls several tools in one answer.
    pub const PARALLEL_TOOLS: Capabilities = Capabilities(1 << 3);
    /// Can be told to call a tool, none, or a certain one.
    pub const TOOL_CHOICE: Capabilities = Capabilities(1 << 4);
    /// Sees images.
    pub const IMAGES: Capabilities = Capabilities(1 << 5);
    /// Reads documents such as PDF.
    pub const DOCUMENTS: Capabilities = Capabilities(1 << 6);
    /// Hears audio.
    pub const AUDIO_INPUT: Capabilities = Capabilities(1 << 7);
    /// Speaks audio.
    pub const AUDIO_OUTPUT: Capabilities = Capabilities(1 << 8);
    /// Answers in a given JSON shape.
    pub const JSON_SCHEMA: Capabilities = Capabilities(1 << 9);
    /// Reasons before it answers.
    pub const REASONING: Capabilities = Capabilities(1 << 10);
    /// Takes `temperature` and `top_p`.
    pub const SAMPLING: Capabilities = Capabilities(1 << 11);
    /// Has a prompt cache.
    pub const PROMPT_CACHE: Capabilities = Capabilities(1 << 12);
    /// Searches the web by itself.
    pub const WEB_SEARCH: Capabilities = Capabilities(1 << 13);
    /// Continues an answer that the client began.
    pub const PREFILL: Capabilities = Capabilities(1 << 14);

    /// Whether every ability of `needed` is here.
    #[must_use]
    pub const fn contains(self, needed: Capabilities) -> bool {
        self.0 & needed.0 == needed.0
    }

    /// The abilities of either set.
    #[must_use]
    pub const fn with(self, other: Capabilities) -> Self {
        Capabilities(self.0 | other.0)
    }

    /// The abilities of `needed` that are not here.
    #[must_use]
    pub const fn missing(self, needed: Capabilities) -> Self {
        Capabilities(needed.0 & !self.0)
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The words of the set, in a fixed order.
    pub fn names(self) -> impl Iterator<Item = &'static str> {
        NAMES.into_iter().filter(move |(_, one)| self.contains(*one)).map(|(name, _)| name)
    }

    /// The set of one word, or nothing for a word that is none of ours.
    #[must_use]
    pub fn named(word: &str) -> Option<Self> {
        NAMES.into_iter().find(|(name, _)| *name == word).map(|(_, one)| one)
    }
}

impl BitOr for Capabilities {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        self.with(other)
    }
}

impl fmt::Debug for Capabilities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_one_bit_of_its_own() {
        let all = NAMES.into_iter().fold(Capabilities::NONE, |all, (name, one)| {
            assert_eq!(one.0.count_ones(), 1, "{name}");
            assert!(all.missing(one) == one, "{name} shares its bit");
            assert_eq!(Capabilities::named(name), Some(one));
            all | one
        });
        assert!(all.names().eq(NAMES.into_iter().map(|(name, _)| name)));
        assert_eq!(Capabilities::named("telepathy"), None);
    }
}
