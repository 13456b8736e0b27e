//! What a client asked, as far as the echo cares.

use serde_json::{Map, Value};

/// Most answers to one request (`n`).
pub(crate) const CHOICES_MAX: u64 = 8;
/// Most prompt tokens, as the echo counts them.
pub(crate) const CONTEXT_TOKENS_MAX: u64 = 1_000_000;

/// Tokens the echo counts for each message beside its text, and once for the whole prompt.
const TOKENS_PER_MESSAGE: u64 = 4;
const TOKENS_PER_PROMPT: u64 = 3;
/// Tokens the echo counts for an image, whatever its size.
const TOKENS_PER_IMAGE: u64 = 85;
/// Bytes of text the echo counts as one token, begun ones as whole.
const BYTES_PER_TOKEN: u64 = 4;

/// The request, read.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) model: String,
    pub(crate) stream: bool,
    pub(crate) include_usage: bool,
    pub(crate) tokens_max: Option<u64>,
    pub(crate) choices: u32,
    pub(crate) stop: Vec<String>,
    pub(crate) tools: Vec<Tool>,
    pub(crate) tool_choice: ToolChoice,
    pub(crate) parallel: bool,
    pub(crate) format: Format,
    /// The text of the last user message.
    pub(crate) user_text: String,
    /// Images of the last user message.
    pub(crate) images: usize,
    /// The tool results that end the conversation; empty when something else ends it.
    pub(crate) tool_results: Vec<String>,
    pub(crate) prompt_tokens: u64,
}

/// A tool of the client's.
#[derive(Debug)]
pub(crate) struct Tool {
    pub(crate) name: String,
    pub(crate) parameters: Value,
}

/// Whether tools must, may or must not be called.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum ToolChoice {
    Auto,
    None,
    Required,
    Named(String),
}

/// The form of the answer's text.
#[derive(Debug)]
pub(crate) enum Format {
    Text,
    Json,
    Schema(Value),
}

/// A request the echo answers with an error.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) status: u16,
    pub(crate) code: Option<&'static str>,
    pub(crate) param: Option<&'static str>,
    pub(crate) message: String,
}

impl Refused {
    pub(crate) fn unknown_model(model: &str, words: [&'static str; 14]) -> Self {
        let message = format!("The model `{model}` does not exist; after `echo` may follow -{}", words.join(", -"));
        Self { status: 404, code: Some("model_not_found"), param: Some("model"), message }
    }

    pub(crate) fn out_of_bounds(word: &str, min: usize, max: u128) -> Self {
        Self { status: 400, code: None, param: None, message: format!("echo: `{word}` takes {min} to {max}") }
    }

    fn field(param: &'static str, wants: &str) -> Self {
        Self { status: 400, code: None, param: Some(param), message: format!("`{param}` must be {wants}") }
    }

    fn context_too_long(tokens: u64) -> Self {
        let message =
            format!("This model's maximum context length is {CONTEXT_TOKENS_MAX} tokens, the messages have {tokens}");
        Self { status: 400, code: Some("context_length_exceeded"), param: Some("messages"), message }
    }
}

impl Asked {
    /// Reads a body in OpenAI's chat dialect; fields the echo has no use for are not looked at.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, Refused> {
        let bad = |message: String| Refused { status: 400, code: None, param: None, message };
        let value: Value = serde_json::from_slice(body).map_err(|e| bad(format!("the body is not JSON: {e}")))?;
        let fields = value.as_object().ok_or_else(|| bad("the body must be an object".to_owned()))?;
        let model = fields.get("model").and_then(Value::as_str).ok_or_else(|| Refused::field("model", "a string"))?;
        let messages = fields.get("messages").and_then(Value::as_array).filter(|messages| !messages.is_empty());
        let messages = messages.ok_or_else(|| Refused::field("messages", "an array with at least one message"))?;
        let tools = fields.get("tools");
        let prompt_tokens = count_prompt(messages, tools);
        if CONTEXT_TOKENS_MAX < prompt_tokens {
            return Err(Refused::context_too_long(prompt_tokens));
        }
        let user = messages.iter().rev().find(|message| role(message) == "user");
        Ok(Self {
            model: model.to_owned(),
            stream: flag(fields, "stream").unwrap_or(false),
            include_usage: fields
                .get("stream_options")
                .and_then(Value::as_object)
                .and_then(|options| flag(options, "include_usage"))
                .unwrap_or(false),
            tokens_max: tokens_max(fields)?,
            choices: choices(fields)?,
            stop: stop(fields),
            tools: tools.and_then(Value::as_array).into_iter().flatten().filter_map(tool).collect(),
            tool_choice: tool_choice(fields),
            parallel: flag(fields, "parallel_tool_calls").unwrap_or(true),
            format: format(fields),
            user_text: user.map(text_of).unwrap_or_default(),
            images: user.map_or(0, images_in),
            tool_results: tool_results(messages),
            prompt_tokens,
        })
    }
}

/// The tokens the echo counts for a text.
pub(crate) fn count_text(bytes: usize) -> u64 {
    (bytes as u64).div_ceil(BYTES_PER_TOKEN)
}

fn count_prompt(messages: &[Value], tools: Option<&Value>) -> u64 {
    let texts: u64 = messages.iter().map(count_message).sum();
    let tools = tools.map_or(0, |tools| count_text(tools.to_string().len()));
    TOKENS_PER_PROMPT + texts + tools
}

fn count_message(message: &Value) -> u64 {
    let calls = message.get("tool_calls").and_then(Value::as_array).into_iter().flatten();
    let called: usize =
        calls.map(|call| string_at(call, "/function/name").len() + string_at(call, "/function/arguments").len()).sum();
    TOKENS_PER_MESSAGE + count_text(text_of(message).len() + called) + images_in(message) as u64 * TOKENS_PER_IMAGE
}

fn role(message: &Value) -> &str {
    string_at(message, "/role")
}

fn string_at<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("")
}

fn flag(fields: &Map<String, Value>, name: &str) -> Option<bool> {
    fields.get(name).and_then(Value::as_bool)
}

fn parts(message: &Value) -> impl Iterator<Item = &Value> {
    message.get("content").and_then(Value::as_array).into_iter().flatten()
}

fn text_of(message: &Value) -> String {
    match message.get("content").and_then(Value::as_str) {
        Some(text) => text.to_owned(),
        None => parts(message)
            .map(|part| string_at(part, "/text"))
            .filter(|text| !text.is_empty())
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

fn images_in(message: &Value) -> usize {
    parts(message).filter(|part| string_at(part, "/type") == "image_url").count()
}

fn tool_results(messages: &[Value]) -> Vec<String> {
    let mut results: Vec<_> = messages.iter().rev().take_while(|m| role(m) == "tool").map(text_of).collect();
    results.reverse();
    results
}

fn tokens_max(fields: &Map<String, Value>) -> Result<Option<u64>, Refused> {
    let mut least = None;
    for name in ["max_tokens", "max_completion_tokens"] {
        let Some(value) = fields.get(name).filter(|value| !value.is_null()) else { continue };
        let limit =
            value.as_u64().filter(|limit| 0 < *limit).ok_or_else(|| Refused::field(name, "a whole number above 0"))?;
        least = Some(least.map_or(limit, |least: u64| least.min(limit)));
    }
    Ok(least)
}

fn choices(fields: &Map<String, Value>) -> Result<u32, Refused> {
    let Some(n) = fields.get("n").filter(|n| !n.is_null()) else { return Ok(1) };
    let n = n.as_u64().filter(|n| (1..=CHOICES_MAX).contains(n)).and_then(|n| u32::try_from(n).ok());
    n.ok_or_else(|| Refused::field("n", "1 to 8"))
}

fn stop(fields: &Map<String, Value>) -> Vec<String> {
    let Some(stop) = fields.get("stop") else { return Vec::new() };
    let one = stop.as_str().into_iter();
    let many = stop.as_array().into_iter().flatten().filter_map(Value::as_str);
    one.chain(many).filter(|text| !text.is_empty()).map(str::to_owned).collect()
}

fn tool(tool: &Value) -> Option<Tool> {
    let function = tool.get("function")?;
    let name = function.get("name")?.as_str()?.to_owned();
    Some(Tool { name, parameters: function.get("parameters").cloned().unwrap_or(Value::Null) })
}

fn tool_choice(fields: &Map<String, Value>) -> ToolChoice {
    let Some(choice) = fields.get("tool_choice") else { return ToolChoice::Auto };
    match choice.as_str() {
        Some("none") => ToolChoice::None,
        Some("required") => ToolChoice::Required,
        Some(_) => ToolChoice::Auto,
        None => match string_at(choice, "/function/name") {
            "" => ToolChoice::Auto,
            name => ToolChoice::Named(name.to_owned()),
        },
    }
}

fn format(fields: &Map<String, Value>) -> Format {
    let Some(format) = fields.get("response_format") else { return Format::Text };
    match string_at(format, "/type") {
        "json_object" => Format::Json,
        "json_schema" => Format::Schema(format.pointer("/json_schema/schema").cloned().unwrap_or(Value::Null)),
        _ => Format::Text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn asked(body: &Value) -> Result<Asked, Refused> {
        Asked::parse(body.to_string().as_bytes())
    }

    fn refused(body: &Value) -> (u16, Option<&'static str>) {
        let refused = asked(body).unwrap_err();
        (refused.status, refused.param)
    }

    #[test]
    fn a_prompt_is_counted_by_its_bytes_messages_and_images() {
        let body = json!({"model": "echo", "messages": [
            {"role": "system", "content": "12345"},
            {"role": "user", "content": [{"type": "text", "text": "1234"}, {"type": "image_url", "image_url": {"url": "x"}}]},
        ]});
        // 3, and 4 + 2 for the first message, and 4 + 1 + 85 for the second.
        assert_eq!(asked(&body).unwrap().prompt_tokens, 99);
    }

    #[test]
    fn only_results_at_the_end_are_results_to_answer() {
        let call = json!({"role": "assistant", "content": null, "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": "{}"}}]});
        let results = json!([{"role": "user", "content": "hi"}, call, {"role": "tool", "content": "7"}, {"role": "tool", "content": "8"}]);
        assert_eq!(asked(&json!({"model": "echo", "messages": results})).unwrap().tool_results, ["7", "8"]);
        let followed = json!([call, {"role": "tool", "content": "7"}, {"role": "user", "content": "more"}]);
        assert!(asked(&json!({"model": "echo", "messages": followed})).unwrap().tool_results.is_empty());
    }

    #[test]
    fn a_wrong_field_is_named() {
        let user = json!([{"role": "user", "content": "hi"}]);
        assert_eq!(refused(&json!({"messages": user})), (400, Some("model")));
        assert_eq!(refused(&json!({"model": "echo", "messages": []})), (400, Some("messages")));
        assert_eq!(refused(&json!({"model": "echo", "messages": user, "n": 9})), (400, Some("n")));
        assert_eq!(refused(&json!({"model": "echo", "messages": user, "max_tokens": 0})), (400, Some("max_tokens")));
        assert_eq!(refused(&json!([])), (400, None));
        assert_eq!(Asked::parse(b"{").unwrap_err().status, 400);
    }

    #[test]
    fn a_prompt_past_the_context_is_refused_as_such() {
        let long = "x".repeat(4 * 1_000_000);
        let body = json!({"model": "echo", "messages": [{"role": "user", "content": long}]});
        assert_eq!(asked(&body).unwrap_err().code, Some("context_length_exceeded"));
    }

    #[test]
    fn the_smaller_of_two_limits_counts() {
        let body =
            json!({"model": "echo", "messages": [{"role": "user"}], "max_tokens": 9, "max_completion_tokens": 5});
        assert_eq!(asked(&body).unwrap().tokens_max, Some(5));
    }
}
