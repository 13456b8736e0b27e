//! What can be wrong with a configuration: where, what, and what to do about it.

use std::net::AddrParseError;

use super::secret::SecretFault;
use super::tree::Place;

/// One fault.
#[derive(Debug)]
pub(crate) struct Fault {
    /// The key, such as `providers[0].kind`; empty for the whole file.
    pub(crate) path: String,
    /// What is wrong with it.
    pub(crate) problem: Problem,
    /// Where it was written.
    pub(super) place: Place,
}

/// What is wrong, in words an operator can act on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Problem {
    /// The text is no YAML.
    #[error("not YAML: {said}")]
    NotYaml {
        /// What the parser said.
        said: String,
    },
    /// A key that stands twice in one map.
    #[error("given twice; keep one")]
    Twice,
    /// A variable whose name has an empty part.
    #[error("the variable's name has an empty part; write BULKHEAD__BLOCK__KEY")]
    VariableName,
    /// A variable for an entry beyond the end of a list.
    #[error("the list has {entries} entries; use a number from 0 to {entries}, the last adds one")]
    VariableEntry {
        /// How many there are.
        entries: usize,
    },
    /// A variable for a key of something that has none.
    #[error("the variable names a key of something that is a single value")]
    VariableBelowValue,
    /// A key of the contract without a feature behind it.
    #[error("not built yet in this version; remove it")]
    NotBuilt,
    /// A word of the contract without a feature behind it.
    #[error("`{word}` is not built yet in this version; use {}", either(known))]
    WordNotBuilt {
        /// The word.
        word: String,
        /// The words that work.
        known: Vec<String>,
    },
    /// A key nobody knows.
    #[error("unknown key")]
    UnknownKey {
        /// What may have been meant.
        near: Option<String>,
        /// Every key that works here.
        known: Vec<String>,
    },
    /// A key that must be there.
    #[error("missing: {meaning}")]
    Missing {
        /// What it is.
        meaning: String,
    },
    /// Another kind of value.
    #[error("expected {expected}, found {found}")]
    Type {
        /// What belongs here.
        expected: &'static str,
        /// What stands here.
        found: String,
    },
    /// A secret, or something else, where the place of a secret belongs.
    #[error("a secret is never written here: say where it is with {{env: NAME}} or {{file: PATH}}")]
    SecretInPlace,
    /// None of the words.
    #[error("expected {}, found {found}", either(known))]
    Word {
        /// What stands here.
        found: String,
        /// What may have been meant.
        near: Option<String>,
        /// The words that work.
        known: Vec<String>,
    },
    /// A number out of bounds.
    #[error("must be from {min} to {max}{unit}, found {found}")]
    Range {
        /// Least allowed.
        min: String,
        /// Most allowed.
        max: String,
        /// The unit with a space before it, or nothing.
        unit: &'static str,
        /// What stands here.
        found: String,
    },
    /// A text or list that is too short or too long.
    #[error("must have {min} to {max} {of}, found {found}")]
    Length {
        /// Least allowed.
        min: u64,
        /// Most allowed.
        max: u64,
        /// What is counted.
        of: &'static str,
        /// What was counted.
        found: u64,
    },
    /// A text without letters.
    #[error("must not be empty")]
    Empty,
    /// No amount of dollars.
    #[error(transparent)]
    Money(#[from] bh_base::InvalidMoney),
    /// No address.
    #[error("expected an address and port such as 0.0.0.0:8080 or [::1]:8080")]
    Address(#[source] AddrParseError),
    /// Both planes on one address.
    #[error("the data plane and the admin plane cannot share {0}")]
    SameAddress(std::net::SocketAddr),
    /// No scope.
    #[error(transparent)]
    Scope(#[from] bh_ledger::InvalidScope),
    /// A secret that cannot be had.
    #[error(transparent)]
    Secret(#[from] SecretFault),
    /// A file that cannot be used.
    #[error("{}: {what}", path.display())]
    File {
        /// The file.
        path: std::path::PathBuf,
        /// What is wrong with it.
        what: FileFault,
    },
    /// An audience that is no name of a cluster.
    #[error("must be a name without `/`, `*`, control characters or spaces at its ends, at most 256 bytes")]
    Audience,
    /// No address of a collector.
    #[error("expected an address such as http://127.0.0.1:4318")]
    Url,
    /// Neither or both of a key in place and a file of keys.
    #[error("give either kid and x (one key in place) or file (a JWKS)")]
    IssuerForm,
    /// Something beside a file of keys that belongs into it.
    #[error("stands in the file, at each key; remove it here")]
    IssuerInFile,
    /// `flat` without a price, or a price without `flat`.
    #[error("`unknown: flat` and `flat: {{input, output}}` need each other")]
    Flat,
    /// What the token rules say.
    #[error("{0}")]
    Token(bh_token::Problem),
    /// What routing says.
    #[error(transparent)]
    Routes(bh_policy::FaultKind),
    /// What the ledger says of budgets and limits.
    #[error("{0}")]
    Ledger(String),
    /// What the catalog says of prices.
    #[error("{0}")]
    Catalog(String),
    /// What transport says of a provider.
    #[error(transparent)]
    Upstream(bh_upstream::ConfigFault),
}

/// What is wrong with a file that the configuration names.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FileFault {
    /// It cannot be read.
    #[error("cannot be read ({0})")]
    Unreadable(std::io::ErrorKind),
    /// It is no JWKS that could be used.
    #[error("{0}")]
    Keys(bh_token::Faults),
    /// It holds no certificate.
    #[error("holds no certificate in PEM form")]
    NoCertificate,
    /// It holds no private key.
    #[error("holds no private key in PEM form")]
    NoPrivateKey,
    /// Certificate and key do not fit.
    #[error("cannot be used with the certificate ({0})")]
    Pair(rustls::Error),
}

impl Problem {
    /// What to do next, where the message does not say it already.
    pub(crate) fn help(&self) -> Option<String> {
        match self {
            Problem::UnknownKey { near: Some(near), .. } | Problem::Word { near: Some(near), .. } => {
                Some(format!("did you mean `{near}`?"))
            }
            Problem::UnknownKey { near: None, known } if known.is_empty() => None,
            Problem::UnknownKey { near: None, known } => Some(format!("known here: {}", known.join(", "))),
            Problem::Type { expected: "a text", found } if !found.starts_with("a ") && found != "nothing" => {
                Some(format!("put it in quotes: \"{found}\""))
            }
            Problem::Type { found, .. } if found == "nothing" => Some("give it a value or remove the key".to_owned()),
            Problem::NotYaml { .. } => Some("the rest of the file was not looked at".to_owned()),
            Problem::Twice => Some("the first one was looked at".to_owned()),
            Problem::IssuerForm => {
                Some("`bulkhead key generate --out issuer.key` makes a key and prints both".to_owned())
            }
            Problem::VariableName
            | Problem::VariableEntry { .. }
            | Problem::VariableBelowValue
            | Problem::NotBuilt
            | Problem::WordNotBuilt { .. }
            | Problem::Missing { .. }
            | Problem::Type { .. }
            | Problem::SecretInPlace
            | Problem::Word { near: None, .. }
            | Problem::Range { .. }
            | Problem::Length { .. }
            | Problem::Empty
            | Problem::Money(_)
            | Problem::Address(_)
            | Problem::SameAddress(_)
            | Problem::Scope(_)
            | Problem::Secret(_)
            | Problem::File { .. }
            | Problem::Audience
            | Problem::Url
            | Problem::IssuerInFile
            | Problem::Flat
            | Problem::Token(_)
            | Problem::Routes(_)
            | Problem::Ledger(_)
            | Problem::Catalog(_)
            | Problem::Upstream(_) => None,
        }
    }
}

/// `a, b or c`.
fn either(words: &[String]) -> String {
    match words {
        [] => "nothing".to_owned(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

/// The word closest to a text, if one is close enough to have been meant.
pub(super) fn nearest<'a>(text: &str, words: impl Iterator<Item = &'a str>) -> Option<String> {
    let text = text.to_ascii_lowercase().replace('-', "_");
    words
        .map(|word| (strsim::damerau_levenshtein(&text, &word.replace('-', "_")), word))
        .filter(|(distance, word)| *distance <= 1 + word.len() / 5)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, word)| word.to_owned())
}
