//! Reading the log back: the whole of it in the order of places, for the verifier, exports and replays.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bh_audit::{SpoolReader, Stored};

use crate::frame::Cause;
use crate::segment::{Piece, Segment, piece_at};

/// Why a log cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{} cannot be read", path.display())]
pub struct ReadError {
    /// The folder or file.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Reads one log from the folders that hold its segments, which may be several when copies are compared. Segments that
/// overlap are merged, so that records that claim the same place come one behind the other.
pub struct LogReader {
    unopened: VecDeque<(Segment, Option<u64>)>,
    open: Vec<Cursor>,
}

/// A segment being read.
struct Cursor {
    path: PathBuf,
    /// Where the next segment begins, if there is one.
    next_segment: Option<u64>,
    file: Vec<u8>,
    offset: usize,
    /// Where in the log the piece at `offset` belongs; the segment is done when there is none.
    place: Option<u64>,
}

impl LogReader {
    /// Reads from the first segment on. `folders` are those of segments (`<data_dir>/audit`).
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn open(folders: &[PathBuf]) -> Result<Self, ReadError> {
        LogReader::open_from(folders, 0)
    }

    /// Reads from the segment that holds a place, or the first that is left.
    ///
    /// # Errors
    /// A folder cannot be listed.
    pub fn open_from(folders: &[PathBuf], seq: u64) -> Result<Self, ReadError> {
        let mut segments = Vec::new();
        for folder in folders {
            let list = Segment::list(folder).map_err(|source| ReadError { path: folder.clone(), source })?;
            segments.extend(list);
        }
        segments.sort();
        let begins: Vec<u64> = segments.iter().map(|segment| segment.first_seq).collect();
        let first = begins.iter().rposition(|begin| *begin <= seq).unwrap_or(0);
        // Several segments may begin at one place, after failed syncs or in compared copies: all of them are read.
        let first = begins.get(first).map_or(0, |begin| begins.partition_point(|other| other < begin));
        let next_of = |index: usize| begins.get(index + 1).copied();
        let unopened =
            segments.into_iter().enumerate().map(|(index, segment)| (segment, next_of(index))).skip(first).collect();
        Ok(LogReader { unopened, open: Vec::new() })
    }

    /// How much is still to be read, in bytes, for a progress bar. A segment that is gone counts as nothing.
    #[must_use]
    pub fn bytes_left(&self) -> u64 {
        let unopened = self.unopened.iter().filter_map(|(segment, _)| fs::metadata(&segment.path).ok());
        let open = self.open.iter().map(|cursor| (cursor.file.len() - cursor.offset) as u64);
        unopened.map(|meta| meta.len()).chain(open).sum()
    }

    /// The whole records' bytes, one line of JSON each: without what is torn or damaged, and once each though a failed
    /// write may have stored them again.
    pub fn lines(mut self) -> impl Iterator<Item = Result<Vec<u8>, ReadError>> {
        let mut last = Vec::new();
        std::iter::from_fn(move || {
            loop {
                match self.next_stored().transpose()? {
                    Ok(Stored::Record { bytes, .. }) if bytes != last => {
                        last.clone_from(&bytes);
                        return Some(Ok(bytes));
                    }
                    Ok(Stored::Record { .. } | Stored::Torn { .. } | Stored::Damaged { .. }) => {}
                    Err(fault) => return Some(Err(fault)),
                }
            }
        })
    }

    /// Opens every segment that may hold the next record.
    fn open_segments(&mut self) -> Result<(), ReadError> {
        while let Some((segment, _)) = self.unopened.front() {
            let nearest = self.open.iter().filter_map(|cursor| cursor.place).min();
            if nearest.is_some_and(|place| place < segment.first_seq) {
                break;
            }
            let Some((segment, next_segment)) = self.unopened.pop_front() else { break };
            self.open.extend(Cursor::open(&segment.path, segment.first_seq, next_segment)?);
            self.open.retain(|cursor| cursor.place.is_some());
        }
        Ok(())
    }
}

impl SpoolReader for LogReader {
    type Error = ReadError;

    fn next_stored(&mut self) -> Result<Option<Stored>, ReadError> {
        loop {
            self.open_segments()?;
            // The first among equals: the older segment.
            let Some(cursor) = self.open.iter_mut().min_by_key(|cursor| cursor.place) else {
                return Ok(None);
            };
            let stored = cursor.take();
            self.open.retain(|cursor| cursor.place.is_some());
            if let Some(stored) = stored {
                return Ok(Some(stored));
            }
        }
    }
}

impl Cursor {
    /// Nothing when the file is gone: retention removed it after the folder was listed.
    fn open(path: &Path, first_seq: u64, next_segment: Option<u64>) -> Result<Option<Self>, ReadError> {
        let file = match fs::read(path) {
            Ok(file) => file,
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(ReadError { path: path.to_owned(), source }),
        };
        let mut cursor = Cursor { path: path.to_owned(), next_segment, file, offset: 0, place: None };
        cursor.look(first_seq);
        Ok(Some(cursor))
    }

    /// Notes where the piece at the offset belongs; bytes that are no record belong where the next one should.
    fn look(&mut self, expected: u64) {
        self.place = piece_at(&self.file, self.offset).map(|(piece, _)| match piece {
            Piece::Record { seq, .. } => seq,
            Piece::Bad { .. } => expected,
        });
    }

    /// Hands out the piece at the offset, unless a later segment has it again.
    fn take(&mut self) -> Option<Stored> {
        let (piece, next) = piece_at(&self.file, self.offset)?;
        let at = |offset: usize| format!("{}:{offset}", self.path.display());
        let (stored, expected) = match piece {
            Piece::Record { seq, bytes, offset } => {
                (Some(Stored::Record { place: at(offset), bytes: bytes.to_vec() }), seq.saturating_add(1))
            }
            Piece::Bad { offset, len, cause } => {
                let (place, bytes, expected) = (at(offset), len as u64, self.place.unwrap_or(0));
                let is_rewritten = self.next_segment.is_some_and(|begin| begin <= expected);
                let stored = match cause {
                    // A write that failed is repeated in the next segment from the record it began with.
                    Cause::Torn if is_rewritten => None,
                    Cause::Torn if self.next_segment.is_none() => Some(Stored::Torn { place, bytes }),
                    Cause::Torn | Cause::Damaged => Some(Stored::Damaged { place, bytes }),
                };
                (stored, expected.saturating_add(1))
            }
        };
        self.offset = next;
        self.look(expected);
        stored
    }
}
