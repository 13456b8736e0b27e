//! Time as a number that is handed in.

/// Milliseconds: since the Unix epoch where a name says `now` or `*_at`, a span elsewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Millis(pub u64);

impl Millis {
    /// A span of whole seconds; saturates.
    #[must_use]
    pub const fn from_secs(seconds: u64) -> Self {
        Millis(seconds.saturating_mul(1000))
    }

    /// Whole seconds, rounded down.
    #[must_use]
    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// This instant plus a span; saturates.
    #[must_use]
    pub const fn plus(self, span: Millis) -> Self {
        Millis(self.0.saturating_add(span.0))
    }

    /// The span since an earlier instant; zero when `earlier` is later.
    #[must_use]
    pub const fn since(self, earlier: Millis) -> Self {
        Millis(self.0.saturating_sub(earlier.0))
    }
}

impl From<Millis> for std::time::Duration {
    fn from(span: Millis) -> Self {
        std::time::Duration::from_millis(span.0)
    }
}
