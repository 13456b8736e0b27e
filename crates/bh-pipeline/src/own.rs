//! What a caller may ask about itself: its budgets, and the models it may call.

use bh_base::NanoUsd;
use bh_dialect::ModelCard;
use bh_ledger::{AccountView, Rates};

use crate::clock;
use crate::gateway::Gateway;
use crate::known::Known;
use crate::recorded::EXPLAIN_ROLE;

/// The answer of `GET /v1/budget`.
#[derive(Debug, Clone)]
pub struct BudgetReport {
    /// The token's own counters.
    pub own: Vec<AccountView>,
    /// Counters above the token (its parents, user, team, organisation, …).
    pub above: Vec<AccountView>,
    /// Whether the amounts of `above` may be shown to this caller; otherwise only their kind and reset are.
    pub may_see_above: bool,
    /// The caller's tightest rates.
    pub rates: Rates,
}

impl Gateway {
    /// The caller's budgets, as a call now would be charged to them.
    #[must_use]
    pub fn budget_report(&self, known: &Known) -> BudgetReport {
        let now = clock::now();
        let bearer = &known.bearer;
        let limited = |view: &AccountView| view.limit.is_some();
        let all = self.parts.ledger.view(now, &bearer.caller, None);
        let (own, above): (Vec<_>, Vec<_>) =
            all.into_iter().filter(limited).partition(|view| bearer.caller.is_own(&view.key.scope));
        BudgetReport {
            own,
            above,
            may_see_above: bearer.verified.has_role(EXPLAIN_ROLE),
            rates: self.parts.ledger.rates(now, &bearer.caller),
        }
    }

    /// The token's own counters that have a limit.
    pub(crate) fn own_accounts(&self, known: &Known) -> Vec<AccountView> {
        let bearer = &known.bearer;
        if bearer.verified.links().last().is_none_or(|link| link.budgets.is_empty()) {
            return Vec::new();
        }
        let own = self.parts.ledger.own_view(clock::now(), &bearer.caller);
        own.into_iter().filter(|view| view.limit.is_some()).collect()
    }

    /// What is left of the token's own budgets, the tightest of them; nothing when it has none.
    pub(crate) fn budget_remaining(&self, known: &Known) -> Option<NanoUsd> {
        self.own_accounts(known).iter().filter_map(AccountView::remaining).min()
    }

    /// The models this token may call: names the configuration spells out, then what the catalog lists for each
    /// provider's kind where the provider serves what its catalog lists. Sorted within each group, no name twice.
    #[must_use]
    pub fn models(&self, known: &Known) -> Vec<ModelCard> {
        let view = &known.view;
        let listed = |kind: &str, model: &str| view.catalog.find_priced(kind, model).is_some();
        let mut cards: Vec<ModelCard> = Vec::new();
        let mut seen = std::collections::HashSet::new();
        let configured = view.routes.names().into_iter().map(str::to_owned);
        let cataloged = view.catalog.models().map(|model| model.id.to_string());
        for id in configured.chain(cataloged) {
            if known.may_call(&id) && view.routes.resolve(&id, &listed).is_ok() && seen.insert(id.clone()) {
                cards.push(self.card(known, id));
            }
        }
        cards
    }

    /// One model, if this token may call it and somebody serves it.
    #[must_use]
    pub fn model(&self, known: &Known, id: &str) -> Option<ModelCard> {
        let view = &known.view;
        let listed = |kind: &str, model: &str| view.catalog.find_priced(kind, model).is_some();
        (known.may_call(id) && view.routes.resolve(id, &listed).is_ok()).then(|| self.card(known, id.to_owned()))
    }

    fn card(&self, known: &Known, id: String) -> ModelCard {
        let bare = id.rsplit('/').next().unwrap_or(&id);
        let model = known.view.catalog.find_priced("openai_compatible", bare);
        ModelCard {
            display_name: id.clone(),
            owned_by: model.map_or_else(|| "bulkhead".to_owned(), |model| model.provider.to_string()),
            created: 0,
            context_tokens: model.and_then(|model| model.context_tokens),
            output_tokens_max: model.and_then(|model| model.output_tokens_max),
            id,
        }
    }
}
