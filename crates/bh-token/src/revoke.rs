//! What has been taken back: tokens by their exact id, and everything a subject was issued before some time.
//!
//! The file is JSON of our own: `{"v": 1, "ids": ["<64 hex digits>"], "subjects": [{"sub": …, "before": <seconds>}]}`.
//! Exact, with no filter that could refuse a stranger; an id is 32 bytes in memory.

use std::collections::BTreeMap;

use serde::Serialize;

use bh_base::{Millis, TokenId};

use crate::check::{self, NAME_BYTES_MAX, TIME_SECONDS_MAX};
use crate::fault::{Fault, Faults, Problem};
use crate::json::{self, Node, Reader};

/// The version of the file format.
const VERSION: u64 = 1;
/// Most token ids in a list.
pub const REVOKED_IDS_MAX: usize = 1_000_000;
/// Most subjects in a list.
pub const REVOKED_SUBJECTS_MAX: usize = 1_000_000;

/// What has been revoked. Revoking a link kills everything narrowed from it, for every link is asked about.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Revocations {
    /// Sorted, without repeats.
    ids: Vec<TokenId>,
    subjects: BTreeMap<String, Millis>,
}

impl Revocations {
    /// Nothing revoked.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the file. Repeated ids are one; a subject may stand there once.
    ///
    /// # Errors
    /// Every fault at once: of JSON, of form, another version, unknown members.
    pub fn parse(text: &str) -> Result<Self, Faults> {
        let node = json::parse(text)?;
        let mut faults = Vec::new();
        let mut revocations = Revocations::new();
        if let Some(mut top) = Reader::open(&node, "", &["v", "ids", "subjects"], &[], &mut faults) {
            if top.get("v") != Some(&Node::Whole(VERSION)) {
                top.fault("v", Problem::Version { expected: VERSION });
            }
            revocations.ids = read_ids(&mut top);
            revocations.subjects = read_subjects(&mut top);
        }
        if faults.is_empty() { Ok(revocations) } else { Err(Faults(faults)) }
    }

    /// The file that [`Revocations::parse`] reads back: sorted, one entry per line.
    #[must_use]
    pub fn to_json(&self) -> String {
        let list = List {
            v: VERSION,
            ids: self.ids.iter().map(TokenId::to_string).collect(),
            subjects: self.subjects.iter().map(|(sub, at)| Entry { sub, before: check::seconds_up(*at) }).collect(),
        };
        serde_json::to_string_pretty(&list).expect("a list is texts and whole numbers")
    }

    /// Whether this very id has been revoked.
    #[must_use]
    pub fn contains(&self, id: TokenId) -> bool {
        self.ids.binary_search(&id).is_ok()
    }

    /// The time before which everything issued to a subject is revoked. A subject is meant whoever vouches for it.
    #[must_use]
    pub fn issued_before(&self, sub: &str) -> Option<Millis> {
        self.subjects.get(sub).copied()
    }

    /// Revokes a token and everything narrowed from it. Tells whether that is news.
    pub fn revoke_id(&mut self, id: TokenId) -> bool {
        match self.ids.binary_search(&id) {
            Ok(_) => false,
            Err(place) => {
                self.ids.insert(place, id);
                true
            }
        }
    }

    /// Revokes everything a subject was issued before a time, which never moves back and is kept as whole seconds,
    /// rounded up. Tells whether that is news.
    ///
    /// # Errors
    /// A subject that no token could name, or a time after the year 9999.
    pub fn revoke_subject(&mut self, sub: &str, before: Millis) -> Result<bool, Fault> {
        let before = Millis::from_secs(check::seconds_up(before));
        check_subject("sub", sub, "before", before)?;
        let known = self.subjects.entry(sub.to_owned()).or_default();
        let news = *known < before;
        *known = (*known).max(before);
        Ok(news)
    }

    /// The revoked ids, sorted.
    #[must_use]
    pub fn ids(&self) -> &[TokenId] {
        &self.ids
    }

    /// The subjects and their times, sorted by subject.
    pub fn subjects(&self) -> impl Iterator<Item = (&str, Millis)> {
        self.subjects.iter().map(|(sub, before)| (sub.as_str(), *before))
    }
}

fn read_ids(top: &mut Reader<'_, '_>) -> Vec<TokenId> {
    let list = top.list("ids").unwrap_or_default();
    if REVOKED_IDS_MAX < list.len() {
        top.fault("ids", Problem::TooMany { max: REVOKED_IDS_MAX });
    }
    let mut ids = Vec::with_capacity(list.len());
    for (i, node) in list.iter().enumerate() {
        match node.text().and_then(|text| TokenId::parse(text).ok()) {
            Some(id) => ids.push(id),
            None => top.fault(&format!("ids[{i}]"), Problem::Expected("a token id of 64 lower-case hex digits")),
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

fn read_subjects(top: &mut Reader<'_, '_>) -> BTreeMap<String, Millis> {
    let list = top.list("subjects").unwrap_or_default();
    if REVOKED_SUBJECTS_MAX < list.len() {
        top.fault("subjects", Problem::TooMany { max: REVOKED_SUBJECTS_MAX });
    }
    let mut subjects = BTreeMap::new();
    for (i, node) in list.iter().enumerate() {
        let at = format!("subjects[{i}]");
        let Some(mut entry) = Reader::open(node, &at, &["sub", "before"], &[], top.faults) else { continue };
        let (sub, before) = (entry.text("sub"), entry.whole("before"));
        for name in ["sub", "before"] {
            if entry.get(name).is_none() {
                entry.fault(name, Problem::Missing);
            }
        }
        let (Some(sub), Some(before)) = (sub, before) else { continue };
        let before = Millis::from_secs(before);
        if let Err(fault) = check_subject(&entry.place("sub"), sub, &entry.place("before"), before) {
            entry.faults.push(fault);
        } else if subjects.insert(sub.to_owned(), before).is_some() {
            entry.fault("sub", Problem::Repeated);
        }
    }
    subjects
}

fn check_subject(sub_at: &str, sub: &str, before_at: &str, before: Millis) -> Result<(), Fault> {
    if !check::is_name(sub, NAME_BYTES_MAX) {
        return Err(Fault::new(sub_at, Problem::Name { bytes_max: NAME_BYTES_MAX }));
    }
    if TIME_SECONDS_MAX < before.as_secs() {
        return Err(Fault::new(before_at, Problem::Range { min: 0, max: TIME_SECONDS_MAX }));
    }
    Ok(())
}

#[derive(Serialize)]
struct List<'a> {
    v: u64,
    ids: Vec<String>,
    subjects: Vec<Entry<'a>>,
}

#[derive(Serialize)]
struct Entry<'a> {
    sub: &'a str,
    before: u64,
}
