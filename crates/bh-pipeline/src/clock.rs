//! The one place where the request path reads the clock and draws randomness.

use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bh_base::{Millis, RequestId};

/// Now, in milliseconds since the Unix epoch.
#[must_use]
pub fn now() -> Millis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

/// A fresh request id: UUIDv7, so that ids sort by time.
#[must_use]
pub fn request_id() -> RequestId {
    RequestId(*uuid::Uuid::now_v7().as_bytes())
}

/// The 62 random bits of a request id, for draws that need not be secret (weights, jitter).
#[must_use]
pub fn draw_of(id: RequestId) -> u64 {
    let mut tail = [0; 8];
    tail.copy_from_slice(&id.0[8..]);
    u64::from_be_bytes(tail)
}

/// Another draw from an earlier one (splitmix64), so that each decision of one request draws anew.
#[must_use]
pub const fn next_draw(draw: u64) -> u64 {
    let z = draw.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// Microseconds since an instant.
#[must_use]
pub fn micros_since(start: Instant) -> u64 {
    u64::try_from(start.elapsed().as_micros()).unwrap_or(u64::MAX)
}
