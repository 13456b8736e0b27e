//! Chance as an argument: one drawn word makes as many choices as a decision needs.

/// A sequence that follows from one drawn word (splitmix64), so that a decision can be replayed.
pub(crate) struct Draws(u64);

impl Draws {
    pub(crate) const fn new(draw: u64) -> Self {
        Draws(draw)
    }

    pub(crate) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        word ^ (word >> 31)
    }

    /// A number below `end`, each about equally likely; zero when `end` is zero.
    pub(crate) const fn below(&mut self, end: u64) -> u64 {
        ((self.next() as u128 * end as u128) >> 64) as u64
    }

    /// The index of one weight, chosen in proportion to it. `None` when all are zero.
    pub(crate) fn weighted(&mut self, weights: impl Iterator<Item = u64> + Clone) -> Option<usize> {
        let total: u64 = weights.clone().sum();
        if total == 0 {
            return None;
        }
        let mut point = self.below(total);
        weights.enumerate().find_map(|(index, weight)| {
            if point < weight {
                return Some(index);
            }
            point -= weight;
            None
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_choice_follows_the_weights() {
        let mut draws = Draws::new(7);
        let mut seen = [0_u32; 4];
        for _ in 0..40_000 {
            seen[draws.weighted([1_u64, 0, 2, 5].into_iter()).expect("weights are not all zero")] += 1;
        }
        assert_eq!(seen[1], 0);
        for (count, share) in [(seen[0], 5_000), (seen[2], 10_000), (seen[3], 25_000)] {
            assert!(count.abs_diff(share) < share / 10, "{seen:?}");
        }
    }

    #[test]
    fn nothing_is_chosen_when_no_weight_counts() {
        assert_eq!(Draws::new(1).weighted([0_u64, 0].into_iter()), None);
        assert_eq!(Draws::new(1).weighted(std::iter::empty::<u64>()), None);
        assert_eq!(Draws::new(1).below(0), 0);
    }
}
