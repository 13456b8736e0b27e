//! The bytes of an answer in OpenAI's chat dialect.

use bytes::Bytes;
use serde::Serialize;

use super::answer::{Answer, Delta};

/// When every answer of the echo was made, in Unix seconds: a fixed time, so that equal requests get equal bytes.
const CREATED: u64 = 1_735_689_600;

/// What is the same in every part of one answer.
#[derive(Debug)]
pub(crate) struct Envelope {
    pub(crate) id: String,
    pub(crate) model: String,
    pub(crate) choices: u32,
    pub(crate) usage: Usage,
    /// Whether a stream ends with the usage.
    pub(crate) include_usage: bool,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Usage {
    pub(crate) prompt_tokens: u64,
    pub(crate) completion_tokens: u64,
    pub(crate) total_tokens: u64,
    pub(crate) completion_tokens_details: UsageDetails,
}

#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct UsageDetails {
    pub(crate) reasoning_tokens: u64,
}

#[derive(Serialize)]
struct Completion<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<Choice<'a>>,
    usage: Usage,
}

#[derive(Serialize)]
struct Choice<'a> {
    index: u32,
    message: Message<'a>,
    logprobs: (),
    finish_reason: &'static str,
}

#[derive(Serialize)]
struct Message<'a> {
    role: &'static str,
    content: Option<&'a str>,
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    reasoning_content: &'a str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

#[derive(Serialize)]
struct Call<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    r#type: Option<&'static str>,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    arguments: &'a str,
}

#[derive(Serialize)]
struct Chunk<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    model: &'a str,
    choices: Vec<ChunkChoice<'a>>,
    /// Outer: whether the key is there at all; inner: null until the last chunk.
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<Option<Usage>>,
}

#[derive(Serialize)]
struct ChunkChoice<'a> {
    index: u32,
    delta: DeltaOut<'a>,
    finish_reason: Option<&'static str>,
}

#[derive(Default, Serialize)]
struct DeltaOut<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    role: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning_content: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
}

#[derive(Serialize)]
struct ErrorBody<'a> {
    error: ErrorFields<'a>,
}

#[derive(Serialize)]
struct ErrorFields<'a> {
    message: &'a str,
    r#type: &'a str,
    param: Option<&'a str>,
    code: Option<&'a str>,
}

/// The whole answer as one body.
pub(crate) fn completion(envelope: &Envelope, answer: &Answer) -> Bytes {
    let choice = |index| Choice { index, message: message(answer), logprobs: (), finish_reason: answer.finish };
    json(&Completion {
        id: &envelope.id,
        object: "chat.completion",
        created: CREATED,
        model: &envelope.model,
        choices: (0..envelope.choices).map(choice).collect(),
        usage: envelope.usage,
    })
}

/// The number of frames of a streamed answer.
pub(crate) fn frames(envelope: &Envelope, answer: &Answer) -> usize {
    // A role, the deltas and a finish for each choice; the usage if asked; the end.
    envelope.choices as usize * (answer.deltas.len() + 2) + usize::from(envelope.include_usage) + 1
}

/// One frame of a streamed answer, framing included; `at` is below [`frames`].
pub(crate) fn frame(envelope: &Envelope, answer: &Answer, at: usize) -> Bytes {
    let choices = envelope.choices as usize;
    let (row, index) = (at / choices, u32::try_from(at % choices).expect("a choice is one of at most eight"));
    let last_row = answer.deltas.len() + 1;
    if last_row < row {
        let is_usage = envelope.include_usage && at == choices * (last_row + 1);
        return if is_usage { usage_frame(envelope) } else { Bytes::from_static(b"data: [DONE]\n\n") };
    }
    let (delta, finish_reason) = if row == 0 {
        (role(answer), None)
    } else if row == last_row {
        (DeltaOut::default(), Some(answer.finish))
    } else {
        (delta(answer, &answer.deltas[row - 1]), None)
    };
    chunk(envelope, vec![ChunkChoice { index, delta, finish_reason }], None)
}

/// The frames before the one that follows this many tokens of each choice.
pub(crate) fn frames_before(envelope: &Envelope, tokens: usize) -> usize {
    envelope.choices as usize * (tokens + 1)
}

/// An error body, also the data of an error event.
pub(crate) fn error(kind: &str, code: Option<&str>, param: Option<&str>, message: &str) -> Bytes {
    json(&ErrorBody { error: ErrorFields { message, r#type: kind, param, code } })
}

/// An error event inside a stream.
pub(crate) fn error_frame(message: &str) -> Bytes {
    framed(&error("server_error", Some("echo_error"), None, message))
}

fn message(answer: &Answer) -> Message<'_> {
    Message {
        role: "assistant",
        content: answer.content.as_deref(),
        refusal: answer.refusal.as_deref(),
        reasoning_content: &answer.reasoning,
        tool_calls: answer
            .calls
            .iter()
            .map(|call| Call {
                index: None,
                id: Some(&call.id),
                r#type: Some("function"),
                function: Function { name: Some(&call.name), arguments: &call.arguments },
            })
            .collect(),
    }
}

fn role(answer: &Answer) -> DeltaOut<'_> {
    let content = answer.content.as_ref().map(|_| "");
    DeltaOut { role: Some("assistant"), content, ..DeltaOut::default() }
}

fn delta<'a>(answer: &'a Answer, delta: &Delta) -> DeltaOut<'a> {
    let mut out = DeltaOut::default();
    match delta {
        Delta::Reasoning(piece) => out.reasoning_content = Some(&answer.reasoning[piece.clone()]),
        Delta::Content(piece) => out.content = answer.content.as_deref().map(|text| &text[piece.clone()]),
        Delta::Refusal(piece) => out.refusal = answer.refusal.as_deref().map(|text| &text[piece.clone()]),
        Delta::Call(index) => {
            let call = &answer.calls[*index];
            let function = Function { name: Some(&call.name), arguments: "" };
            out.tool_calls = vec![Call { index: Some(*index), id: Some(&call.id), r#type: Some("function"), function }];
        }
        Delta::Arguments(index, piece) => {
            let function = Function { name: None, arguments: &answer.calls[*index].arguments[piece.clone()] };
            out.tool_calls = vec![Call { index: Some(*index), id: None, r#type: None, function }];
        }
    }
    out
}

fn usage_frame(envelope: &Envelope) -> Bytes {
    chunk(envelope, Vec::new(), Some(envelope.usage))
}

fn chunk(envelope: &Envelope, choices: Vec<ChunkChoice<'_>>, usage: Option<Usage>) -> Bytes {
    framed(&json(&Chunk {
        id: &envelope.id,
        object: "chat.completion.chunk",
        created: CREATED,
        model: &envelope.model,
        choices,
        usage: envelope.include_usage.then_some(usage),
    }))
}

fn framed(data: &[u8]) -> Bytes {
    [b"data: ", data, b"\n\n"].concat().into()
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("strings, numbers and lists always serialise").into()
}
