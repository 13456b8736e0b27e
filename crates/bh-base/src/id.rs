//! Identifiers as bytes, with one text form each.

use std::fmt;

/// A text that is not the id it was read as.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected {expected}")]
pub struct InvalidId {
    expected: &'static str,
}

/// One request as the client sees it: a UUIDv7 printed as `req_` and 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(pub [u8; 16]);

/// One process of the gateway: 128 random bits drawn at start, printed as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub [u8; 16]);

/// SHA-256 that names a token; the only thing ever used as a key for one. Printed as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TokenId(pub [u8; 32]);

impl RequestId {
    /// Reads the printed form.
    ///
    /// # Errors
    /// Anything but `req_` and 32 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        let wrong = InvalidId { expected: "req_ and 32 hex digits" };
        let digits = text.strip_prefix("req_").ok_or(wrong.clone())?;
        unhex(digits).map(RequestId).ok_or(wrong)
    }
}

impl NodeId {
    /// Reads the printed form.
    ///
    /// # Errors
    /// Anything but 32 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        unhex(text).map(NodeId).ok_or(InvalidId { expected: "32 hex digits" })
    }
}

impl TokenId {
    /// Reads the printed form.
    ///
    /// # Errors
    /// Anything but 64 lower-case hex digits.
    pub fn parse(text: &str) -> Result<Self, InvalidId> {
        unhex(text).map(TokenId).ok_or(InvalidId { expected: "64 hex digits" })
    }
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digits = text.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let nibble = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
    }
    Some(out)
}

/// Ids are printed several times in each request, so their digits are written at once and not pair by pair.
fn hex<const N: usize>(f: &mut fmt::Formatter<'_>, prefix: &str, bytes: &[u8; N]) -> fmt::Result {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = [[0; 2]; N];
    for (pair, byte) in text.iter_mut().zip(bytes) {
        *pair = [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]];
    }
    f.write_str(prefix)?;
    f.write_str(std::str::from_utf8(text.as_flattened()).unwrap_or_default())
}

macro_rules! prints_as_hex {
    ($($name:ident $prefix:literal),*) => {$(
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                hex(f, $prefix, &self.0)
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
    )*};
}
prints_as_hex!(RequestId "req_", NodeId "", TokenId "");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_read_what_they_print() {
        let id = RequestId([7; 16]);
        assert_eq!(RequestId::parse(&id.to_string()), Ok(id));
        assert_eq!(TokenId::parse(&TokenId([0xab; 32]).to_string()), Ok(TokenId([0xab; 32])));
        assert_eq!(NodeId::parse(&NodeId([1; 16]).to_string()), Ok(NodeId([1; 16])));
    }

    #[test]
    fn other_texts_are_refused() {
        for text in
            ["", "req_", "req_zz", "REQ_00000000000000000000000000000000", "req_0000000000000000000000000000000G"]
        {
            assert!(RequestId::parse(text).is_err(), "{text}");
        }
    }
}
