//! Counts tokens, and bounds them from above.
//!
//! Exact for OpenAI's byte-level encodings; an estimate for everyone else's. The vocabularies are part of the binary
//! and are unpacked at first use, so [`warm`] them before serving.
//!
//! This crate knows nothing of wire formats, prices or providers.

mod chat;
mod encoding;

pub use chat::{ChatMessage, chat_tokens};
pub use encoding::{Encoding, count_text, estimate_from_bytes, upper_bound, warm};
