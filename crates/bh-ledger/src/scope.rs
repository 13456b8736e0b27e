//! What money and rates are counted for: scopes, the patterns that rules name them with, and the keys of counters.

use std::fmt;
use std::sync::Arc;

use bh_base::{Millis, ScopeKind, TokenId, Window};

/// One thing that can have a budget or a limit, such as `org:acme`; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope {
    kind: ScopeKind,
    /// As it is printed, kind included: records and headers print it on each request.
    text: Arc<str>,
}

/// What a rule is written for: one scope, or each scope of a kind.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Pattern {
    /// Exactly this scope; replaces a wildcard that also matches, for the same window.
    Exact(Scope),
    /// Every value of one tag, `tag:k=*`: each value has a counter of its own.
    TagValues(Arc<str>),
    /// Every scope of the kind, such as `user:*`: each has a counter of its own.
    Every(ScopeKind),
}

/// The name of one counter: a resolved scope in one window. Prints as `user:ann@day/1763596800000`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccountKey {
    /// Whose money.
    pub scope: Scope,
    /// Over which span.
    pub window: Window,
    /// The span's first instant; zero for [`Window::Total`].
    pub start: Millis,
}

/// A text that names no scope.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "expected global, or one of org: team: project: user: model: token: followed by a name or *, \
     or tag:key=value or tag:key=*"
)]
pub struct InvalidScope;

impl Scope {
    /// The whole gateway.
    #[must_use]
    pub fn global() -> Self {
        Scope { kind: ScopeKind::Global, text: Arc::from(ScopeKind::Global.as_str()) }
    }

    /// The scope of a kind with this name. The name is ignored for [`ScopeKind::Global`].
    #[must_use]
    pub fn of(kind: ScopeKind, name: &str) -> Self {
        if kind == ScopeKind::Global {
            return Scope::global();
        }
        Scope { kind, text: Arc::from(format!("{kind}:{name}")) }
    }

    /// The scope of one token.
    #[must_use]
    pub fn token(id: TokenId) -> Self {
        Scope::of(ScopeKind::Token, &id.to_string())
    }

    /// The scope of one tag. A `=` in the key is written `%3D`, so that two tags never read alike.
    #[must_use]
    pub fn tag(key: &str, value: &str) -> Self {
        Scope::of(ScopeKind::Tag, &format!("{}={value}", key.replace('%', "%25").replace('=', "%3D")))
    }

    /// Reads the printed form.
    ///
    /// # Errors
    /// Anything that is neither `global` nor a kind, a colon and a name.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        if text == ScopeKind::Global.as_str() {
            return Ok(Scope::global());
        }
        let (kind, name) = text.split_once(':').ok_or(InvalidScope)?;
        let kind = ScopeKind::parse(kind).map_err(|_| InvalidScope)?;
        let tag_ok = kind != ScopeKind::Tag || 0 < name.find('=').unwrap_or(0);
        if kind == ScopeKind::Global || name.is_empty() || !tag_ok {
            return Err(InvalidScope);
        }
        Ok(Scope::of(kind, name))
    }

    /// What it is.
    #[must_use]
    pub fn kind(&self) -> ScopeKind {
        self.kind
    }

    /// Which one; empty for the whole gateway.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text.split_once(':').map_or("", |(_, name)| name)
    }

    /// The scope as it is printed, to be kept without a copy.
    #[must_use]
    pub fn text(&self) -> &Arc<str> {
        &self.text
    }
}

impl Pattern {
    /// Reads the scope of a rule: `global`, `org:acme`, `user:*`, `tag:k=v`, `tag:k=*`.
    ///
    /// # Errors
    /// Anything else. Only a whole `*` is a wildcard; names with a `*` inside are names.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        let scope = match text.strip_suffix(":*").map(ScopeKind::parse) {
            Some(Ok(kind)) if kind != ScopeKind::Global => return Ok(Pattern::Every(kind)),
            Some(_) => return Err(InvalidScope),
            None => Scope::parse(text)?,
        };
        match scope.name().strip_suffix("=*") {
            Some(key) if scope.kind() == ScopeKind::Tag => Ok(Pattern::TagValues(Arc::from(key))),
            _ => Ok(Pattern::Exact(scope)),
        }
    }
}

impl AccountKey {
    /// Reads the printed form.
    ///
    /// # Errors
    /// Anything but `<scope>@<window>/<start in ms>`.
    pub fn parse(text: &str) -> Result<Self, InvalidScope> {
        let (scope, rest) = text.rsplit_once('@').ok_or(InvalidScope)?;
        let (window, start) = rest.split_once('/').ok_or(InvalidScope)?;
        Ok(AccountKey {
            scope: Scope::parse(scope)?,
            window: Window::parse(window).map_err(|_| InvalidScope)?,
            start: Millis(start.parse().map_err(|_| InvalidScope)?),
        })
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Pattern::Exact(scope) => scope.fmt(f),
            Pattern::TagValues(key) => write!(f, "tag:{key}=*"),
            Pattern::Every(kind) => write!(f, "{kind}:*"),
        }
    }
}

impl fmt::Display for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}/{}", self.scope, self.window, self.start.0)
    }
}

impl fmt::Debug for AccountKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_read_what_they_print() {
        for text in ["global", "org:acme", "user:*", "user:a@b:c", "tag:env=prod", "tag:env=*", "tag:*", "model:gpt-4*"]
        {
            assert_eq!(Pattern::parse(text).map(|p| p.to_string()), Ok(text.to_owned()));
        }
    }

    #[test]
    fn other_texts_name_no_scope() {
        for text in ["", "global:", "global:*", "global:x", "org", "org:", "orgs:x", "tag:env", "tag:=v", "Org:x", "*"]
        {
            assert_eq!(Pattern::parse(text), Err(InvalidScope), "{text:?}");
        }
    }

    #[test]
    fn keys_read_what_they_print() {
        let key = AccountKey {
            scope: Scope::of(ScopeKind::User, "ann@example.com"),
            window: Window::Day,
            start: Millis(1_763_596_800_000),
        };
        assert_eq!(AccountKey::parse(&key.to_string()), Ok(key));
        assert!(AccountKey::parse("user:ann@week/0").is_err());
    }

    #[test]
    fn two_tags_never_read_alike() {
        assert_ne!(Scope::tag("a=b", "c"), Scope::tag("a", "b=c"));
    }
}
