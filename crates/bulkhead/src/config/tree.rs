//! The configuration as a tree that remembers where everything stood. No schema is known here.

use std::fmt;
use std::ops::Range;

use serde::de::{Error, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_saphyr::Spanned;

use super::yaml::place;

/// One value and where it was written.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub(super) value: NodeValue,
    pub(super) place: Place,
}

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// Bytes of the file.
    File(Range<usize>),
    /// An environment variable that overlays the file.
    Variable {
        /// Its name.
        name: String,
        /// Its value.
        text: String,
    },
    /// Nowhere in particular.
    Unknown,
}

/// What a value is.
#[derive(Debug, Clone)]
pub(super) enum NodeValue {
    /// Null, a boolean, a number or a text.
    Scalar(Value),
    /// A list.
    List(Vec<Node>),
    /// A map in the order of the file; keys remember their own place.
    Map(Vec<(String, Place, Node)>),
}

impl Node {
    /// The tree without its places.
    pub(super) fn plain(&self) -> Value {
        match &self.value {
            NodeValue::Scalar(value) => value.clone(),
            NodeValue::List(nodes) => nodes.iter().map(Node::plain).collect(),
            NodeValue::Map(entries) => {
                Value::Object(entries.iter().map(|(key, _, node)| (key.clone(), node.plain())).collect())
            }
        }
    }

    /// The place of a path such as `providers[0].kind`, or of the nearest thing above it. Keys may hold dots
    /// (`aliases.gpt-4.1`): at each map the longest key that fits is taken.
    pub(super) fn place_of(&self, path: &str) -> &Place {
        let rest = path.trim_start_matches('.');
        let below = match &self.value {
            NodeValue::Map(entries) => entries
                .iter()
                .filter_map(|(key, _, node)| Some((key.len(), node, after(rest, key)?)))
                .max_by_key(|(length, _, _)| *length)
                .map(|(_, node, rest)| (node, rest)),
            NodeValue::List(nodes) => rest
                .strip_prefix('[')
                .and_then(|rest| rest.split_once(']'))
                .and_then(|(at, rest)| Some((nodes.get(at.parse::<usize>().ok()?)?, rest))),
            NodeValue::Scalar(_) => None,
        };
        match below {
            Some((node, rest)) if !rest.is_empty() => node.place_of(rest),
            Some((node, _)) => &node.place,
            None => &self.place,
        }
    }
}

/// What follows a key in a path; nothing when the path goes on with other letters.
fn after<'a>(path: &'a str, key: &str) -> Option<&'a str> {
    let rest = path.strip_prefix(key)?;
    (rest.is_empty() || rest.starts_with(['.', '['])).then_some(rest)
}

impl<'de> Deserialize<'de> for Node {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let spanned = Spanned::<NodeValue>::deserialize(deserializer)?;
        Ok(Node { place: place(&spanned.referenced), value: spanned.value })
    }
}

impl<'de> Deserialize<'de> for NodeValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyNode;
        impl<'de> Visitor<'de> for AnyNode {
            type Value = NodeValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value, a list or a map")
            }

            fn visit_unit<E: Error>(self) -> Result<NodeValue, E> {
                Ok(NodeValue::Scalar(Value::Null))
            }

            fn visit_none<E: Error>(self) -> Result<NodeValue, E> {
                Ok(NodeValue::Scalar(Value::Null))
            }

            fn visit_bool<E: Error>(self, value: bool) -> Result<NodeValue, E> {
                Ok(NodeValue::Scalar(value.into()))
            }

            fn visit_u64<E: Error>(self, value: u64) -> Result<NodeValue, E> {
                Ok(NodeValue::Scalar(value.into()))
            }

            fn visit_i64<E: Error>(self, value: i64) -> Result<NodeValue, E> {
                Ok(NodeValue::Scalar(value.into()))
            }

            fn visit_f64<E: Error>(self, value: f64) -> Result<NodeValue, E> {
                Ok(NodeValue::Scalar(value.into()))
            }

            fn visit_str<E: Error>(self, value: &str) -> Result<NodeValue, E> {
                Ok(NodeValue::Scalar(value.into()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<NodeValue, A::Error> {
                let mut nodes = Vec::new();
                while let Some(node) = seq.next_element()? {
                    nodes.push(node);
                }
                Ok(NodeValue::List(nodes))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<NodeValue, A::Error> {
                let mut entries = Vec::new();
                while let Some(key) = map.next_key::<Spanned<String>>()? {
                    let at = place(&key.referenced);
                    entries.push((key.value, at, map.next_value()?));
                }
                Ok(NodeValue::Map(entries))
            }
        }
        deserializer.deserialize_any(AnyNode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: &str) {
        let text = "aliases: { a: x, gpt-4: y, gpt-4.1: z }\nlist: [{ b: 1 }, 2]\n";
        let tree = crate::config::yaml::parse(text).expect("YAML");
        let Place::File(range) = tree.place_of(path) else { panic!("{path} has no place") };
        assert!(text[range.clone()].starts_with(expected), "{path} is at {range:?}: {:?}", &text[range.clone()]);
    }

    #[test]
    fn a_path_leads_to_its_value_or_to_the_nearest_thing_above() {
        check("aliases.a", "x");
        check("aliases.gpt-4", "y");
        check("aliases.gpt-4.1", "z");
        check("list[0].b", "1");
        check("list[1]", "2");
        check("list[7]", "[");
        check("list[0].c", "{");
        check("aliases.absent", "{");
        check("aliases.a.below", "x");
    }
}
