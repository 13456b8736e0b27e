//! The one binary codec: a version byte, then bincode's standard encoding (little endian, variable-length integers).
//!
//! For node-to-node frames and for state on disk; what people read is JSON elsewhere. The library underneath is
//! finished upstream, so it stays behind these two functions: replacing it is this file and one decision record.
//! Changing a type that is encoded means a new version number, and the golden bytes below show that the encoding
//! itself has not moved.

pub use bincode::{Decode, Encode};

use bincode::config::{self, Config};

/// Memory that one encoded byte may turn into, in bytes. Wide because one byte can be a whole large `enum` value.
const MEMORY_PER_BYTE_MAX: usize = 256;

/// Why bytes are not the value they were read as.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// Nothing there, not even a version.
    #[error("expected a version byte, found nothing")]
    Empty,
    /// Longer than the caller allows; nothing was decoded.
    #[error("{found} bytes are more than the {bytes_max} allowed")]
    TooLong {
        /// Bytes found, the version byte included.
        found: usize,
        /// Bytes allowed.
        bytes_max: usize,
    },
    /// Written by another version of this program.
    #[error("expected version {expected}, found version {found}")]
    OtherVersion {
        /// The version the caller reads.
        expected: u8,
        /// The version the bytes name.
        found: u8,
    },
    /// Cut short, out of range, or claiming more elements than the bytes could hold.
    #[error("the bytes are damaged or of another type")]
    Damaged {
        /// What the decoder met.
        #[source]
        source: Box<bincode::error::DecodeError>,
    },
    /// A whole value and then something else.
    #[error("{extra} bytes follow the value")]
    Trailing {
        /// Bytes after the value.
        extra: usize,
    },
}

/// Encodes a value behind its version byte. For plain data only: numbers, texts, collections and derived types.
///
/// # Panics
/// When the type's own `Encode` fails, which derived ones of plain data never do.
#[must_use]
pub fn encode<T: Encode>(version: u8, value: &T) -> Vec<u8> {
    let mut bytes = vec![version];
    bincode::encode_into_std_write(value, &mut bytes, config::standard())
        .expect("writing plain data to memory cannot fail");
    bytes
}

/// Decodes a value that [`encode`] wrote with this version and that takes at most `bytes_max` bytes in all.
/// Hostile bytes cost memory in proportion to their own length, never to a length they claim.
///
/// # Errors
/// Every fault of [`CodecError`]; bytes after the value are one of them.
pub fn decode<T: Decode<()>>(version: u8, bytes: &[u8], bytes_max: usize) -> Result<T, CodecError> {
    if bytes_max < bytes.len() {
        return Err(CodecError::TooLong { found: bytes.len(), bytes_max });
    }
    let (&found, body) = bytes.split_first().ok_or(CodecError::Empty)?;
    if found != version {
        return Err(CodecError::OtherVersion { expected: version, found });
    }
    // The library takes its memory limit as a constant, so the next larger of a few is chosen.
    let standard = config::standard();
    let memory = body.len().saturating_mul(MEMORY_PER_BYTE_MAX);
    if memory <= 1 << 16 {
        whole(body, standard.with_limit::<{ 1 << 16 }>())
    } else if memory <= 1 << 20 {
        whole(body, standard.with_limit::<{ 1 << 20 }>())
    } else if memory <= 1 << 24 {
        whole(body, standard.with_limit::<{ 1 << 24 }>())
    } else if memory <= 1 << 28 {
        whole(body, standard.with_limit::<{ 1 << 28 }>())
    } else {
        whole(body, standard.with_limit::<{ 1 << 32 }>())
    }
}

fn whole<T: Decode<()>>(body: &[u8], config: impl Config) -> Result<T, CodecError> {
    let (value, used) =
        bincode::decode_from_slice(body, config).map_err(|source| CodecError::Damaged { source: Box::new(source) })?;
    match body.len() - used {
        0 => Ok(value),
        extra => Err(CodecError::Trailing { extra }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    #[derive(Debug, Clone, PartialEq, Encode, Decode)]
    enum Shape {
        Unit,
        Pair(u8, i64),
        Named { text: String, list: Vec<u64>, map: BTreeMap<[u8; 4], Option<u128>> },
    }

    fn sample() -> Shape {
        let map = BTreeMap::from([(*b"key1", Some(300)), (*b"key2", None)]);
        Shape::Named { text: "Öl".into(), list: vec![0, 250, 251, 65_536, u64::MAX], map }
    }

    #[test]
    fn the_encoding_has_not_moved() {
        let golden: &[u8] = &[
            7, 2, 3, 0xc3, 0x96, b'l', 5, 0, 250, 251, 251, 0, 252, 0, 0, 1, 0, 253, 255, 255, 255, 255, 255, 255, 255,
            255, 2, b'k', b'e', b'y', b'1', 1, 251, 44, 1, b'k', b'e', b'y', b'2', 0,
        ];
        assert_eq!(encode(7, &sample()), golden);
        assert_eq!(decode::<Shape>(7, golden, 64).unwrap(), sample());
        assert_eq!(encode(1, &Shape::Unit), [1, 0]);
        assert_eq!(encode(1, &Shape::Pair(9, -1)), [1, 1, 9, 1]);
    }

    #[test]
    fn another_version_is_named() {
        let bytes = encode(1, &sample());
        let fault = decode::<Shape>(2, &bytes, 64).unwrap_err();
        assert!(matches!(fault, CodecError::OtherVersion { expected: 2, found: 1 }));
        assert!(matches!(decode::<Shape>(2, &[], 64).unwrap_err(), CodecError::Empty));
    }

    #[test]
    fn the_length_limit_is_exact() {
        let bytes = encode(1, &sample());
        assert!(decode::<Shape>(1, &bytes, bytes.len()).is_ok());
        let fault = decode::<Shape>(1, &bytes, bytes.len() - 1).unwrap_err();
        assert!(matches!(fault, CodecError::TooLong { .. }));
    }

    #[test]
    fn a_cut_value_and_a_longer_one_are_refused() {
        let bytes = encode(1, &sample());
        for length in 1..bytes.len() {
            assert!(matches!(decode::<Shape>(1, &bytes[..length], 64).unwrap_err(), CodecError::Damaged { .. }));
        }
        let longer = [bytes.as_slice(), &[0, 0]].concat();
        assert!(matches!(decode::<Shape>(1, &longer, 64).unwrap_err(), CodecError::Trailing { extra: 2 }));
    }

    #[test]
    fn a_claimed_length_costs_no_memory() {
        let mut bytes = vec![1, 253];
        bytes.extend(u64::MAX.to_le_bytes());
        assert!(matches!(decode::<Vec<u64>>(1, &bytes, 64).unwrap_err(), CodecError::Damaged { .. }));
        assert!(matches!(decode::<Vec<u8>>(1, &[1, 252, 0, 0, 0, 64], 64).unwrap_err(), CodecError::Damaged { .. }));
    }

    #[test]
    fn a_value_larger_in_memory_than_in_bytes_decodes() {
        for length in [10, 1_000, 100_000, 1_100_000] {
            let list = vec![None::<u128>; length];
            let bytes = encode(1, &list);
            assert_eq!(decode::<Vec<Option<u128>>>(1, &bytes, bytes.len()).unwrap(), list);
        }
    }

    proptest! {
        #[test]
        fn what_is_encoded_decodes_to_itself(text in ".*", list: Vec<u64>, map: BTreeMap<[u8; 4], Option<u128>>) {
            let shape = Shape::Named { text, list, map };
            let bytes = encode(3, &shape);
            prop_assert_eq!(decode::<Shape>(3, &bytes, bytes.len()).unwrap(), shape);
        }

        #[test]
        fn random_bytes_never_panic(mut bytes: Vec<u8>) {
            bytes.insert(0, 1);
            let known = decode::<Shape>(1, &bytes, 4096).map(|shape| encode(1, &shape));
            prop_assert!(known.is_err() || known.is_ok_and(|again| again[0] == 1));
        }
    }
}
