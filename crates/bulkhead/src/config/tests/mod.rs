//! The configuration from its text to its faults.

mod contract;
mod faults;
mod shape;
mod values;

use std::path::{Path, PathBuf};

use serde_json::Value;

use super::{Environment, Faults, Loaded, Overview, Source, load, overview};

/// Enough to be put in force.
const SMALL: &str = "\
tokens: { issuers: [{ kid: main, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo }] }
providers: [{ id: echo, kind: echo }]
";

fn source(text: &str) -> Source {
    Source { path: PathBuf::from("/nowhere/bulkhead.yaml"), text: text.to_owned() }
}

fn loaded(text: &str) -> Result<Loaded, Faults> {
    load(&source(text), &Environment::default())
}

fn seen(text: &str) -> Overview {
    overview(&source(text), &Environment::default(), false).unwrap_or_else(|faults| panic!("{faults}\n{text}"))
}

fn told(text: &str) -> String {
    loaded(text).map(drop).expect_err("faulty").to_string()
}

fn example() -> Source {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/bulkhead.example.yaml");
    Source::read(&path).expect("the example is there")
}

/// `SMALL` with one key more or changed.
fn with(path: &str, value: Value) -> String {
    let tree = super::yaml::parse(SMALL).expect("YAML");
    let mut root = tree.plain();
    let mut at = &mut root;
    for step in path.split('.') {
        at = match step.strip_prefix('#').and_then(|step| step.parse::<usize>().ok()) {
            Some(entry) => {
                if at.is_null() {
                    *at = Value::Array(Vec::new());
                }
                let list = at.as_array_mut().expect("a list");
                list.resize(list.len().max(entry + 1), Value::Null);
                &mut list[entry]
            }
            None => &mut at[step],
        };
    }
    *at = value;
    root.to_string()
}
