//! The JSON Schema of the file: printed by `config schema`, and what `shape` checks by.

use serde_json::{Map, Value};

use super::raw::Raw;

/// The schema, as schemars makes it of the raw types but without `null`: a key that has no value is left out.
pub(crate) fn schema() -> Value {
    let mut schema = schemars::schema_for!(Raw).to_value();
    without_null(&mut schema);
    if let Value::Object(top) = &mut schema {
        top.insert("title".to_owned(), "bulkhead.yaml".into());
    }
    schema
}

fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(map) => {
            strip(map);
            map.values_mut().for_each(without_null);
        }
        Value::Array(list) => list.iter_mut().for_each(without_null),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// An option is written as a type beside `null`, as a choice with `null`, or with `null` among its words.
fn strip(map: &mut Map<String, Value>) {
    let is_null =
        |value: &Value| *value == "null" || value.is_null() || value.get("type").is_some_and(|t| *t == "null");
    if let Some(Value::Array(types)) = map.get_mut("type") {
        types.retain(|name| !is_null(name));
        if let [one] = &types[..] {
            let one = one.clone();
            map.insert("type".to_owned(), one);
        }
    }
    if let Some(Value::Array(words)) = map.get_mut("enum") {
        words.retain(|word| !is_null(word));
    }
    if map.get("default").is_some_and(Value::is_null) {
        map.remove("default");
    }
    if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
        choices.retain(|choice| !is_null(choice));
        if choices.len() == 1
            && let Some(Value::Object(only)) = choices.pop()
        {
            map.remove("anyOf");
            for (key, value) in only {
                map.entry(key).or_insert(value);
            }
        }
    }
}
