//! The conversation into a chat completions request.
//!
//! One that came from this dialect is written back whole. One that came from another says what the API has words for;
//! the rest is refused where it would change the answer, and reported by name where it is a parameter.

use bh_chat::{Extra, Format, Reasoning, Request, Tool, ToolChoice};

use super::messages::{self, Messages};
use super::refusal;
use super::request_decode::IN_FUNCTION;
use super::strict_schema::fits_strict;
use crate::anthropic::said_elsewhere;
use crate::report::Report;
use crate::write::Writer;
use crate::{Capability, Dialect, EncodeOptions, Encoded, Unsupported};

/// Longest `user` that OpenAI takes, in characters.
const USER_CHARS_MAX: usize = 64;

/// See [`crate::encode_request`].
pub(crate) fn encode_request(
    from: Dialect,
    request: &Request,
    options: &EncodeOptions,
) -> Result<Encoded, Unsupported> {
    let mut body = Vec::with_capacity(1024);
    let mut report = Report::new(Dialect::OpenAiChat, options.on_unsupported);
    let mut json = Writer(&mut body);
    let native = from == Dialect::OpenAiChat;
    json.open();
    json.field("model", &options.model);
    json.key("messages");
    json.open_list();
    if native {
        request.messages.iter().for_each(|message| messages::write_native(message, &mut json));
    } else {
        Messages { json: &mut json, report: &mut report }.write(&request.messages)?;
    }
    json.close_list();
    write_limit(&mut json, request, options);
    if native {
        write_native(&mut json, request);
    } else {
        Foreign { request, options, report: &mut report, json: &mut json }.write()?;
    }
    write_stream(&mut json, request, options);
    json.close();
    Ok(Encoded { body, warnings: report.into_warnings() })
}

fn write_limit(json: &mut Writer<'_>, request: &Request, options: &EncodeOptions) {
    if let Some(wanted) = request.max_output.or(options.max_output_default) {
        let tokens = options.max_output_cap.map_or(wanted, |cap| wanted.min(cap));
        json.field_number(options.limit_field.as_str(), tokens);
    }
}

/// `stream` and what is asked of it. A native request whose `stream_options` say more keeps them among its extras.
fn write_stream(json: &mut Writer<'_>, request: &Request, options: &EncodeOptions) {
    if let Some(stream) = request.stream {
        json.field_bool("stream", stream);
    }
    let kept = request.extras.iter().any(|extra| &*extra.name == "stream_options");
    let ask = options.ask_usage && request.stream == Some(true);
    if let Some(usage) = request.stream_usage.filter(|_| !kept).or(ask.then_some(true)) {
        json.key("stream_options");
        json.open();
        json.field_bool("include_usage", usage || ask);
        json.close();
    }
}

/// Everything behind the messages of a request that came from this dialect.
fn write_native(json: &mut Writer<'_>, request: &Request) {
    write_tools(json, request);
    write_tool_choice(json, request);
    if let Some(parallel) = request.parallel_tool_calls {
        json.field_bool("parallel_tool_calls", parallel);
    }
    write_sampling(json, request);
    let sampling = &request.sampling;
    if let Some(top_k) = &sampling.top_k {
        json.field_json("top_k", top_k);
    }
    let spoken = |extra: &Extra| matches!(&*extra.name, "reasoning_effort" | "reasoning" | "thinking");
    if let Some(Reasoning::Effort(effort)) = request.reasoning.as_ref().filter(|_| !request.extras.iter().any(spoken)) {
        json.field("reasoning_effort", effort);
    }
    write_format(json, &request.format);
    if let Some(choices) = request.choices {
        json.field_number("n", choices.into());
    }
    if let Some(user) = &request.user {
        json.field("user", user);
    }
    if let Some(tier) = &request.service_tier {
        json.field("service_tier", tier);
    }
    json.extras(&request.extras);
}

/// Everything behind the messages of a request that came from another dialect.
struct Foreign<'a, 'w> {
    request: &'a Request,
    options: &'a EncodeOptions,
    report: &'a mut Report,
    json: &'a mut Writer<'w>,
}

impl Foreign<'_, '_> {
    fn write(&mut self) -> Result<(), Unsupported> {
        self.write_tools()?;
        self.write_reasoning()?;
        self.write_format()?;
        write_sampling(self.json, self.request);
        if self.request.sampling.top_k.is_some() {
            self.report.leave_out("top_k", Capability::Parameter)?;
        }
        match self.request.user.as_deref() {
            Some(user) if user.chars().count() <= USER_CHARS_MAX => self.json.field("user", user),
            Some(_) => self.report.leave_out("metadata.user_id", Capability::Parameter)?,
            None => {}
        }
        match self.request.service_tier.as_deref() {
            Some("auto") => self.json.field("service_tier", "auto"),
            Some("standard_only") => self.json.field("service_tier", "default"),
            Some(_) => self.report.leave_out("service_tier", Capability::Parameter)?,
            None => {}
        }
        let told = self.request.extras.iter().filter(|extra| !said_elsewhere(extra));
        told.clone().try_for_each(|extra| self.judge(extra))
    }

    /// What to do about a parameter that is only known by its name.
    fn judge(&mut self, extra: &Extra) -> Result<(), Unsupported> {
        match &*extra.name {
            "mcp_servers" | "container" => Err(refusal(&*extra.name, Capability::ServerTool)),
            name => self.report.leave_out(name, Capability::Parameter),
        }
    }

    fn write_tools(&mut self) -> Result<(), Unsupported> {
        if let Some(tool) = self.request.server_tools.first() {
            return Err(refusal(format!("tools[{}]", tool.position), Capability::ServerTool));
        }
        if self.request.tools.is_empty() {
            return Ok(());
        }
        for (at, tool) in self.request.tools.iter().enumerate() {
            for extra in tool.extras.iter().filter(|extra| !said_elsewhere(extra)) {
                self.report.leave_out(format!("tools[{at}].{}", extra.name), Capability::Parameter)?;
            }
            let checked = tool.strict == Some(true);
            if checked && !tool.schema.as_ref().is_some_and(fits_strict) {
                return Err(refusal(format!("tools[{at}].strict"), Capability::Format));
            }
        }
        self.json.key("tools");
        self.json.open_list();
        self.request.tools.iter().for_each(|tool| write_tool(self.json, tool, &[]));
        self.json.close_list();
        if let Some(ToolChoice::Opaque(_)) = self.request.tool_choice {
            return Err(refusal("tool_choice", Capability::ToolChoice));
        }
        write_tool_choice(self.json, self.request);
        if let Some(parallel) = self.request.parallel_tool_calls {
            self.json.field_bool("parallel_tool_calls", parallel);
        }
        Ok(())
    }

    fn write_reasoning(&mut self) -> Result<(), Unsupported> {
        let effort = match &self.request.reasoning {
            None | Some(Reasoning::Off) => return Ok(()),
            Some(Reasoning::Effort(word)) => match word.as_str() {
                // The steps above `high` are not on every model; the nearest that is.
                "xhigh" | "max" => "high",
                word => word,
            },
            Some(Reasoning::Budget(tokens)) => effort_of_budget(*tokens),
            Some(Reasoning::Opaque(_)) => return self.report.leave_out("thinking", Capability::Reasoning),
        };
        if self.options.no_reasoning {
            return self.report.leave_out("thinking", Capability::Reasoning);
        }
        self.json.field("reasoning_effort", effort);
        Ok(())
    }

    /// A schema that must be met is only asked for in the form in which OpenAI can promise it.
    fn write_format(&mut self) -> Result<(), Unsupported> {
        if let Format::JsonSchema { schema, strict, extras, .. } = &self.request.format {
            if *strict == Some(true) && !fits_strict(schema) {
                return Err(refusal("output_config.format", Capability::Format));
            }
            for extra in extras.iter().filter(|extra| !said_elsewhere(extra)) {
                self.report.leave_out(format!("output_config.format.{}", extra.name), Capability::Parameter)?;
            }
        }
        write_format(self.json, &self.request.format);
        Ok(())
    }
}

/// The effort that stands for a budget of thinking, in tokens.
fn effort_of_budget(tokens: u64) -> &'static str {
    match tokens {
        0..=4096 => "low",
        4097..=16_384 => "medium",
        _ => "high",
    }
}

fn write_sampling(json: &mut Writer<'_>, request: &Request) {
    let sampling = &request.sampling;
    let fields = [
        ("temperature", &sampling.temperature),
        ("top_p", &sampling.top_p),
        ("frequency_penalty", &sampling.frequency_penalty),
        ("presence_penalty", &sampling.presence_penalty),
        ("seed", &sampling.seed),
    ];
    for (name, value) in fields {
        if let Some(value) = value {
            json.field_json(name, value);
        }
    }
    match sampling.stop.as_slice() {
        [] => {}
        [stop] if sampling.stop_bare => json.field("stop", stop),
        stops => {
            json.key("stop");
            json.open_list();
            stops.iter().for_each(|stop| json.string(stop));
            json.close_list();
        }
    }
}

/// Writes `tools` with those that are no functions in their old places.
fn write_tools(json: &mut Writer<'_>, request: &Request) {
    let count = request.tools.len() + request.server_tools.len();
    if count == 0 {
        return;
    }
    json.key("tools");
    json.open_list();
    let (mut tools, mut others) = (request.tools.iter(), request.server_tools.iter().peekable());
    for position in 0..count {
        if let Some(other) = others.next_if(|other| other.position <= position) {
            json.raw(other.value.as_str());
        } else if let Some(tool) = tools.next() {
            write_tool(json, tool, &tool.extras);
        } else if let Some(other) = others.next() {
            json.raw(other.value.as_str());
        }
    }
    json.close_list();
}

fn write_tool(json: &mut Writer<'_>, tool: &Tool, extras: &[Extra]) {
    json.open();
    let untyped = |extra: &Extra| &*extra.name == "type";
    if !extras.iter().any(untyped) {
        json.field("type", "function");
    }
    json.key("function");
    json.open();
    json.field("name", &tool.name);
    if let Some(description) = &tool.description {
        json.field("description", description);
    }
    if let Some(schema) = &tool.schema {
        json.field_json("parameters", schema);
    }
    if let Some(strict) = tool.strict {
        json.field_bool("strict", strict);
    }
    for extra in extras {
        if let Some(name) = extra.name.strip_prefix(IN_FUNCTION) {
            json.field_json(name, &extra.value);
        }
    }
    json.close();
    for extra in extras.iter().filter(|extra| !extra.name.starts_with(IN_FUNCTION) && !untyped(extra)) {
        json.field_json(&extra.name, &extra.value);
    }
    json.close();
}

fn write_tool_choice(json: &mut Writer<'_>, request: &Request) {
    match &request.tool_choice {
        None => {}
        Some(ToolChoice::Auto) => json.field("tool_choice", "auto"),
        Some(ToolChoice::None) => json.field("tool_choice", "none"),
        Some(ToolChoice::Required) => json.field("tool_choice", "required"),
        Some(ToolChoice::Opaque(value)) => json.field_json("tool_choice", value),
        Some(ToolChoice::Named(name)) => {
            json.key("tool_choice");
            json.open();
            json.field("type", "function");
            json.key("function");
            json.open();
            json.field("name", name);
            json.close();
            json.close();
        }
    }
}

fn write_format(json: &mut Writer<'_>, format: &Format) {
    let kind = match format {
        Format::Unset => return,
        Format::Text => "text",
        Format::JsonObject => "json_object",
        Format::JsonSchema { .. } => "json_schema",
    };
    json.key("response_format");
    json.open();
    json.field("type", kind);
    if let Format::JsonSchema { name, schema, strict, extras } = format {
        json.key("json_schema");
        json.open();
        json.field("name", if name.is_empty() { "answer" } else { name });
        json.field_json("schema", schema);
        if let Some(strict) = strict {
            json.field_bool("strict", *strict);
        }
        json.extras(extras);
        json.close();
    }
    json.close();
}
