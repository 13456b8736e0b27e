//! Planned: who shall answer, in what order, and why? A pure function of the frozen view; this file only asks it.

use bh_audit::{Candidate, Decision, Text};
use bh_catalog::{Capabilities, Catalog};
use bh_dialect::Needs;
use bh_policy::{Ask, NoPlan, Plan, Skipped, Source, Target, Unfit, plan};

use crate::clock::draw_of;
use crate::limited::tokens_guess;
use crate::received::Received;
use crate::refusal::Refusal;

/// The one lack that no target is asked in spite of.
const PRICE: &str = "price";

/// Asks for a plan. Targets that lack an ability are passed over for those that have it; where none has it they are
/// asked all the same, because the catalog can be behind and a provider's own refusal says more than ours could.
///
/// # Errors
/// Why nobody can answer.
pub(crate) fn plan_for(received: &Received) -> Result<Plan, Refusal> {
    let known = &received.known;
    let view = &known.view;
    let guess = tokens_guess(&received.scan);
    let needs = received.scan.needs;
    let stream = received.scan.stream;
    let able = |target: &Target| fits(&view.catalog, target, needs, stream);
    let ask = Ask {
        model: &received.scan.model,
        strategy: received.wishes.strategy,
        tokens: guess.input.saturating_add(guess.output),
        timeout_ms: received.wishes.timeout.map(|span| span.0),
        allowed: &|model| known.bearer.verified.may_call(model),
        listed: &|kind, model| view.catalog.find_priced(kind, model).is_some(),
        fits: &able,
    };
    let now = known.arrival.at;
    let draw = draw_of(known.arrival.id);
    let planned = match plan(&view.routes, &ask, now, draw) {
        Err(NoPlan::Unfit { unfit, .. }) if unfit.what != PRICE => {
            let priced =
                |target: &Target| able(target).or_else(|unfit| if unfit.what == PRICE { Err(unfit) } else { Ok(()) });
            plan(&view.routes, &Ask { fits: &priced, ..ask }, now, draw)
        }
        planned => planned,
    };
    planned.map_err(|why| refusal(why, &received.scan.model))
}

/// Whether a target can do what the request needs. What the catalog does not know of a model is left to the provider.
fn fits(catalog: &Catalog, target: &Target, needs: Needs, stream: bool) -> Result<(), Unfit> {
    let Some(model) = catalog.find(&target.provider.kind, &target.model) else { return Err(Unfit { what: PRICE }) };
    if catalog.find_priced(&target.provider.kind, &target.model).is_none() || model.capabilities == Capabilities::NONE {
        return Ok(());
    }
    let wanted = [
        (needs.tools, Capabilities::TOOLS, "tools"),
        (needs.images, Capabilities::IMAGES, "images"),
        (needs.documents, Capabilities::DOCUMENTS, "documents"),
        (needs.json_schema, Capabilities::JSON_SCHEMA, "json_schema"),
        (stream, Capabilities::STREAMING, "streaming"),
    ];
    match wanted.into_iter().find(|(needed, ability, _)| *needed && !model.capabilities.contains(*ability)) {
        Some((_, _, what)) => Err(Unfit { what }),
        None => Ok(()),
    }
}

fn refusal(why: NoPlan, asked: &str) -> Refusal {
    let model = asked.to_owned();
    match why {
        NoPlan::NotAllowed { .. } => Refusal::ModelNotAllowed { model },
        NoPlan::UnknownModel { .. } => Refusal::UnknownModel { model },
        NoPlan::Ambiguous { providers, .. } => Refusal::AmbiguousModel { model, providers: providers.join(", ") },
        NoPlan::Unfit { .. } => Refusal::Unpriced { model },
        NoPlan::NothingAvailable { retry_after, .. } => Refusal::NoTarget { retry_after },
    }
}

/// The decision as records and explanations show it.
pub(crate) fn decision(plan: &Plan, passed_over: &[Skipped], draw: u64) -> Decision {
    Decision {
        route: match &plan.source {
            Source::Route { pattern, .. } => Some(pattern.into()),
            Source::ProviderNamed | Source::OnlyProvider => None,
        },
        strategy: Some(Text::word(plan.strategy.as_str())),
        candidates: plan
            .steps
            .iter()
            .map(|step| Candidate {
                provider: (&step.target.provider.id).into(),
                model: (&step.target.model).into(),
                reason: Text::word(step.reason.as_str()),
            })
            .collect(),
        skipped: plan
            .skipped
            .iter()
            .chain(passed_over)
            .map(|skipped| bh_audit::Skipped {
                provider: (&skipped.target.provider.id).into(),
                model: (&skipped.target.model).into(),
                why: Text::word(skipped.why.as_str()),
            })
            .collect(),
        draw: Some(draw),
    }
}
