//! Counts against the reference tokenizer's, and against what OpenAI billed for plain conversations.

#![expect(clippy::print_stdout, reason = "a skipped test says so")]

use std::fs;
use std::path::Path;

use bh_count::{ChatMessage, Encoding, chat_tokens, count_text, estimate_from_bytes, warm};
use serde_json::Value;

/// The lines of a file beside the repository, if this machine has it.
fn shared(file: &str) -> Option<Vec<Value>> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/tokens").join(file);
    let Ok(text) = fs::read_to_string(&path) else {
        println!("skipped: {} is not here", path.display());
        return None;
    };
    Some(text.lines().map(|line| serde_json::from_str(line).expect("a JSON document per line")).collect())
}

#[test]
fn counts_are_the_reference_tokenizers() {
    warm();
    let Some(rows) = shared("tiktoken_counts.jsonl") else { return };
    assert!(400 <= rows.len());
    for row in rows {
        let text = row["text"].as_str().unwrap();
        for encoding in [Encoding::O200k, Encoding::Cl100k] {
            assert_eq!(row[encoding.as_str()].as_u64(), Some(count_text(encoding, text)), "{encoding:?} {text:?}");
            assert!(count_text(encoding, text) <= text.len() as u64, "a byte makes at most one token: {text:?}");
        }
    }
}

#[test]
fn known_texts_have_known_counts() {
    for (text, o200k, cl100k) in [("", 0, 0), ("Hello, world!", 4, 4), ("日本語のテキストをトークン化する。", 13, 16)]
    {
        assert_eq!(count_text(Encoding::O200k, text), o200k, "{text:?}");
        assert_eq!(count_text(Encoding::Cl100k, text), cl100k, "{text:?}");
    }
    assert!(1 < count_text(Encoding::O200k, "<|endoftext|>"), "a client's text never becomes a control token");
}

#[test]
fn an_encoding_goes_with_a_model_of_openai_only() {
    for (model, encoding) in [
        ("gpt-3.5-turbo-0125", Some(Encoding::Cl100k)),
        ("gpt-4", Some(Encoding::Cl100k)),
        ("gpt-4-turbo-2024-04-09", Some(Encoding::Cl100k)),
        ("gpt-4o-mini", Some(Encoding::O200k)),
        ("gpt-4.1-nano", Some(Encoding::O200k)),
        ("chatgpt-4o-latest", Some(Encoding::O200k)),
        ("o4-mini", Some(Encoding::O200k)),
        ("gpt-5.4", Some(Encoding::O200k)),
        ("openai/gpt-oss-120b", Some(Encoding::O200k)),
        ("ft:gpt-3.5-turbo-0125:acme::x", Some(Encoding::Cl100k)),
        ("ft:gpt-4o-2024-08-06:acme::x", Some(Encoding::O200k)),
        ("claude-sonnet-4-5", None),
        ("ollama", None),
        ("", None),
    ] {
        assert_eq!(Encoding::for_model(model), encoding, "{model}");
    }
}

#[test]
fn an_estimate_is_a_quarter_of_the_bytes_rounded_up() {
    for (bytes, tokens) in [(0, 0), (1, 1), (4, 1), (5, 2), (u64::MAX, 1 << 62)] {
        assert_eq!(estimate_from_bytes(bytes), tokens);
    }
}

/// The messages of a recorded conversation, if they are text and nothing else.
fn messages(row: &Value) -> Option<Vec<ChatMessage<'_>>> {
    let message = |message: &'_ Value| message["role"].is_string() && message["content"].is_string();
    let list = row["messages"].as_array().filter(|list| row["system"].is_null() && list.iter().all(message))?;
    Some(
        list.iter()
            .map(|message| ChatMessage {
                role: message["role"].as_str().unwrap_or_default(),
                text: message["content"].as_str().unwrap_or_default(),
                name: message["name"].as_str(),
            })
            .collect(),
    )
}

/// Conversations whose bill has more in it than messages: audio and search models frame a prompt their own way, and
/// one request had a tool that the table of conversations does not carry.
fn is_plain(model: &str, row: &Value) -> bool {
    let tool = row["source"].as_str().is_some_and(|source| source.contains("chat_completion_tool_call"));
    !model.contains("audio") && !model.contains("search") && !tool
}

#[test]
fn plain_conversations_count_as_openai_billed_them() {
    let Some(rows) = shared("recorded_input_tokens.jsonl") else { return };
    let mut checked = 0;
    for row in rows.iter().filter(|row| row["provider"] == "openai") {
        let model = row["served_model"].as_str().or(row["model"].as_str()).unwrap();
        let (Some(encoding), Some(messages)) = (Encoding::for_model(model), messages(row)) else { continue };
        if is_plain(model, row) {
            let counted = chat_tokens(encoding, model, messages);
            assert_eq!(row["recorded_input_tokens"].as_u64(), Some(counted), "{model} {}", row["source"]);
            checked += 1;
        }
    }
    assert!(70 <= checked, "{checked}");
}
