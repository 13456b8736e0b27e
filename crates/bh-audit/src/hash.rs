//! Fixed-size byte strings of the audit format, each printed as lower-case hex.

use std::fmt;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// SHA-256: a leaf, a `prev`, a tree root, or the value of a commitment. Printed as 64 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Hash(pub [u8; 32]);

/// One log: 128 random bits drawn when a data folder gets its first record. Printed as 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub [u8; 16]);

/// A person's pseudonym: the first 16 bytes of an HMAC under a key that never leaves the data folder. 32 hex digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SubjectRef(pub [u8; 16]);

impl Hash {
    /// All zeros: the `prev` of the very first record of a log.
    pub const ZERO: Hash = Hash([0; 32]);
}

/// Writes bytes as lower-case hex into a buffer that is exactly twice as long.
pub(crate) fn write_hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let nibble = |b: u8| match b {
        b'0'..=b'9' => Some(b - b'0'),
        b'a'..=b'f' => Some(b - b'a' + 10),
        _ => None,
    };
    if text.len() != 2 * N {
        return None;
    }
    let mut out = [0; N];
    for (byte, pair) in out.iter_mut().zip(text.as_bytes().chunks_exact(2)) {
        *byte = (nibble(pair[0])? << 4) | nibble(pair[1])?;
    }
    Some(out)
}

macro_rules! hex_text {
    ($($name:ident $bytes:literal),*) => {$(
        impl $name {
            /// Reads the printed form; nothing else is accepted.
            #[must_use]
            pub fn parse(text: &str) -> Option<Self> {
                unhex(text).map($name)
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                let mut digits = [0; 2 * $bytes];
                write_hex(&self.0, &mut digits);
                f.write_str(std::str::from_utf8(&digits).expect("hex digits are ASCII"))
            }
        }
        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }
        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                let mut digits = [0; 2 * $bytes];
                write_hex(&self.0, &mut digits);
                serializer.serialize_str(std::str::from_utf8(&digits).expect("hex digits are ASCII"))
            }
        }
        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
                $name::parse(&text).ok_or_else(|| D::Error::custom(concat!("expected ", stringify!($bytes), " bytes as lower-case hex")))
            }
        }
    )*};
}
hex_text!(Hash 32, LogId 16, SubjectRef 16);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_read_what_they_print() {
        let hash = Hash([0xab; 32]);
        assert_eq!(Hash::parse(&hash.to_string()), Some(hash));
        assert_eq!(serde_json::from_str::<Hash>(&serde_json::to_string(&hash).unwrap()).unwrap(), hash);
        assert_eq!(Hash::parse(&"AB".repeat(32)), None);
        assert_eq!(LogId::parse("00"), None);
    }
}
