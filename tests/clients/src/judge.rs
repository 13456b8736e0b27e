//! What each client must have seen, whoever answered.

use serde_json::{Value, json};

use crate::client::Client;
use crate::script::{ERROR, REFUSAL, RETRY_AFTER_S, TEXT, TOOLS_TEXT, calls, weather};
use crate::wire::{Family, INPUT_TOKENS, OUTPUT_TOKENS};

/// One client against one target.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) client: &'a Client,
    /// Who answers.
    pub(crate) target: Family,
    /// The model the client asks for.
    pub(crate) model: &'a str,
    /// Whether the gateway is between them.
    pub(crate) gateway: bool,
}

/// Collects what is not as it should be.
#[derive(Debug, Default)]
pub(crate) struct Complaints(Vec<String>);

impl Complaints {
    /// Complains unless the two are equal.
    pub(crate) fn equal(&mut self, what: &str, got: &Value, want: impl Into<Value>) {
        let want = want.into();
        if *got != want {
            self.0.push(format!("{what} is {got}, not {want}"));
        }
    }

    /// Complains unless it holds.
    pub(crate) fn holds(&mut self, holds: bool, otherwise: impl FnOnce() -> String) {
        if !holds {
            self.0.push(otherwise());
        }
    }

    pub(crate) fn into_vec(self) -> Vec<String> {
        self.0
    }
}

/// Judges what a client saw in one scenario.
pub(crate) fn seen(case: Case<'_>, scenario: &str, seen: &Value, out: &mut Complaints) {
    match scenario {
        "plain" => plain(case, seen, out),
        "stream" => stream(case, seen, out),
        "stream-without-usage" => out.equal("the count of usage chunks", &seen["usage_chunks"], 0),
        "tools" | "parallel-tools" => tools(case, scenario, seen, out),
        "structured-output" => structured_output(case, seen, out),
        "image" => out.equal("the text", &seen["text"], TEXT),
        "error" => errors(case, seen, out),
        "retry" => retry(case, seen, out),
        "cancel" => out.equal("the count of pieces read", &seen["pieces"], 3),
        "refusal" => refusal(case, seen, out),
        "count-tokens" => count_tokens(case, seen, out),
        "models" => models(case, seen, out),
        _ => out.holds(false, || "nobody knows what to expect of it".to_owned()),
    }
}

const fn finish(family: Family) -> &'static str {
    match family {
        Family::OpenAi => "stop",
        Family::Anthropic => "end_turn",
    }
}

const fn finish_calls(family: Family) -> &'static str {
    match family {
        Family::OpenAi => "tool_calls",
        Family::Anthropic => "tool_use",
    }
}

fn usage() -> Value {
    json!({"input": INPUT_TOKENS, "output": OUTPUT_TOKENS})
}

fn plain(case: Case<'_>, seen: &Value, out: &mut Complaints) {
    out.equal("the text", &seen["text"], TEXT);
    out.equal("the finish reason", &seen["finish"], finish(case.client.family));
    out.equal("the usage", &seen["usage"], usage());
    if !case.client.agent {
        let id = seen["request_id"].as_str().unwrap_or_default();
        out.holds(!id.is_empty(), || "no request id was seen".to_owned());
    }
}

fn stream(case: Case<'_>, seen: &Value, out: &mut Complaints) {
    out.equal("the text", &seen["text"], TEXT);
    out.equal("the finish reasons", &seen["finish"], json!([finish(case.client.family)]));
    out.equal("the usage", &seen["usage"], usage());
    let pieces = seen["pieces"].as_u64().unwrap_or_default();
    out.holds(1 < pieces, || format!("the text came in {pieces} pieces"));
}

fn tools(case: Case<'_>, scenario: &str, seen: &Value, out: &mut Complaints) {
    out.equal("the text after the tools", &seen["text"], TOOLS_TEXT);
    if case.client.agent {
        // Its last answer is the one that is reported; what its tools were asked is seen at the provider.
        out.equal("the finish reason", &seen["finish"], finish(case.client.family));
        return;
    }
    let wanted = calls(scenario, &[]);
    let got = seen["calls"].as_array().map(Vec::as_slice).unwrap_or_default();
    out.equal("the count of calls", &json!(got.len()), wanted.len());
    for (got, wanted) in got.iter().zip(&wanted) {
        out.equal("a call's tool", &got["name"], wanted.name.as_str());
        out.equal("a call's input", &got["input"], wanted.input.clone());
        out.equal("a call's id", &got["id"], wanted.id.as_str());
    }
    out.equal("the finish reason", &seen["finish"], finish_calls(case.client.family));
}

fn structured_output(case: Case<'_>, seen: &Value, out: &mut Complaints) {
    out.equal("the value", &seen["value"], weather());
    if !case.client.agent {
        out.equal("the finish reason", &seen["finish"], finish(case.client.family));
    }
}

/// What an error must be: its status, and the words the two dialects have for it.
struct Wanted {
    name: &'static str,
    status: u64,
    class: [&'static str; 2],
    kind: [Option<&'static str>; 2],
    code: Option<&'static str>,
    /// Whether the provider's own words must reach the client.
    verbatim: bool,
}

fn errors(case: Case<'_>, seen: &Value, out: &mut Complaints) {
    for wanted in wanted_errors(case) {
        error(case, &wanted, &seen[wanted.name], out);
    }
    if !case.client.agent {
        let message = seen["mid-stream"]["message"].as_str().unwrap_or_default();
        out.holds(!seen["mid-stream"]["class"].is_null(), || "an error inside a stream was not noticed".to_owned());
        out.holds(message.contains(ERROR), || format!("an error inside a stream says `{message}`"));
    }
}

fn wanted_errors(case: Case<'_>) -> Vec<Wanted> {
    let same = case.target == case.client.family;
    let bad = |name| Wanted {
        name,
        status: 400,
        class: ["BadRequestError", "BadRequestError"],
        kind: [Some("invalid_request_error"), Some("invalid_request_error")],
        code: same.then_some("scripted"),
        verbatim: true,
    };
    let limit = Wanted {
        name: "429",
        status: 429,
        class: ["RateLimitError", "RateLimitError"],
        kind: [None, Some("rate_limit_error")],
        code: None,
        verbatim: true,
    };
    let mut wanted = vec![bad("400"), limit];
    if !case.client.agent {
        wanted.push(bad("400 stream"));
    }
    if !case.gateway {
        return wanted;
    }
    wanted.extend([
        Wanted {
            name: "500",
            status: 502,
            class: ["InternalServerError", "InternalServerError"],
            kind: [Some("upstream_error"), Some("api_error")],
            code: Some("upstream_failed"),
            verbatim: false,
        },
        Wanted {
            name: "529",
            status: 529,
            class: ["InternalServerError", "OverloadedError"],
            kind: [None, Some("overloaded_error")],
            code: None,
            verbatim: false,
        },
        Wanted {
            name: "unknown model",
            status: 404,
            class: ["NotFoundError", "NotFoundError"],
            kind: [Some("invalid_request_error"), Some("not_found_error")],
            code: Some("model_not_found"),
            verbatim: false,
        },
        Wanted {
            name: "bad token",
            status: 401,
            class: ["AuthenticationError", "AuthenticationError"],
            kind: [Some("authentication_error"), Some("authentication_error")],
            code: Some("invalid_api_key"),
            verbatim: false,
        },
    ]);
    wanted
}

fn error(case: Case<'_>, wanted: &Wanted, seen: &Value, out: &mut Complaints) {
    let name = wanted.name;
    let what = |part: &str| format!("{part} of the error `{name}`");
    out.equal(&what("the status"), &seen["status"], wanted.status);
    if case.client.agent {
        out.equal(&what("the outcome"), &seen["is_error"], true);
    } else {
        let at = usize::from(case.client.family == Family::Anthropic);
        // The JavaScript SDK has no class of its own for 529.
        if !(wanted.status == 529 && case.client.name == "anthropic-node") {
            out.equal(&what("the class"), &seen["class"], wanted.class[at]);
        }
        if let Some(kind) = wanted.kind[at] {
            out.equal(&what("the type"), &seen["type"], kind);
        }
        if let (Family::OpenAi, Some(code)) = (case.client.family, wanted.code) {
            out.equal(&what("the code"), &seen["code"], code);
        }
        if case.gateway {
            out.holds(!seen["request_id"].is_null(), || format!("the error `{name}` has no request id"));
        }
    }
    let message = seen["message"].as_str().unwrap_or_default();
    if wanted.verbatim {
        let words = format!("{ERROR} {}", wanted.status);
        out.holds(message.contains(&words), || format!("the error `{name}` says `{message}`, not `{words}`"));
    }
}

fn retry(case: Case<'_>, seen: &Value, out: &mut Complaints) {
    for scenario in ["retry-429", "retry-500"] {
        out.equal(&format!("the text after {scenario}"), &seen[scenario]["text"], TEXT);
    }
    if case.client.agent {
        // Its own start takes as long as the wait, so the time says nothing.
        return;
    }
    let waited = seen["retry-429"]["seconds"].as_f64().unwrap_or_default();
    let told = f64::from(RETRY_AFTER_S);
    out.holds(told <= waited, || format!("retry-after said {told} s, the client waited {waited:.2} s"));
}

fn refusal(case: Case<'_>, seen: &Value, out: &mut Complaints) {
    match (case.client.family, case.client.agent) {
        (Family::OpenAi, _) => {
            out.equal("the refusal", &seen["refusal"], REFUSAL);
            out.equal("the content", &seen["content"], Value::Null);
            out.equal("the finish reason", &seen["finish"], "stop");
        }
        (Family::Anthropic, false) => {
            out.equal("the finish reason", &seen["finish"], "refusal");
            if case.target == Family::OpenAi {
                out.equal("the text", &seen["text"], REFUSAL);
            }
        }
        (Family::Anthropic, true) => out.equal("the finish reason", &seen["finish"], "refusal"),
    }
}

fn count_tokens(case: Case<'_>, seen: &Value, out: &mut Complaints) {
    let counted = seen["input_tokens"].as_u64().unwrap_or_default();
    if case.target == Family::Anthropic {
        out.equal("the provider's count", &json!(counted), INPUT_TOKENS);
    } else {
        out.holds((5..50).contains(&counted), || format!("a dozen words were counted as {counted} tokens"));
    }
}

fn models(case: Case<'_>, seen: &Value, out: &mut Complaints) {
    out.equal("the one model", &seen["one"], case.model);
    let listed = seen["listed"].as_array().map(Vec::as_slice).unwrap_or_default();
    out.holds(listed.contains(&json!(case.model)), || format!("{} is not among {listed:?}", case.model));
}
