//! Whose tokens are believed.

use bh_seal::PublicKey;
use bh_token::{IssuerKey, KeySet, NAME_BYTES_MAX};

use super::Check;
use crate::config::fault::{FileFault, Problem};
use crate::config::raw::Issuer;
use crate::node::KeySource;

/// The audience when nothing is said.
const AUDIENCE: &str = "bulkhead";

impl Check<'_> {
    pub(super) fn audience(&mut self, audience: Option<&str>) -> String {
        let audience = audience.unwrap_or(AUDIENCE);
        let odd = |c: char| c.is_control() || matches!(c, '*' | '/');
        if audience.trim() != audience || audience.len() > NAME_BYTES_MAX || audience.contains(odd) {
            self.fault("tokens.audience", Problem::Audience);
        }
        audience.to_owned()
    }

    /// Issuer keys. Those of files are read too, so that a fault in them shows before it is needed.
    pub(super) fn issuers(&mut self, issuers: &[Issuer]) -> Vec<KeySource> {
        let faults_before = self.faults.len() + self.broken.len();
        let mut sources = Vec::with_capacity(issuers.len());
        // Every key with the path of its issuer, and whether it stands there itself.
        let mut keys: Vec<(IssuerKey, String, bool)> = Vec::new();
        for (at, issuer) in issuers.iter().enumerate() {
            let path = format!("tokens.issuers[{at}]");
            if self.is_doubtful(&path) {
                continue;
            }
            match (&issuer.file, &issuer.kid, &issuer.x) {
                (Some(file), None, None) => {
                    for (key, present) in [
                        ("iss", issuer.iss.is_some()),
                        ("orgs", issuer.orgs.is_some()),
                        ("roles", issuer.roles.is_some()),
                    ] {
                        if present {
                            self.fault(format!("{path}.{key}"), Problem::IssuerInFile);
                        }
                    }
                    let path = format!("{path}.file");
                    keys.extend(self.key_file(&path, file).into_iter().map(|key| (key, path.clone(), false)));
                    sources.push(KeySource::File(self.at(file)));
                }
                (None, Some(kid), Some(x)) => match PublicKey::from_base64url(x) {
                    Ok(key) => {
                        let (iss, orgs, roles) = (issuer.iss.clone(), issuer.orgs.clone(), issuer.roles.clone());
                        let key = IssuerKey { kid: kid.clone(), key, iss, orgs, roles };
                        sources.push(KeySource::Inline(key.clone()));
                        keys.push((key, path, true));
                    }
                    Err(wrong) => self.fault(format!("{path}.x"), Problem::Token(wrong.into())),
                },
                (Some(_) | None, _, _) => self.fault(path, Problem::IssuerForm),
            }
        }
        self.together(keys, self.faults.len() + self.broken.len() == faults_before);
        sources
    }

    /// What is wrong with keys in place, and with all keys together where each alone is good.
    fn together(&mut self, keys: Vec<(IssuerKey, String, bool)>, files_are_good: bool) {
        let seen: Vec<_> = keys.into_iter().filter(|(_, _, in_place)| *in_place || files_are_good).collect();
        let paths: Vec<(String, bool)> = seen.iter().map(|(_, path, in_place)| (path.clone(), *in_place)).collect();
        let Err(faults) = KeySet::new(seen.into_iter().map(|(key, _, _)| key).collect(), 0) else { return };
        for fault in faults.0 {
            let numbered = fault.at.strip_prefix("keys[").and_then(|rest| rest.split_once(']'));
            let found = numbered.and_then(|(at, rest)| Some((paths.get(at.parse::<usize>().ok()?)?, rest)));
            let path = match found {
                Some(((path, true), rest)) => format!("{path}{rest}"),
                Some(((path, false), _)) => path.clone(),
                None => "tokens.issuers".to_owned(),
            };
            self.fault(path, Problem::Token(fault.problem));
        }
    }

    fn key_file(&mut self, key: &str, file: &str) -> Vec<IssuerKey> {
        let path = self.at(file);
        let text = std::fs::read_to_string(&path).map_err(|error| FileFault::Unreadable(error.kind()));
        match text.and_then(|text| KeySet::parse(&text, 0).map_err(FileFault::Keys)) {
            Ok(set) => set.keys().to_vec(),
            Err(what) => {
                self.fault(key, Problem::File { path, what });
                Vec::new()
            }
        }
    }
}
