//! How long a provider asks us to wait.

use crate::instant;

/// Longest wait that is believed, in milliseconds: a day.
const WAIT_MS_MAX: u64 = 24 * 60 * 60 * 1000;

/// The wait in `retry-after-ms` or `retry-after` (seconds or a date), in milliseconds. The finer one counts where both
/// are there, unless it is zero: some gateways round the wrong way.
pub(crate) fn asked_ms(headers: &dyn Fn(&str) -> Option<String>) -> Option<u64> {
    let number = |name: &str| headers(name).and_then(|value| value.trim().parse::<f64>().ok());
    let millis = number("retry-after-ms").and_then(whole_ms);
    let seconds = number("retry-after").and_then(|seconds| whole_ms(seconds * 1000.0));
    let date = || since_date_ms(headers, instant::from_http_date(headers("retry-after")?.trim())?);
    millis.filter(|ms| *ms > 0).or(seconds).or_else(date).or(millis)
}

/// From the provider's own `date` to an instant (seconds since the epoch), in milliseconds, so that clocks need not
/// agree; zero when it has passed.
pub(crate) fn since_date_ms(headers: &dyn Fn(&str) -> Option<String>, at: i64) -> Option<u64> {
    let date = instant::from_http_date(headers("date")?.trim())?;
    let seconds = u64::try_from(at.saturating_sub(date)).unwrap_or(0);
    Some(seconds.saturating_mul(1000).min(WAIT_MS_MAX))
}

/// A span such as `12ms`, `1s`, `6m0s` or `1h2m3.5s`, in milliseconds.
pub(crate) fn span_ms(text: &str) -> Option<u64> {
    let mut rest = text.trim();
    let mut total = 0.0;
    while !rest.is_empty() {
        let unit_at = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, tail) = rest.split_at(unit_at);
        let (unit_ms, unit_len) = match tail.as_bytes() {
            [b'm', b's', ..] => (1.0, 2),
            [b's', ..] => (1_000.0, 1),
            [b'm', ..] => (60_000.0, 1),
            [b'h', ..] => (3_600_000.0, 1),
            _ => return None,
        };
        total += number.parse::<f64>().ok()? * unit_ms;
        rest = &tail[unit_len..];
    }
    (!text.trim().is_empty()).then(|| whole_ms(total))?
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the range is checked first")]
fn whole_ms(millis: f64) -> Option<u64> {
    (millis >= 0.0).then(|| (millis.ceil() as u64).min(WAIT_MS_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&str, &str)], expected: Option<u64>) {
        let lookup = |name: &str| headers.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        assert_eq!(asked_ms(&lookup), expected, "{headers:?}");
    }

    #[test]
    fn every_spelling_of_a_wait_is_read() {
        check(&[], None);
        check(&[("retry-after", "2")], Some(2000));
        check(&[("retry-after", " 0.25 ")], Some(250));
        check(&[("retry-after-ms", "1500")], Some(1500));
        check(&[("retry-after", "1"), ("retry-after-ms", "0")], Some(1000));
        check(&[("retry-after", "2"), ("retry-after-ms", "1500")], Some(1500));
        check(&[("retry-after-ms", "0")], Some(0));
        check(&[("retry-after", "-1")], None);
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "1e300")], Some(WAIT_MS_MAX));
        let date = ("date", "Wed, 19 Aug 2026 14:34:46 GMT");
        check(&[("retry-after", "Wed, 19 Aug 2026 14:35:00 GMT"), date], Some(14_000));
        check(&[("retry-after", "Wed, 19 Aug 2026 14:30:00 GMT"), date], Some(0));
        check(&[("retry-after", "Wed, 19 Aug 2026 14:35:00 GMT")], None);
    }

    #[test]
    fn spans_are_sums_of_their_units() {
        for (text, expected) in [
            ("12ms", Some(12)),
            ("1s", Some(1000)),
            ("6m0s", Some(360_000)),
            ("1h2m3.5s", Some(3_723_500)),
            ("", None),
            ("5", None),
            ("5x", None),
            ("s", None),
        ] {
            assert_eq!(span_ms(text), expected, "{text}");
        }
    }
}
