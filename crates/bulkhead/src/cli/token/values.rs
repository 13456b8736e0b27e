//! Values of flags with a form of their own.

use std::fmt;

use bh_base::{BudgetMode, HoldMode, InvalidMoney, Millis, NanoUsd, UnknownWord, Window};
use bh_token::TokenBudget;
use jiff::Timestamp;

/// A text that is no span.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected a span such as 90s, 10m, 12h or 30d")]
pub(super) struct InvalidSpan;

/// A text that is no instant.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected `now`, seconds since 1970, or a time such as 2026-08-01T00:00:00Z")]
pub(super) struct InvalidInstant;

/// A text that is no budget.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum InvalidBudget {
    /// The parts are not there.
    #[error("expected AMOUNTusd/WINDOW[:MODE[:HOLD]], such as 5usd/day:hard or 0.50usd/total:hard:adaptive")]
    Form,
    /// No amount.
    #[error(transparent)]
    Money(#[from] InvalidMoney),
    /// Another word.
    #[error("{part}: {source}")]
    Word {
        /// Which part.
        part: &'static str,
        /// What is expected.
        source: UnknownWord,
    },
}

/// A text that is no tag.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected KEY=VALUE")]
pub(super) struct InvalidTag;

/// `90s`, `10m`, `12h`, `30d`.
pub(super) fn span(text: &str) -> Result<Millis, InvalidSpan> {
    let unit = text.chars().next_back().ok_or(InvalidSpan)?;
    let seconds: u64 = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        _ => return Err(InvalidSpan),
    };
    let digits = &text[..text.len() - unit.len_utf8()];
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return Err(InvalidSpan);
    }
    let count: u64 = digits.parse().map_err(|_| InvalidSpan)?;
    count
        .checked_mul(seconds)
        .filter(|s| 0 < *s && *s <= bh_token::TIME_SECONDS_MAX)
        .map(Millis::from_secs)
        .ok_or(InvalidSpan)
}

/// `now`, seconds since 1970, or RFC 3339.
pub(super) fn instant(text: &str, now: Millis) -> Result<Millis, InvalidInstant> {
    if text == "now" {
        return Ok(now);
    }
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Millis::from_secs(seconds));
    }
    let at: Timestamp = text.parse().map_err(|_| InvalidInstant)?;
    u64::try_from(at.as_millisecond()).map(Millis).map_err(|_| InvalidInstant)
}

/// `5usd/day:hard:strict`; hard and strict when left out, as in the claim.
pub(super) fn budget(text: &str) -> Result<TokenBudget, InvalidBudget> {
    let (amount, rest) = text.split_once("usd/").ok_or(InvalidBudget::Form)?;
    let mut parts = rest.split(':');
    let word = |part| move |source| InvalidBudget::Word { part, source };
    let window = Window::parse(parts.next().unwrap_or_default()).map_err(word("window"))?;
    let mode = parts.next().map_or(Ok(BudgetMode::Hard), BudgetMode::parse).map_err(word("mode"))?;
    let hold = parts.next().map_or(Ok(HoldMode::Strict), HoldMode::parse).map_err(word("hold"))?;
    if parts.next().is_some() {
        return Err(InvalidBudget::Form);
    }
    Ok(TokenBudget { usd: NanoUsd::parse_usd(amount)?, window, mode, hold })
}

/// `k=v`.
pub(super) fn tag(text: &str) -> Result<(String, String), InvalidTag> {
    let (key, value) = text.split_once('=').ok_or(InvalidTag)?;
    Ok((key.to_owned(), value.to_owned()))
}

/// `a,b`: parts without the spaces around them; an empty text has none.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// An instant as people read it.
pub(super) struct Shown(pub(super) Millis);

impl fmt::Display for Shown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = i64::try_from(self.0.as_secs()).unwrap_or(i64::MAX);
        match Timestamp::from_second(seconds) {
            Ok(at) => at.fmt(f),
            Err(_) => write!(f, "{} s since 1970", self.0.as_secs()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_have_one_unit() {
        for (text, seconds) in [("90s", 90), ("10m", 600), ("12h", 43_200), ("30d", 2_592_000)] {
            assert_eq!(span(text), Ok(Millis::from_secs(seconds)));
        }
        for text in ["", "s", "0s", "-1s", "1", "1w", "1.5h", "1h30m", "99999999999999999999d", "1µ"] {
            assert_eq!(span(text), Err(InvalidSpan), "{text}");
        }
    }

    #[test]
    fn instants_are_now_seconds_or_rfc_3339() {
        let now = Millis(5);
        assert_eq!(instant("now", now), Ok(now));
        assert_eq!(instant("7", now), Ok(Millis(7_000)));
        assert_eq!(instant("1970-01-01T00:00:01.5Z", now), Ok(Millis(1_500)));
        for text in ["", "yesterday", "2026-08-01", "1969-12-31T23:59:59Z"] {
            assert_eq!(instant(text, now), Err(InvalidInstant), "{text}");
        }
    }

    #[test]
    fn budgets_are_hard_and_strict_unless_they_say_otherwise() {
        let five = TokenBudget {
            usd: NanoUsd::from_usd(5),
            window: Window::Day,
            mode: BudgetMode::Hard,
            hold: HoldMode::Strict,
        };
        for text in ["5usd/day", "5usd/day:hard", "5usd/day:hard:strict"] {
            assert_eq!(budget(text), Ok(five), "{text}");
        }
        let soft = TokenBudget { mode: BudgetMode::Soft, hold: HoldMode::Adaptive, ..five };
        assert_eq!(budget("5usd/day:soft:adaptive"), Ok(soft));
        for text in [
            "",
            "5/day",
            "5usd",
            "5usd/week",
            "5usd/day:firm",
            "5usd/day:hard:loose",
            "5usd/day:hard:strict:x",
            "x5usd/day",
        ] {
            assert!(budget(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_empty_list_has_no_parts() {
        assert_eq!(list(""), Vec::<String>::new());
        assert_eq!(list("a, b*,"), ["a", "b*"]);
    }
}
