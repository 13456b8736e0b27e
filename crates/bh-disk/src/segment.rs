//! Segments: the files of the spool, named for the first record they hold.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use bh_audit::Record;

use crate::frame::{At, Cause, cause_of_tail, frame_at, next_frame};

/// A segment is full once it holds this much.
pub(crate) const SEGMENT_BYTES: u64 = 64 * 1024 * 1024;
/// What a name ends in once its segment was found damaged: never appended to, never removed by retention.
const QUARANTINE: &str = ".quarantine";

/// One file of the spool.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Segment {
    /// The first record's place.
    pub(crate) first_seq: u64,
    /// 0, or which rewrite of the same place after a failed sync.
    pub(crate) again: u32,
    /// Whether it was found damaged.
    pub(crate) quarantined: bool,
    /// The file.
    pub(crate) path: PathBuf,
}

/// A stretch of a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Piece<'a> {
    /// A record.
    Record { seq: u64, bytes: &'a [u8], offset: usize },
    /// Bytes that are none.
    Bad { offset: usize, len: usize, cause: Cause },
}

impl Segment {
    /// A segment that is yet to be created.
    pub(crate) fn new(folder: &Path, first_seq: u64, again: u32) -> Self {
        let suffix = if again == 0 { String::new() } else { format!("-{again}") };
        let path = folder.join(format!("seg-{first_seq:020}{suffix}"));
        Segment { first_seq, again, quarantined: false, path }
    }

    fn parse(path: PathBuf) -> Option<Self> {
        let name = path.file_name()?.to_str()?.strip_prefix("seg-")?;
        let (name, quarantined) = name.strip_suffix(QUARANTINE).map_or((name, false), |name| (name, true));
        let (seq, again) = name.split_once('-').unwrap_or((name, "0"));
        Some(Segment { first_seq: seq.parse().ok()?, again: again.parse().ok()?, quarantined, path })
    }

    /// Every segment of a folder, in the order of their places.
    pub(crate) fn list(folder: &Path) -> io::Result<Vec<Self>> {
        let mut found = Vec::new();
        for entry in fs::read_dir(folder)? {
            found.extend(Segment::parse(entry?.path()));
        }
        found.sort();
        Ok(found)
    }

    /// Keeps a damaged segment apart, under a name that says so.
    pub(crate) fn quarantine(&mut self) -> io::Result<()> {
        let mut name = self.path.clone().into_os_string();
        name.push(QUARANTINE);
        fs::rename(&self.path, &name)?;
        self.path = name.into();
        self.quarantined = true;
        Ok(())
    }

    /// The first record, from the head of the file only; `None` when there is no whole one.
    pub(crate) fn first_record(&self) -> io::Result<Option<Record>> {
        use std::io::Read as _;
        let mut head = Vec::new();
        let most = crate::frame::HEADER_BYTES + crate::frame::PAYLOAD_BYTES_MAX;
        File::open(&self.path)?.take(most as u64).read_to_end(&mut head)?;
        match frame_at(&head, 0) {
            At::Frame { payload, .. } => Ok(Record::parse(payload).ok()),
            At::End | At::Bad => Ok(None),
        }
    }
}

/// What stands at `offset` of a segment, and where to go on; `None` at the end.
pub(crate) fn piece_at(file: &[u8], offset: usize) -> Option<(Piece<'_>, usize)> {
    match frame_at(file, offset) {
        At::End => None,
        At::Frame { seq, payload, next } => Some((Piece::Record { seq, bytes: payload, offset }, next)),
        At::Bad => {
            let next = next_frame(file, offset);
            let cause = next.map_or_else(|| cause_of_tail(file, offset, starts_with_record), |_| Cause::Damaged);
            let next = next.unwrap_or(file.len());
            Some((Piece::Bad { offset, len: next - offset, cause }, next))
        }
    }
}

/// Whether a complete JSON object stands at the start of the bytes: no proper prefix of one is complete.
fn starts_with_record(bytes: &[u8]) -> bool {
    let (mut depth, mut in_text, mut escaped) = (0_u32, false, false);
    for byte in bytes {
        match (in_text, byte) {
            (true, _) if escaped => escaped = false,
            (true, b'\\') => escaped = true,
            (_, b'"') => in_text = !in_text,
            (false, b'{') => depth += 1,
            (false, b'}') if depth <= 1 => return depth == 1,
            (false, b'}') => depth -= 1,
            (true | false, _) => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_read_what_they_write_and_sort_by_place() {
        let folder = Path::new("/x");
        for segment in [Segment::new(folder, 0, 0), Segment::new(folder, 12, 3), Segment::new(folder, u64::MAX, 0)] {
            assert_eq!(Segment::parse(segment.path.clone()), Some(segment));
        }
        let quarantined = Segment::parse("/x/seg-00000000000000000012-3.quarantine".into()).unwrap();
        assert!(quarantined.quarantined && quarantined.first_seq == 12 && quarantined.again == 3);
        for other in ["/x/seg-", "/x/seg-a", "/x/lock", "/x/seg-1.draft"] {
            assert_eq!(Segment::parse(other.into()), None, "{other}");
        }
    }

    #[test]
    fn only_a_complete_object_counts_as_one() {
        let whole = br#"{"a":"}\"{","b":{"c":[1]}}rest"#;
        assert!(starts_with_record(whole));
        for cut in 0..whole.len() - 4 {
            assert_eq!(starts_with_record(&whole[..cut]), whole.len() - 4 <= cut, "cut at {cut}");
        }
    }
}
