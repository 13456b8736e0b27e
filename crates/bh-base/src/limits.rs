//! Limits with names. What happens at each is said where it is enforced and shown by a test.

/// Longest credential that is looked at, in bytes; a longer one is refused before any work.
pub const TOKEN_BYTES_MAX: usize = 4096;
/// Largest request body by default, in bytes (`server.body_bytes_max`).
pub const BODY_BYTES_MAX_DEFAULT: usize = 32 * 1024 * 1024;
/// Deepest nesting of a JSON body.
pub const JSON_DEPTH_MAX: usize = 128;
/// Largest single event of a provider's stream, in bytes.
pub const EVENT_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Largest plain (not streamed) answer of a provider, in bytes.
pub const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Largest error body of a provider that is read, in bytes.
pub const ERROR_BODY_BYTES_MAX: usize = 64 * 1024;
/// Largest audit record, in bytes.
pub const RECORD_BYTES_MAX: usize = 256 * 1024;
/// Links a presented token chain may have: the root and three more.
pub const CHAIN_LINKS_MAX: usize = 4;
/// Most attempts one request may make, whatever the routes say.
pub const ATTEMPTS_MAX: u32 = 16;
