//! A request as the client meant it.

use std::fmt;

/// JSON text, kept exactly as it was written. Made by dialects from bytes they parsed, so it is known to be valid.
#[derive(Clone, PartialEq, Eq)]
pub struct Json(pub Box<str>);

/// A field that has no place in the conversation, under its own name in the dialect it came from.
/// The same dialect writes it back; another must translate or refuse it by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Extra {
    /// The field's name on the wire.
    pub name: Box<str>,
    /// Its value.
    pub value: Json,
}

/// One request for an answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Request {
    /// The model as the client named it.
    pub model: String,
    /// System and developer instructions, turns of people, assistants and tools, in order.
    pub messages: Vec<Message>,
    /// Tools the client runs.
    pub tools: Vec<Tool>,
    /// Tools the provider runs, as the dialect spells them.
    pub server_tools: Vec<ServerTool>,
    /// Which tool may or must be called; `None` when the client did not say.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called at once; `None` when the client did not say.
    pub parallel_tool_calls: Option<bool>,
    /// How the answer is drawn.
    pub sampling: Sampling,
    /// Most answer tokens, reasoning included; `None` when the client did not say.
    pub max_output: Option<u64>,
    /// How much to think; `None` when the client did not say.
    pub reasoning: Option<Reasoning>,
    /// The form of the answer.
    pub format: Format,
    /// How many answers.
    pub choices: Option<u32>,
    /// Whether the answer is streamed; `None` when the client did not say.
    pub stream: Option<bool>,
    /// Whether the client asked for usage on a stream.
    pub stream_usage: Option<bool>,
    /// The client's own name for its end user.
    pub user: Option<String>,
    /// Which speed and price the provider is asked for.
    pub service_tier: Option<String>,
    /// Everything else, by name.
    pub extras: Vec<Extra>,
}

/// Who speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Instructions that outrank the user's.
    System,
    /// Instructions of the developer, where a dialect tells them apart from `System`.
    Developer,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// Results of tools the client ran.
    Tool,
}

/// One turn.
#[derive(Clone, Debug, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// Whether the wire had a bare string rather than a list of parts, so that the same dialect writes it so again.
    pub bare: bool,
    /// Everything else, by name.
    pub extras: Vec<Extra>,
}

/// Where an image or a document is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ImageSource {
    /// In the request, base64.
    Base64 {
        /// Its media type, such as `image/png`.
        media_type: String,
        /// The base64 text.
        data: String,
    },
    /// Behind a URL the provider fetches.
    Url(String),
    /// Stored at the provider under this id.
    FileId(String),
}

/// One piece of a turn or of an answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Part {
    /// Text.
    Text {
        /// The text.
        text: String,
        /// What the text refers to (answers only).
        citations: Vec<super::Citation>,
        /// Everything else, by name (such as `cache_control`).
        extras: Vec<Extra>,
    },
    /// An image.
    Image {
        /// Where it is.
        source: ImageSource,
        /// `low`, `high`, `auto` or what else the dialect allows.
        detail: Option<String>,
        /// Everything else, by name.
        extras: Vec<Extra>,
    },
    /// A document such as a PDF.
    Document {
        /// Where it is.
        source: ImageSource,
        /// Its file name or title.
        name: Option<String>,
        /// Everything else, by name.
        extras: Vec<Extra>,
    },
    /// Audio, base64.
    Audio {
        /// `wav`, `mp3` and so on.
        format: String,
        /// The base64 text.
        data: String,
        /// Everything else, by name.
        extras: Vec<Extra>,
    },
    /// A call of a tool the client runs.
    ToolCall {
        /// The call's id, unique in the conversation.
        id: String,
        /// The tool.
        name: String,
        /// The arguments: a JSON object's text, but kept as the model wrote it, valid or not.
        arguments: String,
        /// Everything else, by name.
        extras: Vec<Extra>,
    },
    /// What a tool answered.
    ToolResult {
        /// The call's id.
        id: String,
        /// The answer: text and images.
        parts: Vec<Part>,
        /// Whether the wire had a bare string.
        bare: bool,
        /// Whether the tool failed; `None` when the client did not say.
        is_error: Option<bool>,
        /// Everything else, by name.
        extras: Vec<Extra>,
    },
    /// The model's reasoning.
    Thinking {
        /// The text.
        text: String,
        /// The provider's signature over it; without it the provider takes the block for forged.
        signature: Option<String>,
        /// Everything else, by name.
        extras: Vec<Extra>,
    },
    /// Reasoning the provider encrypted.
    RedactedThinking {
        /// The ciphertext.
        data: String,
    },
    /// The model declined; the text says why.
    Refusal {
        /// The text.
        text: String,
    },
    /// A part only its own dialect understands, whole.
    Opaque {
        /// Its `type` on the wire.
        kind: String,
        /// The whole part.
        value: Json,
    },
}

/// A tool the client runs.
#[derive(Clone, Debug, PartialEq)]
pub struct Tool {
    /// Its name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON Schema of its arguments; `None` when the client gave none.
    pub schema: Option<Json>,
    /// Whether arguments must match the schema exactly.
    pub strict: Option<bool>,
    /// Everything else, by name (such as `cache_control`).
    pub extras: Vec<Extra>,
}

/// A tool the provider runs, or a kind of tool only its own dialect understands.
#[derive(Clone, Debug, PartialEq)]
pub struct ServerTool {
    /// Its `type` on the wire.
    pub kind: String,
    /// The whole declaration.
    pub value: Json,
    /// Its place among all the tools of the request, so that the same dialect keeps the order.
    pub position: usize,
}

/// Which tool may or must be called.
#[derive(Clone, Debug, PartialEq)]
pub enum ToolChoice {
    /// The model decides.
    Auto,
    /// No tool.
    None,
    /// Some tool.
    Required,
    /// This tool.
    Named(String),
    /// A form only its own dialect understands.
    Opaque(Json),
}

/// How the answer is drawn. `None` everywhere means that the client did not say.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Sampling {
    /// Temperature, as written (numbers keep their text so that nothing is rounded).
    pub temperature: Option<Json>,
    /// Nucleus.
    pub top_p: Option<Json>,
    /// Most likely k.
    pub top_k: Option<Json>,
    /// Frequency penalty.
    pub frequency_penalty: Option<Json>,
    /// Presence penalty.
    pub presence_penalty: Option<Json>,
    /// Seed.
    pub seed: Option<Json>,
    /// Texts that end the answer.
    pub stop: Vec<String>,
    /// Whether `stop` was a bare string.
    pub stop_bare: bool,
}

/// How much to think.
#[derive(Clone, Debug, PartialEq)]
pub enum Reasoning {
    /// None at all.
    Off,
    /// A word such as `low`, `medium`, `high`.
    Effort(String),
    /// Most tokens of thinking.
    Budget(u64),
    /// A form only its own dialect understands.
    Opaque(Json),
}

/// The form of the answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Format {
    /// Whatever the model says; the client did not ask.
    #[default]
    Unset,
    /// Text, asked for by name.
    Text,
    /// Any JSON object.
    JsonObject,
    /// JSON that matches a schema.
    JsonSchema {
        /// The schema's name; dialects without names leave it empty.
        name: String,
        /// The schema.
        schema: Json,
        /// Whether it must match exactly.
        strict: Option<bool>,
        /// Everything else, by name.
        extras: Vec<Extra>,
    },
}

impl Default for Json {
    fn default() -> Self {
        Json("null".into())
    }
}

impl Json {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Json {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Part {
    /// Plain text with nothing attached.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Part::Text { text: text.into(), citations: Vec::new(), extras: Vec::new() }
    }
}
