//! Rounds put together: medians with their spread, percentiles, ratios of rounds that ran side by side.

use crate::args::Side;
use crate::load::Round;

/// A median and how far the rounds lay apart.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

/// All rounds of one side.
#[derive(Debug)]
pub(crate) struct Summary {
    pub(crate) side: Side,
    /// CPU microseconds of the side's process per answer or chunk.
    pub(crate) cpu_us: Spread,
    /// Answers or chunks a second.
    pub(crate) rate: Spread,
    /// Microseconds.
    pub(crate) p50: u32,
    pub(crate) p99: u32,
    /// Delay of chunks, in microseconds.
    pub(crate) delay_p50: u32,
    pub(crate) delay_p99: u32,
    pub(crate) rss_mib: f64,
    pub(crate) units: u64,
    pub(crate) failed: u64,
    pub(crate) failure: Option<String>,
}

impl Spread {
    /// Of at least one value.
    pub(crate) fn of(mut values: Vec<f64>) -> Self {
        values.sort_by(f64::total_cmp);
        let at = |index: usize| values.get(index).copied().unwrap_or(f64::NAN);
        let half = values.len() / 2;
        let median =
            if values.len().is_multiple_of(2) { f64::midpoint(at(half.wrapping_sub(1)), at(half)) } else { at(half) };
        Spread { median, min: at(0), max: at(values.len().wrapping_sub(1)) }
    }
}

impl Round {
    pub(crate) fn cpu_us_per_unit(&self) -> f64 {
        self.cpu_us as f64 / self.units as f64
    }
}

impl Summary {
    /// Sums up the rounds of a side.
    pub(crate) fn of(side: Side, rounds: &[Round]) -> Self {
        let sorted = |pick: fn(&Round) -> &Vec<u32>| {
            let mut all: Vec<u32> = rounds.iter().flat_map(pick).copied().collect();
            all.sort_unstable();
            all
        };
        let (times, delays) = (sorted(|round| &round.times), sorted(|round| &round.delays));
        Summary {
            side,
            cpu_us: Spread::of(rounds.iter().map(Round::cpu_us_per_unit).collect()),
            rate: Spread::of(rounds.iter().map(|round| round.units as f64 / round.seconds).collect()),
            p50: percentile(&times, 50),
            p99: percentile(&times, 99),
            delay_p50: percentile(&delays, 50),
            delay_p99: percentile(&delays, 99),
            rss_mib: rounds.iter().map(|round| round.rss_kib).max().unwrap_or_default() as f64 / 1024.0,
            units: rounds.iter().map(|round| round.units).sum(),
            failed: rounds.iter().map(|round| round.failed).sum(),
            failure: rounds.iter().find_map(|round| round.failure.clone()),
        }
    }
}

/// CPU per unit of one side over the other's, round by round: what disturbs the machine disturbs both of a pair.
pub(crate) fn ratio(over: &[Round], under: &[Round]) -> Option<Spread> {
    let pairs = over.iter().zip(under).map(|(o, u)| o.cpu_us_per_unit() / u.cpu_us_per_unit());
    let pairs: Vec<f64> = pairs.collect();
    (!pairs.is_empty()).then(|| Spread::of(pairs))
}

fn percentile(sorted: &[u32], percent: usize) -> u32 {
    let at = (sorted.len() * percent / 100).min(sorted.len().saturating_sub(1));
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn round(cpu_us: u64, units: u64) -> Round {
        Round { cpu_us, units, seconds: 1.0, ..Round::default() }
    }

    #[test]
    fn medians_and_percentiles_are_where_they_belong() {
        assert_eq!(Spread::of(vec![3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of(vec![4.0, 1.0]).median, 2.5);
        let hundred: Vec<u32> = (1..=100).collect();
        assert_eq!((percentile(&hundred, 50), percentile(&hundred, 99), percentile(&[], 99)), (51, 100, 0));
    }

    #[test]
    fn a_ratio_pairs_the_rounds() {
        let ratio = ratio(&[round(20, 1), round(60, 1)], &[round(10, 1), round(40, 1)]).unwrap();
        assert_eq!((ratio.min, ratio.max, ratio.median), (1.5, 2.0, 1.75));
        assert!(super::ratio(&[round(1, 1)], &[]).is_none());
    }
}
