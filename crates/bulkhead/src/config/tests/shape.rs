//! Whatever stands in the file, reading it after `shape` cannot fail.

use serde_json::json;

use super::super::raw::Raw;
use super::super::tree::{Node, NodeValue, Place};
use super::super::{schema, shape};
use super::*;

/// Puts a value in place of the one that is `at` steps into a walk of the tree; tells whether there is one.
fn replace(tree: &mut Node, at: &mut usize, fresh: &Value) -> bool {
    if *at == 0 {
        *tree = node(fresh);
        return true;
    }
    *at -= 1;
    match &mut tree.value {
        NodeValue::Scalar(_) => false,
        NodeValue::List(list) => list.iter_mut().any(|node| replace(node, at, fresh)),
        NodeValue::Map(map) => map.iter_mut().any(|(_, _, node)| replace(node, at, fresh)),
    }
}

fn node(value: &Value) -> Node {
    let value = match value {
        Value::Array(list) => NodeValue::List(list.iter().map(node).collect()),
        Value::Object(map) => {
            NodeValue::Map(map.iter().map(|(key, value)| (key.clone(), Place::Unknown, node(value))).collect())
        }
        scalar @ (Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_)) => {
            NodeValue::Scalar(scalar.clone())
        }
    };
    Node { value, place: Place::Unknown }
}

#[test]
fn a_faulty_value_anywhere_is_told_and_the_rest_is_still_read() {
    let schema = schema();
    let full = seen(&example().text).effective;
    let bad =
        [json!(null), json!("?"), json!(""), json!(-1), json!(1.5), json!(1e300), json!(true), json!([]), json!({})];
    let (mut count, mut told) = (0, 0);
    loop {
        for value in &bad {
            let mut tree = node(&full);
            if !replace(&mut tree, &mut count.clone(), value) {
                assert!(100 < count && count * 4 < told, "{told} faults of {count} values");
                return;
            }
            let mut faults = Vec::new();
            let shaped = shape::shape(&tree, &schema, &mut faults);
            told += faults.len();
            let read = serde_json::from_value::<Raw>(shaped.value);
            assert!(read.is_ok(), "value {count} as {value}: {:?}", read.err());
        }
        count += 1;
    }
}

#[test]
fn trees_that_are_nothing_like_it_are_read_too() {
    for value in [json!(null), json!(5), json!("x"), json!([1]), json!({ "providers": 1, "tokens": [] })] {
        let mut faults = Vec::new();
        let shaped = shape::shape(&node(&value), &schema(), &mut faults);
        assert!(serde_json::from_value::<Raw>(shaped.value).is_ok() && !faults.is_empty(), "{value}");
    }
}

#[test]
fn a_file_cut_anywhere_never_panics() {
    let text = example().text;
    for (end, _) in text.char_indices().filter(|(at, _)| at % 37 == 0) {
        drop(super::super::yaml::read(&text[..end], &mut Vec::new()));
    }
}

#[test]
fn the_schema_describes_every_key_and_allows_no_null() {
    fn walk(schema: &Value, path: &str) {
        assert_ne!(schema["type"], "null", "{path}");
        let properties = schema["properties"].as_object().into_iter().flatten();
        for (key, below) in properties {
            assert!(below["description"].is_string(), "{path}.{key} is not described");
        }
        match schema {
            Value::Object(map) => map.iter().for_each(|(key, below)| walk(below, &format!("{path}/{key}"))),
            Value::Array(list) => list.iter().for_each(|below| walk(below, path)),
            Value::Null => panic!("{path} is null"),
            Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    walk(&schema(), "");
}

#[test]
fn every_number_of_the_schema_has_bounds() {
    fn walk(schema: &Value, path: &str) {
        let number = schema["type"] == "integer" || schema["type"] == "number";
        let bounded = schema["minimum"].is_number() && schema["maximum"].is_number();
        assert!(!number || bounded || schema["enum"].is_array(), "{path} has no bounds: {schema}");
        match schema {
            Value::Object(map) => map.iter().for_each(|(key, below)| walk(below, &format!("{path}/{key}"))),
            Value::Array(list) => list.iter().for_each(|below| walk(below, path)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    walk(&schema(), "");
}

#[test]
fn bounds_of_the_schema_are_those_of_the_crates() {
    let schema = schema();
    let max = |block: &str, key: &str| schema["$defs"][block]["properties"][key]["maximum"].as_u64();
    assert_eq!(max("Route", "attempts_max"), Some(u64::from(bh_base::limits::ATTEMPTS_MAX)));
    assert_eq!(max("Retry", "attempts"), Some(u64::from(bh_base::limits::ATTEMPTS_MAX) - 1));
    assert_eq!(max("Route", "total_ms"), Some(bh_policy::limits::TOTAL_MS_MAX));
    assert_eq!(max("Retry", "initial_backoff_ms"), Some(bh_policy::limits::BACKOFF_MS_MAX));
    assert_eq!(max("Limit", "rpm"), Some(bh_token::LIMIT_MAX));
    let targets = &schema["$defs"]["Route"]["properties"]["targets"]["maxItems"];
    assert_eq!(targets.as_u64(), u64::try_from(bh_policy::limits::TARGETS_PER_ROUTE_MAX).ok());
}
