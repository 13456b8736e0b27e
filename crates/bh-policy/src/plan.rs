//! Who shall answer, in what order, and why: a pure function of a frozen view.

use std::sync::Arc;

use bh_base::Millis;

use crate::breaker::BreakerState;
use crate::draw::Draws;
use crate::limits::{ATTEMPTS_DEFAULT, RETRY_AFTER_MS_DEFAULT, TOTAL_MS_DEFAULT};
use crate::routes::{Found, Listed, Routes};
use crate::strategy::Strategy;
use crate::target::Target;

/// What a request asks of routing.
pub struct Ask<'a> {
    /// The model as the client named it.
    pub model: &'a str,
    /// A strategy the client asked for instead of the route's (`x-routing-mode`).
    pub strategy: Option<Strategy>,
    /// About how many tokens the call will use, prompt and answer: charged to a key's `tpm`.
    pub tokens: u64,
    /// A time the client set for everything before the first byte, in milliseconds; never longer than the route's.
    pub timeout_ms: Option<u64>,
    /// Whether the caller may use this name. Asked once, with the name the client used, before anything else is said.
    pub allowed: &'a dyn Fn(&str) -> bool,
    /// Whether the catalog lists a model (second) for a kind of provider (first).
    pub listed: &'a dyn Fn(&str, &str) -> bool,
    /// Whether a target can do what the request needs.
    pub fits: &'a dyn Fn(&Target) -> Result<(), Unfit>,
}

/// Something a request needs and a target does not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Unfit {
    /// Its name, as the refusal says it: `tools`, `images`, `price`, …
    pub what: &'static str,
}

/// The decision: targets in the order in which they are tried, and everything that led to it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The model as the client named it.
    pub asked: Arc<str>,
    /// The same after aliases.
    pub model: Arc<str>,
    /// What the name led to.
    pub source: Source,
    /// How the targets were ordered.
    pub strategy: Strategy,
    /// Whom to try, in order; never empty.
    pub steps: Vec<Step>,
    /// Whom not, and why.
    pub skipped: Vec<Skipped>,
    /// Calls the whole chain may make.
    pub attempts_max: u32,
    /// Milliseconds until the first byte must have gone to the client.
    pub total_ms: u64,
    /// The configuration that decided.
    pub config_version: Arc<str>,
    pub(crate) tokens: u64,
}

/// What a model's name led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// A route of the configuration.
    Route {
        /// Its place in the configuration, from 0.
        index: usize,
        /// Its pattern.
        pattern: Arc<str>,
    },
    /// No route; the client wrote `provider/model`.
    ProviderNamed,
    /// No route; exactly one provider serves the model.
    OnlyProvider,
}

/// One target of a plan.
#[derive(Clone, Debug)]
pub struct Step {
    /// Who.
    pub target: Arc<Target>,
    /// Its place in the route's list, from 0.
    pub listed_at: usize,
    /// Why it stands where it stands.
    pub reason: Reason,
    /// Its breaker at that moment.
    pub breaker: BreakerState,
    /// Keys that were ready at that moment.
    pub keys_ready: u32,
}

/// Why a target stands where it stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The only one.
    Only,
    /// By its place in the list.
    Listed,
    /// Drawn with this weight out of the weight that was left.
    Drawn {
        /// Its own.
        weight: u32,
        /// Of all that were not yet drawn.
        of: u64,
    },
    /// Its keys are held back by nothing but a guess of ours, and nobody better is left.
    LastResort,
}

/// A target that is not tried.
#[derive(Clone, Debug)]
pub struct Skipped {
    /// Who.
    pub target: Arc<Target>,
    /// Its place in the route's list, from 0.
    pub listed_at: usize,
    /// Why.
    pub why: Why,
    /// When it is worth asking again, where that is known.
    pub ready_in: Option<Millis>,
}

/// Why a target is not tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Why {
    /// Its weight is 0.
    Drained,
    /// The strategy takes one target only, and it is another.
    NotChosen,
    /// It cannot do what the request needs.
    Unfit(Unfit),
    /// Its breaker is open, or another request is probing it.
    BreakerOpen,
    /// Its keys were throttled by the provider.
    KeysCooling,
    /// Its keys used up their own requests or tokens per minute.
    KeysBusy,
    /// The accounts behind its keys have nothing left.
    KeysOutOfQuota,
    /// The provider refused its keys.
    KeysQuarantined,
    /// All its places are taken and its queue is full.
    QueueFull,
    /// No place became free in time.
    QueueTooSlow,
    /// The caller has no money for this target.
    Budget,
    /// The request cannot be expressed for it.
    Unsupported,
}

/// Why there is no plan.
#[derive(Clone, Debug, thiserror::Error)]
pub enum NoPlan {
    /// The caller may not use this name.
    #[error("this token may not call model {model}")]
    NotAllowed {
        /// The name the client used.
        model: String,
    },
    /// Nothing answers to this name.
    #[error("unknown model {model}")]
    UnknownModel {
        /// The name, after aliases.
        model: String,
    },
    /// Several providers serve the model and no route says which.
    #[error(
        "model {model} is served by {}: ask for one of them as {}/{model}, or add a route",
        providers.join(", "),
        providers.first().map_or("provider", |id| id)
    )]
    Ambiguous {
        /// The name, after aliases.
        model: String,
        /// Their ids, at least two.
        providers: Vec<Arc<str>>,
    },
    /// No target can do what the request needs.
    #[error("no target of model {model} supports {}", unfit.what)]
    Unfit {
        /// The name the client used.
        model: String,
        /// What the first of them lacks.
        unfit: Unfit,
    },
    /// Targets exist, but none can be called now.
    #[error("no target of model {model} can be called now; try again in {} ms", retry_after.0)]
    NothingAvailable {
        /// The name the client used.
        model: String,
        /// When the first of them may be ready.
        retry_after: Millis,
        /// Every target and what keeps it.
        skipped: Vec<Skipped>,
    },
}

/// Orders the targets for a request. `draw` is one random word.
///
/// # Errors
/// [`NoPlan`], the caller's permission first, so that names are not confirmed to strangers.
pub fn plan(routes: &Routes, ask: &Ask<'_>, now: Millis, draw: u64) -> Result<Plan, NoPlan> {
    if !(ask.allowed)(ask.model) {
        return Err(NoPlan::NotAllowed { model: ask.model.into() });
    }
    let model = routes.unalias(ask.model);
    let listed: Listed<'_> = ask.listed;
    let mut draft = Draft { ask, now, candidates: Vec::new(), resorts: Vec::new(), skipped: Vec::new() };
    let (source, strategy, attempts_max, total_ms) = match routes.find(model, listed)? {
        Found::Route { index, route } => {
            for (at, template) in route.targets.iter().enumerate() {
                draft.consider(routes.fill(template, model, now), at);
            }
            let source = Source::Route { index, pattern: Arc::clone(&route.label) };
            (source, ask.strategy.unwrap_or(route.strategy), route.attempts_max, route.total_ms)
        }
        Found::Provider { provider, model, source } => {
            draft.consider(routes.implicit_target(provider, model, now), 0);
            (source, Strategy::Single, ATTEMPTS_DEFAULT, TOTAL_MS_DEFAULT)
        }
    };
    let (steps, skipped) = draft.order(strategy, draw)?;
    let asked: Arc<str> = ask.model.into();
    Ok(Plan {
        model: if model == ask.model { Arc::clone(&asked) } else { model.into() },
        asked,
        source,
        strategy,
        steps,
        skipped,
        attempts_max,
        total_ms: ask.timeout_ms.map_or(total_ms, |wanted| wanted.clamp(1, total_ms)),
        config_version: Arc::clone(&routes.version),
        tokens: ask.tokens,
    })
}

impl Source {
    /// The route's pattern, or `implicit`: a bounded label for metrics.
    #[must_use]
    pub fn label(&self) -> &str {
        match self {
            Source::Route { pattern, .. } => pattern,
            Source::ProviderNamed | Source::OnlyProvider => "implicit",
        }
    }
}

impl Reason {
    /// The spelling used in records and explanations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::Only => "only",
            Reason::Listed => "listed",
            Reason::Drawn { .. } => "drawn",
            Reason::LastResort => "last_resort",
        }
    }
}

impl Why {
    /// The spelling used in records and explanations.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Why::Drained => "drained",
            Why::NotChosen => "not_chosen",
            Why::Unfit(_) => "unfit",
            Why::BreakerOpen => "breaker_open",
            Why::KeysCooling => "keys_cooling",
            Why::KeysBusy => "keys_busy",
            Why::KeysOutOfQuota => "keys_out_of_quota",
            Why::KeysQuarantined => "keys_quarantined",
            Why::QueueFull => "queue_full",
            Why::QueueTooSlow => "queue_too_slow",
            Why::Budget => "budget",
            Why::Unsupported => "unsupported",
        }
    }
}

/// Targets sorted into those that can be tried, those that can at a pinch, and those that cannot.
struct Draft<'a> {
    ask: &'a Ask<'a>,
    now: Millis,
    candidates: Vec<Step>,
    resorts: Vec<Skipped>,
    skipped: Vec<Skipped>,
}

impl Draft<'_> {
    fn consider(&mut self, target: Arc<Target>, listed_at: usize) {
        let reject = |target, why, ready_in| Skipped { target, listed_at, why, ready_in };
        if target.settings.weight == 0 {
            return self.skipped.push(reject(target, Why::Drained, None));
        }
        if let Err(unfit) = (self.ask.fits)(&target) {
            return self.skipped.push(reject(target, Why::Unfit(unfit), None));
        }
        let breaker = match target.state.breaker().look(self.now) {
            Ok(breaker) => breaker,
            Err(ready_in) => {
                return self.skipped.push(reject(Arc::clone(&target), Why::BreakerOpen, Some(ready_in)));
            }
        };
        let keys = target.survey(self.ask.tokens, self.now);
        if keys.ready.is_empty() {
            let skipped = reject(target, keys.first.why, Some(keys.first.ready_in));
            let list = if keys.guessed.is_empty() { &mut self.skipped } else { &mut self.resorts };
            return list.push(skipped);
        }
        let reason = Reason::Listed;
        self.candidates.push(Step { target, listed_at, reason, breaker, keys_ready: keys.ready.len() });
    }

    /// The steps in order, and all that was left out.
    fn order(mut self, strategy: Strategy, draw: u64) -> Result<(Vec<Step>, Vec<Skipped>), NoPlan> {
        if self.candidates.is_empty() {
            // A cooling that no provider asked for is a guess; refusing the request over it would be a phantom refusal.
            self.candidates.extend(self.resorts.drain(..).map(|resort| Step {
                target: resort.target,
                listed_at: resort.listed_at,
                reason: Reason::LastResort,
                breaker: BreakerState::Closed,
                keys_ready: 0,
            }));
        }
        self.skipped.append(&mut self.resorts);
        if self.candidates.is_empty() {
            return Err(self.nothing());
        }
        let mut steps = std::mem::take(&mut self.candidates);
        match strategy {
            Strategy::Single => {
                let others = steps.split_off(1);
                let skip = |step: Step| Skipped {
                    target: step.target,
                    listed_at: step.listed_at,
                    why: Why::NotChosen,
                    ready_in: None,
                };
                self.skipped.extend(others.into_iter().map(skip));
            }
            Strategy::Fallback => (),
            Strategy::Loadbalance => shuffle(&mut steps, draw),
        }
        if let [only] = &mut steps[..]
            && self.skipped.is_empty()
            && only.reason != Reason::LastResort
        {
            only.reason = Reason::Only;
        }
        Ok((steps, self.skipped))
    }

    fn nothing(self) -> NoPlan {
        let model = self.ask.model.into();
        let first_unfit = self.skipped.iter().find_map(|skipped| match skipped.why {
            Why::Unfit(unfit) => Some(unfit),
            Why::Drained
            | Why::NotChosen
            | Why::BreakerOpen
            | Why::KeysCooling
            | Why::KeysBusy
            | Why::KeysOutOfQuota
            | Why::KeysQuarantined
            | Why::QueueFull
            | Why::QueueTooSlow
            | Why::Budget
            | Why::Unsupported => None,
        });
        let soonest = self.skipped.iter().filter_map(|skipped| skipped.ready_in).min();
        match (first_unfit, soonest) {
            (Some(unfit), None) => NoPlan::Unfit { model, unfit },
            (_, soonest) => NoPlan::NothingAvailable {
                model,
                retry_after: soonest.unwrap_or(Millis(RETRY_AFTER_MS_DEFAULT)).max(Millis(1)),
                skipped: self.skipped,
            },
        }
    }
}

/// Draws by weight until all are drawn: the first is the choice, the rest the order in which others stand in.
fn shuffle(steps: &mut [Step], draw: u64) {
    let mut draws = Draws::new(draw);
    for place in 0..steps.len() {
        let weights = steps[place..].iter().map(|step| u64::from(step.target.settings.weight));
        let of = weights.clone().sum();
        let Some(drawn) = draws.weighted(weights) else { return };
        steps.swap(place, place + drawn);
        let step = &mut steps[place];
        if step.reason != Reason::LastResort {
            step.reason = Reason::Drawn { weight: step.target.settings.weight, of };
        }
    }
}
