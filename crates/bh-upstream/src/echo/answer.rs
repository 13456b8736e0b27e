//! What the echo says: the texts and tool calls of one answer, and the tokens they come in.
//!
//! A token of the echo is one piece: a word with the blanks before it, at most [`PIECE_BYTES_MAX`] bytes. What is
//! streamed piece by piece is what is counted, so the usage can be checked by counting the stream's deltas.

use std::ops::Range;

use serde_json::{Value, json};

use super::request::{Asked, Format, Tool, ToolChoice};
use super::schema;
use super::wishes::{Calls, OUTPUT_TOKENS_MAX, Wishes};

/// Longest piece, in bytes.
const PIECE_BYTES_MAX: usize = 16;
/// How much of the user's text is echoed, in bytes.
const ECHO_BYTES_MAX: usize = 64 * 1024;
/// Most tools called in one answer.
const CALLS_MAX: usize = 16;

const WORDS: [&str; 12] =
    ["bulkhead", "keeps", "one", "flooded", "compartment", "from", "sinking", "the", "ship", "and", "sails", "on"];
const THOUGHTS: [&str; 6] = ["the", "user", "wants", "an", "echo", "so"];
const REFUSAL: &str = "I was asked to decline, so I do.";

/// One answer; each choice says the same.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) reasoning: String,
    /// Absent beside tool calls and refusals.
    pub(crate) content: Option<String>,
    pub(crate) refusal: Option<String>,
    pub(crate) calls: Vec<ToolCall>,
    /// The order in which it is streamed; each is one token.
    pub(crate) deltas: Vec<Delta>,
    pub(crate) finish: &'static str,
}

/// A call of one of the client's tools.
#[derive(Debug)]
pub(crate) struct ToolCall {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) arguments: String,
}

/// One token: a piece of a text, or the beginning of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Delta {
    Reasoning(Range<usize>),
    Content(Range<usize>),
    Refusal(Range<usize>),
    Call(usize),
    Arguments(usize, Range<usize>),
}

impl Answer {
    /// The answer to a request; `said` is the user's text without markers, `id` names the answer.
    pub(crate) fn new(asked: &Asked, wishes: &Wishes, said: &str, id: &str) -> Self {
        let mut answer = Self {
            reasoning: words(&THOUGHTS, wishes.think),
            content: None,
            refusal: None,
            calls: calls(asked, wishes.tools, said, id),
            deltas: Vec::new(),
            finish: "stop",
        };
        if wishes.refuse {
            answer.calls.clear();
            answer.refusal = Some(REFUSAL.to_owned());
        } else if !answer.calls.is_empty() {
            answer.finish = "tool_calls";
        } else {
            answer.content = Some(stopped(content(asked, wishes, said), &asked.stop));
        }
        answer.cut_to_pieces();
        let limit = asked.tokens_max.map_or(OUTPUT_TOKENS_MAX, |limit| {
            usize::try_from(limit).unwrap_or(OUTPUT_TOKENS_MAX).min(OUTPUT_TOKENS_MAX)
        });
        answer.limit_tokens(limit);
        answer
    }

    /// Tokens spent on reasoning.
    pub(crate) fn reasoning_tokens(&self) -> usize {
        self.deltas.iter().filter(|delta| matches!(delta, Delta::Reasoning(_))).count()
    }

    fn cut_to_pieces(&mut self) {
        let mut deltas: Vec<_> = pieces(&self.reasoning).into_iter().map(Delta::Reasoning).collect();
        deltas.extend(pieces(self.content.as_deref().unwrap_or("")).into_iter().map(Delta::Content));
        deltas.extend(pieces(self.refusal.as_deref().unwrap_or("")).into_iter().map(Delta::Refusal));
        for (index, call) in self.calls.iter().enumerate() {
            deltas.push(Delta::Call(index));
            deltas.extend(pieces(&call.arguments).into_iter().map(|piece| Delta::Arguments(index, piece)));
        }
        self.deltas = deltas;
    }

    fn limit_tokens(&mut self, limit: usize) {
        if self.deltas.len() <= limit {
            return;
        }
        self.deltas.truncate(limit);
        self.finish = "length";
        let end = |wanted: fn(&Delta) -> Option<usize>| self.deltas.iter().filter_map(wanted).max().unwrap_or(0);
        let reasoning = end(|delta| if let Delta::Reasoning(piece) = delta { Some(piece.end) } else { None });
        let content = end(|delta| if let Delta::Content(piece) = delta { Some(piece.end) } else { None });
        let refusal = end(|delta| if let Delta::Refusal(piece) = delta { Some(piece.end) } else { None });
        let calls = end(|delta| if let Delta::Call(index) = delta { Some(index + 1) } else { None });
        let arguments = self.deltas.iter().rev().find_map(|delta| match delta {
            Delta::Arguments(index, piece) if index + 1 == calls => Some(piece.end),
            Delta::Arguments(..) | Delta::Reasoning(_) | Delta::Content(_) | Delta::Refusal(_) | Delta::Call(_) => None,
        });
        self.reasoning.truncate(reasoning);
        if let Some(text) = &mut self.content {
            text.truncate(content);
        }
        if let Some(text) = &mut self.refusal {
            text.truncate(refusal);
        }
        self.calls.truncate(calls);
        if let Some(last) = self.calls.last_mut() {
            last.arguments.truncate(arguments.unwrap_or(0));
        }
    }
}

/// The longest beginning of `text` that is at most `bytes_max` long and ends between characters.
pub(crate) fn truncated(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max)]
}

fn content(asked: &Asked, wishes: &Wishes, said: &str) -> String {
    if let Some(count) = wishes.long {
        return words(&WORDS, count);
    }
    let said = truncated(said, ECHO_BYTES_MAX);
    match &asked.format {
        Format::Schema(schema) => return schema::instance(schema, said).to_string(),
        Format::Json => return json!({ "echo": said }).to_string(),
        Format::Text => {}
    }
    if !asked.tool_results.is_empty() {
        let results = asked.tool_results.join(" | ");
        return format!("The tools said: {}", truncated(&results, ECHO_BYTES_MAX));
    }
    let images = " [image]".repeat(asked.images.min(CALLS_MAX));
    match format!("{said}{images}").trim_start() {
        "" => "echo".to_owned(),
        text => text.to_owned(),
    }
}

/// The calls of an answer. Results at the end of the conversation are answered in words, never with another call, so
/// that an agent's loop ends.
fn calls(asked: &Asked, wish: Calls, said: &str, id: &str) -> Vec<ToolCall> {
    if !asked.tool_results.is_empty() {
        return Vec::new();
    }
    let chosen: Vec<&Tool> = match (&asked.tool_choice, wish) {
        (ToolChoice::None, _) | (ToolChoice::Auto, Calls::None) => Vec::new(),
        (ToolChoice::Named(name), _) => asked.tools.iter().filter(|tool| tool.name == *name).take(1).collect(),
        (ToolChoice::Auto | ToolChoice::Required, Calls::All) if asked.parallel => {
            asked.tools.iter().take(CALLS_MAX).collect()
        }
        (ToolChoice::Required, _) | (ToolChoice::Auto, Calls::First | Calls::All) => {
            asked.tools.iter().take(1).collect()
        }
    };
    let called = |(index, tool): (usize, &Tool)| {
        let arguments = match schema::instance(&tool.parameters, said) {
            Value::Object(fields) => Value::Object(fields).to_string(),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => "{}".to_owned(),
        };
        ToolCall { id: format!("call_{id}_{index}"), name: tool.name.clone(), arguments }
    };
    chosen.into_iter().enumerate().map(called).collect()
}

fn stopped(mut text: String, stop: &[String]) -> String {
    if let Some(at) = stop.iter().filter_map(|stop| text.find(stop.as_str())).min() {
        text.truncate(at);
    }
    text
}

fn words(from: &[&str], count: usize) -> String {
    let said: Vec<_> = from.iter().copied().cycle().take(count).collect();
    said.join(" ")
}

/// The tokens of a text: each at least one byte, none across a character.
fn pieces(text: &str) -> Vec<Range<usize>> {
    let mut pieces = Vec::new();
    let (mut start, mut in_word) = (0, false);
    for (at, character) in text.char_indices() {
        let word_ended = in_word && character.is_whitespace();
        if word_ended || PIECE_BYTES_MAX < at + character.len_utf8() - start {
            pieces.push(start..at);
            (start, in_word) = (at, false);
        }
        in_word |= !character.is_whitespace();
    }
    if start < text.len() {
        pieces.push(start..text.len());
    }
    pieces
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answer(body: &Value, wishes: &Wishes) -> Answer {
        let asked = Asked::parse(body.to_string().as_bytes()).unwrap();
        let said = asked.user_text.clone();
        Answer::new(&asked, wishes, &said, "id")
    }

    fn with_tools(extra: &Value) -> Value {
        let tool = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": {"type": "object", "properties": {"q": {"type": "string"}}}}});
        let mut body = json!({"model": "echo", "messages": [{"role": "user", "content": "Rome"}], "tools": [tool("a"), tool("b")]});
        body.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
        body
    }

    fn names(answer: &Answer) -> Vec<&str> {
        answer.calls.iter().map(|call| call.name.as_str()).collect()
    }

    fn check_calls(extra: &Value, tools: Calls, want: &[&str]) {
        let answer = answer(&with_tools(extra), &Wishes { tools, ..Wishes::default() });
        assert_eq!(names(&answer), want, "{extra}");
        assert_eq!(answer.finish, if want.is_empty() { "stop" } else { "tool_calls" });
        assert_eq!(answer.content.is_some(), want.is_empty());
    }

    #[test]
    fn tools_are_called_as_wished_and_as_the_choice_allows() {
        check_calls(&json!({}), Calls::None, &[]);
        check_calls(&json!({}), Calls::First, &["a"]);
        check_calls(&json!({}), Calls::All, &["a", "b"]);
        check_calls(&json!({"parallel_tool_calls": false}), Calls::All, &["a"]);
        check_calls(&json!({"tool_choice": "none"}), Calls::All, &[]);
        check_calls(&json!({"tool_choice": "required"}), Calls::None, &["a"]);
        check_calls(&json!({"tool_choice": {"type": "function", "function": {"name": "b"}}}), Calls::None, &["b"]);
    }

    #[test]
    fn an_agents_loop_ends_with_the_results() {
        let results = json!({"messages": [{"role": "user", "content": "x"}, {"role": "tool", "content": "7"}], "tool_choice": "required"});
        let answer = answer(&with_tools(&results), &Wishes { tools: Calls::All, ..Wishes::default() });
        assert_eq!(answer.content.as_deref(), Some("The tools said: 7"));
    }

    #[test]
    fn a_limit_cuts_at_a_token_and_says_so() {
        let body =
            json!({"model": "echo", "messages": [{"role": "user", "content": "one two three four"}], "max_tokens": 3});
        let cut = answer(&body, &Wishes::default());
        assert_eq!((cut.content.as_deref(), cut.finish, cut.deltas.len()), (Some("one two three"), "length", 3));
        let thinking = answer(&body, &Wishes { think: 5, ..Wishes::default() });
        assert_eq!(thinking.reasoning, "the user wants");
        assert_eq!(thinking.content.as_deref(), Some(""));
    }

    #[test]
    fn a_limit_cuts_tool_arguments_too() {
        let body = with_tools(&json!({"max_tokens": 1}));
        let cut = answer(&body, &Wishes { tools: Calls::All, ..Wishes::default() });
        assert_eq!((names(&cut), cut.calls[0].arguments.as_str(), cut.finish), (vec!["a"], "", "length"));
    }

    #[test]
    fn a_stop_sequence_ends_the_text_before_it() {
        let body = json!({"model": "echo", "messages": [{"role": "user", "content": "one two three"}], "stop": ["three", " two"]});
        assert_eq!(answer(&body, &Wishes::default()).content.as_deref(), Some("one"));
    }

    #[test]
    fn a_long_answer_has_as_many_tokens_as_words() {
        let body = json!({"model": "echo", "messages": [{"role": "user", "content": "x"}]});
        let long = answer(&body, &Wishes { long: Some(OUTPUT_TOKENS_MAX), ..Wishes::default() });
        assert_eq!((long.deltas.len(), long.finish), (OUTPUT_TOKENS_MAX, "stop"));
    }

    proptest! {
        #[test]
        fn pieces_join_to_the_text_and_none_is_empty(text in "(\\PC|[ \n\t]){0,80}") {
            let pieces = pieces(&text);
            let joined: String = pieces.iter().map(|piece| &text[piece.clone()]).collect();
            prop_assert_eq!(joined, text);
            prop_assert!(pieces.iter().all(|piece| !piece.is_empty() && piece.len() <= PIECE_BYTES_MAX));
        }
    }
}
