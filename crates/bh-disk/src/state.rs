//! The ledger's state as it lies on disk: `snapshot-<n>`, and `ceilings-<n>` with what was promised since.
//!
//! A snapshot is written whole or not at all. Ceilings are frames that are appended; the largest of a counter counts.
//! Damage that no crash explains is refused rather than read around: counting too little would be spending twice.

use std::collections::HashMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bh_audit::{Durability, LogId};
use bh_base::{Millis, NanoUsd, NodeId};
use bh_ledger::{AccountKey, AccountSnapshot, Ceiling, Snapshot};
use bh_seal::codec::{Decode, Encode, decode, encode};

use crate::frame::{At, Cause, cause_of_tail, frame_at, next_frame, write_frame};
use crate::progress::Mark;

/// Version of both formats.
const VERSION: u8 = 1;
/// Largest snapshot that is read, in bytes: a million counters fit.
const SNAPSHOT_BYTES_MAX: usize = 1 << 30;
/// Largest ceiling that is read, in bytes: a scope's name and little else.
const CEILING_BYTES_MAX: usize = 64 * 1024;

/// Why the ledger's state cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The folder cannot be used.
    #[error(transparent)]
    Folder(#[from] crate::folder::FolderError),
    /// A file cannot be read or written.
    #[error("budget state in {} cannot be read or written", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file is not what was written.
    #[error(
        "budget state in {} is damaged; restore the file from a backup, or remove it and accept that what it \
         counted may be spent again",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The state was written under the id this process drew.
    #[error("budget state cannot be taken back")]
    Refused(#[from] bh_ledger::RestoreError),
    /// The thread that writes state is gone.
    #[error("budget state is closed")]
    Closed,
}

/// What a folder holds.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Saved {
    pub(crate) snapshot: Option<Snapshot>,
    /// Where the snapshot stands in the log, if it was taken beside one.
    pub(crate) mark: Option<Mark>,
    /// The largest of each counter and process.
    pub(crate) ceilings: Vec<Ceiling>,
    /// The generation the next file gets.
    pub(crate) next: u64,
}

#[derive(Encode, Decode)]
#[bincode(crate = "bh_seal::bincode")]
struct SnapshotDisk {
    node: [u8; 16],
    mark: Option<MarkDisk>,
    accounts: Vec<AccountDisk>,
}

#[derive(Encode, Decode)]
#[bincode(crate = "bh_seal::bincode")]
struct MarkDisk {
    log_id: [u8; 16],
    epoch: u64,
    after: u64,
    from: u64,
    strict: bool,
}

#[derive(Encode, Decode)]
#[bincode(crate = "bh_seal::bincode")]
struct AccountDisk {
    key: String,
    slots: Vec<([u8; 16], u64)>,
    stranded: Vec<([u8; 16], u64)>,
    alerted: Vec<(u64, u32)>,
    expires_at: Option<u64>,
}

#[derive(Encode, Decode)]
#[bincode(crate = "bh_seal::bincode")]
struct CeilingDisk {
    key: String,
    node: [u8; 16],
    amount: u64,
}

/// Where a generation's snapshot lies.
pub(crate) fn snapshot_path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("snapshot-{generation:012}"))
}

/// Where a generation's ceilings lie.
pub(crate) fn ceilings_path(folder: &Path, generation: u64) -> PathBuf {
    folder.join(format!("ceilings-{generation:012}"))
}

/// The bytes of a snapshot file: a checksum and the value.
pub(crate) fn snapshot_bytes(snapshot: &Snapshot, mark: Option<Mark>) -> Vec<u8> {
    let pairs = |list: &[(NodeId, NanoUsd)]| list.iter().map(|(node, amount)| (node.0, amount.0)).collect();
    let account = |account: &AccountSnapshot| AccountDisk {
        key: account.key.to_string(),
        slots: pairs(&account.slots),
        stranded: pairs(&account.stranded),
        alerted: account.alerted.iter().map(|(limit, share)| (limit.0, *share)).collect(),
        expires_at: account.expires_at.map(|at| at.0),
    };
    let mark = mark.map(|mark| MarkDisk {
        log_id: mark.log_id.0,
        epoch: mark.epoch,
        after: mark.after,
        from: mark.from,
        strict: mark.durability == Durability::Strict,
    });
    let accounts = snapshot.accounts.iter().map(account).collect();
    let value = encode(VERSION, &SnapshotDisk { node: snapshot.node.0, mark, accounts });
    let mut bytes = crc32fast::hash(&value).to_le_bytes().to_vec();
    bytes.extend_from_slice(&value);
    bytes
}

/// Appends a ceiling as a frame.
pub(crate) fn write_ceiling(out: &mut Vec<u8>, place: u64, ceiling: &Ceiling) {
    let disk = CeilingDisk { key: ceiling.key.to_string(), node: ceiling.node.0, amount: ceiling.amount.0 };
    write_frame(out, place, &encode(VERSION, &disk));
}

/// Every generation that has a file of the prefix, in order.
pub(crate) fn generations(folder: &Path, prefix: &str) -> io::Result<Vec<u64>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder)? {
        let name = entry?.file_name();
        let number = name.to_str().and_then(|name| name.strip_prefix(prefix));
        found.extend(number.and_then(|text| text.parse::<u64>().ok()));
    }
    found.sort_unstable();
    Ok(found)
}

/// Reads the newest snapshot and every ceiling since.
pub(crate) fn read(folder: &Path) -> Result<Saved, StateError> {
    let list =
        |prefix| generations(folder, prefix).map_err(|source| StateError::Io { path: folder.to_owned(), source });
    let (snapshots, ceilings) = (list("snapshot-")?, list("ceilings-")?);
    let mut saved =
        Saved { next: snapshots.iter().chain(&ceilings).max().map_or(0, |last| last + 1), ..Saved::default() };
    let since = snapshots.last().copied();
    if let Some(generation) = since {
        let path = snapshot_path(folder, generation);
        let (snapshot, mark) =
            parse_snapshot(&read_file(&path)?).ok_or_else(|| StateError::Damaged { path: path.clone() })?;
        (saved.snapshot, saved.mark) = (Some(snapshot), mark);
    }
    let mut largest: HashMap<(AccountKey, NodeId), NanoUsd> = HashMap::new();
    for generation in ceilings.into_iter().filter(|generation| since.is_none_or(|since| since <= *generation)) {
        let path = ceilings_path(folder, generation);
        for ceiling in parse_ceilings(&read_file(&path)?).ok_or_else(|| StateError::Damaged { path: path.clone() })? {
            let amount = largest.entry((ceiling.key, ceiling.node)).or_default();
            *amount = ceiling.amount.max(*amount);
        }
    }
    saved.ceilings = largest.into_iter().map(|((key, node), amount)| Ceiling { key, node, amount }).collect();
    saved.ceilings.sort_by(|a, b| (&a.key, a.node).cmp(&(&b.key, b.node)));
    Ok(saved)
}

fn read_file(path: &Path) -> Result<Vec<u8>, StateError> {
    fs::read(path).map_err(|source| StateError::Io { path: path.to_owned(), source })
}

fn parse_snapshot(bytes: &[u8]) -> Option<(Snapshot, Option<Mark>)> {
    let (crc, value) = bytes.split_first_chunk()?;
    if crc32fast::hash(value) != u32::from_le_bytes(*crc) {
        return None;
    }
    let disk: SnapshotDisk = decode(VERSION, value, SNAPSHOT_BYTES_MAX).ok()?;
    let pairs = |list: Vec<([u8; 16], u64)>| list.into_iter().map(|(node, n)| (NodeId(node), NanoUsd(n))).collect();
    let account = |account: AccountDisk| {
        Some(AccountSnapshot {
            key: AccountKey::parse(&account.key).ok()?,
            slots: pairs(account.slots),
            stranded: pairs(account.stranded),
            alerted: account.alerted.into_iter().map(|(limit, share)| (NanoUsd(limit), share)).collect(),
            expires_at: account.expires_at.map(Millis),
        })
    };
    let mark = disk.mark.map(|mark| Mark {
        log_id: LogId(mark.log_id),
        epoch: mark.epoch,
        after: mark.after,
        from: mark.from,
        durability: if mark.strict { Durability::Strict } else { Durability::Relaxed },
    });
    let accounts = disk.accounts.into_iter().map(account).collect::<Option<Vec<_>>>()?;
    Some((Snapshot { node: NodeId(disk.node), accounts }, mark))
}

fn parse_ceilings(bytes: &[u8]) -> Option<Vec<Ceiling>> {
    let mut found = Vec::new();
    let mut offset = 0;
    loop {
        match frame_at(bytes, offset) {
            At::End => return Some(found),
            At::Frame { payload, next, .. } => {
                let disk: CeilingDisk = decode(VERSION, payload, CEILING_BYTES_MAX).ok()?;
                let key = AccountKey::parse(&disk.key).ok()?;
                found.push(Ceiling { key, node: NodeId(disk.node), amount: NanoUsd(disk.amount) });
                offset = next;
            }
            // Nobody was told that a half-written ceiling is durable, so nothing was spent under it.
            At::Bad => {
                let whole = |body: &[u8]| decode::<CeilingDisk>(VERSION, body, CEILING_BYTES_MAX).is_ok();
                let torn = next_frame(bytes, offset).is_none() && cause_of_tail(bytes, offset, whole) == Cause::Torn;
                return torn.then_some(found);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bh_base::Window;
    use bh_ledger::Scope;

    /// Changing these bytes changes the format: give it a new version and say what becomes of files of the old one.
    const GOLDEN: &str = "162230710101010101010101010101010101010101010303030303030303030303030303030304fb2c01050101156f72673a61636d65406461792f38363430303030300101010101010101010101010101010101fbf40101020202020202020202020202020202024601fbe803fb401f0109";

    fn ceiling(amount: u64) -> Ceiling {
        let key =
            AccountKey { scope: Scope::parse("org:acme").unwrap(), window: Window::Day, start: Millis(86_400_000) };
        Ceiling { key, node: NodeId([1; 16]), amount: NanoUsd(amount) }
    }

    fn sample() -> (Snapshot, Mark) {
        let account = AccountSnapshot {
            key: ceiling(0).key,
            slots: vec![(NodeId([1; 16]), NanoUsd(500))],
            stranded: vec![(NodeId([2; 16]), NanoUsd(70))],
            alerted: vec![(NanoUsd(1000), 8000)],
            expires_at: Some(Millis(9)),
        };
        let mark = Mark { log_id: LogId([3; 16]), epoch: 4, after: 300, from: 5, durability: Durability::Strict };
        (Snapshot { node: NodeId([1; 16]), accounts: vec![account] }, mark)
    }

    #[test]
    fn a_snapshot_reads_what_it_wrote_and_its_bytes_are_golden() {
        let (snapshot, mark) = sample();
        let bytes = snapshot_bytes(&snapshot, Some(mark));
        assert_eq!(parse_snapshot(&bytes), Some((snapshot.clone(), Some(mark))));
        assert_eq!(parse_snapshot(&snapshot_bytes(&snapshot, None)), Some((snapshot, None)));
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        assert_eq!(hex, GOLDEN);
    }

    #[test]
    fn a_snapshot_with_any_changed_byte_is_refused() {
        let (snapshot, mark) = sample();
        let bytes = snapshot_bytes(&snapshot, Some(mark));
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert_eq!(parse_snapshot(&changed), None, "byte {at}");
            assert_eq!(parse_snapshot(&bytes[..at]), None, "cut at {at}");
        }
    }

    #[test]
    fn ceilings_survive_a_cut_and_refuse_damage() {
        let mut bytes = Vec::new();
        write_ceiling(&mut bytes, 0, &ceiling(5));
        let first = bytes.len();
        write_ceiling(&mut bytes, 1, &ceiling(9));
        for cut in 0..bytes.len() {
            let whole = usize::from(first <= cut);
            assert_eq!(parse_ceilings(&bytes[..cut]).map(|found| found.len()), Some(whole), "cut at {cut}");
        }
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 0x10;
            assert_eq!(parse_ceilings(&changed), None, "byte {at}");
        }
        assert_eq!(parse_ceilings(&bytes), Some(vec![ceiling(5), ceiling(9)]));
    }
}
