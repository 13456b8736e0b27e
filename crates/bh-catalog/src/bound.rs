//! The most a call can cost, before it is made: what a strict hold reserves.

use bh_base::{NanoUsd, PromptSize, Unbounded};

use crate::price::{Rates, total};
use crate::{Model, ServiceTier, Standing, Terms};

/// What a request asks for beside its prompt, as far as it bears on the price.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ask {
    /// The answer's limit in tokens as the provider will see it; without one the model's own limit counts.
    pub max_output: Option<u64>,
    /// How many answers are asked for (`n`); at least 1.
    pub choices: u32,
    /// The terms the call is made under, or nothing when they are not known: then the dearest the model has.
    pub terms: Option<Terms>,
}

/// An upper bound of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bound {
    /// The most it can cost.
    pub cost: NanoUsd,
    /// The most prompt tokens it can be billed for.
    pub input_upper: u64,
    /// The most answer tokens, over all choices.
    pub output_upper: u64,
}

impl Default for Ask {
    fn default() -> Self {
        Ask { max_output: None, choices: 1, terms: None }
    }
}

/// The most one call can cost: the dearest prices it can reach, times the most tokens it can have.
///
/// The prompt's tokens are bounded by its bytes and the model's overheads, so every cost [`crate::cost`] can give for
/// this call is at most [`Bound::cost`], provided the provider keeps to its price table and to `max_output`.
///
/// # Errors
/// Why there is no bound: the prompt has parts whose size nobody knows before the call, the model has no price, or
/// neither the request nor the catalog limits the answer.
pub fn bound(model: &Model, size: &PromptSize, ask: &Ask) -> Result<Bound, Unbounded> {
    if model.standing == Standing::Unpriced {
        return Err(Unbounded::UnknownModel);
    }
    let input_upper = size.tokens_upper(&model.overheads)?;
    let answer = ask.max_output.or(model.output_tokens_max).ok_or(Unbounded::UnknownModel)?;
    let output_upper = answer.saturating_mul(u64::from(ask.choices.max(1)));
    let dearest = |terms: Terms| {
        let mut prices = (0, 0);
        for rates in model.prices.schedule(terms.tier).reachable(input_upper) {
            prices = (prices.0.max(dearest_input(model, size, rates)), prices.1.max(dearest_output(rates)));
        }
        let tokens = (u128::from(input_upper) * u128::from(prices.0))
            .saturating_add(u128::from(output_upper) * u128::from(prices.1));
        total(
            tokens,
            u128::from(model.prices.per_call),
            if terms.regional { model.prices.regional_permille } else { 1000 },
        )
    };
    let cost = match ask.terms {
        Some(terms) => dearest(terms),
        None => ServiceTier::ALL
            .into_iter()
            .map(|tier| dearest(Terms { tier, regional: true }))
            .max()
            .expect("there is at least one tier"),
    };
    Ok(Bound { cost, input_upper, output_upper })
}

/// The dearest way one prompt token of this request can be billed.
fn dearest_input(model: &Model, size: &PromptSize, rates: &Rates) -> u64 {
    let mut dearest = rates.input.max(rates.cache_read);
    if size.cache_writes {
        dearest = dearest.max(rates.cache_write_5m).max(rates.cache_write_1h);
    }
    if model.cache_writes_unasked {
        dearest = dearest.max(rates.cache_write_5m);
    }
    if 0 < size.images {
        dearest = dearest.max(rates.image_input);
    }
    dearest
}

/// The dearest way one answer token can be billed.
fn dearest_output(rates: &Rates) -> u64 {
    rates.output.max(rates.reasoning).max(rates.audio_output)
}
