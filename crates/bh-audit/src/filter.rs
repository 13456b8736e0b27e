//! Picking records by what their fields say: `audit tail --filter k=v`.

use serde_json::Value;

/// Fields and the texts they must have; all of them must match.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter(Vec<(Vec<String>, String)>);

/// A text that is no filter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected field=value, for example outcome=ok or decision.route=smart")]
pub struct InvalidFilter;

impl Filter {
    /// Adds a condition `field=value`. Fields inside others are reached with dots; in a list any entry may match.
    ///
    /// # Errors
    /// There is no `=`, or nothing before it.
    pub fn and(mut self, text: &str) -> Result<Self, InvalidFilter> {
        let (path, value) = text.split_once('=').ok_or(InvalidFilter)?;
        let path: Vec<String> = path.split('.').map(str::to_owned).collect();
        if path.iter().any(String::is_empty) {
            return Err(InvalidFilter);
        }
        self.0.push((path, value.to_owned()));
        Ok(self)
    }

    /// Whether a record's bytes match. Bytes that are no JSON match only an empty filter.
    #[must_use]
    pub fn matches(&self, record: &[u8]) -> bool {
        if self.0.is_empty() {
            return true;
        }
        let Ok(record) = serde_json::from_slice::<Value>(record) else {
            return false;
        };
        self.0.iter().all(|(path, wanted)| says(&record, path, wanted))
    }
}

fn says(value: &Value, path: &[String], wanted: &str) -> bool {
    match (value, path.split_first()) {
        (Value::Array(entries), _) => entries.iter().any(|entry| says(entry, path, wanted)),
        (Value::Object(fields), Some((name, rest))) => fields.get(name).is_some_and(|field| says(field, rest, wanted)),
        (Value::String(text), None) => text == wanted,
        (Value::Number(number), None) => number.to_string() == wanted,
        (Value::Bool(flag), None) => flag.to_string() == wanted,
        (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_), Some(_))
        | (Value::Null | Value::Object(_), None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &[u8] = br#"{"seq":7,"kind":"settle","usage_estimated":true,"decision":{"route":"smart=er"},
        "attempts":[{"provider":"a","status":503},{"provider":"b","status":200}],"tags":["env=prod"]}"#;

    fn check(filter: &[&str], matches: bool) {
        let filter = filter.iter().try_fold(Filter::default(), |all, text| all.and(text)).unwrap();
        assert_eq!(filter.matches(RECORD), matches, "{filter:?}");
    }

    #[test]
    fn every_condition_must_match() {
        check(&[], true);
        check(&["kind=settle", "seq=7"], true);
        check(&["kind=settle", "seq=8"], false);
        check(&["usage_estimated=true"], true);
        check(&["decision.route=smart=er"], true);
        check(&["attempts.status=200"], true);
        check(&["attempts.status=500"], false);
        check(&["tags=env=prod"], true);
        check(&["decision=smart"], false);
        check(&["kind.x=settle"], false);
        check(&["nothing="], false);
    }

    #[test]
    fn what_is_no_condition_is_refused() {
        for text in ["", "kind", "=x", "a..b=c", ".a=b"] {
            assert_eq!(Filter::default().and(text), Err(InvalidFilter), "{text}");
        }
    }
}
