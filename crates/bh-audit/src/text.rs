//! Short texts inside records: bounded, printable, cheap to share.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// Longest text a record carries, in bytes. A longer one is cut at a character and ends in `…`: together with the
/// bounds on lists this keeps every record below `bh_base::limits::RECORD_BYTES_MAX`.
pub const TEXT_BYTES_MAX: usize = 256;

/// A text of at most [`TEXT_BYTES_MAX`] bytes without control characters.
#[derive(Clone)]
pub struct Text(Repr);

#[derive(Clone)]
enum Repr {
    Word(&'static str),
    Shared(Arc<str>),
}

impl Text {
    /// A word of our own: costs no allocation. Must fit the bound and have no control characters.
    #[must_use]
    pub const fn word(word: &'static str) -> Self {
        assert!(word.len() <= TEXT_BYTES_MAX, "a word of ours is short");
        Text(Repr::Word(word))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        match &self.0 {
            Repr::Word(word) => word,
            Repr::Shared(text) => text,
        }
    }
}

impl From<Arc<str>> for Text {
    fn from(text: Arc<str>) -> Self {
        if text.len() <= TEXT_BYTES_MAX && !text.bytes().any(is_control) {
            return Text(Repr::Shared(text));
        }
        Text(Repr::Shared(tidy(&text).into()))
    }
}

impl From<&Arc<str>> for Text {
    fn from(text: &Arc<str>) -> Self {
        Text::from(Arc::clone(text))
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        Text::from(Arc::<str>::from(text))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Text::from(Arc::<str>::from(text))
    }
}

impl PartialEq for Text {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for Text {}

impl PartialOrd for Text {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Text {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.as_str().cmp(other.as_str())
    }
}

impl std::hash::Hash for Text {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        self.as_str().hash(state);
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}

impl Serialize for Text {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // What was stored is read as it is: cutting it here would hide what is really there.
        String::deserialize(deserializer).map(|text| Text(Repr::Shared(text.into())))
    }
}

/// Bytes below space and DEL: JSON writes each as six, which would break the bound on a record.
const fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

fn tidy(text: &str) -> String {
    const CUT: &str = "…";
    let mut out = String::with_capacity(TEXT_BYTES_MAX);
    let fits = text.len() <= TEXT_BYTES_MAX;
    for c in text.chars() {
        if !fits && TEXT_BYTES_MAX < out.len() + c.len_utf8() + CUT.len() {
            out.push_str(CUT);
            break;
        }
        out.push(if c.is_ascii_control() { '?' } else { c });
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_cut_at_a_character() {
        for unit in ["a", "é", "漢", "🦀"] {
            let text = Text::from(unit.repeat(TEXT_BYTES_MAX + 1));
            assert!(text.as_str().len() <= TEXT_BYTES_MAX);
            assert!(TEXT_BYTES_MAX - 7 < text.as_str().len(), "{}", text.as_str().len());
            assert!(text.as_str().ends_with('…'));
        }
        assert_eq!(Text::from("a".repeat(TEXT_BYTES_MAX)).as_str(), "a".repeat(TEXT_BYTES_MAX));
    }

    #[test]
    fn control_characters_are_replaced() {
        assert_eq!(Text::from("a\u{0}b\nc\u{7f}").as_str(), "a?b?c?");
    }
}
