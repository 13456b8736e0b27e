//! An answer, whole or as a stream of events.

use crate::{Extra, Json, Part, Usage};

/// Why the model stopped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Finish {
    /// It was done.
    Stop,
    /// A stop sequence of the request; the text says which, where the dialect does.
    StopSequence(Option<String>),
    /// The token limit.
    Length,
    /// It calls tools.
    ToolCalls,
    /// It declined, or a filter of the provider did.
    Refusal,
    /// A filter of the provider cut it.
    ContentFilter,
    /// It wants to go on (a long server-side tool loop).
    Pause,
    /// A word only its own dialect knows.
    Other(String),
}

/// What a piece of text refers to, in the dialect's own form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Citation {
    /// Its `type` on the wire.
    pub kind: String,
    /// The source's address, where it has one.
    pub url: Option<String>,
    /// The source's title, where it has one.
    pub title: Option<String>,
    /// The quoted text, where given.
    pub quoted: Option<String>,
    /// The whole citation in its own dialect.
    pub value: Json,
}

/// One of the answers of a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// What is said, in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub finish: Option<Finish>,
    /// Everything else, by name (such as `logprobs`).
    pub extras: Vec<Extra>,
}

/// A whole answer.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// The provider's id of it.
    pub id: String,
    /// The provider's name of the model.
    pub model: String,
    /// Seconds since the Unix epoch, where the provider says.
    pub created: Option<u64>,
    /// The answers; one unless the client asked for more.
    pub choices: Vec<Choice>,
    /// What it used, as the provider says.
    pub usage: Option<Usage>,
    /// Everything else, by name (such as `system_fingerprint`).
    pub extras: Vec<Extra>,
}

/// One step of a streamed answer. Parts open in order and are named by their place in the choice; several may be
/// open at once where a provider interleaves them.
#[derive(Clone, Debug, PartialEq)]
pub enum Event {
    /// The answer begins.
    Start {
        /// The provider's id of it.
        id: String,
        /// The provider's name of the model.
        model: String,
        /// Seconds since the Unix epoch, where the provider says.
        created: Option<u64>,
    },
    /// A part opens. It carries what is known at once: a tool call its id and name, text usually nothing.
    Open {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// The part so far.
        begun: Part,
    },
    /// More text of an open text, thinking or refusal part, or more argument text of an open tool call.
    More {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// What is added.
        text: String,
    },
    /// The signature of an open thinking part.
    Signature {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// The signature.
        signature: String,
    },
    /// A citation of an open text part.
    Cite {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        part: u32,
        /// The citation.
        citation: Citation,
    },
    /// A part is complete.
    Close {
        /// Which answer.
        choice: u32,
        /// Which part of it.
        part: u32,
    },
    /// An answer is complete.
    Finish {
        /// Which answer.
        choice: u32,
        /// Why it ended.
        finish: Finish,
    },
    /// Usage so far; a later one replaces an earlier one.
    Usage(Usage),
    /// The provider is alive and says nothing.
    Ping,
    /// The stream is complete; anything after it is ignored.
    End,
    /// The provider failed inside the stream.
    Failed(crate::Fault),
}
