//! Frames: `len u32 | crc32 u32 | seq u64 | bytes`, little endian. The checksum covers length, place and bytes.

use bh_base::limits::RECORD_BYTES_MAX;

/// Bytes before the payload.
pub(crate) const HEADER_BYTES: usize = 16;
/// Longest payload; more is no frame of ours.
pub(crate) const PAYLOAD_BYTES_MAX: usize = RECORD_BYTES_MAX;
/// So many zeros in a row are not text of ours but a page that never reached the disk.
const ZEROS_OF_A_LOST_PAGE: usize = 64;

/// What stands at a place in a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum At<'a> {
    /// A whole frame; the next one starts at `next`.
    Frame { seq: u64, payload: &'a [u8], next: usize },
    /// Nothing: the end.
    End,
    /// Bytes that are no frame.
    Bad,
}

/// How a stretch of bytes that are no frame came about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cause {
    /// A write that a crash cut off: the rest of a frame is missing or never reached the disk.
    Torn,
    /// Bytes that were whole once.
    Damaged,
}

/// Appends one frame.
pub(crate) fn write_frame(out: &mut Vec<u8>, seq: u64, payload: &[u8]) {
    let len = u32::try_from(payload.len()).expect("a payload is at most 256 KiB");
    out.extend_from_slice(&len.to_le_bytes());
    out.extend_from_slice(&checksum(len, seq, payload).to_le_bytes());
    out.extend_from_slice(&seq.to_le_bytes());
    out.extend_from_slice(payload);
}

/// Reads what stands at `offset`.
pub(crate) fn frame_at(file: &[u8], offset: usize) -> At<'_> {
    let rest = &file[offset..];
    if rest.is_empty() {
        return At::End;
    }
    let Some((len, crc, seq)) = header(rest) else {
        return At::Bad;
    };
    let Some(payload) = rest.get(HEADER_BYTES..HEADER_BYTES + len as usize) else {
        return At::Bad;
    };
    if PAYLOAD_BYTES_MAX < payload.len() || checksum(len, seq, payload) != crc {
        return At::Bad;
    }
    At::Frame { seq, payload, next: offset + HEADER_BYTES + payload.len() }
}

/// The next whole frame behind bytes that are none.
pub(crate) fn next_frame(file: &[u8], offset: usize) -> Option<usize> {
    let is_frame = |at: &usize| matches!(frame_at(file, *at), At::Frame { payload, .. } if !payload.is_empty());
    (offset + 1..file.len().saturating_sub(HEADER_BYTES)).find(is_frame)
}

/// Why the bytes from `offset` to the end of the file are no frame. `whole` recognises a complete payload at the start
/// of the bytes it is given: where one stands behind a broken header, the write was not cut off.
pub(crate) fn cause_of_tail(file: &[u8], offset: usize, whole: impl Fn(&[u8]) -> bool) -> Cause {
    let rest = &file[offset..];
    let Some((len, _, _)) = header(rest) else {
        return Cause::Torn;
    };
    let body = &rest[HEADER_BYTES..];
    let zeros = body.split(|byte| *byte != 0).map(<[u8]>::len).max().unwrap_or(0);
    if ZEROS_OF_A_LOST_PAGE <= zeros || rest.iter().all(|byte| *byte == 0) {
        return Cause::Torn;
    }
    let cut_off = len != 0 && len as usize <= PAYLOAD_BYTES_MAX && body.len() < len as usize;
    if cut_off && !whole(body) { Cause::Torn } else { Cause::Damaged }
}

fn header(rest: &[u8]) -> Option<(u32, u32, u64)> {
    let (len, rest) = rest.split_first_chunk()?;
    let (crc, rest) = rest.split_first_chunk()?;
    let (seq, _) = rest.split_first_chunk()?;
    Some((u32::from_le_bytes(*len), u32::from_le_bytes(*crc), u64::from_le_bytes(*seq)))
}

fn checksum(len: u32, seq: u64, payload: &[u8]) -> u32 {
    let mut crc = crc32fast::Hasher::new();
    crc.update(&len.to_le_bytes());
    crc.update(&seq.to_le_bytes());
    crc.update(payload);
    crc.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(payloads: &[&str]) -> Vec<u8> {
        let mut out = Vec::new();
        for (seq, payload) in (5..).zip(payloads) {
            write_frame(&mut out, seq, payload.as_bytes());
        }
        out
    }

    fn is_object(bytes: &[u8]) -> bool {
        bytes.contains(&b'}')
    }

    #[test]
    fn the_layout_is_golden() {
        let golden = [2, 0, 0, 0, 0x92, 0xdb, 0x83, 0x34, 5, 0, 0, 0, 0, 0, 0, 0, b'{', b'}'];
        assert_eq!(file(&["{}"]), golden);
        assert_eq!(frame_at(&golden, 0), At::Frame { seq: 5, payload: b"{}", next: 18 });
        assert_eq!(frame_at(&golden, 18), At::End);
    }

    #[test]
    fn a_cut_at_any_byte_is_torn() {
        let whole = file(&["{\"a\":1}", "{\"b\":2}"]);
        for cut in 24..whole.len() {
            assert_eq!(frame_at(&whole[..cut], 23), At::Bad, "cut at {cut}");
            assert_eq!(cause_of_tail(&whole[..cut], 23, is_object), Cause::Torn, "cut at {cut}");
        }
    }

    #[test]
    fn a_flip_of_any_bit_of_the_last_frame_is_damage() {
        let whole = file(&["{\"a\":1}", "{\"b\":2}"]);
        for bit in 23 * 8..whole.len() * 8 {
            let mut flipped = whole.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(frame_at(&flipped, 23), At::Bad, "bit {bit}");
            assert_eq!(cause_of_tail(&flipped, 23, is_object), Cause::Damaged, "bit {bit}");
        }
    }

    #[test]
    fn pages_that_never_reached_the_disk_are_torn() {
        let mut lost = file(&["{\"a\":1}", &format!("{{\"b\":\"{}\"}}", "x".repeat(200))]);
        let end = lost.len();
        lost[end - 100..].fill(0);
        assert_eq!(cause_of_tail(&lost, 23, is_object), Cause::Torn);
        lost[23..].fill(0);
        assert_eq!(cause_of_tail(&lost, 23, is_object), Cause::Torn);
    }

    #[test]
    fn reading_goes_on_behind_damage() {
        let mut damaged = file(&["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"]);
        damaged[40] ^= 1;
        let next = next_frame(&damaged, 23).expect("the third frame is whole");
        assert!(matches!(frame_at(&damaged, next), At::Frame { seq: 7, .. }));
    }
}
