//! The tree against the schema: every value's type, words and bounds, every key known and every required one there.
//!
//! All faults are found, not the first. What is faulty is replaced by a value of the right shape, so that the rest can
//! be read and checked as well; [`Shaped::broken`] says where, so that nothing is said about those values again.

use std::ops::Range;

use serde_json::{Map, Value};

use super::fault::{Fault, Problem, nearest};
use super::tree::{Node, NodeValue, Place};
use super::words::{NOT_BUILT, USD, dollars};

/// A value of the schema's shape.
pub(super) struct Shaped {
    /// Reading it as the schema's type cannot fail.
    pub(super) value: Value,
    /// Paths at which it holds stand-ins.
    pub(super) broken: Vec<String>,
    /// Bytes of the file that may be secrets written where none belongs; they are never shown.
    pub(super) hidden: Vec<Range<usize>>,
}

/// Checks a tree. Faults are added in the order of the tree.
pub(super) fn shape(tree: &Node, schema: &Value, faults: &mut Vec<Fault>) -> Shaped {
    let mut walk = Walk { root: schema, faults, broken: Vec::new(), hidden: Vec::new() };
    let value = walk.value(tree, schema, "").unwrap_or_else(|| walk.stand_in(schema));
    Shaped { value, broken: walk.broken, hidden: walk.hidden }
}

struct Walk<'a> {
    root: &'a Value,
    faults: &'a mut Vec<Fault>,
    broken: Vec<String>,
    hidden: Vec<Range<usize>>,
}

impl<'a> Walk<'a> {
    /// The value, or nothing after a fault of the whole of it.
    fn value(&mut self, node: &Node, schema: &'a Value, path: &str) -> Option<Value> {
        let schema = self.resolve(schema);
        if schema[NOT_BUILT] == true {
            return self.fault(path, &node.place, Problem::NotBuilt);
        }
        if schema["format"] == USD {
            return self.usd(node, path);
        }
        let types = schema["type"].as_str().unwrap_or_default();
        match (types, &node.value) {
            ("object", NodeValue::Map(entries)) => Some(self.map(node, entries, schema, path)),
            ("array", NodeValue::List(nodes)) => self.list(node, nodes, schema, path),
            ("string", NodeValue::Scalar(Value::String(text))) => self.text(node, text, schema, path),
            ("string", NodeValue::Scalar(Value::Number(_) | Value::Bool(_))) => match &node.place {
                // A variable has no quotes that could say a number is meant as text.
                Place::Variable { text, .. } => self.text(node, text, schema, path),
                Place::File(_) | Place::Unknown => self.wrong_type(node, "a text", path),
            },
            ("integer" | "number", NodeValue::Scalar(value @ Value::Number(number))) => {
                if types == "integer" && !number.is_u64() && !number.is_i64() {
                    return self.wrong_type(node, "a whole number", path);
                }
                self.number(node, value, schema, path)
            }
            ("boolean", NodeValue::Scalar(value @ Value::Bool(_))) => Some(value.clone()),
            (types, _) => self.wrong_type(node, named(types), path),
        }
    }

    fn map(&mut self, node: &Node, entries: &[(String, Place, Node)], schema: &'a Value, path: &str) -> Value {
        let known = schema["properties"].as_object();
        let free = schema.get("additionalProperties").filter(|schema| schema.is_object());
        let mut map = Map::new();
        for (key, key_place, below) in entries {
            let path = join(path, key);
            if key == "headers" {
                self.hide(below);
            }
            let Some(expected) = known.and_then(|known| known.get(key)).or(free) else {
                let names = || known.into_iter().flat_map(|known| known.iter()).filter(|(_, s)| s[NOT_BUILT] != true);
                let known: Vec<String> = names().map(|(name, _)| name.clone()).collect();
                let near = nearest(key, known.iter().map(String::as_str));
                self.hide(below);
                self.faults.push(Fault {
                    path,
                    place: key_place.clone(),
                    problem: Problem::UnknownKey { near, known },
                });
                continue;
            };
            // A key that is refused whatever its value is pointed at, not its value.
            let not_built = self.resolve(expected)[NOT_BUILT] == true;
            if not_built {
                self.fault::<()>(&path, key_place, Problem::NotBuilt);
            } else if let Some(value) = self.value(below, expected, &path) {
                map.insert(key.clone(), value);
            }
        }
        for required in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if map.contains_key(required) {
                continue;
            }
            let expected = &schema["properties"][required];
            let path = join(path, required);
            if !entries.iter().any(|(key, _, _)| key == required) {
                let meaning = expected["description"].as_str().unwrap_or("required").trim_end_matches('.').to_owned();
                self.fault::<()>(&path, &node.place, Problem::Missing { meaning });
            }
            map.insert(required.to_owned(), self.stand_in(expected));
        }
        Value::Object(map)
    }

    fn list(&mut self, node: &Node, nodes: &[Node], schema: &'a Value, path: &str) -> Option<Value> {
        self.length(node, Length::of_list(nodes, schema), path)?;
        let items = &schema["items"];
        let mut list = Vec::with_capacity(nodes.len());
        for (at, below) in nodes.iter().enumerate() {
            let value = self.value(below, items, &format!("{path}[{at}]"));
            // Entries keep their number, because the faults of later ones name it.
            list.push(value.unwrap_or_else(|| self.stand_in(items)));
        }
        Some(Value::Array(list))
    }

    fn text(&mut self, node: &Node, text: &str, schema: &'a Value, path: &str) -> Option<Value> {
        if let Some(words) = schema["enum"].as_array() {
            let known: Vec<String> = words.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            if !known.iter().any(|word| word == text) {
                let not_built = schema[NOT_BUILT].as_array().is_some_and(|words| words.iter().any(|word| word == text));
                let near = nearest(text, known.iter().map(String::as_str));
                let problem = if not_built {
                    Problem::WordNotBuilt { word: text.to_owned(), known }
                } else {
                    Problem::Word { found: format!("`{text}`"), near, known }
                };
                return self.fault(path, &node.place, problem);
            }
        }
        self.length(node, Length::of_text(text, schema), path)?;
        Some(text.into())
    }

    fn number(&mut self, node: &Node, value: &Value, schema: &'a Value, path: &str) -> Option<Value> {
        if let Some(words) = schema["enum"].as_array()
            && !words.contains(value)
        {
            let known = words.iter().map(Value::to_string).collect();
            return self.fault(path, &node.place, Problem::Word { found: value.to_string(), near: None, known });
        }
        let (min, max) = (&schema["minimum"], &schema["maximum"]);
        let below = min.as_f64().is_some_and(|min| value.as_f64() < Some(min));
        let above = max.as_f64().is_some_and(|max| Some(max) < value.as_f64());
        if below || above {
            let max = if max.is_null() { u64::MAX.to_string() } else { plain(max) };
            let (min, found) = (plain(min), value.to_string());
            return self.fault(path, &node.place, Problem::Range { min, max, unit: unit(path), found });
        }
        Some(value.clone())
    }

    fn usd(&mut self, node: &Node, path: &str) -> Option<Value> {
        let NodeValue::Scalar(value @ (Value::Number(_) | Value::String(_))) = &node.value else {
            return self.wrong_type(node, "dollars such as 5 or \"0.25\"", path);
        };
        match dollars(value) {
            Ok(_) => Some(value.clone()),
            Err(invalid) => self.fault(path, &node.place, Problem::Money(invalid)),
        }
    }

    fn length(&mut self, node: &Node, Length { min, max, of, found }: Length, path: &str) -> Option<()> {
        if (min..=max).contains(&found) {
            return Some(());
        }
        let problem = if found == 0 { Problem::Empty } else { Problem::Length { min, max, of, found } };
        self.fault::<()>(path, &node.place, problem)
    }

    fn wrong_type<T>(&mut self, node: &Node, expected: &'static str, path: &str) -> Option<T> {
        if path.ends_with(".secret") {
            self.hide(node);
            return self.fault(path, &node.place, Problem::SecretInPlace);
        }
        let found = match &node.value {
            NodeValue::Scalar(Value::Null) => "nothing".to_owned(),
            NodeValue::Scalar(Value::String(text)) => format!("the text `{text}`"),
            NodeValue::Scalar(value) => value.to_string(),
            NodeValue::List(_) => "a list".to_owned(),
            NodeValue::Map(_) => "a map of keys".to_owned(),
        };
        self.fault(path, &node.place, Problem::Type { expected, found })
    }

    fn fault<T>(&mut self, path: &str, place: &Place, problem: Problem) -> Option<T> {
        self.faults.push(Fault { path: path.to_owned(), place: place.clone(), problem });
        self.broken.push(path.to_owned());
        None
    }

    fn hide(&mut self, node: &Node) {
        match &node.value {
            NodeValue::Scalar(_) => {
                if let Place::File(range) = &node.place {
                    self.hidden.push(range.clone());
                }
            }
            NodeValue::List(nodes) => nodes.iter().for_each(|node| self.hide(node)),
            NodeValue::Map(entries) => entries.iter().for_each(|(_, _, node)| self.hide(node)),
        }
    }

    fn resolve(&self, schema: &'a Value) -> &'a Value {
        match schema["$ref"].as_str().and_then(|name| name.strip_prefix("#/$defs/")) {
            Some(name) => &self.root["$defs"][name],
            None => schema,
        }
    }

    /// A value that can be read where a faulty one stood.
    fn stand_in(&self, schema: &'a Value) -> Value {
        let schema = self.resolve(schema);
        if let Some(word) = schema["enum"].as_array().and_then(|words| words.first()) {
            return word.clone();
        }
        if schema["format"] == USD {
            return 0.into();
        }
        match schema["type"].as_str() {
            Some("object") => {
                let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
                let entries = required.map(|key| (key.to_owned(), self.stand_in(&schema["properties"][key])));
                Value::Object(entries.collect())
            }
            Some("array") => Value::Array(Vec::new()),
            Some("string") => "".into(),
            Some("integer" | "number") => schema.get("minimum").cloned().unwrap_or(0.into()),
            Some("boolean") => false.into(),
            Some(_) | None => Value::Null,
        }
    }
}

/// How long a text or list is, and how long it may be.
struct Length {
    min: u64,
    max: u64,
    of: &'static str,
    found: u64,
}

impl Length {
    fn of_list(nodes: &[Node], schema: &Value) -> Self {
        Self::new(nodes.len(), "entries", &schema["minItems"], &schema["maxItems"])
    }

    fn of_text(text: &str, schema: &Value) -> Self {
        Self::new(text.chars().count(), "characters", &schema["minLength"], &schema["maxLength"])
    }

    fn new(found: usize, of: &'static str, min: &Value, max: &Value) -> Self {
        let found = u64::try_from(found).unwrap_or(u64::MAX);
        Length { min: min.as_u64().unwrap_or(0), max: max.as_u64().unwrap_or(u64::MAX), of, found }
    }
}

fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}

fn named(types: &str) -> &'static str {
    match types {
        "object" => "a map of keys",
        "array" => "a list",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "a text",
    }
}

/// Whole bounds are shown without a point.
fn plain(number: &Value) -> String {
    match number.as_f64() {
        Some(float) => float.to_string(),
        None => "0".to_owned(),
    }
}

/// Keys say their unit at their end.
fn unit(path: &str) -> &'static str {
    for (end, unit) in [("_ms", " milliseconds"), ("_s", " seconds"), ("_h", " hours"), ("bytes_max", " bytes")] {
        if path.ends_with(end) {
            return unit;
        }
    }
    ""
}
