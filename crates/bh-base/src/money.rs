//! Money as whole nano-dollars, never a float.

use std::fmt;
use std::iter::Sum;

/// Nano-dollars in one dollar.
const NANO_PER_USD: u64 = 1_000_000_000;
/// Decimal places a nano-dollar can express.
const PLACES: usize = 9;

/// An amount of money in 10⁻⁹ USD. Holds up to 18.4 billion dollars.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NanoUsd(pub u64);

/// An exact amount in 10⁻¹² USD, for sums inside one request before it is rounded up once.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct PicoUsd(pub u128);

/// A text that is not an amount of dollars.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected dollars as a decimal number such as 5 or 0.25, with at most 9 decimal places and below 18446744073")]
pub struct InvalidMoney;

impl NanoUsd {
    /// Nothing.
    pub const ZERO: NanoUsd = NanoUsd(0);
    /// The largest amount that can be expressed.
    pub const MAX: NanoUsd = NanoUsd(u64::MAX);

    /// Whole dollars; saturates at [`NanoUsd::MAX`].
    #[must_use]
    pub const fn from_usd(usd: u64) -> Self {
        NanoUsd(usd.saturating_mul(NANO_PER_USD))
    }

    /// Reads a decimal number of dollars such as `5`, `0.25` or `1e-6`-free plain decimals.
    ///
    /// # Errors
    /// Anything but digits with at most one point, more than nine decimals, or an amount that does not fit.
    pub fn parse_usd(text: &str) -> Result<Self, InvalidMoney> {
        let (whole, part) = text.split_once('.').unwrap_or((text, ""));
        let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !digits(whole) || !digits(part) || PLACES < part.len() || text.ends_with('.') {
            return Err(InvalidMoney);
        }
        let whole: u64 = whole.parse().map_err(|_| InvalidMoney)?;
        let part: u64 = format!("{part:0<PLACES$}").parse().map_err(|_| InvalidMoney)?;
        whole.checked_mul(NANO_PER_USD).and_then(|n| n.checked_add(part)).map(NanoUsd).ok_or(InvalidMoney)
    }

    /// The sum, held at [`NanoUsd::MAX`] rather than wrapped.
    #[must_use]
    pub const fn saturating_add(self, other: Self) -> Self {
        NanoUsd(self.0.saturating_add(other.0))
    }

    /// The difference, held at zero rather than wrapped.
    #[must_use]
    pub const fn saturating_sub(self, other: Self) -> Self {
        NanoUsd(self.0.saturating_sub(other.0))
    }

    /// The sum, or nothing when it does not fit.
    #[must_use]
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(sum) => Some(NanoUsd(sum)),
            None => None,
        }
    }

    /// Dollars as a float, for metrics and people only; the ledger never computes with it.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "shown to people, never computed with")]
    pub fn as_usd_f64(self) -> f64 {
        self.0 as f64 / NANO_PER_USD as f64
    }
}

impl PicoUsd {
    /// Rounds up to whole nano-dollars, saturating: the one rounding a request's cost goes through.
    #[must_use]
    pub fn round_up(self) -> NanoUsd {
        NanoUsd(u64::try_from(self.0.div_ceil(1000)).unwrap_or(u64::MAX))
    }
}

/// Prints plain decimal dollars without trailing zeros: `0.25`, `5`, `0.000000001`.
impl fmt::Display for NanoUsd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, part) = (self.0 / NANO_PER_USD, self.0 % NANO_PER_USD);
        if part == 0 {
            return write!(f, "{whole}");
        }
        let part = format!("{part:09}");
        write!(f, "{whole}.{}", part.trim_end_matches('0'))
    }
}

impl Sum for NanoUsd {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(NanoUsd::ZERO, NanoUsd::saturating_add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_read_and_print_the_same() {
        for (text, nano) in [("0", 0), ("5", 5_000_000_000), ("0.25", 250_000_000), ("0.000000001", 1)] {
            let money = NanoUsd::parse_usd(text).expect("a plain decimal");
            assert_eq!(money, NanoUsd(nano));
            assert_eq!(money.to_string(), text);
        }
    }

    #[test]
    fn what_is_not_an_amount_is_refused() {
        for text in ["", ".", "1.", ".5", "-1", "+1", "1e3", "0.0000000001", "99999999999", "1.2.3", " 1", "٣"] {
            assert_eq!(NanoUsd::parse_usd(text), Err(InvalidMoney), "{text:?}");
        }
    }

    #[test]
    fn a_cost_is_rounded_up_once() {
        assert_eq!(PicoUsd(0).round_up(), NanoUsd(0));
        assert_eq!(PicoUsd(1).round_up(), NanoUsd(1));
        assert_eq!(PicoUsd(1000).round_up(), NanoUsd(1));
        assert_eq!(PicoUsd(1001).round_up(), NanoUsd(2));
        assert_eq!(PicoUsd(u128::MAX).round_up(), NanoUsd::MAX);
    }
}
