//! How a model of Anthropic's family is told to think.

use bh_chat::{Reasoning, Request, ToolChoice};

use crate::ThinkingForm;

/// The least budget the API takes, in tokens.
const BUDGET_MIN: u64 = 1024;
/// Of the answer's limit, the share that is kept for what follows the thinking: one in this many.
const ANSWER_SHARE: u64 = 5;
/// The first models that take adaptive thinking, and the last that may still take a budget.
const FIRST_ADAPTIVE: (u32, u32) = (4, 6);
/// The first models that think at all.
const FIRST_THINKING: (u32, u32) = (3, 7);

/// What is written for a request that came from another dialect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Thinking {
    /// Nothing: the client did not ask.
    Unset,
    /// `thinking: disabled`.
    Off,
    /// `thinking.budget_tokens`.
    Budget(u64),
    /// `thinking: adaptive`, `output_config.effort`, and whether the text must be asked for.
    Adaptive {
        /// The effort, in Anthropic's words.
        effort: Option<String>,
        /// Whether the model keeps its thinking to itself unless asked to summarise it.
        ask_summary: bool,
    },
    /// The model, the limit or another part of the request leaves no room for the thinking that was asked for.
    Impossible,
}

/// Decides how the reasoning of a foreign request is said to this model, whose answer is limited to `max_tokens`.
pub(super) fn decide(request: &Request, model: &str, form: Option<ThinkingForm>, max_tokens: u64) -> Thinking {
    let version = version(model);
    let form = form.unwrap_or_else(|| form_of(model, version));
    let wanted = match &request.reasoning {
        None => return Thinking::Unset,
        Some(Reasoning::Opaque(_)) => return Thinking::Impossible,
        Some(Reasoning::Off) => None,
        Some(Reasoning::Effort(word)) if word == "none" => None,
        Some(Reasoning::Effort(word)) => Some(Err(word.as_str())),
        Some(Reasoning::Budget(tokens)) => Some(Ok(*tokens)),
    };
    let Some(wanted) = wanted else {
        return if form == ThinkingForm::Adaptive { Thinking::Off } else { Thinking::Unset };
    };
    // The API refuses thinking beside a forced tool, and the tool is the stronger wish.
    let forced = matches!(request.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_)));
    if forced || version.is_some_and(|version| version < FIRST_THINKING) {
        return Thinking::Impossible;
    }
    match form {
        ThinkingForm::Adaptive => Thinking::Adaptive {
            effort: Some(wanted.map_or_else(|word| effort_word(word, version), effort_of_budget)),
            ask_summary: version.is_none_or(|version| FIRST_ADAPTIVE < version),
        },
        ThinkingForm::Budget => budget(wanted.unwrap_or_else(budget_of_effort), max_tokens),
    }
}

fn budget(wanted: u64, max_tokens: u64) -> Thinking {
    let room = max_tokens - max_tokens / ANSWER_SHARE;
    let tokens = wanted.min(room).max(BUDGET_MIN);
    if tokens < max_tokens { Thinking::Budget(tokens) } else { Thinking::Impossible }
}

fn budget_of_effort(word: &str) -> u64 {
    match word {
        "minimal" => BUDGET_MIN,
        "low" => 4096,
        "medium" => 10_240,
        "high" => 24_576,
        _ => 49_152,
    }
}

fn effort_of_budget(tokens: u64) -> String {
    let word = match tokens {
        0..=4096 => "low",
        4097..=16_384 => "medium",
        _ => "high",
    };
    word.to_owned()
}

/// Anthropic's word for an effort; one it does not know goes through, for the provider to judge.
fn effort_word(word: &str, version: Option<(u32, u32)>) -> String {
    match word {
        "minimal" => "low",
        // The first adaptive models have nothing between high and max.
        "xhigh" if version == Some(FIRST_ADAPTIVE) => "max",
        other => other,
    }
    .to_owned()
}

/// Other makers copied the API before adaptive thinking came, so only a Claude of unknown version is taken for new.
fn form_of(model: &str, version: Option<(u32, u32)>) -> ThinkingForm {
    let adaptive = match version {
        Some(version) => FIRST_ADAPTIVE <= version,
        None => model.contains("claude"),
    };
    if adaptive { ThinkingForm::Adaptive } else { ThinkingForm::Budget }
}

/// The version in a name such as `claude-opus-4-7`, `claude-3-5-sonnet-20241022` or `anthropic/claude-haiku-4.5`.
fn version(model: &str) -> Option<(u32, u32)> {
    let (_, words) = model.split_once("claude-")?;
    // Family names stand before or after the numbers; dates are longer than any number of a version.
    let mut numbers = words.split(['-', '.', '@', ':']).filter(|word| word.len() <= 2).flat_map(str::parse::<u32>);
    Some((numbers.next()?, numbers.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_off_names() {
        for (name, expected) in [
            ("claude-opus-4-7", Some((4, 7))),
            ("claude-sonnet-5", Some((5, 0))),
            ("claude-3-5-sonnet-20241022", Some((3, 5))),
            ("claude-sonnet-4-20250514", Some((4, 0))),
            ("anthropic/claude-haiku-4.5", Some((4, 5))),
            ("claude-sonnet-4-5@20250929", Some((4, 5))),
            ("claude-mythos-preview", None),
            ("kimi-k2", None),
        ] {
            assert_eq!(version(name), expected, "{name}");
        }
    }

    fn check(model: &str, reasoning: Reasoning, max_tokens: u64, expected: Thinking) {
        let request = Request { reasoning: Some(reasoning), ..Request::default() };
        assert_eq!(decide(&request, model, None, max_tokens), expected, "{model} {max_tokens}");
    }

    #[test]
    fn a_budget_is_at_least_the_minimum_and_below_the_limit() {
        let effort = |word: &str| Reasoning::Effort(word.into());
        check("claude-haiku-4-5", effort("low"), 64_000, Thinking::Budget(4096));
        check("claude-haiku-4-5", effort("high"), 10_000, Thinking::Budget(8000));
        check("claude-haiku-4-5", effort("high"), 1025, Thinking::Budget(1024));
        check("claude-haiku-4-5", effort("high"), 1024, Thinking::Impossible);
        check("claude-3-5-sonnet-20241022", effort("high"), 8192, Thinking::Impossible);
        check("kimi-k2", effort("minimal"), 8192, Thinking::Budget(1024));
    }

    #[test]
    fn newer_models_are_told_an_effort() {
        let effort = |word: &str| Reasoning::Effort(word.into());
        let adaptive = |effort: &str, ask_summary| Thinking::Adaptive { effort: Some(effort.into()), ask_summary };
        check("claude-opus-4-7", effort("xhigh"), 100, adaptive("xhigh", true));
        check("claude-opus-4-6", effort("xhigh"), 100, adaptive("max", false));
        check("claude-sonnet-5", effort("minimal"), 100, adaptive("low", true));
        check("claude-sonnet-5", Reasoning::Budget(20_000), 100, adaptive("high", true));
        check("claude-sonnet-5", effort("none"), 100, Thinking::Off);
        check("claude-haiku-4-5", effort("none"), 100, Thinking::Unset);
    }

    #[test]
    fn a_forced_tool_leaves_no_room_for_thinking() {
        let request = Request {
            reasoning: Some(Reasoning::Effort("high".into())),
            tool_choice: Some(ToolChoice::Required),
            ..Request::default()
        };
        assert_eq!(decide(&request, "claude-haiku-4-5", None, 64_000), Thinking::Impossible);
    }
}
