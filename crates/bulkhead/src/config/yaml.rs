//! YAML text to tree. What is no YAML is one fault, because nothing after it can be trusted.

use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Error, Location, Options};

use super::fault::{Fault, Problem};
use super::tree::{Node, NodeValue, Place};

/// Deepest nesting of a configuration.
const DEPTH_MAX: usize = 32;

/// Reads text. A key that is given twice is a fault beside a tree (of the first), anything else one instead of it.
pub(super) fn read(text: &str, faults: &mut Vec<Fault>) -> Option<Node> {
    let error = match parse(text) {
        Ok(node) => return Some(node),
        Err(error) => error,
    };
    let place = error.location().map_or(Place::Unknown, |location| place_in(text, &location));
    if let Error::DuplicateMappingKey { key, .. } = error.without_snippet() {
        let path = key.clone().unwrap_or_default();
        faults.push(Fault { path, place, problem: Problem::Twice });
        return with(text, DuplicateKeyPolicy::FirstWins).ok();
    }
    let said = error.without_snippet().to_string();
    // The place is told apart.
    let said = said.rsplit_once(" at line ").map_or(said.as_str(), |(said, _)| said).to_owned();
    faults.push(Fault { path: String::new(), place, problem: Problem::NotYaml { said } });
    None
}

/// Reads text that repeats no key.
pub(super) fn parse(text: &str) -> Result<Node, Error> {
    with(text, DuplicateKeyPolicy::Error)
}

/// The bytes of a location, at least one.
pub(super) fn place(location: &Location) -> Place {
    match location.span().byte_offset().and_then(|start| usize::try_from(start).ok()) {
        Some(start) => {
            let length = location.span().byte_len().and_then(|length| usize::try_from(length).ok()).unwrap_or(1);
            Place::File(start..start + length.max(1))
        }
        None => Place::Unknown,
    }
}

/// As [`place`]; what the scanner refuses has a line and a column only.
fn place_in(text: &str, location: &Location) -> Place {
    let known = place(location);
    let line = usize::try_from(location.line()).ok().and_then(|line| line.checked_sub(1));
    let (Place::Unknown, Some(line)) = (&known, line) else { return known };
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let column = usize::try_from(location.column()).unwrap_or(1).saturating_sub(1);
    let before: usize = text[start..].chars().take(column).map(char::len_utf8).sum();
    Place::File(start + before..start + before + 1)
}

fn with(text: &str, duplicate_keys: DuplicateKeyPolicy) -> Result<Node, Error> {
    let options: Options = serde_saphyr::options! {
        // Before anything recurses over it.
        budget: serde_saphyr::budget! { max_depth: DEPTH_MAX },
        duplicate_keys: duplicate_keys,
        // `on` and `yes` are names of models and tags here, as in YAML 1.2.
        strict_booleans: true,
        with_snippet: false,
    };
    let node = serde_saphyr::from_str_with_options::<Option<Node>>(text, options)?;
    Ok(node.unwrap_or(Node { value: NodeValue::Map(Vec::new()), place: Place::Unknown }))
}
