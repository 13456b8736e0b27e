//! Makes a value that fits a JSON schema: the arguments of an echoed tool call, and structured answers.
//!
//! The same schema and text always give the same value. What a schema asks in words a machine cannot fill (patterns,
//! conditions) is not looked at.

use serde_json::{Map, Number, Value};

/// Deepest value that is made; below it every value is null.
const DEPTH_MAX: usize = 16;
/// Most values made for one schema; references may fan out.
const NODES_MAX: usize = 1024;
/// Most items or characters made because a schema asks for at least so many.
const FILL_MAX: u64 = 64;
/// Longest piece of the user's text used as a string, in bytes.
const TEXT_BYTES_MAX: usize = 64;

/// A value for `schema`; strings carry the beginning of `text`.
pub(crate) fn instance(schema: &Value, text: &str) -> Value {
    let text = super::answer::truncated(text, TEXT_BYTES_MAX);
    Maker { root: schema, text, nodes_left: NODES_MAX }.make(schema, 0)
}

struct Maker<'a> {
    root: &'a Value,
    text: &'a str,
    nodes_left: usize,
}

impl<'a> Maker<'a> {
    fn make(&mut self, schema: &'a Value, depth: usize) -> Value {
        if DEPTH_MAX <= depth || self.nodes_left == 0 {
            return Value::Null;
        }
        self.nodes_left -= 1;
        for fixed in ["const", "default"] {
            if let Some(value) = schema.get(fixed) {
                return value.clone();
            }
        }
        if let Some(first) = schema.get("enum").and_then(Value::as_array).and_then(|values| values.first()) {
            return first.clone();
        }
        if let Some(target) = schema.get("$ref").and_then(Value::as_str) {
            let found = target.strip_prefix('#').and_then(|pointer| self.root.pointer(pointer));
            return found.map_or(Value::Null, |found| self.make(found, depth + 1));
        }
        for choice in ["anyOf", "oneOf", "allOf"] {
            let first = schema.get(choice).and_then(Value::as_array).and_then(|options| options.first());
            if let Some(option) = first {
                return self.make(option, depth + 1);
            }
        }
        self.make_typed(schema, depth)
    }

    fn make_typed(&mut self, schema: &'a Value, depth: usize) -> Value {
        match type_of(schema) {
            "object" => self.object(schema, depth),
            "array" => self.array(schema, depth),
            "string" => Value::String(self.string(schema)),
            "integer" => Value::Number(least(schema).unwrap_or_else(|| Number::from(1))),
            "number" => Value::Number(least(schema).or_else(|| Number::from_f64(1.5)).expect("1.5 is a JSON number")),
            "boolean" => Value::Bool(true),
            _ => Value::Null,
        }
    }

    fn object(&mut self, schema: &'a Value, depth: usize) -> Value {
        let properties = schema.get("properties").and_then(Value::as_object).into_iter().flatten();
        let mut made = Map::new();
        for (name, property) in properties {
            if self.nodes_left == 0 {
                break;
            }
            made.insert(name.clone(), self.make(property, depth + 1));
        }
        Value::Object(made)
    }

    fn array(&mut self, schema: &'a Value, depth: usize) -> Value {
        let wanted = schema.get("minItems").and_then(Value::as_u64).unwrap_or(1).clamp(1, FILL_MAX);
        let Some(items) = schema.get("items").filter(|items| items.is_object()) else {
            return Value::Array(Vec::new());
        };
        Value::Array((0..wanted).map_while(|_| (0 < self.nodes_left).then(|| self.make(items, depth + 1))).collect())
    }

    fn string(&self, schema: &Value) -> String {
        let formatted = match schema.get("format").and_then(Value::as_str).unwrap_or("") {
            "date" => "2025-01-31",
            "date-time" => "2025-01-31T12:00:00Z",
            "time" => "12:00:00Z",
            "email" => "echo@example.com",
            "uri" | "url" => "https://example.com/echo",
            "uuid" => "00000000-0000-4000-8000-000000000000",
            _ => "",
        };
        if !formatted.is_empty() {
            return formatted.to_owned();
        }
        let mut made = if self.text.is_empty() { "echo".to_owned() } else { self.text.to_owned() };
        if let Some(max) = schema.get("maxLength").and_then(Value::as_u64).and_then(|max| usize::try_from(max).ok()) {
            made = made.chars().take(max).collect();
        }
        let min = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0).min(FILL_MAX);
        while (made.chars().count() as u64) < min {
            made.push('o');
        }
        made
    }
}

/// The first type a schema allows, or the one its keywords imply.
fn type_of(schema: &Value) -> &str {
    let declared = schema.get("type");
    let first = declared.and_then(Value::as_array).and_then(|types| types.first());
    match declared.and_then(Value::as_str).or_else(|| first.and_then(Value::as_str)) {
        Some(name) => name,
        None if schema.get("properties").is_some() => "object",
        None if schema.get("items").is_some() => "array",
        None => "",
    }
}

fn least(schema: &Value) -> Option<Number> {
    schema.get("minimum").and_then(Value::as_number).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(schema: &Value, want: &Value) {
        assert_eq!(&instance(schema, "Paris"), want, "{schema}");
    }

    #[test]
    fn each_type_gets_a_value_that_fits() {
        check(
            &json!({"type": "object", "properties": {
                "city": {"type": "string"}, "days": {"type": "integer", "minimum": 3}, "metric": {"type": "boolean"},
                "unit": {"enum": ["C", "F"]}, "when": {"type": "string", "format": "date"},
                "tags": {"type": "array", "items": {"type": "string", "maxLength": 2}, "minItems": 2},
            }}),
            &json!({"city": "Paris", "days": 3, "metric": true, "unit": "C", "when": "2025-01-31", "tags": ["Pa", "Pa"]}),
        );
        check(&json!({"type": ["string", "null"], "minLength": 7}), &json!("Parisoo"));
        check(&json!({"anyOf": [{"type": "number"}, {"type": "null"}]}), &json!(1.5));
        check(&json!({}), &Value::Null);
    }

    #[test]
    fn a_reference_is_followed_within_the_schema() {
        check(&json!({"$ref": "#/$defs/a", "$defs": {"a": {"const": 7}}}), &json!(7));
        check(&json!({"$ref": "#/missing"}), &Value::Null);
    }

    #[test]
    fn a_schema_that_contains_itself_ends() {
        let tree = json!({"$ref": "#/$defs/n", "$defs": {"n": {"type": "object", "properties": {
            "a": {"$ref": "#/$defs/n"}, "b": {"$ref": "#/$defs/n"}, "c": {"type": "array", "minItems": 64, "items": {"$ref": "#/$defs/n"}},
        }}}});
        assert!(instance(&tree, "x").to_string().len() < 64 * NODES_MAX);
    }
}
