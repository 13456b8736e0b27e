//! The two spellings of an instant on Anthropic's wire, as seconds since the Unix epoch.

const SECONDS_PER_DAY: i64 = 86_400;
const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Reads RFC 3339 such as `2026-06-08T18:47:04Z`; fractions of a second are cut off. `None` for anything else.
pub(crate) fn from_rfc3339(text: &str) -> Option<i64> {
    let (date, rest) = text.split_once(['T', 't', ' '])?;
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (number(date.next()?, 4)?, number(date.next()?, 2)?, number(date.next()?, 2)?);
    let zone_at = rest.find(['Z', 'z', '+', '-'])?;
    let (clock, zone) = rest.split_at(zone_at);
    let seconds = clock_seconds(clock.split('.').next()?)?;
    Some(days_from_civil(year, month, day)? * SECONDS_PER_DAY + seconds - zone_seconds(zone)?)
}

/// Reads the preferred HTTP date such as `Mon, 08 Jun 2026 18:47:05 GMT`. `None` for anything else.
pub(crate) fn from_http_date(text: &str) -> Option<i64> {
    let mut words = text.split_once(", ")?.1.split(' ');
    let day = number(words.next()?, 2)?;
    let name = words.next()?;
    let month = MONTHS.iter().position(|month| *month == name)?;
    let year = number(words.next()?, 4)?;
    let seconds = clock_seconds(words.next()?)?;
    if words.next() != Some("GMT") {
        return None;
    }
    let month = i64::try_from(month).ok()? + 1;
    Some(days_from_civil(year, month, day)? * SECONDS_PER_DAY + seconds)
}

/// Writes RFC 3339 in UTC.
pub(crate) fn to_rfc3339(seconds: u64) -> String {
    let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
    let (days, clock) = (seconds / SECONDS_PER_DAY, seconds % SECONDS_PER_DAY);
    let (year, month, day) = civil_from_days(days);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", clock / 3600, clock / 60 % 60, clock % 60)
}

fn number(text: &str, digits: usize) -> Option<i64> {
    (text.len() == digits && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

fn clock_seconds(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let (hours, minutes, seconds) = (number(parts.next()?, 2)?, number(parts.next()?, 2)?, number(parts.next()?, 2)?);
    (hours < 24 && minutes < 60 && seconds <= 60).then_some(hours * 3600 + minutes * 60 + seconds)
}

fn zone_seconds(text: &str) -> Option<i64> {
    if text.eq_ignore_ascii_case("z") {
        return Some(0);
    }
    let (sign, clock) = text.split_at_checked(1)?;
    let (hours, minutes) = clock.split_once(':')?;
    let span = number(hours, 2)? * 3600 + number(minutes, 2)? * 60;
    Some(if sign == "-" { -span } else { span })
}

/// Days since 1970-01-01 of a Gregorian date, counted in years that begin in March so that leap days come last.
fn days_from_civil(year: i64, month: i64, day: i64) -> Option<i64> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    Some(era * 146_097 + day_of_era - 719_468)
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted + 2) / 5 + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_name_the_same_instant() {
        assert_eq!(from_rfc3339("2026-06-08T18:47:05Z"), Some(1_780_944_425));
        assert_eq!(from_http_date("Mon, 08 Jun 2026 18:47:05 GMT"), Some(1_780_944_425));
        assert_eq!(from_rfc3339("2026-06-08T20:47:05.25+02:00"), Some(1_780_944_425));
    }

    #[test]
    fn what_is_written_is_read_back() {
        for seconds in [0, 951_782_399, 951_868_800, 1_780_944_425, 4_102_444_800] {
            assert_eq!(from_rfc3339(&to_rfc3339(seconds)), i64::try_from(seconds).ok());
        }
        assert_eq!(to_rfc3339(951_868_799), "2000-02-29T23:59:59Z");
    }

    #[test]
    fn other_texts_are_no_instants() {
        for text in ["", "12ms", "2026-13-01T00:00:00Z", "2026-06-08", "2026-06-08T25:00:00Z", "2026-06-08T18:47Z"] {
            assert_eq!(from_rfc3339(text), None, "{text}");
        }
        assert_eq!(from_http_date("08 Jun 2026 18:47:05"), None);
    }
}
