//! A record as one line for people.

use bh_audit::{Kind, Record, Text};
use jiff::Timestamp;

/// One line: when, what, how it ended, who answered, what it cost. Bytes that are no record are shown as such.
pub(crate) fn line(bytes: &[u8]) -> String {
    match Record::parse(bytes) {
        Ok(record) => format!("{}  {:<12}  {}", time(record.ts_ms), record.kind.as_str(), told(&record)),
        Err(_) => format!("not a record: {}", String::from_utf8_lossy(bytes).escape_debug()),
    }
}

/// A time of the log, in UTC; its number where no calendar has it.
pub(crate) fn time(ts_ms: u64) -> String {
    let timestamp = i64::try_from(ts_ms).ok().and_then(|ms| Timestamp::from_millisecond(ms).ok());
    timestamp.map_or_else(|| format!("{ts_ms} ms"), |timestamp| format!("{timestamp:.3}"))
}

fn told(record: &Record) -> String {
    let parts = match &record.kind {
        Kind::Admit => {
            let attempt = record.attempt.map(|attempt| format!("attempt {attempt}"));
            vec![attempt, way(record), record.est.map(|est| format!("at most {est} USD")), request(record)]
        }
        Kind::Settle => {
            let tokens = record.usage.as_ref().map(|usage| {
                let mark = if record.usage_estimated { "~" } else { "" };
                format!("{mark}{}+{} tokens", usage.prompt_tokens(), usage.answer_tokens())
            });
            let cost = record.cost.map(|cost| format!("{cost} USD"));
            vec![
                status(record),
                text(record.outcome.as_ref()),
                way(record),
                tokens,
                cost,
                took(record),
                request(record),
            ]
        }
        Kind::Deny => {
            vec![status(record), text(record.code.as_ref()), text(record.asked.as_ref()), took(record), request(record)]
        }
        Kind::EpochOpen => {
            let open = record.open.as_ref();
            vec![
                Some(format!("epoch {}", record.epoch)),
                open.map(|open| format!("bulkhead {}", open.software.as_str())),
                open.map(|open| open.durability.as_str().to_owned()),
            ]
        }
        Kind::EpochClose => {
            let size = record.close.as_ref().map(|close| format!("{} records", close.size));
            vec![Some(format!("epoch {}", record.epoch)), size]
        }
        Kind::Gap => vec![record.lost.as_ref().map(|lost| format!("{} records lost", lost.total()))],
        Kind::ConfigSeen | Kind::KeySetSeen => {
            vec![record.revision.map(|revision| format!("revision {revision}")), text(record.target.as_ref())]
        }
        Kind::AdminAction => {
            vec![text(record.action.as_ref()), text(record.target.as_ref()), text(record.reason.as_ref())]
        }
        Kind::Unknown(_) => vec![Some("a kind of a newer version".to_owned())],
    };
    parts.into_iter().flatten().collect::<Vec<_>>().join("  ")
}

fn text(text: Option<&Text>) -> Option<String> {
    text.map(|text| text.as_str().to_owned())
}

fn status(record: &Record) -> Option<String> {
    record.status.map(|status| status.to_string())
}

/// What was asked for and who was to answer it.
fn way(record: &Record) -> Option<String> {
    let (asked, provider, model) = (record.asked.as_ref()?, record.provider.as_ref()?, record.model.as_ref()?);
    Some(format!("{} → {}/{}", asked.as_str(), provider.as_str(), model.as_str()))
}

fn took(record: &Record) -> Option<String> {
    record.latency.as_ref().map(|latency| format!("{} ms", latency.total_ms))
}

fn request(record: &Record) -> Option<String> {
    record.request_id.map(|id| id.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_a_calendars() {
        assert_eq!(time(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(time(1_763_670_000_123), "2025-11-20T20:20:00.123Z");
        assert_eq!(time(u64::MAX), format!("{} ms", u64::MAX));
    }

    #[test]
    fn what_is_no_record_cannot_move_the_cursor() {
        assert_eq!(line(b"{\x1b[2J"), "not a record: {\\u{1b}[2J");
    }
}
