//! Variables that overlay keys of the file: `BULKHEAD__SERVER__DRAIN_S=60` is `server.drain_s: 60`.
//!
//! The value is read as YAML, so that numbers, lists and maps can be given. A part in capitals means the key in small
//! letters; a part of a list is its number, and the number after the last adds an entry.

use super::fault::{Fault, Problem};
use super::source::Environment;
use super::tree::{Node, NodeValue, Place};
use super::yaml;

/// What the names of such variables start with.
const PREFIX: &str = "BULKHEAD__";

/// Lays every such variable over the tree and reports those that fit nowhere.
pub(super) fn lay(tree: &mut Node, environment: &Environment, faults: &mut Vec<Fault>) {
    for (name, text) in environment.starting_with(PREFIX) {
        let place = Place::Variable { name: name.to_owned(), text: text.to_owned() };
        let keys: Vec<String> = name[PREFIX.len()..].split("__").map(key).collect();
        let path = keys.join(".");
        if keys.iter().any(String::is_empty) {
            faults.push(Fault { path, place, problem: Problem::VariableName });
            continue;
        }
        let node = match yaml::parse(text) {
            Ok(node) => placed(node, &place),
            // Texts such as `*` are no YAML; they can only be meant as they stand.
            Err(_) => Node { value: NodeValue::Scalar(text.into()), place: place.clone() },
        };
        if let Err(problem) = put(tree, &keys, node) {
            faults.push(Fault { path, place, problem });
        }
    }
}

fn key(part: &str) -> String {
    if part.chars().any(|c| c.is_ascii_lowercase()) { part.to_owned() } else { part.to_ascii_lowercase() }
}

/// Everything in it comes from one variable.
fn placed(node: Node, place: &Place) -> Node {
    let value = match node.value {
        NodeValue::Scalar(value) => NodeValue::Scalar(value),
        NodeValue::List(nodes) => NodeValue::List(nodes.into_iter().map(|node| placed(node, place)).collect()),
        NodeValue::Map(entries) => {
            let entries = entries.into_iter().map(|(key, _, node)| (key, place.clone(), placed(node, place)));
            NodeValue::Map(entries.collect())
        }
    };
    Node { value, place: place.clone() }
}

/// Puts a value at a path of keys, making maps on the way.
fn put(node: &mut Node, keys: &[String], fresh: Node) -> Result<(), Problem> {
    let Some((key, rest)) = keys.split_first() else {
        *node = fresh;
        return Ok(());
    };
    match &mut node.value {
        NodeValue::Map(entries) => {
            if let Some((_, _, node)) = entries.iter_mut().find(|(known, _, _)| known == key) {
                return put(node, rest, fresh);
            }
            let place = fresh.place.clone();
            let mut below = Node { value: NodeValue::Map(Vec::new()), place: place.clone() };
            put(&mut below, rest, fresh)?;
            entries.push((key.clone(), place, below));
            Ok(())
        }
        NodeValue::List(nodes) => {
            let entries = nodes.len();
            let at = key.parse::<usize>().ok().filter(|at| *at <= entries).ok_or(Problem::VariableEntry { entries })?;
            if at == entries {
                nodes.push(Node { value: NodeValue::Map(Vec::new()), place: fresh.place.clone() });
            }
            put(&mut nodes[at], rest, fresh)
        }
        NodeValue::Scalar(_) => Err(Problem::VariableBelowValue),
    }
}
