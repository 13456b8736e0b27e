//! What the scripted providers do: each prompt names its scenario in double brackets, `[[tools]]`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bh_testkit::{Reply, Seed, Seen, Split, Step};
use serde_json::{Value, json};

use crate::wire::{self, Call, Family, Say};

/// The answer of most scenarios; bytes that are easily broken are on purpose.
pub(crate) const TEXT: &str = "Grüße from the café ☕, twice 👩‍💻.";
/// What the model says once the tools have answered.
pub(crate) const TOOLS_TEXT: &str = "The tools have spoken.";
/// Why the model declines.
pub(crate) const REFUSAL: &str = "I cannot help with that.";
/// What every scripted error says, before its status.
pub(crate) const ERROR: &str = "a scripted failure";
/// How long a throttled client is told to wait, in seconds: longer than any would by itself.
pub(crate) const RETRY_AFTER_S: u32 = 2;
/// Most points at which a stream is cut into pieces.
const CUTS_MAX: usize = 40;
/// Between two pieces of the answer without end.
const ENDLESS_GAP: Duration = Duration::from_millis(20);

/// One provider's script.
pub(crate) struct Script {
    family: Family,
    state: Mutex<State>,
}

struct State {
    seed: Seed,
    /// How often each scenario was asked.
    asked: BTreeMap<String, usize>,
}

impl Script {
    pub(crate) fn new(family: Family, seed: Seed) -> Self {
        Self { family, state: Mutex::new(State { seed, asked: BTreeMap::new() }) }
    }

    /// The reply to one request; `None` where nothing is scripted.
    pub(crate) fn reply(&self, seen: &Seen) -> Option<Reply> {
        let body = seen.json().ok()?;
        if seen.path.contains("count_tokens") {
            return Some(Reply::json(200, json!({"input_tokens": wire::INPUT_TOKENS}).to_string()));
        }
        let (scenario, arguments) = scenario(&body)?;
        let earlier = self.ask(&scenario);
        let model = body["model"].as_str().unwrap_or_default();
        if let Some(status) = failing(&scenario, earlier) {
            return Some(self.error(&scenario, status));
        }
        match scenario.as_str() {
            "cancel" => Some(self.endless(model)),
            "error-mid-stream" => Some(self.broken(model)),
            _ => Some(self.answer(&body, &say(&scenario, &arguments, &body))),
        }
    }

    /// Counts a request and says how many there were before it.
    fn ask(&self, scenario: &str) -> usize {
        let mut state = self.state();
        let count = state.asked.entry(scenario.to_owned()).or_default();
        *count += 1;
        *count - 1
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, body: &Value, say: &Say) -> Reply {
        let model = body["model"].as_str().unwrap_or_default();
        if body["stream"] != json!(true) {
            return Reply::json(200, wire::plain(self.family, model, say)).header(self.id_header(), "req_scripted");
        }
        let asked_usage = body["stream_options"]["include_usage"] == json!(true);
        let cuts = Split::Random(self.state().seed.fork(), CUTS_MAX);
        let stream = wire::stream(self.family, model, say, asked_usage);
        Reply::sse(stream).header(self.id_header(), "req_scripted").split(&cuts)
    }

    fn endless(&self, model: &str) -> Reply {
        let opening = wire::beginning(self.family, model) + &wire::open_text(self.family);
        let piece = wire::text_delta(self.family, model, "on and on ");
        Reply::sse(opening).then(Step::Endless(piece.into(), ENDLESS_GAP))
    }

    fn broken(&self, model: &str) -> Reply {
        let opening = wire::beginning(self.family, model) + &wire::open_text(self.family);
        let piece = wire::text_delta(self.family, model, "It begins well ");
        Reply::sse(opening + &piece + &wire::stream_error(self.family, ERROR))
    }

    fn error(&self, scenario: &str, status: u16) -> Reply {
        let message = format!("{ERROR} {status}");
        let reply = match self.family {
            Family::OpenAi => {
                let (kind, code) = match status {
                    400 => ("invalid_request_error", Some("scripted")),
                    429 => ("requests", Some("rate_limit_exceeded")),
                    _ => ("server_error", None),
                };
                Reply::openai_error(status, kind, code, &message)
            }
            Family::Anthropic => {
                let kind = match status {
                    400 => "invalid_request_error",
                    429 => "rate_limit_error",
                    529 => "overloaded_error",
                    _ => "api_error",
                };
                Reply::anthropic_error(status, kind, &message)
            }
        };
        if scenario == "retry-429" { reply.header("retry-after", &RETRY_AFTER_S.to_string()) } else { reply }
    }

    const fn id_header(&self) -> &'static str {
        match self.family {
            Family::OpenAi => "x-request-id",
            Family::Anthropic => "request-id",
        }
    }
}

/// The scenario a request belongs to, with its arguments: those of `[[tools a b]]` are `a` and `b`.
pub(crate) fn scenario(body: &Value) -> Option<(String, Vec<String>)> {
    let messages = body["messages"].as_array()?;
    // An agent's instructions may hold brackets of their own.
    let asked = messages.iter().filter(|message| !matches!(message["role"].as_str(), Some("system" | "developer")));
    let text: String = asked.map(ToString::to_string).collect();
    let (_, rest) = text.split_once("[[")?;
    let (words, _) = rest.split_once("]]")?;
    let mut words = words.split(' ').map(str::to_owned);
    Some((words.next()?, words.collect()))
}

/// The status of a failing scenario, unless enough requests have failed.
fn failing(scenario: &str, earlier: usize) -> Option<u16> {
    if let Some(status) = scenario.strip_prefix("error-") {
        return status.parse().ok();
    }
    let status = scenario.strip_prefix("retry-")?;
    if earlier == 0 { status.parse().ok() } else { None }
}

fn say(scenario: &str, arguments: &[String], body: &Value) -> Say {
    match scenario {
        "refusal" => Say::Refusal(REFUSAL.to_owned()),
        "tools" | "parallel-tools" if !has_results(body) => Say::Calls(calls(scenario, arguments)),
        "tools" | "parallel-tools" => Say::text(TOOLS_TEXT),
        // Claude Code has its own tool for this instead of the API's way.
        "structured-output" if tool_names(body).any(|name| name == "StructuredOutput") => Say::Calls(vec![Call {
            id: "toolu_structured".to_owned(),
            name: "StructuredOutput".to_owned(),
            input: weather(),
        }]),
        "structured-output" => Say::text(&weather().to_string()),
        _ => Say::text(TEXT),
    }
}

/// The value every structured answer has.
pub(crate) fn weather() -> Value {
    json!({"city": "Paris", "degrees": 21})
}

/// The calls of a scenario. Arguments are files, for a client with tools of its own; without, it is our weather tool.
pub(crate) fn calls(scenario: &str, arguments: &[String]) -> Vec<Call> {
    let call = |at: usize, name: &str, input| Call { id: format!("call_{at}"), name: name.to_owned(), input };
    if arguments.is_empty() {
        let cities: &[_] = if scenario == "tools" { &["Paris"] } else { &["Paris", "Tromsø"] };
        let input = |city: &&str| json!({"city": city, "unit": "celsius"});
        return cities.iter().enumerate().map(|(at, city)| call(at, "get_weather", input(city))).collect();
    }
    arguments.iter().enumerate().map(|(at, path)| call(at, "Read", json!({"file_path": path}))).collect()
}

fn has_results(body: &Value) -> bool {
    let is_result = |part: &Value| part["type"] == "tool_result";
    let has = |message: &Value| {
        message["role"] == "tool" || message["content"].as_array().is_some_and(|parts| parts.iter().any(is_result))
    };
    body["messages"].as_array().is_some_and(|messages| messages.iter().any(has))
}

/// The names of the tools a request offers, in either dialect.
pub(crate) fn tool_names(body: &Value) -> impl Iterator<Item = &str> {
    let tools = body["tools"].as_array().map(Vec::as_slice).unwrap_or_default();
    tools.iter().filter_map(|tool| tool["function"]["name"].as_str().or_else(|| tool["name"].as_str()))
}
