//! A checked set of routes, and how a model's name becomes one of them.

use std::collections::HashMap;
use std::sync::Arc;

use bh_base::Millis;

use crate::glob::Glob;
use crate::health::Health;
use crate::plan::{NoPlan, Source};
use crate::strategy::Strategy;
use crate::target::{Provider, Settings, Target};

/// Routes, aliases and providers of one configuration, checked; built by [`Routes::build`].
#[derive(Debug)]
pub struct Routes {
    pub(crate) version: Arc<str>,
    pub(crate) providers: Vec<Arc<Provider>>,
    pub(crate) routes: Vec<Route>,
    /// Routes whose pattern is a plain name, by that name.
    pub(crate) plain: HashMap<Box<str>, usize>,
    /// Routes whose pattern is not, in order.
    pub(crate) patterns: Vec<usize>,
    /// Every alias with what it finally stands for.
    pub(crate) aliases: HashMap<Box<str>, Arc<str>>,
    pub(crate) health: Arc<Health>,
    pub(crate) implicit: Arc<Settings>,
}

/// One route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) pattern: Glob,
    /// The pattern's text, shared with every decision.
    pub(crate) label: Arc<str>,
    pub(crate) strategy: Strategy,
    pub(crate) attempts_max: u32,
    pub(crate) total_ms: u64,
    pub(crate) targets: Vec<Template>,
}

/// A target as configured: ready, or waiting for the model's name.
#[derive(Debug)]
pub(crate) enum Template {
    Fixed(Arc<Target>),
    AsAsked { provider: Arc<Provider>, settings: Arc<Settings> },
}

/// What a name leads to.
pub(crate) enum Found<'a> {
    Route { index: usize, route: &'a Route },
    Provider { provider: &'a Arc<Provider>, model: &'a str, source: Source },
}

/// Whether the catalog lists a model (second) for a kind of provider (first).
pub(crate) type Listed<'a> = &'a dyn Fn(&str, &str) -> bool;

impl Routes {
    /// The name of this configuration, as decisions and records show it.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// The health these routes read and feed.
    #[must_use]
    pub fn health(&self) -> &Arc<Health> {
        &self.health
    }

    /// The enabled providers, in the order of the configuration.
    #[must_use]
    pub fn providers(&self) -> &[Arc<Provider>] {
        &self.providers
    }

    /// Names a client may ask for that the configuration spells out: aliases, then routes, then models of providers;
    /// patterns are left out. What the catalog adds is the caller's to list.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let mut aliases: Vec<&str> = self.aliases.keys().map(|name| &**name).collect();
        aliases.sort_unstable();
        let routes = self.routes.iter().map(|route| &route.pattern);
        let served = self.providers.iter().flat_map(|provider| provider.serves.iter().flatten());
        aliases.extend(routes.chain(served).filter(|glob| glob.is_literal()).map(Glob::as_str));
        let mut seen = std::collections::HashSet::new();
        aliases.retain(|name| seen.insert(*name));
        aliases
    }

    /// Whether a request for this model would find someone, whatever their health. `listed` says whether the catalog
    /// lists a model (second) for a kind of provider (first).
    ///
    /// # Errors
    /// [`NoPlan::UnknownModel`] or [`NoPlan::Ambiguous`].
    pub fn resolve(&self, model: &str, listed: Listed<'_>) -> Result<Source, NoPlan> {
        match self.find(self.unalias(model), listed)? {
            Found::Route { index, route } => Ok(Source::Route { index, pattern: Arc::clone(&route.label) }),
            Found::Provider { source, .. } => Ok(source),
        }
    }

    /// The name behind an alias; any other name is itself.
    pub(crate) fn unalias<'a>(&'a self, model: &'a str) -> &'a str {
        self.aliases.get(model).map_or(model, |target| target)
    }

    /// Routes first, in order; then `provider/model`; then the one provider that serves the model.
    pub(crate) fn find<'a>(&'a self, model: &'a str, listed: Listed<'_>) -> Result<Found<'a>, NoPlan> {
        if let Some(index) = self.route_for(model) {
            return Ok(Found::Route { index, route: &self.routes[index] });
        }
        if let Some((id, rest)) = model.split_once('/')
            && let Some(provider) = self.providers.iter().find(|provider| *provider.id == *id)
            && provider.may_be_asked(rest)
        {
            return Ok(Found::Provider { provider, model: rest, source: Source::ProviderNamed });
        }
        let mut serving = self.providers.iter().filter(|provider| provider.is_taken_to_serve(model, listed));
        let Some(provider) = serving.next() else { return Err(NoPlan::UnknownModel { model: model.into() }) };
        let others: Vec<&Arc<Provider>> = serving.collect();
        if others.is_empty() {
            return Ok(Found::Provider { provider, model, source: Source::OnlyProvider });
        }
        let providers = std::iter::once(provider).chain(others).map(|provider| Arc::clone(&provider.id)).collect();
        Err(NoPlan::Ambiguous { model: model.into(), providers })
    }

    /// The target of a provider that no route names.
    pub(crate) fn implicit_target(&self, provider: &Arc<Provider>, model: &str, now: Millis) -> Arc<Target> {
        self.target(provider, model, &self.implicit, now)
    }

    /// A template with the model filled in. A name that leads with the provider's own id loses it.
    pub(crate) fn fill(&self, template: &Template, model: &str, now: Millis) -> Arc<Target> {
        match template {
            Template::Fixed(target) => Arc::clone(target),
            Template::AsAsked { provider, settings } => {
                let own = model.strip_prefix(&*provider.id).and_then(|rest| rest.strip_prefix('/'));
                self.target(provider, own.filter(|rest| !rest.is_empty()).unwrap_or(model), settings, now)
            }
        }
    }

    fn target(&self, provider: &Arc<Provider>, model: &str, settings: &Arc<Settings>, now: Millis) -> Arc<Target> {
        let state = self.health.target(provider, model, now);
        let model = Arc::clone(&state.model);
        Arc::new(Target { provider: Arc::clone(provider), model, settings: Arc::clone(settings), state })
    }

    fn route_for(&self, model: &str) -> Option<usize> {
        let plain = self.plain.get(model).copied();
        let before = |index: &usize| plain.is_none_or(|plain| *index < plain);
        let pattern = self.patterns.iter().copied().take_while(before);
        pattern.into_iter().find(|index| self.routes[*index].pattern.matches(model)).or(plain)
    }
}

impl Provider {
    /// Whether `provider/model` may name this model: its own list decides; without one, anything goes, since the
    /// provider may know models that the catalog does not.
    fn may_be_asked(&self, model: &str) -> bool {
        !model.is_empty() && self.serves.as_ref().is_none_or(|globs| globs.iter().any(|glob| glob.matches(model)))
    }

    /// Whether the model alone leads here.
    fn is_taken_to_serve(&self, model: &str, listed: Listed<'_>) -> bool {
        match &self.serves {
            Some(globs) => globs.iter().any(|glob| glob.matches(model)),
            None => listed(&self.kind, model),
        }
    }
}
