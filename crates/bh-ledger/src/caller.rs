//! Who is charged: every scope of one verified credential, resolved once and reused for each of its requests.

use std::collections::HashMap;
use std::sync::Arc;

use bh_base::{BudgetMode, HoldMode, Millis, NanoUsd, Overage, ScopeKind, TokenId, Window};

use crate::rules::{Term, Terms};
use crate::{Limits, Scope};

/// What the root token says of its bearer. Absent or empty fields have no scope.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Identity {
    /// `iss`; keeps the `budget_id`s of two issuers apart.
    pub issuer: String,
    /// `sub`.
    pub user: Option<String>,
    /// `bh.project`.
    pub project: Option<String>,
    /// `bh.team`.
    pub team: Option<String>,
    /// `bh.org`.
    pub org: Option<String>,
    /// `bh.tags`: the token's own, never those of a request header.
    pub tags: Vec<(String, String)>,
}

/// One link of a token chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// The link's id.
    pub id: TokenId,
    /// Shares this link's counters with its reissues.
    pub budget_id: Option<String>,
    /// What the link and everything narrowed from it may spend together.
    pub budgets: Vec<TokenBudget>,
    /// How often they may call together.
    pub limits: Limits,
    /// `exp`: afterwards the counters of this link can be forgotten.
    pub expires_at: Millis,
}

/// One budget of a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TokenBudget {
    /// How much.
    pub limit: NanoUsd,
    /// Over which span.
    pub window: Window,
    /// Wall or line.
    pub mode: BudgetMode,
    /// How much is held before an attempt.
    pub hold: HoldMode,
}

/// Everyone a request is charged to, narrowest first. Build it once per verified token and keep it beside the claims.
#[derive(Clone, Debug)]
pub struct Caller {
    pub(crate) links: Vec<CallerLink>,
    pub(crate) below_model: Vec<Scope>,
    pub(crate) above_model: Vec<Scope>,
}

#[derive(Clone, Debug)]
pub(crate) struct CallerLink {
    pub(crate) scope: Scope,
    pub(crate) shared: bool,
    pub(crate) expires_at: Option<Millis>,
    pub(crate) limits: Limits,
    pub(crate) terms: Vec<(Window, Arc<Terms>)>,
}

impl Caller {
    /// Resolves the scopes of a chain; `links` has the root first, as a token does.
    #[must_use]
    pub fn new(identity: &Identity, links: &[Link]) -> Self {
        let mut chain: Vec<CallerLink> = Vec::with_capacity(links.len());
        for link in links {
            let scope = link_scope(identity, chain.last(), link);
            // A link repeated in one chain must not be charged twice.
            if chain.iter().all(|known| known.scope != scope) {
                chain.push(CallerLink::new(scope, link));
            }
        }
        chain.reverse();
        let one = |kind: ScopeKind, name: &Option<String>| {
            name.as_deref().filter(|name| !name.is_empty()).map(|name| Scope::of(kind, name))
        };
        let mut below_model: Vec<Scope> = [
            one(ScopeKind::User, &identity.user),
            one(ScopeKind::Project, &identity.project),
            one(ScopeKind::Team, &identity.team),
        ]
        .into_iter()
        .flatten()
        .collect();
        let mut tags: Vec<Scope> = identity.tags.iter().map(|(key, value)| Scope::tag(key, value)).collect();
        tags.sort_unstable();
        tags.dedup();
        below_model.extend(tags);
        let above_model = one(ScopeKind::Org, &identity.org).into_iter().chain([Scope::global()]).collect();
        Caller { links: chain, below_model, above_model }
    }

    /// Whether a scope is the presented token itself, whose numbers its bearer may always see.
    #[must_use]
    pub fn is_own(&self, scope: &Scope) -> bool {
        self.links.first().is_some_and(|leaf| leaf.scope == *scope)
    }

    /// The presented token's own scope; none for a caller without a token.
    #[must_use]
    pub fn own_scope(&self) -> Option<&Scope> {
        self.links.first().map(|leaf| &leaf.scope)
    }
}

impl CallerLink {
    fn new(scope: Scope, link: &Link) -> Self {
        let mut by_window: HashMap<Window, Vec<Term>> = HashMap::new();
        for budget in &link.budgets {
            by_window.entry(budget.window).or_default().push(Term {
                limit: budget.limit.0,
                mode: budget.mode,
                hold: budget.hold,
                alerts_bp: Vec::new(),
                overage: Overage::Block,
            });
        }
        let mut terms: Vec<_> =
            by_window.into_iter().map(|(window, list)| (window, Arc::new(Terms::new(list)))).collect();
        terms.sort_unstable_by_key(|(window, _)| *window);
        let shared = link.budget_id.is_some();
        CallerLink {
            scope,
            shared,
            // A reissue may come after this token's end, so shared counters are not forgotten with it.
            expires_at: (!shared).then_some(link.expires_at),
            limits: link.limits,
            terms,
        }
    }
}

/// A link without `budget_id` is counted under its own id. A root's `budget_id` belongs to its issuer and
/// organisation; a child's belongs to its parent, so that nobody can drain a stranger's counter by naming it.
fn link_scope(identity: &Identity, parent: Option<&CallerLink>, link: &Link) -> Scope {
    let Some(budget_id) = &link.budget_id else { return Scope::token(link.id) };
    let escape = |text: &str| text.replace('%', "%25").replace('/', "%2F");
    let owner = match parent {
        Some(parent) => parent.scope.name().to_owned(),
        None => format!("{}/{}", escape(&identity.issuer), escape(identity.org.as_deref().unwrap_or_default())),
    };
    Scope::of(ScopeKind::Token, &format!("{owner}/{}", escape(budget_id)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn link(id: u8, budget_id: Option<&str>) -> Link {
        Link {
            id: TokenId([id; 32]),
            budget_id: budget_id.map(str::to_owned),
            budgets: Vec::new(),
            limits: Limits::default(),
            expires_at: Millis(1),
        }
    }

    #[test]
    fn scopes_come_narrowest_first_and_global_last() {
        let identity = Identity {
            issuer: "https://id".to_owned(),
            user: Some("ann".to_owned()),
            project: Some(String::new()),
            team: Some("ml".to_owned()),
            org: Some("acme".to_owned()),
            tags: vec![("env".to_owned(), "prod".to_owned())],
        };
        let caller = Caller::new(&identity, &[link(1, None), link(2, None)]);
        assert!(caller.is_own(&Scope::token(TokenId([2; 32]))));
        let texts = |scopes: &[Scope]| scopes.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&caller.below_model), ["user:ann", "team:ml", "tag:env=prod"]);
        assert_eq!(texts(&caller.above_model), ["org:acme", "global"]);
    }

    #[test]
    fn a_budget_id_belongs_to_its_issuer_and_organisation() {
        let scope = |issuer: &str, org: &str| {
            let identity = Identity { issuer: issuer.to_owned(), org: Some(org.to_owned()), ..Identity::default() };
            Caller::new(&identity, &[link(1, Some("shared"))]).own_scope().cloned()
        };
        assert_eq!(scope("a", "b"), scope("a", "b"));
        assert_ne!(scope("a", "b"), scope("a", "c"));
        assert_ne!(scope("a/b", "c"), scope("a", "b/c"));
    }

    #[test]
    fn a_child_cannot_name_its_parents_budget() {
        let identity = Identity::default();
        let root = Caller::new(&identity, &[link(1, Some("x"))]);
        let child = Caller::new(&identity, &[link(1, Some("x")), link(2, Some("x"))]);
        assert_ne!(root.own_scope(), child.own_scope());
        assert_eq!(child.links.len(), 2);
    }
}
