//! What a crash left, put in order before the next epoch opens.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bh_audit::{Head, Kind, Record};

use crate::frame::Cause;
use crate::media::Media;
use crate::segment::{Piece, Segment, piece_at};

pub(crate) struct Recovered {
    pub(crate) head: Option<Head>,
    pub(crate) torn_bytes: u64,
    pub(crate) quarantined: Vec<PathBuf>,
}

/// Finds the end of the log. A half-written tail of the newest segment is cut off; a damaged segment is set apart and
/// stays as it is, for the verifier. Older segments were complete before newer ones were begun, so only those are read
/// that the end of the log can lie in.
pub(crate) fn recover(folder: &Path, media: &dyn Media) -> io::Result<Recovered> {
    let mut found = Recovered { head: None, torn_bytes: 0, quarantined: Vec::new() };
    for mut segment in Segment::list(folder)?.into_iter().rev() {
        let bytes = fs::read(&segment.path)?;
        let scan = scan(&bytes, found.head);
        if scan.is_damaged {
            if !segment.quarantined {
                segment.quarantine()?;
            }
            found.quarantined.push(segment.path.clone());
        } else if let Some(keep) = scan.cut_at {
            found.torn_bytes += bytes.len() as u64 - keep;
            match keep {
                0 => fs::remove_file(&segment.path)?,
                _ => media.cut(&segment.path, keep)?,
            }
        } else if bytes.is_empty() {
            fs::remove_file(&segment.path)?;
        } else if found.head.is_none() {
            // What is read may be in memory only, if the process that wrote it crashed before its sync.
            media.sync_file(&segment.path)?;
        }
        if found.head.is_some() && scan.cut_at.is_none() {
            break;
        }
        found.head = found.head.or(scan.head);
    }
    media.sync_folder(folder)?;
    Ok(found)
}

struct Scan {
    head: Option<Head>,
    cut_at: Option<u64>,
    is_damaged: bool,
}

/// Reads a segment. Records behind the `end` that a newer segment gave are those of a write that failed and was begun
/// again there: nobody was told that they are kept, and their places are given anew.
fn scan(file: &[u8], end: Option<Head>) -> Scan {
    let mut scan = Scan { head: None, cut_at: None, is_damaged: false };
    let mut frames = Vec::new();
    let mut offset = 0;
    while let Some((piece, next)) = piece_at(file, offset) {
        match piece {
            Piece::Record { seq, .. } if end.is_some_and(|end| end.seq < seq) => {
                scan.cut_at = Some(offset as u64);
                break;
            }
            Piece::Record { seq, bytes, .. } => frames.push((seq, bytes)),
            Piece::Bad { cause: Cause::Torn, .. } => scan.cut_at = Some(offset as u64),
            Piece::Bad { cause: Cause::Damaged, .. } => scan.is_damaged = true,
        }
        offset = next;
    }
    let Some((last_seq, last_bytes)) = frames.last() else {
        return scan;
    };
    // The log goes on behind the last frame even when that is no record of ours, lest two records claim its place.
    let known = frames.iter().rev().find_map(|(_, bytes)| Record::parse(bytes).ok());
    scan.head = known.map(|record| Head {
        log_id: record.log_id,
        epoch: record.epoch,
        seq: *last_seq,
        leaf: bh_audit::leaf(last_bytes),
        closed: record.seq == *last_seq && record.kind == Kind::EpochClose,
    });
    scan
}
