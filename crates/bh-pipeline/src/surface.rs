//! The routes of the data plane, as the pipeline names them.

use bh_dialect::Dialect;

/// One route. Those that can cost money all lead to [`Gateway::answer`](crate::Gateway::answer), and so through the one
/// admission function; the others never call a provider's paid endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Surface {
    /// `POST /v1/chat/completions`.
    ChatCompletions,
    /// `POST /v1/messages`.
    Messages,
    /// `POST /v1/messages/count_tokens`.
    CountTokens,
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{id}`.
    Model,
    /// `GET /v1/budget`.
    Budget,
    /// `GET /v1/requests/{id}`.
    Request,
}

impl Surface {
    /// Every route.
    pub const ALL: [Surface; 7] = [
        Surface::ChatCompletions,
        Surface::Messages,
        Surface::CountTokens,
        Surface::Models,
        Surface::Model,
        Surface::Budget,
        Surface::Request,
    ];

    /// Its path, for metrics and records.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Surface::ChatCompletions => "/v1/chat/completions",
            Surface::Messages => "/v1/messages",
            Surface::CountTokens => "/v1/messages/count_tokens",
            Surface::Models => "/v1/models",
            Surface::Model => "/v1/models/{id}",
            Surface::Budget => "/v1/budget",
            Surface::Request => "/v1/requests/{id}",
        }
    }

    /// Its name in records.
    #[must_use]
    pub const fn op(self) -> &'static str {
        match self {
            Surface::ChatCompletions => "chat_completions",
            Surface::Messages => "messages",
            Surface::CountTokens => "count_tokens",
            Surface::Models => "models",
            Surface::Model => "model",
            Surface::Budget => "budget",
            Surface::Request => "request",
        }
    }

    /// The dialect its errors are written in. `GET` routes speak Anthropic's when the client does.
    #[must_use]
    pub const fn dialect(self, client_is_anthropic: bool) -> Dialect {
        match self {
            Surface::ChatCompletions => Dialect::OpenAiChat,
            Surface::Messages | Surface::CountTokens => Dialect::AnthropicMessages,
            Surface::Models | Surface::Model | Surface::Budget | Surface::Request => {
                if client_is_anthropic {
                    Dialect::AnthropicMessages
                } else {
                    Dialect::OpenAiChat
                }
            }
        }
    }

    /// Whether a call of it can cost money.
    #[must_use]
    pub const fn costs_money(self) -> bool {
        match self {
            Surface::ChatCompletions | Surface::Messages => true,
            Surface::CountTokens | Surface::Models | Surface::Model | Surface::Budget | Surface::Request => false,
        }
    }
}
