//! The prompt tokens of a text conversation, as OpenAI counts them.

use crate::{Encoding, count_text};

/// Tokens around each message.
const PER_MESSAGE: u64 = 3;
/// Tokens that open the answer.
const ANSWER_OPENING: u64 = 3;
/// A named message has one more.
const PER_NAME: u64 = 1;

/// The text of one message.
#[derive(Clone, Copy, Debug)]
pub struct ChatMessage<'a> {
    /// `user`, `assistant`, …
    pub role: &'a str,
    /// All its text.
    pub text: &'a str,
    /// The author's name, if it has one.
    pub name: Option<&'a str>,
}

/// The prompt tokens of plain text messages, without tools or images: exact for the models measured.
///
/// Each message is 3 tokens, its role and its text; the answer's opening 3 more. o-series and gpt-5 models count one
/// less.
#[must_use]
pub fn chat_tokens<'a>(encoding: Encoding, model: &str, messages: impl IntoIterator<Item = ChatMessage<'a>>) -> u64 {
    let messages = messages.into_iter().fold(0_u64, |sum, message| {
        let name = message.name.map_or(0, |name| PER_NAME + count_text(encoding, name));
        sum + PER_MESSAGE + count_text(encoding, message.role) + count_text(encoding, message.text) + name
    });
    (messages + ANSWER_OPENING).saturating_sub(u64::from(counts_one_less(model)))
}

/// Whether a model is of the families whose prompts count one token less.
fn counts_one_less(model: &str) -> bool {
    let o_series = model.strip_prefix('o').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()));
    o_series || model.starts_with("gpt-5") || model.starts_with("gpt-6")
}
