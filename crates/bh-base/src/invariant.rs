//! Invariants by name: the same check panics in tests and counts in production.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! invariants {
    ($($(#[$doc:meta])* $variant:ident = $id:literal),* $(,)?) => {
        /// What must always hold. Each has one sentence; a broken one is a bug of ours, never of a caller.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Invariant { $($(#[$doc])* $variant),* }

        impl Invariant {
            /// Every invariant, in order.
            pub const ALL: &'static [Invariant] = &[$(Invariant::$variant),*];

            /// The label under `bulkhead_invariant_broken_total`.
            #[must_use]
            pub const fn id(self) -> &'static str {
                match self { $(Invariant::$variant => $id),* }
            }
        }
    };
}

invariants! {
    /// I1: rights kept by anyone and not truly returned never exceed the limit.
    RightsWithinLimit = "rights_within_limit",
    /// I2: on a node, held plus spent never exceeds the rights it kept.
    SpendWithinRights = "spend_within_rights",
    /// I3: a call's cost never exceeds its hold.
    CostWithinHold = "cost_within_hold",
    /// A meter never moves backwards.
    MeterGrows = "meter_grows",
    /// Every hold is settled or released exactly once.
    HoldsSettleOnce = "holds_settle_once",
    /// Audit sequence numbers have no gap and no repeat.
    AuditGapless = "audit_gapless",
    /// No attempt starts after the first byte went to the client.
    NoAttemptAfterFirstByte = "no_attempt_after_first_byte",
}

static BROKEN: [AtomicU64; Invariant::ALL.len()] = [const { AtomicU64::new(0) }; Invariant::ALL.len()];

/// Counts a broken invariant. Call it through [`hold!`](crate::hold).
pub fn note_broken(which: Invariant) {
    BROKEN[which as usize].fetch_add(1, Ordering::Relaxed);
}

/// How often each invariant was found broken since the process started.
pub fn broken_counts() -> impl Iterator<Item = (Invariant, u64)> {
    Invariant::ALL.iter().map(|i| (*i, BROKEN[*i as usize].load(Ordering::Relaxed)))
}

/// Checks an invariant: panics in debug builds, counts in release builds. Evaluates to whether it held.
#[macro_export]
macro_rules! hold {
    ($which:expr, $held:expr) => {{
        let held: bool = $held;
        if !held {
            $crate::note_broken($which);
            debug_assert!(held, "invariant broken: {}", $which.id());
        }
        held
    }};
}
