//! What is wrong with claims, a key set or a revocation list: every fault at once, each with its place.

use std::fmt;

use bh_base::{InvalidMoney, UnknownWord};
use bh_seal::KeyError;

/// Faults that a printed list shows.
pub const FAULTS_SHOWN_MAX: usize = 8;

/// One thing wrong at one place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Where, as a path such as `bh.budgets[0].usd` or `keys[2].x`; empty for the whole text.
    pub at: String,
    /// What is wrong there.
    pub problem: Problem,
}

/// Everything found wrong, in the order of the text; never empty where it is an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Faults(pub Vec<Fault>);

/// What can be wrong at a place.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Not JSON at all; counted from 1.
    #[error("is not valid JSON (line {line}, column {column})")]
    Syntax {
        /// Line, counted from 1.
        line: usize,
        /// Column, counted from 1.
        column: usize,
    },
    /// Another kind of value.
    #[error("must be {0}")]
    Expected(&'static str),
    /// Required and not there.
    #[error("is required")]
    Missing,
    /// Nothing this version knows, so nothing it could enforce.
    #[error("is not known here; remove it, or use a version that knows it")]
    Unknown,
    /// There more than once.
    #[error("appears more than once")]
    Repeated,
    /// Identity in a child.
    #[error("is inherited from the root and forbidden in a child")]
    Inherited,
    /// A text that is empty, too long, or holds characters that names do not have.
    #[error("must be 1 to {bytes_max} bytes without control characters, `*`, or spaces at either end")]
    Name {
        /// Longest allowed, in bytes.
        bytes_max: usize,
    },
    /// A tag whose key is no name or would run into its value.
    #[error("has a key that is not 1 to 256 bytes without control characters, `*`, `=`, or spaces at either end")]
    TagKey,
    /// A model pattern that is empty, too long, or holds spaces or control characters.
    #[error("must be 1 to {bytes_max} bytes without control characters or spaces")]
    Pattern {
        /// Longest allowed, in bytes.
        bytes_max: usize,
    },
    /// A number outside its range.
    #[error("must be from {min} to {max}")]
    Range {
        /// Least allowed.
        min: u64,
        /// Most allowed.
        max: u64,
    },
    /// More entries than allowed.
    #[error("has more than {max} entries")]
    TooMany {
        /// Most allowed.
        max: usize,
    },
    /// A quality outside 0 to 1, or finer than a thousandth.
    #[error("must be a number from 0 to 1 with at most three decimals")]
    Quality,
    /// An amount of money that cannot be read.
    #[error(transparent)]
    Money(#[from] InvalidMoney),
    /// None of the words expected there.
    #[error(transparent)]
    Word(#[from] UnknownWord),
    /// None of the routing modes.
    #[error("must be one of cost, latency, capability")]
    Routing,
    /// A key that cannot be read.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The private half of a key where only the public one belongs.
    #[error("is the private half of the key: publish only the public one, and replace this key, it has been shown")]
    PrivateKey,
    /// A time that is not later than another.
    #[error("must be later than `{0}`")]
    NotLater(&'static str),
    /// A claim that does nothing without another.
    #[error("does nothing without `{0}`")]
    Without(&'static str),
    /// An administrator's token that lives too long.
    #[error("is more than {hours_max} hours after `iat`, the longest an admin token may live")]
    AdminTooLong {
        /// Longest life, in hours.
        hours_max: u64,
    },
    /// A claim that means nothing in an administrator's token.
    #[error("has no meaning in an admin token")]
    NotForAdmin,
    /// An audience that cannot be told apart from the admin plane's.
    #[error("may hold `/` only as the suffix `/admin`")]
    Audience,
    /// A list of what a key may speak for that is empty.
    #[error("is empty, so the key could speak for nobody; leave it out to allow all, or remove the key")]
    SpeaksForNobody,
    /// Two keys that a token could not tell apart.
    #[error("is the `kid` of an earlier key; keys may share one only if each names another `iss`")]
    SameKid,
    /// A file format of another version.
    #[error("must be {expected}, the only version this program reads")]
    Version {
        /// The version known.
        expected: u64,
    },
}

impl Fault {
    pub(crate) fn new(at: impl Into<String>, problem: impl Into<Problem>) -> Self {
        Fault { at: at.into(), problem: problem.into() }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.at.is_empty() {
            write!(f, "the text {}", self.problem)
        } else {
            write!(f, "`{}` {}", self.at, self.problem)
        }
    }
}

/// Prints the first [`FAULTS_SHOWN_MAX`], because a refusal travels in an answer; the list itself has them all.
impl fmt::Display for Faults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, fault) in self.0.iter().take(FAULTS_SHOWN_MAX).enumerate() {
            if 0 < i {
                f.write_str("; ")?;
            }
            fault.fmt(f)?;
        }
        match self.0.len().saturating_sub(FAULTS_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "; and {more} more"),
        }
    }
}

impl std::error::Error for Faults {}
impl std::error::Error for Fault {}
