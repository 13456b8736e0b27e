//! What can be wrong with a request, and the facts of an error as the client sees it.

use crate::Dialect;

/// Why a request cannot be read. All are the client's to mend (400); [`DecodeError::param`] names the field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// Bytes that are not text.
    #[error("the body is not valid UTF-8 from byte {at}; send UTF-8")]
    Utf8 {
        /// Offset of the first bad byte.
        at: usize,
    },
    /// Text that is not JSON.
    #[error("the body is not valid JSON at byte {at}: {what}")]
    Json {
        /// Offset of the fault.
        at: usize,
        /// What was expected or found.
        what: &'static str,
    },
    /// Nesting beyond the limit.
    #[error("the body nests deeper than {depth_max} levels at byte {at}")]
    TooDeep {
        /// Offset of the level that is one too many.
        at: usize,
        /// The limit.
        depth_max: usize,
    },
    /// One object names a field twice.
    #[error("the field `{field}` appears twice in one object; send it once")]
    Duplicate {
        /// The field.
        field: String,
    },
    /// A field that another parser could take for a known one.
    #[error("unknown field `{field}`; did you mean `{known}`? field names are case-sensitive")]
    Lookalike {
        /// The field as sent.
        field: String,
        /// The field it resembles.
        known: &'static str,
    },
    /// A required field is absent.
    #[error("the required field `{field}` is missing")]
    Missing {
        /// The field.
        field: String,
    },
    /// A field has the wrong form.
    #[error("the field `{field}` must be {expected}")]
    Wrong {
        /// The field, with its path.
        field: String,
        /// What it must be.
        expected: &'static str,
    },
    /// Two fields contradict one another.
    #[error("`{field}` and `{other}` differ; send one of them")]
    Conflict {
        /// The one.
        field: &'static str,
        /// The other.
        other: &'static str,
    },
}

impl DecodeError {
    /// The field at fault, where one is.
    #[must_use]
    pub fn param(&self) -> Option<&str> {
        match self {
            DecodeError::Utf8 { .. } | DecodeError::Json { .. } | DecodeError::TooDeep { .. } => None,
            DecodeError::Duplicate { field }
            | DecodeError::Lookalike { field, .. }
            | DecodeError::Missing { field }
            | DecodeError::Wrong { field, .. } => Some(field),
            DecodeError::Conflict { field, .. } => Some(field),
        }
    }

    /// The stable code for the client.
    #[must_use]
    pub const fn code(&self) -> &'static str {
        match self {
            DecodeError::Utf8 { .. } | DecodeError::Json { .. } => "invalid_json",
            DecodeError::TooDeep { .. } => "nesting_too_deep",
            DecodeError::Duplicate { .. } => "duplicate_field",
            DecodeError::Lookalike { .. } => "unknown_parameter",
            DecodeError::Missing { .. } => "missing_required_parameter",
            DecodeError::Wrong { .. } => "invalid_value",
            DecodeError::Conflict { .. } => "conflicting_parameters",
        }
    }
}

/// What a dialect can lack.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Capability {
    /// A parameter that shapes the answer or its cost; may be left out by setting.
    Parameter,
    /// Several answers to one request.
    Choices,
    /// A tool the provider runs itself.
    ServerTool,
    /// A tool that is not a JSON function.
    CustomTool,
    /// A way of choosing tools.
    ToolChoice,
    /// Audio in or out.
    Audio,
    /// An image in this place or form.
    Image,
    /// A document in this place or form.
    Document,
    /// A file stored at a provider.
    StoredFile,
    /// Citations of documents in the answer.
    Citations,
    /// A form of the answer (JSON mode, a schema the target cannot enforce).
    Format,
    /// Reasoning in this form.
    Reasoning,
    /// A kind of content only its own dialect knows.
    Content,
    /// A history in this order of turns.
    History,
}

impl Capability {
    /// The spelling used in refusals, records and the list of exceptions.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Capability::Parameter => "parameter",
            Capability::Choices => "choices",
            Capability::ServerTool => "server_tool",
            Capability::CustomTool => "custom_tool",
            Capability::ToolChoice => "tool_choice",
            Capability::Audio => "audio",
            Capability::Image => "image",
            Capability::Document => "document",
            Capability::StoredFile => "stored_file",
            Capability::Citations => "citations",
            Capability::Format => "format",
            Capability::Reasoning => "reasoning",
            Capability::Content => "content",
            Capability::History => "history",
        }
    }
}

/// Something of a request that the target dialect cannot express: refused or reported before the provider is called.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{field}` ({}) cannot be expressed in {}; leave it out or use a model that is served in the request's own dialect",
    capability.as_str(), target.as_str()
)]
pub struct Unsupported {
    /// The field, with its path, as the client wrote it.
    pub field: String,
    /// What the target lacks.
    pub capability: Capability,
    /// The dialect that lacks it.
    pub target: Dialect,
}

/// An error as the client sees it; `bh-http` chooses status, kind and code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WireError {
    /// The HTTP status.
    pub status: u16,
    /// `error.type`.
    pub kind: String,
    /// `error.code` (OpenAI only).
    pub code: Option<String>,
    /// `error.param` (OpenAI only).
    pub param: Option<String>,
    /// `error.message`.
    pub message: String,
    /// The request's id, where the dialect has a place for it.
    pub request_id: Option<String>,
}

/// A model as the lists show it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ModelCard {
    /// What the client writes in `model`.
    pub id: String,
    /// The name people read.
    pub display_name: String,
    /// Who serves it.
    pub owned_by: String,
    /// Seconds since the Unix epoch; zero when unknown.
    pub created: u64,
    /// Prompt and answer tokens together, where known.
    pub context_tokens: Option<u64>,
    /// Most answer tokens, where known.
    pub output_tokens_max: Option<u64>,
}
