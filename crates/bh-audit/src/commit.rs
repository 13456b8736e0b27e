//! Saying something about a text without saying the text.

use std::collections::HashMap;
use std::sync::Arc;

use crate::hash::{Hash, SubjectRef};
use crate::text::{TEXT_BYTES_MAX, Text};

/// Length of a commitment's salt, in bytes.
pub const SALT_BYTES: usize = 32;
/// Pseudonyms kept ready; past that the memory starts afresh.
const READY_MAX: usize = 4096;
/// What makes a scope personal.
const USER: &str = "user:";

/// A commitment, `SHA-256(0x02 ‖ salt ‖ body)`. The salt must be drawn at random for each body and kept apart from the
/// record: without it the value says nothing, even of a text that can be guessed.
#[must_use]
pub fn commit(salt: &[u8; SALT_BYTES], body: &[u8]) -> Hash {
    Hash(bh_seal::sha256(&[&[2], salt, body]))
}

/// Turns people into pseudonyms under one secret key.
pub struct Pseudonyms {
    key: [u8; 32],
    ready: HashMap<Box<str>, SubjectRef>,
}

impl Pseudonyms {
    /// The key must be random and stay in the data folder: whoever has it can tell who a guessed name is.
    #[must_use]
    pub fn new(key: [u8; 32]) -> Self {
        Pseudonyms { key, ready: HashMap::new() }
    }

    /// The pseudonym of a token's `sub`.
    pub fn subject(&mut self, subject: &str) -> SubjectRef {
        if let Some(found) = self.ready.get(subject) {
            return *found;
        }
        let made = self.make(subject);
        if READY_MAX <= self.ready.len() {
            self.ready.clear();
        }
        self.ready.insert(subject.into(), made);
        made
    }

    /// A scope as it stands in a record: `user:alice` becomes `user:` and alice's pseudonym, a scope too long for a
    /// record becomes its kind, `#` and its SHA-256, others stay.
    pub fn scope(&mut self, scope: &Arc<str>) -> Text {
        if let Some(subject) = scope.strip_prefix(USER) {
            return Text::from(format!("{USER}{}", self.subject(subject)));
        }
        if scope.len() <= TEXT_BYTES_MAX {
            return Text::from(scope);
        }
        let kind = scope.split_once(':').map_or("", |(kind, _)| kind);
        Text::from(format!("{kind}:#{}", Hash(bh_seal::sha256(&[scope.as_bytes()]))))
    }

    fn make(&self, subject: &str) -> SubjectRef {
        let mac = bh_seal::hmac_sha256(&self.key, subject.as_bytes());
        let mut short = [0; 16];
        short.copy_from_slice(&mac[..16]);
        SubjectRef(short)
    }
}

impl std::fmt::Debug for Pseudonyms {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pseudonyms(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commitment_depends_on_salt_and_body() {
        let one = commit(&[1; 32], b"hello");
        assert_ne!(one, commit(&[2; 32], b"hello"));
        assert_ne!(one, commit(&[1; 32], b"hellp"));
        assert_eq!(one, commit(&[1; 32], b"hello"));
    }

    #[test]
    fn only_user_scopes_are_personal_and_they_match_the_subject() {
        let mut pseudonyms = Pseudonyms::new([7; 32]);
        assert_eq!(pseudonyms.scope(&"org:acme".into()).as_str(), "org:acme");
        let alice = pseudonyms.subject("alice");
        assert_eq!(pseudonyms.scope(&"user:alice".into()).as_str(), format!("user:{alice}"));
        assert_ne!(alice, Pseudonyms::new([8; 32]).subject("alice"));
    }

    #[test]
    fn long_names_do_not_run_together() {
        let mut pseudonyms = Pseudonyms::new([7; 32]);
        for kind in ["org", "user"] {
            let long = format!("{kind}:{}", "x".repeat(1000));
            let (one, two) = (format!("{long}1").into(), format!("{long}2").into());
            assert_ne!(pseudonyms.scope(&one), pseudonyms.scope(&two));
            assert!(pseudonyms.scope(&one).as_str().starts_with(kind));
        }
    }

    #[test]
    fn the_memory_of_pseudonyms_is_bounded() {
        let mut pseudonyms = Pseudonyms::new([7; 32]);
        for n in 0..2 * READY_MAX + 1 {
            pseudonyms.subject(&format!("user-{n}"));
        }
        assert!(pseudonyms.ready.len() <= READY_MAX);
    }
}
