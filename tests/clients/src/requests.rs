//! What each provider must have got, whoever asked.

use bh_testkit::Seen;
use serde_json::{Value, json};

use crate::judge::{Case, Complaints};
use crate::script::{calls, scenario};
use crate::wire::Family;

/// What the gateway knows and nobody else may.
pub(crate) struct Secrets<'a> {
    /// What the provider is to be shown.
    pub(crate) provider_key: &'a str,
    /// What it must never see.
    pub(crate) token: &'a str,
    /// The model it is to be asked for.
    pub(crate) model: &'a str,
    /// The image of the image scenario, base64.
    pub(crate) image: &'a str,
}

/// Judges what a provider got in one scenario.
pub(crate) fn got(case: Case<'_>, name: &str, seen: &[Seen], secrets: &Secrets<'_>, out: &mut Complaints) {
    let requests: Vec<_> = seen.iter().filter(|seen| belongs(seen, name)).collect();
    let Some(expected) = expected_count(case, name) else { return };
    out.equal("the count of requests at the provider", &json!(requests.len()), expected);
    for request in &requests {
        envelope(case, request, secrets, out);
    }
    if name == "error" && case.gateway {
        let refused = seen.iter().filter(|seen| belongs(seen, "never-asked")).count();
        out.equal("the count of refused requests at the provider", &json!(refused), 0);
    }
    let bodies: Vec<_> = requests.iter().filter_map(|seen| seen.json().ok()).collect();
    let (Some(first), Some(last)) = (bodies.first(), bodies.last()) else { return };
    match name {
        "plain" => plain(case, first, out),
        "stream" | "stream-without-usage" => stream(case, first, out),
        "tools" | "parallel-tools" => tools(case, name, first, last, out),
        "structured-output" => structured_output(case, first, out),
        "image" => image(case, first, secrets.image, out),
        _ => {}
    }
}

fn belongs(seen: &Seen, name: &str) -> bool {
    let Some((asked, _)) = seen.json().ok().and_then(|body| scenario(&body)) else { return false };
    let counting = seen.path.contains("count_tokens");
    match name {
        "count-tokens" => counting,
        // One scenario of a client may be several for the provider.
        "error" | "retry" => asked.starts_with(name),
        "stream-without-usage" => false,
        _ => asked == name && !counting,
    }
}

/// How many requests reach the provider; `None` where the number says nothing.
fn expected_count(case: Case<'_>, name: &str) -> Option<usize> {
    Some(match name {
        "plain" | "image" | "cancel" | "refusal" => 1,
        // The OpenAI clients stream twice, with usage and without.
        "stream" => 1 + usize::from(case.client.scenarios.contains(&"stream-without-usage")),
        "tools" | "parallel-tools" => 2,
        "structured-output" => 1,
        // 400 plain and streamed, 429, 500, 529, and one inside a stream; an agent streams only.
        "error" => {
            if case.client.agent {
                4
            } else {
                6
            }
        }
        "retry" => 4,
        // Counted here, without asking anybody, where the provider has no such call.
        "count-tokens" => usize::from(case.target == Family::Anthropic),
        _ => return None,
    })
}

/// What holds of every request.
fn envelope(case: Case<'_>, seen: &Seen, secrets: &Secrets<'_>, out: &mut Complaints) {
    let path = seen.path.split('?').next().unwrap_or_default();
    let counting = path.ends_with("/count_tokens");
    match case.target {
        Family::OpenAi => {
            out.equal("the path", &json!(path), "/v1/chat/completions");
            out.equal(
                "authorization",
                &json!(seen.header("authorization")),
                format!("Bearer {}", secrets.provider_key),
            );
        }
        Family::Anthropic => {
            let wanted = if counting { "/v1/messages/count_tokens" } else { "/v1/messages" };
            out.equal("the path", &json!(path), wanted);
            out.holds(!seen.header("anthropic-version").is_empty(), || "no anthropic-version".to_owned());
            if case.gateway {
                out.equal("x-api-key", &json!(seen.header("x-api-key")), secrets.provider_key);
            }
        }
    }
    let body = String::from_utf8_lossy(&seen.body);
    if case.gateway {
        let leaked = body.contains(secrets.token)
            || seen.headers.values().any(|value| value.to_str().is_ok_and(|value| value.contains(secrets.token)));
        out.holds(!leaked, || "the client's token reached the provider".to_owned());
        let asked = seen.json().map(|body| body["model"].clone()).unwrap_or_default();
        out.equal("the model asked of the provider", &asked, secrets.model);
    }
    if case.client.agent && case.target == case.client.family {
        let beta = seen.header("anthropic-beta");
        out.holds(beta.contains("claude-code-"), || format!("anthropic-beta is `{beta}`"));
    }
}

fn messages(body: &Value) -> &[Value] {
    body["messages"].as_array().map(Vec::as_slice).unwrap_or_default()
}

fn plain(case: Case<'_>, body: &Value, out: &mut Complaints) {
    if case.client.agent {
        return untouched(case, body, out);
    }
    match case.target {
        Family::OpenAi => {
            out.equal("the system turn", &text(&messages(body)[0]["content"]), "Be brief.");
            out.equal("the limit", &body["max_completion_tokens"], 100);
        }
        Family::Anthropic => {
            out.equal("the system", &text(&body["system"]), "Be brief.");
            out.equal("the limit", &body["max_tokens"], 100);
        }
    }
    let last = messages(body).last().map(|turn| text(&turn["content"])).unwrap_or_default();
    out.equal("the last turn", &last, "Hello [[plain]]");
}

/// What an agent counts on in its own dialect: nothing it sent is dropped.
fn untouched(case: Case<'_>, body: &Value, out: &mut Complaints) {
    if case.target != case.client.family {
        return;
    }
    for field in ["system", "tools", "metadata", "thinking", "context_management"] {
        out.holds(!body[field].is_null(), || format!("the field `{field}` is gone"));
    }
    out.holds(body["system"].to_string().contains("cache_control"), || "cache_control is gone".to_owned());
}

fn stream(case: Case<'_>, body: &Value, out: &mut Complaints) {
    out.equal("stream", &body["stream"], true);
    if case.target == Family::OpenAi {
        // The gateway needs to know what it costs, also when the client does not ask.
        out.equal("include_usage", &body["stream_options"]["include_usage"], true);
    }
}

fn tools(case: Case<'_>, name: &str, first: &Value, last: &Value, out: &mut Complaints) {
    let arguments = scenario(first).map(|(_, arguments)| arguments).unwrap_or_default();
    let wanted = calls(name, &arguments);
    let ids: Vec<_> = wanted.iter().map(|call| call.id.clone()).collect();
    if !case.client.agent {
        declared(case, name, first, out);
    }
    let mut results = match case.target {
        Family::OpenAi => openai_results(last),
        Family::Anthropic => anthropic_results(last, out),
    };
    if case.client.agent {
        // It runs its tools side by side and reports them as they end.
        results.sort();
    }
    let got: Vec<_> = results.iter().map(|(id, _)| id.clone()).collect();
    out.equal("the ids of the results", &json!(got), ids);
    let texts = ["21 degrees", "4 degrees"];
    for (at, (_, text)) in results.iter().enumerate() {
        let wanted = match arguments.get(at) {
            Some(path) => format!("the content of {}", path.rsplit('/').next().unwrap_or_default()),
            None => texts[at.min(1)].to_owned(),
        };
        out.holds(text.contains(&wanted), || format!("result {at} is `{text}`, not `{wanted}`"));
    }
}

/// The weather tool as the client declared it.
fn declared(case: Case<'_>, name: &str, body: &Value, out: &mut Complaints) {
    let tool = &body["tools"][0];
    let (tool, schema) = match case.target {
        Family::OpenAi => (&tool["function"], &tool["function"]["parameters"]),
        Family::Anthropic => (tool, &tool["input_schema"]),
    };
    out.equal("the tool's name", &tool["name"], "get_weather");
    out.equal("the tool's description", &tool["description"], "The weather of a city");
    out.equal("the tool's required arguments", &schema["required"], json!(["city", "unit"]));
    out.equal("the tool's units", &schema["properties"]["unit"]["enum"], json!(["celsius", "kelvin"]));
    if name == "tools" {
        let wanted = match case.target {
            Family::OpenAi => json!("required"),
            Family::Anthropic => json!({"type": "any"}),
        };
        out.equal("tool_choice", &body["tool_choice"], wanted);
    }
}

fn openai_results(body: &Value) -> Vec<(String, String)> {
    let tool = |turn: &&Value| turn["role"] == "tool";
    let result = |turn: &Value| {
        let id = turn["tool_call_id"].as_str().unwrap_or_default().to_owned();
        (id, text(&turn["content"]).as_str().unwrap_or_default().to_owned())
    };
    messages(body).iter().filter(tool).map(result).collect()
}

fn anthropic_results(body: &Value, out: &mut Complaints) -> Vec<(String, String)> {
    let is_result = |part: &&Value| part["type"] == "tool_result";
    let turns: Vec<Vec<_>> = messages(body)
        .iter()
        .filter_map(|turn| Some(turn["content"].as_array()?.iter().filter(is_result).collect::<Vec<_>>()))
        .filter(|results| !results.is_empty())
        .collect();
    out.equal("the count of turns with results", &json!(turns.len()), 1);
    let result = |part: &&Value| {
        let id = part["tool_use_id"].as_str().unwrap_or_default().to_owned();
        (id, text(&part["content"]).as_str().unwrap_or_default().to_owned())
    };
    turns.iter().flatten().map(result).collect()
}

fn structured_output(case: Case<'_>, body: &Value, out: &mut Complaints) {
    if case.client.agent {
        return;
    }
    let schema = match case.target {
        Family::OpenAi => {
            out.equal("the format", &body["response_format"]["type"], "json_schema");
            &body["response_format"]["json_schema"]["schema"]
        }
        Family::Anthropic => {
            out.equal("the format", &body["output_config"]["format"]["type"], "json_schema");
            &body["output_config"]["format"]["schema"]
        }
    };
    out.equal("the schema's required fields", &schema["required"], json!(["city", "degrees"]));
    out.equal("the type of degrees", &schema["properties"]["degrees"]["type"], "integer");
}

fn image(case: Case<'_>, body: &Value, image: &str, out: &mut Complaints) {
    let parts = messages(body).iter().filter_map(|turn| turn["content"].as_array()).flatten();
    let found: Vec<_> = parts.filter(|part| matches!(part["type"].as_str(), Some("image" | "image_url"))).collect();
    out.equal("the count of images", &json!(found.len()), 1);
    let Some(part) = found.first() else { return };
    match case.target {
        Family::OpenAi => out.equal("the image", &part["image_url"]["url"], format!("data:image/png;base64,{image}")),
        Family::Anthropic => {
            out.equal("the image's kind", &part["source"]["media_type"], "image/png");
            out.equal("the image", &part["source"]["data"], image);
        }
    }
}

/// The text of a content, bare or in parts.
fn text(content: &Value) -> Value {
    let Some(parts) = content.as_array() else { return content.clone() };
    json!(parts.iter().filter_map(|part| part["text"].as_str()).collect::<String>())
}
