//! Which budgets and limits bind whom: rules compiled for look-up, and the lines of one attempt.

use std::collections::HashMap;
use std::sync::Arc;

use bh_base::{BudgetMode, HoldMode, Millis, Overage, ScopeKind, Window};

use crate::caller::CallerLink;
use crate::{AccountKey, Caller, Config, Limits, Pattern, Scope, span};

const WINDOWS: usize = Window::ALL.len();
const KINDS: usize = ScopeKind::ALL.len();

/// One budget as it binds a counter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Term {
    pub(crate) limit: u64,
    pub(crate) mode: BudgetMode,
    pub(crate) hold: HoldMode,
    pub(crate) alerts_bp: Vec<u32>,
    pub(crate) overage: Overage,
}

/// Every budget of one origin (configuration or token) for one scope and window: all must agree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Terms {
    pub(crate) list: Vec<Term>,
}

/// What binds one counter now.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bound {
    pub(crate) config: Option<Arc<Terms>>,
    pub(crate) claim: Option<Arc<Terms>>,
}

/// One counter an attempt is charged to.
pub(crate) struct Line {
    pub(crate) key: AccountKey,
    pub(crate) end: Option<Millis>,
    pub(crate) bound: Bound,
    pub(crate) expires_at: Option<Millis>,
    pub(crate) shared: bool,
}

type PerWindow = [Option<Arc<Terms>>; WINDOWS];

/// Rules by what they match.
#[derive(Debug, Default)]
pub(crate) struct RuleSet {
    exact: HashMap<Scope, PerWindow>,
    tag_values: HashMap<Arc<str>, PerWindow>,
    every: [PerWindow; KINDS],
    metered: [[bool; WINDOWS]; KINDS],
    budgeted: [bool; KINDS],
    limits: HashMap<Scope, Limits>,
    limits_tag_values: HashMap<Arc<str>, Limits>,
    limits_every: [Option<Limits>; KINDS],
    limited: [bool; KINDS],
}

impl Terms {
    pub(crate) fn new(mut list: Vec<Term>) -> Self {
        list.sort_by_key(|term| (term.limit, term.mode));
        Terms { list }
    }
}

impl Bound {
    pub(crate) fn terms(&self) -> impl Iterator<Item = &Term> {
        self.config.iter().chain(&self.claim).flat_map(|terms| &terms.list)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.config.is_none() && self.claim.is_none()
    }

    /// The limit that rights enforce.
    pub(crate) fn hard_limit(&self) -> Option<u64> {
        self.terms().filter(|term| term.mode == BudgetMode::Hard).map(|term| term.limit).min()
    }

    pub(crate) fn is_strict(&self) -> bool {
        self.terms().any(|term| term.hold == HoldMode::Strict)
    }

    pub(crate) fn same_as(&self, other: &Self) -> bool {
        let same = |a: &Option<Arc<Terms>>, b: &Option<Arc<Terms>>| match (a, b) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(a, b) || a == b,
            (None, Some(_)) | (Some(_), None) => false,
        };
        same(&self.config, &other.config) && same(&self.claim, &other.claim)
    }
}

impl RuleSet {
    pub(crate) fn new(config: &Config) -> Self {
        let mut rules = RuleSet::default();
        let mut budgets: HashMap<(&Pattern, Window), Vec<Term>> = HashMap::new();
        for rule in &config.budgets {
            let mut alerts_bp = rule.alerts_bp.clone();
            alerts_bp.sort_unstable();
            alerts_bp.dedup();
            budgets.entry((&rule.scope, rule.window)).or_default().push(Term {
                limit: rule.limit.0,
                mode: rule.mode,
                hold: rule.hold,
                alerts_bp,
                overage: rule.overage,
            });
        }
        for ((pattern, window), list) in budgets {
            let slot = match pattern {
                Pattern::Exact(scope) => rules.exact.entry(scope.clone()).or_default(),
                Pattern::TagValues(key) => rules.tag_values.entry(key.clone()).or_default(),
                Pattern::Every(kind) => &mut rules.every[*kind as usize],
            };
            slot[window as usize] = Some(Arc::new(Terms::new(list)));
            rules.budgeted[pattern.kind() as usize] = true;
        }
        for rule in &config.limits {
            match &rule.scope {
                Pattern::Exact(scope) => drop(rules.limits.insert(scope.clone(), rule.limits)),
                Pattern::TagValues(key) => drop(rules.limits_tag_values.insert(key.clone(), rule.limits)),
                Pattern::Every(kind) => rules.limits_every[*kind as usize] = Some(rule.limits),
            }
            rules.limited[rule.scope.kind() as usize] = true;
        }
        for rule in &config.meters {
            rules.metered[rule.kind as usize][rule.window as usize] = true;
        }
        rules
    }

    /// The configured budgets of a scope in one window: exact before `tag:k=*` before `kind:*`.
    pub(crate) fn terms(&self, scope: &Scope, window: Window) -> Option<&Arc<Terms>> {
        if !self.budgeted[scope.kind() as usize] {
            return None;
        }
        let at = window as usize;
        let exact = self.exact.get(scope).and_then(|per| per[at].as_ref());
        let by_tag = || self.tag_values.get(tag_key(scope)?).and_then(|per| per[at].as_ref());
        exact.or_else(by_tag).or_else(|| self.every[scope.kind() as usize][at].as_ref())
    }

    /// The configured limits of a scope.
    pub(crate) fn limits(&self, scope: &Scope) -> Option<&Limits> {
        if !self.limited[scope.kind() as usize] {
            return None;
        }
        let by_tag = || self.limits_tag_values.get(tag_key(scope)?);
        let every = || self.limits_every[scope.kind() as usize].as_ref();
        self.limits.get(scope).or_else(by_tag).or_else(every)
    }

    /// Every counter an attempt is charged to, in the order in which it is reserved: narrowest first, global last,
    /// so that an exhausted user cannot hold down an organisation's money while being refused.
    pub(crate) fn lines(&self, caller: &Caller, model: Option<&str>, now: Millis) -> Vec<Line> {
        let mut lines = Vec::with_capacity(8);
        for link in &caller.links {
            lines.extend(self.link_lines(link, now));
        }
        let model_used =
            self.budgeted[ScopeKind::Model as usize] || self.metered[ScopeKind::Model as usize] != [false; 4];
        let model = model.filter(|_| model_used).map(|model| Scope::of(ScopeKind::Model, model));
        for scope in caller.below_model.iter().chain(&model).chain(&caller.above_model) {
            for window in Window::ALL {
                let bound = Bound { config: self.terms(scope, *window).cloned(), claim: None };
                lines.extend(self.line(scope, *window, bound, now));
            }
        }
        lines
    }

    /// The lines of one link of a token.
    pub(crate) fn link_lines(&self, link: &CallerLink, now: Millis) -> impl Iterator<Item = Line> {
        Window::ALL.iter().filter_map(move |window| {
            let claim = link.terms.iter().find(|(of, _)| of == window).map(|(_, terms)| terms.clone());
            let bound = Bound { config: self.terms(&link.scope, *window).cloned(), claim };
            let line = self.line(&link.scope, *window, bound, now)?;
            Some(Line { expires_at: link.expires_at, shared: link.shared, ..line })
        })
    }

    /// Every budget an attempt of this caller on this model must keep within, whatever its window, without a copy.
    pub(crate) fn budgets(&self, caller: &Caller, model: &str, visit: &mut impl FnMut(&Term)) {
        let claims = caller.links.iter().flat_map(|link| &link.terms).map(|(_, terms)| terms);
        claims.flat_map(|terms| &terms.list).for_each(&mut *visit);
        let model = self.budgeted[ScopeKind::Model as usize].then(|| Scope::of(ScopeKind::Model, model));
        let links = caller.links.iter().map(|link| &link.scope);
        for scope in links.chain(&caller.below_model).chain(&model).chain(&caller.above_model) {
            let terms = Window::ALL.iter().filter_map(|window| self.terms(scope, *window));
            terms.flat_map(|terms| &terms.list).for_each(&mut *visit);
        }
    }

    /// Whether any model has limits of its own.
    pub(crate) fn limits_models(&self) -> bool {
        self.limited[ScopeKind::Model as usize]
    }

    fn line(&self, scope: &Scope, window: Window, bound: Bound, now: Millis) -> Option<Line> {
        if bound.is_empty() && !self.metered[scope.kind() as usize][window as usize] {
            return None;
        }
        let span = span(window, now);
        let key = AccountKey { scope: scope.clone(), window, start: span.start };
        Some(Line { key, end: span.end, bound, expires_at: None, shared: false })
    }
}

impl Pattern {
    pub(crate) fn kind(&self) -> ScopeKind {
        match self {
            Pattern::Exact(scope) => scope.kind(),
            Pattern::TagValues(_) => ScopeKind::Tag,
            Pattern::Every(kind) => *kind,
        }
    }
}

fn tag_key(scope: &Scope) -> Option<&str> {
    if scope.kind() == ScopeKind::Tag { scope.name().split_once('=').map(|(key, _)| key) } else { None }
}
