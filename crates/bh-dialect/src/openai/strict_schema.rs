//! Which schemas OpenAI can promise to meet.

use bh_chat::Json;
use serde_json::{Map, Value};

/// Whether a schema is in the subset that OpenAI's strict mode takes: every object names all its properties as
/// required and allows no others.
pub(super) fn fits_strict(schema: &Json) -> bool {
    serde_json::from_str::<Value>(schema.as_str()).is_ok_and(|value| fits(&value))
}

fn fits(schema: &Value) -> bool {
    match schema {
        Value::Object(fields) => closed(fields) && fields.values().all(fits),
        Value::Array(list) => list.iter().all(fits),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
    }
}

/// Holds for anything that is not an object's schema.
fn closed(schema: &Map<String, Value>) -> bool {
    let is_object = schema.get("type").and_then(Value::as_str) == Some("object");
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
        return !is_object || schema.get("additionalProperties") == Some(&Value::Bool(false));
    };
    let required = schema.get("required").and_then(Value::as_array);
    let named = |name: &String| required.is_some_and(|list| list.iter().any(|one| one.as_str() == Some(name)));
    let all = properties.keys().all(named);
    // A property may itself be called `properties`: then its fields are schemas, not lists of names.
    !is_object || all && schema.get("additionalProperties") == Some(&Value::Bool(false))
}
