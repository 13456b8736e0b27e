//! Which recordings are replayed, and as what kind of provider.

use bh_dialect::Dialect;
use bh_testkit::Recording;

/// A recording that some provider kind of the gateway can play.
#[derive(Debug)]
pub struct Case {
    /// What was recorded.
    pub recording: Recording,
    /// The dialect the provider spoke.
    pub dialect: Dialect,
    /// The provider kind it is configured as.
    pub kind: &'static str,
    /// Whether this product promises that all of its kind pass: OpenAI's and Anthropic's own.
    pub promised: bool,
}

impl Case {
    /// Takes a recording, or gives it back when no provider kind can play it yet.
    ///
    /// # Errors
    /// The recording itself: it is to be counted as skipped.
    pub fn new(recording: Recording) -> Result<Self, Box<Recording>> {
        let (dialect, kind, promised) = match (recording.provider.as_str(), recording.api.as_str()) {
            ("openai", "chat_completions") => (Dialect::OpenAiChat, "openai", true),
            (_, "chat_completions" | "openai_compat_chat") => (Dialect::OpenAiChat, "openai_compatible", false),
            (provider, "messages") => (Dialect::AnthropicMessages, "anthropic", provider == "anthropic"),
            _ => return Err(Box::new(recording)),
        };
        Ok(Case { recording, dialect, kind, promised })
    }
}

/// The other of the two dialects.
#[must_use]
pub(crate) const fn other(dialect: Dialect) -> Dialect {
    match dialect {
        Dialect::OpenAiChat => Dialect::AnthropicMessages,
        Dialect::AnthropicMessages => Dialect::OpenAiChat,
    }
}

/// The kind that plays a dialect as its inventor does.
#[must_use]
pub(crate) const fn native_kind(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "openai",
        Dialect::AnthropicMessages => "anthropic",
    }
}

/// The path that serves a dialect, here and at a provider.
#[must_use]
pub(crate) const fn path(dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => "/v1/chat/completions",
        Dialect::AnthropicMessages => "/v1/messages",
    }
}
