//! A pattern for model names, in the language that tokens use too ([`bh_base::glob_matches`]).

use std::fmt;

use bh_base::glob_matches;

/// A pattern: `*` stands for any text, `/` included; everything else for itself, and case counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Glob(Box<str>);

impl Glob {
    /// Takes any text as a pattern.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Glob(pattern.into())
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the pattern is a plain name, matching only itself.
    #[must_use]
    pub fn is_literal(&self) -> bool {
        !self.0.contains('*')
    }

    /// Whether the pattern matches the whole name.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        glob_matches(&self.0, name)
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
