//! The conversation into a messages request.
//!
//! One that came from this dialect is written back whole. One that came from another says what the API has words for;
//! the rest is refused where it would change the answer, and reported by name where it is a parameter.

use bh_chat::{Extra, Format, Json, Reasoning, Request, Tool, ToolChoice};

use super::refusal;
use super::thinking::{self, Thinking};
use super::turns::{Blocks, Turns};
use crate::fields::Fields;
use crate::openai::said_elsewhere;
use crate::report::Report;
use crate::write::Writer;
use crate::{Capability, Dialect, EncodeOptions, Encoded, Unsupported};

/// The limit of answer tokens when neither the client nor the caller knows one; every model of the family takes it.
const MAX_TOKENS_FALLBACK: u64 = 4096;

/// See [`crate::encode_request`].
pub(crate) fn encode_request(
    from: Dialect,
    request: &Request,
    options: &EncodeOptions,
) -> Result<Encoded, Unsupported> {
    let mut body = Vec::with_capacity(1024);
    let mut report = Report::new(Dialect::AnthropicMessages, options.on_unsupported);
    let mut json = Writer(&mut body);
    json.open();
    json.field("model", &options.model);
    let max_tokens = max_tokens(from, request, options);
    if let Some(max_tokens) = max_tokens {
        json.field_number("max_tokens", max_tokens);
    }
    let turns = Turns::sort(&request.messages, from);
    if from != Dialect::AnthropicMessages {
        turns.check_order(&mut report)?;
    }
    let mut blocks = Blocks { from, report: &mut report };
    turns.write_system(&mut json, &mut blocks)?;
    turns.write_messages(&mut json, &mut blocks)?;
    if from == Dialect::AnthropicMessages {
        write_native(&mut json, request);
    } else {
        let mut foreign = Foreign { request, options, report: &mut report, json: &mut json, thinks: false };
        foreign.write(&turns, max_tokens.unwrap_or(MAX_TOKENS_FALLBACK))?;
    }
    if let Some(stream) = request.stream {
        json.field_bool("stream", stream);
    }
    json.close();
    Ok(Encoded { body, warnings: report.into_warnings() })
}

/// A request of this dialect without a limit stays without one (as counting tokens does) unless the caller sets it.
fn max_tokens(from: Dialect, request: &Request, options: &EncodeOptions) -> Option<u64> {
    let wanted = request.max_output.or(options.max_output_default);
    let wanted = if from == Dialect::AnthropicMessages { wanted } else { wanted.or(Some(MAX_TOKENS_FALLBACK)) };
    wanted.map(|wanted| options.max_output_cap.map_or(wanted, |cap| wanted.min(cap)))
}

/// Everything behind the turns of a request that came from this dialect.
fn write_native(json: &mut Writer<'_>, request: &Request) {
    let extra = |name: &str| request.extras.iter().find(|extra| &*extra.name == name);
    write_tools(json, request, |json, tool| {
        if let Some(schema) = &tool.schema {
            json.field_json("input_schema", schema);
        }
        json.extras(&tool.extras);
    });
    write_tool_choice(json, request);
    write_sampling(json, request);
    if let Some(user) = &request.user {
        write_user(json, user);
    }
    if let Some(tier) = &request.service_tier {
        json.field("service_tier", tier);
    }
    match &request.reasoning {
        Some(Reasoning::Budget(tokens)) => write_budget(json, *tokens),
        Some(Reasoning::Off) => write_thinking_type(json, "disabled"),
        Some(Reasoning::Opaque(value)) => json.field_json("thinking", value),
        Some(Reasoning::Effort(_)) | None => {}
    }
    let effort = match &request.reasoning {
        Some(Reasoning::Effort(effort)) => Some(effort.as_str()),
        Some(Reasoning::Budget(_) | Reasoning::Off | Reasoning::Opaque(_)) | None => None,
    };
    let format = if extra("output_format").is_some() { &Format::Unset } else { &request.format };
    let rest = extra("output_config").map(|extra| &extra.value);
    write_output_config(json, effort, format, rest);
    let split = effort.is_some() || *format != Format::Unset;
    for extra in request.extras.iter().filter(|extra| !split || &*extra.name != "output_config") {
        json.field_json(&extra.name, &extra.value);
    }
}

/// Everything behind the turns of a request that came from another dialect.
struct Foreign<'a, 'w> {
    request: &'a Request,
    options: &'a EncodeOptions,
    report: &'a mut Report,
    json: &'a mut Writer<'w>,
    thinks: bool,
}

impl Foreign<'_, '_> {
    fn write(&mut self, turns: &Turns<'_>, max_tokens: u64) -> Result<(), Unsupported> {
        if self.request.choices.is_some_and(|choices| 1 < choices) {
            return Err(refusal("n", Capability::Choices));
        }
        self.write_tools()?;
        let effort = self.write_thinking(turns, max_tokens)?;
        self.write_format(effort.as_deref())?;
        self.write_sampling()?;
        if let Some(user) = &self.request.user {
            write_user(self.json, user);
        }
        match self.request.service_tier.as_deref() {
            None => {}
            Some("auto") => self.json.field("service_tier", "auto"),
            Some("default" | "standard") => self.json.field("service_tier", "standard_only"),
            Some(_) => self.report.leave_out("service_tier", Capability::Parameter)?,
        }
        self.request.extras.iter().filter(|extra| !said_elsewhere(extra)).try_for_each(|extra| self.judge(extra))
    }

    /// What to do about a parameter that is only known by its name.
    fn judge(&mut self, extra: &Extra) -> Result<(), Unsupported> {
        let capability = match (&*extra.name, extra.value.as_str()) {
            ("modalities", value) if !value.contains("audio") => return Ok(()),
            ("modalities" | "audio", _) => Capability::Audio,
            ("web_search_options", _) => Capability::ServerTool,
            ("functions" | "function_call", _) => Capability::CustomTool,
            (name, _) => return self.report.leave_out(name, Capability::Parameter),
        };
        Err(refusal(&*extra.name, capability))
    }

    fn write_tools(&mut self) -> Result<(), Unsupported> {
        if let Some(tool) = self.request.server_tools.first() {
            let capability = if tool.kind == "custom" { Capability::CustomTool } else { Capability::ServerTool };
            return Err(refusal(format!("tools[{}]", tool.position), capability));
        }
        if let Some(ToolChoice::Opaque(_)) = self.request.tool_choice {
            return Err(refusal("tool_choice", Capability::ToolChoice));
        }
        for (at, tool) in self.request.tools.iter().enumerate() {
            let told = |extra: &&Extra| &*extra.name != "cache_control" && !said_elsewhere(extra);
            for extra in tool.extras.iter().filter(told) {
                self.report.leave_out(format!("tools[{at}].{}", extra.name), Capability::Parameter)?;
            }
        }
        write_tools(self.json, self.request, |json, tool| {
            write_foreign_schema(json, tool.schema.as_ref());
            if let Some(cache) = tool.extras.iter().find(|extra| &*extra.name == "cache_control") {
                json.field_json("cache_control", &cache.value);
            }
        });
        if !self.request.tools.is_empty() {
            write_tool_choice(self.json, self.request);
        }
        Ok(())
    }

    /// Writes `thinking`; the effort that goes with it.
    fn write_thinking(&mut self, turns: &Turns<'_>, max_tokens: u64) -> Result<Option<String>, Unsupported> {
        let decided = thinking::decide(self.request, &self.options.model, self.options.thinking, max_tokens);
        match decided {
            Thinking::Unset => {}
            Thinking::Off => write_thinking_type(self.json, "disabled"),
            // The API asks that the turn which called the tools begins with its own thinking; without it the model
            // cannot go on thinking until the next question.
            Thinking::Budget(_) if turns.pending_calls_lack_thinking() => {
                self.report.note("reasoning_effort", Capability::Reasoning);
            }
            Thinking::Budget(tokens) => {
                self.thinks = true;
                write_budget(self.json, tokens);
            }
            Thinking::Adaptive { effort, ask_summary } => {
                self.thinks = true;
                self.json.key("thinking");
                self.json.open();
                self.json.field("type", "adaptive");
                if ask_summary {
                    self.json.field("display", "summarized");
                }
                self.json.close();
                return Ok(effort);
            }
            Thinking::Impossible => self.report.leave_out("reasoning_effort", Capability::Reasoning)?,
        }
        Ok(None)
    }

    fn write_format(&mut self, effort: Option<&str>) -> Result<(), Unsupported> {
        match &self.request.format {
            Format::Unset | Format::Text => {}
            Format::JsonObject => return Err(refusal("response_format", Capability::Format)),
            // The name is a label without meaning here, and schemas are always enforced.
            Format::JsonSchema { extras, .. } => {
                for extra in extras.iter().filter(|extra| !said_elsewhere(extra)) {
                    let field = format!("response_format.json_schema.{}", extra.name);
                    self.report.leave_out(field, Capability::Parameter)?;
                }
            }
        }
        write_output_config(self.json, effort, &self.request.format, None);
        Ok(())
    }

    /// Thinking allows no say in how its answer is drawn, but for the widest settings.
    fn write_sampling(&mut self) -> Result<(), Unsupported> {
        let sampling = &self.request.sampling;
        let number = |value: &Option<Json>| value.as_ref().and_then(|json| json.as_str().parse::<f64>().ok());
        let penalties = [
            ("frequency_penalty", &sampling.frequency_penalty),
            ("presence_penalty", &sampling.presence_penalty),
            ("seed", &sampling.seed),
        ];
        for (name, value) in penalties {
            if value.is_some() && (name == "seed" || number(value) != Some(0.0)) {
                self.report.leave_out(name, Capability::Parameter)?;
            }
        }
        let temperature = number(&sampling.temperature);
        let top_p = number(&sampling.top_p);
        let thinks = self.thinks;
        let choices = [
            ("temperature", &sampling.temperature, !thinks && temperature <= Some(1.0) || temperature == Some(1.0)),
            ("top_p", &sampling.top_p, !thinks || top_p >= Some(0.95)),
            ("top_k", &sampling.top_k, !thinks),
        ];
        for (name, value, allowed) in choices {
            match value {
                Some(value) if allowed => self.json.field_json(name, value),
                Some(_) => self.report.leave_out(name, Capability::Parameter)?,
                None => {}
            }
        }
        write_stop(self.json, &sampling.stop);
        Ok(())
    }
}

fn write_sampling(json: &mut Writer<'_>, request: &Request) {
    let sampling = &request.sampling;
    let fields = [("temperature", &sampling.temperature), ("top_p", &sampling.top_p), ("top_k", &sampling.top_k)];
    for (name, value) in fields {
        if let Some(value) = value {
            json.field_json(name, value);
        }
    }
    write_stop(json, &sampling.stop);
}

fn write_stop(json: &mut Writer<'_>, stop: &[String]) {
    if stop.is_empty() {
        return;
    }
    json.key("stop_sequences");
    json.open_list();
    stop.iter().for_each(|text| json.string(text));
    json.close_list();
}

/// Writes `tools`, those the provider runs in their old places.
fn write_tools(json: &mut Writer<'_>, request: &Request, rest: impl Fn(&mut Writer<'_>, &Tool)) {
    if request.tools.is_empty() && request.server_tools.is_empty() {
        return;
    }
    json.key("tools");
    json.open_list();
    let (mut tools, mut served) = (request.tools.iter(), request.server_tools.iter().peekable());
    for position in 0..request.tools.len() + request.server_tools.len() {
        if let Some(tool) = served.next_if(|tool| tool.position <= position) {
            json.raw(tool.value.as_str());
        } else if let Some(tool) = tools.next() {
            open_tool(json, tool);
            rest(json, tool);
            json.close();
        } else if let Some(tool) = served.next() {
            json.raw(tool.value.as_str());
        }
    }
    json.close_list();
}

/// Opens a tool and writes all but its schema and what only its dialect knows; the caller closes it.
fn open_tool(json: &mut Writer<'_>, tool: &Tool) {
    json.open();
    json.field("name", &tool.name);
    if let Some(description) = &tool.description {
        json.field("description", description);
    }
    if let Some(strict) = tool.strict {
        json.field_bool("strict", strict);
    }
}

/// Writes the schema of a tool from a dialect that lets it be absent or without a type, which the API insists on.
fn write_foreign_schema(json: &mut Writer<'_>, schema: Option<&Json>) {
    json.key("input_schema");
    let Some(fields) = schema.and_then(|schema| Fields::parse(schema.as_str())) else {
        return json.raw(r#"{"type":"object","properties":{}}"#);
    };
    json.open();
    if fields.peek("type").is_none() {
        json.field("type", "object");
    }
    json.extras(&fields.rest());
    json.close();
}

fn write_tool_choice(json: &mut Writer<'_>, request: &Request) {
    let (kind, name) = match (&request.tool_choice, request.parallel_tool_calls) {
        (Some(ToolChoice::Opaque(value)), _) => return json.field_json("tool_choice", value),
        (None, Some(true) | None) => return,
        (None, Some(false)) | (Some(ToolChoice::Auto), _) => ("auto", None),
        (Some(ToolChoice::None), _) => ("none", None),
        (Some(ToolChoice::Required), _) => ("any", None),
        (Some(ToolChoice::Named(name)), _) => ("tool", Some(name)),
    };
    json.key("tool_choice");
    json.open();
    json.field("type", kind);
    if let Some(name) = name {
        json.field("name", name);
    }
    if let Some(parallel) = request.parallel_tool_calls.filter(|_| kind != "none") {
        json.field_bool("disable_parallel_tool_use", !parallel);
    }
    json.close();
}

fn write_user(json: &mut Writer<'_>, user: &str) {
    json.key("metadata");
    json.open();
    json.field("user_id", user);
    json.close();
}

fn write_budget(json: &mut Writer<'_>, tokens: u64) {
    json.key("thinking");
    json.open();
    json.field("type", "enabled");
    json.field_number("budget_tokens", tokens);
    json.close();
}

fn write_thinking_type(json: &mut Writer<'_>, kind: &str) {
    json.key("thinking");
    json.open();
    json.field("type", kind);
    json.close();
}

/// Writes `output_config` from its effort, its format and what else was in it.
fn write_output_config(json: &mut Writer<'_>, effort: Option<&str>, format: &Format, rest: Option<&Json>) {
    let schema = match format {
        Format::JsonSchema { schema, .. } => Some(schema),
        Format::Unset | Format::Text | Format::JsonObject => None,
    };
    if effort.is_none() && schema.is_none() {
        return;
    }
    json.key("output_config");
    json.open();
    if let Some(effort) = effort {
        json.field("effort", effort);
    }
    if let Some(schema) = schema {
        json.key("format");
        json.open();
        json.field("type", "json_schema");
        json.field_json("schema", schema);
        json.close();
    }
    if let Some(fields) = rest.and_then(|rest| Fields::parse(rest.as_str())) {
        json.extras(&fields.rest());
    }
    json.close();
}
