//! The bound of a hold against what providers really billed: it is never below.
//!
//! The prompt's size is taken from the recorded JSON in a way of its own, deliberately smaller than what the gateway
//! finds: strings only, no keys, no punctuation.

#![expect(clippy::print_stdout, reason = "a skipped test says so, and each recording how it was taken")]

use std::fs;
use std::path::{Path, PathBuf};

use bh_base::{PromptSize, Unbounded, Usage};
use bh_catalog::{Ask, Catalog, Model, Terms, bound, cost};
use serde_json::Value;

/// The folder of recordings beside the repository, if this machine has it.
fn shared(folder: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared").join(folder);
    if path.exists() {
        return Some(path);
    }
    println!("skipped: {} is not here", path.display());
    None
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Adds one string that the model reads.
fn add_text(size: &mut PromptSize, text: &str) {
    size.text_bytes += text.len() as u64;
    size.non_ascii_bytes +=
        text.chars().filter(|letter| !letter.is_ascii()).map(|letter| letter.len_utf8() as u64).sum::<u64>();
}

/// Adds every string of a message, tool or schema; notes what has no text of its own.
fn add_strings(size: &mut PromptSize, value: &Value) {
    match value {
        Value::String(text) => add_text(size, text),
        Value::Array(items) => items.iter().for_each(|item| add_strings(size, item)),
        Value::Object(fields) => {
            match text(value, "type") {
                "image" | "image_url" => return add_image(size, value),
                "document" | "file" if text(&value["source"], "type") != "text" => {
                    size.unbounded = Some(Unbounded::Document);
                }
                "input_audio" => size.unbounded = Some(Unbounded::Audio),
                _ => {}
            }
            size.features += u64::from(value["citations"]["enabled"] == true);
            fields.values().for_each(|field| add_strings(size, field));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn add_image(size: &mut PromptSize, part: &Value) {
    size.images += 1;
    let url = part["image_url"].as_str().unwrap_or_else(|| text(&part["image_url"], "url"));
    if url.starts_with("http") || text(&part["source"], "type") == "url" {
        size.unbounded = Some(Unbounded::RemoteUrl);
    }
}

/// A tool the provider runs has a dated type (Anthropic) or one of its own (OpenAI).
fn is_server_tool(tool: &Value) -> bool {
    !["", "function", "custom"].contains(&text(tool, "type"))
}

/// What a recorded request's prompt measures.
fn measure(body: &Value) -> PromptSize {
    let mut size = PromptSize::default();
    for message in body["messages"].as_array().into_iter().flatten() {
        size.messages += 1;
        add_strings(&mut size, message);
    }
    if !body["system"].is_null() {
        size.messages += 1;
        add_strings(&mut size, &body["system"]);
    }
    for tool in ["tools", "functions"].iter().filter_map(|key| body[*key].as_array()).flatten() {
        size.tools += 1;
        add_strings(&mut size, tool);
        if is_server_tool(tool) {
            size.unbounded = Some(Unbounded::ServerTool);
        }
    }
    for key in ["response_format", "output_format"] {
        size.features += u64::from(text(&body[key], "type") == "json_schema");
        add_strings(&mut size, &body[key]);
    }
    size.features += u64::from(!body["output_config"]["task_budget"].is_null());
    if !body["web_search_options"].is_null() {
        size.unbounded = Some(Unbounded::ServerTool);
    }
    size.cache_writes = body.to_string().contains("cache_control");
    size
}

/// Every JSON document of an answer: its body, or its events.
fn documents(response: &Value) -> Vec<Value> {
    match response["sse"].as_str() {
        None => [&response["body"], &response["json"]].into_iter().filter(|body| !body.is_null()).cloned().collect(),
        Some(stream) => {
            stream.lines().filter_map(|line| serde_json::from_str(line.strip_prefix("data:")?.trim()).ok()).collect()
        }
    }
}

/// What was billed: the largest total of each bucket over the answer's usages, which are cumulative.
fn billed(response: &Value) -> Option<Usage> {
    let mut usage = Usage::default();
    let mut any = false;
    for document in documents(response) {
        for found in [&document["usage"], &document["message"]["usage"]].into_iter().filter(|usage| usage.is_object()) {
            any = true;
            let count = |path: &str| found.pointer(path).and_then(Value::as_u64).unwrap_or_default();
            let openai_cached = count("/prompt_tokens_details/cached_tokens");
            let openai_written = count("/prompt_tokens_details/cache_write_tokens");
            let long = count("/cache_creation/ephemeral_1h_input_tokens");
            let reasoning = count("/completion_tokens_details/reasoning_tokens");
            let raise = |bucket: &mut u64, count: u64| *bucket = (*bucket).max(count);
            raise(&mut usage.input_uncached, count("/input_tokens"));
            raise(&mut usage.input_uncached, count("/prompt_tokens").saturating_sub(openai_cached + openai_written));
            raise(&mut usage.cache_read, count("/cache_read_input_tokens").max(openai_cached));
            raise(&mut usage.cache_write_1h, long);
            raise(
                &mut usage.cache_write_5m,
                count("/cache_creation_input_tokens").saturating_sub(long).max(openai_written),
            );
            raise(
                &mut usage.output,
                count("/output_tokens").max(count("/completion_tokens").saturating_sub(reasoning)),
            );
            raise(&mut usage.reasoning, reasoning);
            raise(&mut usage.web_searches, count("/server_tool_use/web_search_requests"));
        }
    }
    any.then_some(usage)
}

fn max_output(body: &Value) -> Option<u64> {
    ["max_completion_tokens", "max_tokens"].iter().find_map(|key| body[*key].as_u64())
}

/// What a recording showed.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Held,
    Refused(Unbounded),
    NoUsage,
    NoModel,
}

/// Checks one recording: its bound, if it has one, is at least its usage in prompt tokens, answer tokens and dollars.
fn check(catalog: &Catalog, path: &Path) -> Seen {
    let recording: Value = serde_json::from_slice(&fs::read(path).expect("readable")).expect("a JSON document");
    let (case, body) = (text(&recording, "case"), &recording["request"]["body"]);
    let Some(usage) = billed(&recording["response"]) else { return Seen::NoUsage };
    let (kind, model) = (text(&recording, "provider"), text(body, "model"));
    let Some(model) = catalog.find(kind, model) else { return Seen::NoModel };
    let choices = body["n"].as_u64().map_or(1, |choices| u32::try_from(choices).expect("a handful"));
    for terms in [None, Some(Terms::default())] {
        let ask = Ask { max_output: max_output(body), choices, terms };
        let bound = match bound(model, &measure(body), &ask) {
            Ok(bound) => bound,
            Err(reason) => return Seen::Refused(reason),
        };
        assert!(usage.prompt_tokens() <= bound.input_upper, "{case}: {usage:?} {bound:?}");
        assert!(usage.answer_tokens() <= bound.output_upper, "{case}: {usage:?} {bound:?}");
        let cost = cost(&model.prices, &usage, Terms::default());
        assert!(cost <= bound.cost, "{case}: {cost} > {}", bound.cost);
    }
    Seen::Held
}

/// Checks every recording of a folder of `../shared/recordings`, of which at least so many must have a bound.
fn check_folder(folder: &str, held_min: usize) {
    let Some(folder) = shared(&format!("recordings/{folder}")) else { return };
    let catalog = Catalog::builtin();
    let mut held = 0;
    for entry in fs::read_dir(&folder).expect("it exists") {
        let path = entry.expect("readable").path();
        let seen = check(&catalog, &path);
        println!("{seen:?}: {}", path.display());
        held += usize::from(seen == Seen::Held);
    }
    assert!(held_min <= held, "only {held} of {} were bounded", folder.display());
}

#[test]
fn no_recorded_call_of_openai_cost_more_than_its_bound() {
    check_folder("openai/chat_completions", 16);
}

#[test]
fn no_recorded_call_of_anthropic_cost_more_than_its_bound() {
    check_folder("anthropic/messages", 12);
}

#[test]
fn no_recorded_call_of_others_cost_more_than_its_bound() {
    for (provider, held_min) in [("groq", 4), ("deepseek", 5), ("mistral", 8), ("zai", 2)] {
        check_folder(&format!("{provider}/chat_completions"), held_min);
    }
}

#[test]
fn no_recorded_conversation_had_more_tokens_than_its_bound() {
    let Some(path) = shared("tokens/recorded_input_tokens.jsonl") else { return };
    let catalog = Catalog::builtin();
    let kinds = ["openai", "anthropic", "groq", "deepseek", "mistral", "azure"];
    let mut checked = 0;
    for line in fs::read_to_string(path).unwrap().lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        let kind = text(&row, "provider");
        let Some(model) = find_any(&catalog, kind, &row).filter(|_| kinds.contains(&kind)) else { continue };
        let mut size = measure(&row);
        if HIDDEN.iter().any(|hidden| text(&row, "source").contains(hidden)) {
            // The table leaves out what the request had beside its messages; see `HIDDEN`.
            size.tools += 1;
            size.features += 1;
        }
        let tokens = row["recorded_input_tokens"].as_u64().unwrap();
        let upper = size.tokens_upper(&model.overheads).unwrap();
        assert!(tokens <= upper, "{tokens} > {upper}: {row}");
        checked += 1;
    }
    println!("{checked} conversations checked");
    assert!(150 <= checked);
}

/// Sources whose requests had a tool or an answer shape that the table of conversations does not carry.
const HIDDEN: [&str; 2] = ["chat_completion_tool_call", "structured_outputs"];

fn find_any<'a>(catalog: &'a Catalog, kind: &str, row: &Value) -> Option<&'a Model> {
    ["served_model", "model"].into_iter().find_map(|key| catalog.find(kind, text(row, key)))
}
