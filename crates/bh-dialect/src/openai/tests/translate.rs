//! Requests of other dialects written in this one, and what of them is refused.

use bh_chat::{
    Extra, Format, ImageSource, Json, Message, Part, Reasoning, Request, Role, ServerTool, Tool, ToolChoice,
};
use serde_json::{Value, json};

use crate::{Capability, Dialect, EncodeOptions, LimitField, OnUnsupported, Unsupported, encode_request};

fn message(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts, bare: false, extras: Vec::new() }
}

fn request(messages: Vec<Message>) -> Request {
    Request { model: "m".into(), messages, ..Request::default() }
}

fn ask(parts: Vec<Part>) -> Request {
    request(vec![message(Role::User, parts)])
}

fn extra(name: &str, value: &str) -> Extra {
    Extra { name: name.into(), value: Json(value.into()) }
}

fn result(id: &str, parts: Vec<Part>) -> Part {
    Part::ToolResult { id: id.into(), parts, bare: false, is_error: None, extras: Vec::new() }
}

fn call(id: &str) -> Part {
    Part::ToolCall { id: id.into(), name: "f".into(), arguments: r#"{"a":1}"#.into(), extras: Vec::new() }
}

fn encode(request: &Request, options: &EncodeOptions) -> Result<(Value, Vec<String>), Unsupported> {
    let encoded = encode_request(Dialect::OpenAiChat, Dialect::AnthropicMessages, request, options)?;
    let names = encoded.warnings.into_iter().map(|warning| warning.field).collect();
    Ok((serde_json::from_slice(&encoded.body).expect("the encoder writes JSON"), names))
}

#[track_caller]
fn written(request: &Request) -> Value {
    let (value, warnings) =
        encode(request, &EncodeOptions { model: "gpt".into(), ..EncodeOptions::default() }).unwrap();
    assert_eq!(warnings, [""; 0]);
    value
}

#[track_caller]
fn check_refused(request: &Request, field: &str, capability: Capability) {
    let refusal = encode(request, &EncodeOptions::default()).expect_err(field);
    assert_eq!((refusal.field.as_str(), refusal.capability, refusal.target), (field, capability, Dialect::OpenAiChat));
}

#[track_caller]
fn check_left_out(request: &Request, field: &str) {
    let options = |on_unsupported| EncodeOptions { on_unsupported, ..EncodeOptions::default() };
    assert_eq!(encode(request, &options(OnUnsupported::Warn)).unwrap().1, [field]);
    assert_eq!(encode(request, &options(OnUnsupported::Drop)).unwrap().1, [field]);
    assert_eq!(encode(request, &options(OnUnsupported::Reject)).unwrap_err().field, field);
}

#[test]
fn a_turn_with_results_becomes_a_message_each_and_the_rest_after_them() {
    let turns = request(vec![
        message(Role::System, vec![Part::text("be kind")]),
        message(Role::User, vec![Part::text("go")]),
        message(Role::Assistant, vec![Part::text("on it"), call("1"), call("2")]),
        message(Role::User, vec![result("1", vec![Part::text("one")]), result("2", vec![]), Part::text("and?")]),
    ]);
    let function = json!({"name": "f", "arguments": r#"{"a":1}"#});
    assert_eq!(
        written(&turns)["messages"],
        json!([
            {"role": "system", "content": "be kind"},
            {"role": "user", "content": "go"},
            {"role": "assistant", "content": "on it", "tool_calls": [
                {"id": "1", "type": "function", "function": function},
                {"id": "2", "type": "function", "function": function},
            ]},
            {"role": "tool", "tool_call_id": "1", "content": "one"},
            {"role": "tool", "tool_call_id": "2", "content": ""},
            {"role": "user", "content": "and?"},
        ])
    );
}

#[test]
fn images_and_documents_travel_as_data_urls() {
    let inline = |media_type: &str| ImageSource::Base64 { media_type: media_type.into(), data: "AA==".into() };
    let image = |source| Part::Image { source, detail: None, extras: vec![] };
    let document = |source| Part::Document { source, name: Some("d.pdf".into()), extras: vec![] };
    let parts = vec![
        image(inline("image/png")),
        image(ImageSource::Url("https://e/x".into())),
        document(inline("application/pdf")),
    ];
    assert_eq!(
        written(&ask(parts))["messages"][0]["content"],
        json!([
            {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}},
            {"type": "image_url", "image_url": {"url": "https://e/x"}},
            {"type": "file", "file": {"filename": "d.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        ])
    );
    let place = "messages[0].content[0]";
    check_refused(&ask(vec![image(ImageSource::FileId("f".into()))]), place, Capability::StoredFile);
    check_refused(&ask(vec![document(ImageSource::Url("https://e/x".into()))]), place, Capability::Document);
    let cites = Part::Document {
        source: inline("application/pdf"),
        name: None,
        extras: vec![extra("citations", r#"{"enabled":true}"#)],
    };
    check_refused(&ask(vec![cites]), "messages[0].content[0].citations", Capability::Citations);
    let shown = ask(vec![result("1", vec![image(inline("image/png"))])]);
    check_refused(&shown, "messages[0].content[0].content[0]", Capability::Image);
}

#[test]
fn what_only_the_other_dialect_understands_is_refused() {
    let opaque = |kind: &str| ask(vec![Part::Opaque { kind: kind.into(), value: Json::default() }]);
    for (kind, capability) in [
        ("server_tool_use", Capability::ServerTool),
        ("web_search_tool_result", Capability::ServerTool),
        ("search_result", Capability::Document),
        ("container_upload", Capability::StoredFile),
        ("novelty", Capability::Content),
    ] {
        check_refused(&opaque(kind), "messages[0].content[0]", capability);
    }
    let mut served = ask(vec![Part::text("x")]);
    served.server_tools.push(ServerTool { kind: "web_search_20250305".into(), value: Json::default(), position: 0 });
    check_refused(&served, "tools[0]", Capability::ServerTool);
    let mut remote = ask(vec![Part::text("x")]);
    remote.extras.push(extra("mcp_servers", r#"[{"url":"x"}]"#));
    check_refused(&remote, "mcp_servers", Capability::ServerTool);
    let begun =
        request(vec![message(Role::User, vec![Part::text("x")]), message(Role::Assistant, vec![Part::text("{")])]);
    check_refused(&begun, "messages[1]", Capability::History);
}

#[test]
fn parameters_without_a_place_are_left_out_by_name_or_refused() {
    let mut top_k = ask(vec![Part::text("x")]);
    top_k.sampling.top_k = Some(Json("40".into()));
    check_left_out(&top_k, "top_k");
    let mut other = ask(vec![Part::text("x")]);
    other.extras.push(extra("context_management", "{\"edits\":[1]}"));
    check_left_out(&other, "context_management");
    let cached = Part::Text {
        text: "x".into(),
        citations: vec![],
        extras: vec![extra("cache_control", r#"{"type":"ephemeral"}"#)],
    };
    check_left_out(&ask(vec![cached]), "messages[0].content[0].cache_control");
    let mut failed = result("1", vec![Part::text("no")]);
    if let Part::ToolResult { is_error, .. } = &mut failed {
        *is_error = Some(true);
    }
    check_left_out(&ask(vec![failed]), "messages[0].content[0].is_error");
    let mut user = ask(vec![Part::text("x")]);
    user.user = Some("u".repeat(65));
    check_left_out(&user, "metadata.user_id");
}

#[test]
fn citations_of_an_earlier_answer_are_left_out_by_name() {
    let citation = bh_chat::Citation {
        kind: "char_location".into(),
        url: None,
        title: None,
        quoted: Some("so".into()),
        value: Json("{}".into()),
    };
    let cited = |text: &str| Part::Text { text: text.into(), citations: vec![citation.clone()], extras: Vec::new() };
    let talk = |parts| {
        request(vec![
            message(Role::User, vec![Part::text("why")]),
            message(Role::Assistant, parts),
            message(Role::User, vec![Part::text("and?")]),
        ])
    };
    check_left_out(&talk(vec![cited("so")]), "messages[1].content[0].citations");
    check_left_out(&talk(vec![Part::text("well"), cited("so")]), "messages[1].content[1].citations");
}

#[test]
fn settings_map_to_their_own_names() {
    let mut request = ask(vec![Part::text("x")]);
    request.max_output = Some(100);
    request.stream = Some(true);
    request.user = Some("u".into());
    request.service_tier = Some("standard_only".into());
    request.sampling.stop = vec!["a".into()];
    request.sampling.temperature = Some(Json("0.5".into()));
    request.reasoning = Some(Reasoning::Budget(8000));
    request.parallel_tool_calls = Some(false);
    request.tool_choice = Some(ToolChoice::Named("f".into()));
    request.tools = vec![Tool {
        name: "f".into(),
        description: Some("d".into()),
        schema: Some(Json(r#"{"type":"object"}"#.into())),
        strict: None,
        extras: vec![],
    }];
    let options = EncodeOptions {
        model: "gpt".into(),
        max_output_cap: Some(50),
        ask_usage: true,
        limit_field: LimitField::MaxTokens,
        ..EncodeOptions::default()
    };
    let (value, warnings) = encode(&request, &options).unwrap();
    assert_eq!(warnings, [""; 0]);
    assert_eq!(
        value,
        json!({
            "model": "gpt", "messages": [{"role": "user", "content": "x"}], "max_tokens": 50, "stream": true,
            "stream_options": {"include_usage": true}, "user": "u", "service_tier": "default", "stop": ["a"],
            "temperature": 0.5, "reasoning_effort": "medium", "parallel_tool_calls": false,
            "tools": [{"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}}}],
            "tool_choice": {"type": "function", "function": {"name": "f"}},
        })
    );
    let options = EncodeOptions { no_reasoning: true, ..options };
    assert_eq!(encode(&request, &options).unwrap().1, ["thinking"]);
}

#[test]
fn a_schema_is_promised_only_where_it_can_be_kept() {
    let format = |schema: Value| {
        let mut request = ask(vec![Part::text("x")]);
        request.format = Format::JsonSchema {
            name: String::new(),
            schema: Json(schema.to_string().into()),
            strict: Some(true),
            extras: vec![],
        };
        request
    };
    let inner = json!({"type": "object", "properties": {"b": {"type": "string"}}, "required": ["b"], "additionalProperties": false});
    let good = json!({"type": "object", "properties": {"a": {"type": "array", "items": inner}}, "required": ["a"], "additionalProperties": false});
    assert_eq!(written(&format(good.clone()))["response_format"]["json_schema"]["schema"], good);
    let mut optional = good.clone();
    optional["required"] = json!([]);
    check_refused(&format(optional), "output_config.format", Capability::Format);
    let mut open = good.clone();
    open["properties"]["a"]["items"]["additionalProperties"] = json!(true);
    check_refused(&format(open), "output_config.format", Capability::Format);
    let mut named = good;
    named["properties"] = json!({"properties": {"type": "string"}});
    named["required"] = json!(["properties"]);
    written(&format(named));
}
