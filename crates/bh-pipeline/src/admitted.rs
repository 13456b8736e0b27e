//! Admitted: is there money for this attempt on this target? The one way to an attempt.

use bh_base::{NanoUsd, PromptSize};
use bh_catalog::{Ask, Model, ServiceTier, Standing, Terms, bound};
use bh_dialect::Scan;
use bh_ledger::{Attempt as Wanted, Hold, Refusal as Broke, Slot};
use bh_policy::Target;
use tokio::time::Instant;

use crate::clock;
use crate::gateway::Gateway;
use crate::limited::tokens_guess;
use crate::received::Received;
use crate::refusal::Refusal;

/// The limit of answer tokens set upstream for a model without a known one, where a hard budget needs a bound.
pub const OUTPUT_MAX_UNKNOWN: u64 = 16_384;
/// Answer tokens an adaptive hold reckons with while the key has no history with the model.
const OUTPUT_FIRST_GUESS: u64 = 2048;

/// What an attempt will cost at most and probably.
#[derive(Debug, Clone)]
pub(crate) struct Quote {
    /// The catalog's id of the model, under which budgets and reports know it.
    pub(crate) name: Box<str>,
    pub(crate) strict: NanoUsd,
    /// Whether `strict` is a bound and not a guess about what has none.
    pub(crate) bounded: bool,
    pub(crate) adaptive: NanoUsd,
    /// The limit of answer tokens the gateway sets, because the client gave none and a hard budget needs one.
    pub(crate) set_output: Option<u64>,
}

/// An attempt whose money is held. Made by [`Gateway::admit`] alone, and the only thing an attempt can be made from.
#[derive(Debug)]
pub(crate) struct Admitted {
    pub(crate) hold: Hold,
    /// Its share of the model's own rates.
    pub(crate) slot: Slot,
    pub(crate) quote: Quote,
}

impl Gateway {
    /// Holds money for one attempt. Waits at most `budget_wait_ms` for rights that are on their way, and for nothing else.
    ///
    /// # Errors
    /// [`Refusal::UnboundedCost`], [`Refusal::Unpriced`], [`Refusal::Limited`], [`Refusal::Budget`].
    pub(crate) async fn admit(&self, received: &Received, target: &Target) -> Result<Admitted, Refusal> {
        let quote = self.quote(received, target)?;
        let known = &received.known;
        let caller = &known.bearer.caller;
        let now = clock::now();
        let guess = tokens_guess(&received.scan);
        let slot = self.parts.ledger.limit_model(now, &quote.name, guess).map_err(Refusal::from)?;
        let deadline = Instant::now() + known.view.settings.budget_wait.into();
        let mut wanted = Wanted { model: &quote.name, strict: quote.strict, adaptive: quote.adaptive, waited: false };
        loop {
            match self.parts.ledger.reserve(clock::now(), caller, &wanted) {
                Ok(hold) => return Ok(Admitted { hold, slot, quote }),
                Err(Broke::RightsPending(pending)) if !wanted.waited => {
                    wanted.waited = !self.parts.arrivals.past(pending.generation, deadline).await;
                }
                Err(broke) => {
                    slot.refund(clock::now());
                    return Err(broke.into());
                }
            }
        }
    }

    fn quote(&self, received: &Received, target: &Target) -> Result<Quote, Refusal> {
        let view = &received.known.view;
        let unpriced = || Refusal::Unpriced { model: target.model.to_string() };
        let model = view.catalog.find(&target.provider.kind, &target.model).ok_or_else(unpriced)?;
        let name = model.name(&target.model);
        let caller = &received.known.bearer.caller;
        let binding = self.parts.ledger.binding(caller, name);
        if binding.hard && self.overcharged.contains(name, view.catalog.version()) {
            return Err(Refusal::Unpriced { model: name.to_owned() });
        }
        let scan = &received.scan;
        let set_output = (binding.hard && scan.max_output.is_none()).then(|| output_room(model, &scan.size));
        let max_output = scan.max_output.or(set_output);
        let ask = |max_output| Ask { max_output, choices: scan.choices, terms: terms(scan.service_tier.as_deref()) };
        let (strict, bounded) = match bound(model, &scan.size, &ask(max_output)) {
            Ok(bound) => (bound.cost, true),
            Err(why) if binding.strict => return Err(Refusal::UnboundedCost { why }),
            // Without a wall to defend, the best guess is held and the real cost is charged.
            Err(_) => (guess(model, &scan.size, &ask(max_output.or(Some(OUTPUT_MAX_UNKNOWN)))), false),
        };
        let typical = self.parts.ledger.typical_output(caller, name).unwrap_or(OUTPUT_FIRST_GUESS);
        let typical = max_output.map_or(typical, |most| most.min(typical));
        let adaptive = guess(model, &scan.size, &ask(Some(typical))).min(strict);
        Ok(Quote { name: name.into(), strict, bounded, adaptive, set_output })
    }
}

/// About how many tokens a prompt has.
pub(crate) fn guess_input(scan: &Scan) -> u64 {
    tokens_guess(scan).input
}

/// The bound of what can be bounded; nothing for a model that costs nothing here.
fn guess(model: &Model, size: &PromptSize, ask: &Ask) -> NanoUsd {
    // Images of a model whose image size nobody knows count as nothing here: the real cost is charged after the call.
    let images = if model.overheads.per_image.is_some() { size.images } else { 0 };
    let bounded = PromptSize { unbounded: None, images, ..*size };
    bound(model, &bounded, ask).map_or(NanoUsd::ZERO, |bound| bound.cost)
}

/// The longest answer the model gives, cut to what its context leaves beside this prompt.
fn output_room(model: &Model, size: &PromptSize) -> u64 {
    /// Below this the cut would bite answers that fit, because the prompt's bound is far above its real size.
    const ROOM_MIN: u64 = 1024;
    let most = match model.standing {
        Standing::Listed | Standing::Overridden => model.output_tokens_max.unwrap_or(OUTPUT_MAX_UNKNOWN),
        Standing::Flat | Standing::Unpriced => OUTPUT_MAX_UNKNOWN,
    };
    let prompt = size.tokens_upper(&model.overheads).unwrap_or(u64::MAX);
    let left = model.context_tokens.map_or(most, |context| context.saturating_sub(prompt));
    most.min(left.max(ROOM_MIN))
}

/// The terms a call is made under: the usual ones unless the client asked for others, then the dearest it can get.
fn terms(asked: Option<&str>) -> Option<Terms> {
    match asked {
        None | Some("default" | "standard" | "standard_only") => {
            Some(Terms { tier: ServiceTier::Standard, regional: false })
        }
        Some(_) => None,
    }
}
