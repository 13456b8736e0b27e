//! Bounds of this crate, each with a name. Those shared with other crates are in [`bh_base::limits`].

/// Attempts of a whole chain when a route does not say.
pub const ATTEMPTS_DEFAULT: u32 = 4;
/// Time for everything before the first byte to the client when a route does not say, in milliseconds.
pub const TOTAL_MS_DEFAULT: u64 = 600_000;
/// The longest `total_ms` a route may ask for, in milliseconds: one day.
pub const TOTAL_MS_MAX: u64 = 86_400_000;
/// Targets one route may list.
pub const TARGETS_PER_ROUTE_MAX: usize = 64;
/// Keys one provider may have.
pub const KEYS_PER_PROVIDER_MAX: usize = 64;
/// The longest backoff between two attempts on one target, in milliseconds.
pub const BACKOFF_MS_MAX: u64 = 10_000;
/// The longest `Retry-After` that is waited for on the same target, in milliseconds; a longer one moves on.
pub const RETRY_AFTER_MS_MAX: u64 = 10_000;
/// The longest wait in a target's queue, in milliseconds.
pub const QUEUE_WAIT_MS_MAX: u64 = 30_000;
/// The `Retry-After` of our own refusals when nothing says how long, in milliseconds.
pub const RETRY_AFTER_MS_DEFAULT: u64 = 1_000;
/// First cooling of a key after a 429 that does not say how long, in milliseconds; doubles with each further one.
pub const COOLING_MS_FIRST: u64 = 1_000;
/// The longest such guess, in milliseconds.
pub const COOLING_MS_GUESS_MAX: u64 = 60_000;
/// The longest cooling a provider's `Retry-After` can cause, in milliseconds: one hour.
pub const COOLING_MS_MAX: u64 = 3_600_000;
/// Rest of a key whose account ran out of quota, unless the provider says how long, in milliseconds.
pub const QUOTA_REST_MS: u64 = 300_000;
/// First quarantine of a refused key, in milliseconds; then one probe, and it doubles with each refusal.
pub const QUARANTINE_MS_FIRST: u64 = 60_000;
/// The longest quarantine between two probes, in milliseconds: one hour.
pub const QUARANTINE_MS_MAX: u64 = 3_600_000;
/// Targets whose health is remembered. Above it, a target nobody configured starts fresh on each request.
pub const HEALTH_TARGETS_MAX: usize = 4_096;
/// Steps of aliases that may follow one another.
pub const ALIAS_STEPS_MAX: usize = 8;
