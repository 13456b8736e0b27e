//! Following the log while it is written, by looking again whenever the caller likes.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::PathBuf;

use crate::frame::{At, frame_at};
use crate::reader::ReadError;
use crate::segment::Segment;

/// Most bytes read by one look at a segment: a segment's size and one group beyond it.
const LOOK_BYTES_MAX: u64 = 2 * crate::segment::SEGMENT_BYTES;

/// A reader that waits at the end of the log. It holds no file open and needs no lock.
#[derive(Debug)]
pub struct Tail {
    folder: PathBuf,
    /// The place of the next record to hand out.
    next_seq: u64,
    segment: Option<(PathBuf, u64)>,
}

impl Tail {
    /// Follows the segments in a folder (`<data_dir>/audit`) from a record on.
    #[must_use]
    pub fn from(folder: PathBuf, next_seq: u64) -> Self {
        Tail { folder, next_seq, segment: None }
    }

    /// Follows from the last `count` records on.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub fn last(folder: PathBuf, count: u64) -> Result<Self, ReadError> {
        let mut tail = Tail::from(folder, 0);
        let segments = tail.list()?;
        let mut end = 0;
        for segment in segments.iter().rev() {
            let file =
                std::fs::read(&segment.path).map_err(|source| ReadError { path: segment.path.clone(), source })?;
            if let Some((seq, _)) = whole_frames(&file).last() {
                end = seq + 1;
                break;
            }
        }
        tail.next_seq = end.saturating_sub(count);
        Ok(tail)
    }

    /// The records written since the last look, whole ones only, in order. Returns at once.
    ///
    /// # Errors
    /// The folder cannot be read. The next look goes on where this one stopped.
    pub fn look(&mut self) -> Result<Vec<Vec<u8>>, ReadError> {
        let mut found = Vec::new();
        loop {
            if self.segment.is_none() {
                self.segment = self.segment_of(self.next_seq)?.map(|path| (path, 0));
            }
            let Some((path, offset)) = self.segment.clone() else {
                return Ok(found);
            };
            // Asked before reading: once there is a next segment, nothing more is appended to this one.
            let next = self.segment_behind(&path)?;
            self.take_whole(&path, offset, &mut found)?;
            match next {
                Some(next) => self.segment = Some((next, 0)),
                None => return Ok(found),
            }
        }
    }

    fn take_whole(&mut self, path: &PathBuf, offset: u64, found: &mut Vec<Vec<u8>>) -> Result<(), ReadError> {
        let bytes = match read_from(path, offset) {
            Ok(bytes) => bytes,
            // Retention was faster; what it removed cannot be shown any more.
            Err(fault) if fault.kind() == io::ErrorKind::NotFound => Vec::new(),
            Err(source) => return Err(ReadError { path: path.clone(), source }),
        };
        let mut read = 0;
        for (seq, payload) in whole_frames(&bytes) {
            read += crate::frame::HEADER_BYTES + payload.len();
            if self.next_seq <= seq {
                found.push(payload.to_vec());
                self.next_seq = seq + 1;
            }
        }
        self.segment = Some((path.clone(), offset + read as u64));
        Ok(())
    }

    fn list(&self) -> Result<Vec<Segment>, ReadError> {
        Segment::list(&self.folder).map_err(|source| ReadError { path: self.folder.clone(), source })
    }

    /// The segment that holds a place, or the first one left.
    fn segment_of(&self, seq: u64) -> Result<Option<PathBuf>, ReadError> {
        let segments = self.list()?;
        let holder = segments.iter().rfind(|segment| segment.first_seq <= seq).or(segments.first());
        Ok(holder.map(|segment| segment.path.clone()))
    }

    /// The segment behind a path.
    fn segment_behind(&self, path: &PathBuf) -> Result<Option<PathBuf>, ReadError> {
        let segments = self.list()?;
        let here = segments.iter().position(|segment| &segment.path == path);
        let next = match here {
            Some(index) => segments.get(index + 1),
            None => segments.iter().find(|segment| self.next_seq <= segment.first_seq),
        };
        Ok(next.map(|segment| segment.path.clone()))
    }
}

fn read_from(path: &PathBuf, offset: u64) -> io::Result<Vec<u8>> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(offset))?;
    let mut bytes = Vec::new();
    file.take(LOOK_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// The whole frames from the start, up to the first bytes that are none.
fn whole_frames(file: &[u8]) -> impl Iterator<Item = (u64, &[u8])> {
    let mut offset = 0;
    std::iter::from_fn(move || match frame_at(file, offset) {
        At::Frame { seq, payload, next } => {
            offset = next;
            Some((seq, payload))
        }
        At::End | At::Bad => None,
    })
}
