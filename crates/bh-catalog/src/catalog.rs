//! The catalog: every known model, found by provider kind and name.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bh_base::{NanoUsd, Overheads};

use crate::overrides::pico_per_token;
use crate::{Capabilities, Fault, Model, Override, PriceRow, Standing, data};

/// The built-in data.
const BUILTIN: &str = include_str!("../data/catalog-v1.json");

/// The built-in provider, and its one model.
const ECHO: &str = "echo";
/// The provider of a model that only an override names: whoever serves that name.
const EVERYONE: &str = "";

/// Every known model, and what is done with the others.
#[derive(Clone, Debug)]
pub struct Catalog {
    models: Vec<Model>,
    /// Provider kind, then name or alias, to a place in `models`.
    by_provider: HashMap<Box<str>, HashMap<Box<str>, usize>>,
    /// Name or alias to the dearest model so named: for providers that may be anyone.
    by_name: HashMap<Box<str>, usize>,
    /// Stands in for a model nobody listed; absent when such models are refused.
    stand_in: Option<Box<Model>>,
    stranger: Overheads,
    version: Arc<str>,
}

/// What happens when a model has no price: the setting `pricing.unknown`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UnknownPrice {
    /// It is not served.
    Reject,
    /// It is charged at these prices, per million tokens.
    Flat {
        /// Per million prompt tokens, cached or not.
        input: NanoUsd,
        /// Per million answer tokens.
        output: NanoUsd,
    },
    /// It is served and charged nothing; hard budgets with strict holds still refuse it, as unbounded.
    Allow,
}

impl Catalog {
    /// The models this program ships with; a model without a price is refused.
    #[must_use]
    pub fn builtin() -> Self {
        let data = data::parse(BUILTIN).expect("a test reads the built-in catalog");
        let mut catalog = Catalog {
            models: data.models,
            by_provider: HashMap::new(),
            by_name: HashMap::new(),
            stand_in: None,
            stranger: data.stranger,
            version: format!("v1-{:016x}", fnv1a(BUILTIN.as_bytes())).into(),
        };
        catalog.index();
        catalog
    }

    /// This catalog with the operator's prices, and with what to do about models that have none.
    ///
    /// # Errors
    /// Every fault of the settings, in order.
    pub fn with_overrides(&self, overrides: &[Override], unknown: UnknownPrice) -> Result<Self, Vec<Fault>> {
        let mut faults: Vec<Fault> = overrides.iter().flat_map(Override::faults).collect();
        let mut by_model = BTreeMap::new();
        for one in overrides {
            if by_model.insert(one.model.as_str(), one).is_some() {
                faults.push(Fault::Twice { model: one.model.clone() });
            }
        }
        if let UnknownPrice::Flat { input, output } = unknown {
            for (field, price) in [("input", input), ("output", output)] {
                if pico_per_token(price).is_none() {
                    faults.push(Fault::TooFine { path: format!("unknown.{field}") });
                }
            }
        }
        if !faults.is_empty() {
            return Err(faults);
        }
        let mut catalog = self.clone();
        for one in by_model.values() {
            catalog.apply(one);
        }
        catalog.stand_in = stand_in(unknown, self.stranger).map(Box::new);
        catalog.version = overridden_version(&self.version, by_model.values().copied(), unknown).into();
        catalog.index();
        Ok(catalog)
    }

    /// The model a provider of this kind serves under this name, or the stand-in for models without a price; nothing
    /// when the name is unknown and such models are refused.
    ///
    /// A name is looked up as it is, then without a snapshot's date, then (fine-tuned) as its base model. A provider of
    /// kind `openai_compatible` may be anyone, so the dearest model of that name counts.
    #[must_use]
    pub fn find(&self, provider_kind: &str, model: &str) -> Option<&Model> {
        self.find_priced(provider_kind, model).or(self.stand_in.as_deref())
    }

    /// As [`Catalog::find`], without the stand-in: only models whose price is listed or overridden.
    #[must_use]
    pub fn find_priced(&self, provider_kind: &str, model: &str) -> Option<&Model> {
        let own = match provider_kind {
            "openai_compatible" => None,
            "azure" => Some("openai"),
            "vertex" => Some("gemini"),
            kind => Some(kind),
        };
        let names = match own {
            // Its many names are ways to behave, at one price.
            Some(ECHO) => return self.by_provider.get(ECHO)?.get(ECHO).map(|at| &self.models[*at]),
            Some(kind) => self.by_provider.get(kind),
            None => Some(&self.by_name),
        };
        let everyone = self.by_provider.get(EVERYONE);
        let find =
            |name: &str| names.and_then(|names| names.get(name)).or_else(|| everyone.and_then(|all| all.get(name)));
        let at = spellings(model).into_iter().flatten().find_map(find)?;
        Some(&self.models[*at])
    }

    /// Every model with a price, sorted by provider and name.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.iter()
    }

    /// A name for exactly these prices: it changes with any figure, override or setting, and is recorded with costs.
    #[must_use]
    pub fn version(&self) -> &Arc<str> {
        &self.version
    }

    /// Puts one override in place of every listed model of that name, or adds a model for whoever serves it. An alias
    /// or a snapshot becomes a model of its own, with the limits of the one it was found under.
    fn apply(&mut self, one: &Override) {
        let found: Vec<usize> = self
            .by_provider
            .values()
            .filter_map(|names| spellings(&one.model).into_iter().flatten().find_map(|name| names.get(name)))
            .copied()
            .collect();
        for at in &found {
            if *self.models[*at].id == *one.model {
                overridden(&mut self.models[*at], one);
                continue;
            }
            self.models[*at].aliases.retain(|alias| **alias != *one.model);
            let listed = self.models[*at].clone();
            let mut own = Model { id: one.model.as_str().into(), aliases: Vec::new(), ..listed };
            overridden(&mut own, one);
            self.models.push(own);
        }
        if found.is_empty() {
            let mut own = unlisted(&one.model, one.row(None), self.stranger);
            own.standing = Standing::Overridden;
            own.context_tokens = one.context_tokens;
            own.output_tokens_max = one.output_tokens_max;
            self.models.push(own);
        }
    }

    fn index(&mut self) {
        self.models.sort_by(|a, b| (&a.provider, &a.id).cmp(&(&b.provider, &b.id)));
        self.by_provider.clear();
        self.by_name.clear();
        let price = |model: &Model| (model.prices.standard.base.output, model.prices.standard.base.input);
        for (at, model) in self.models.iter().enumerate() {
            for name in std::iter::once(&model.id).chain(&model.aliases) {
                self.by_provider.entry(model.provider.clone()).or_default().insert(name.clone(), at);
                let dearest = self.by_name.entry(name.clone()).or_insert(at);
                if price(&self.models[*dearest]) < price(model) {
                    *dearest = at;
                }
            }
        }
    }
}

/// The spellings under which a model may be listed, most exact first.
fn spellings(asked: &str) -> [Option<&str>; 4] {
    let tuned = asked.strip_prefix("ft:").map(|rest| {
        let base = rest.split(':').next().unwrap_or(rest);
        &asked[.."ft:".len() + base.len()]
    });
    [Some(asked), undated(asked), tuned, tuned.and_then(undated)]
}

/// The name without a snapshot's date (`-2025-08-07`, `-20250929`, `@20241022`) or `-latest`, if it has one.
fn undated(name: &str) -> Option<&str> {
    let is_date = |text: &str| text.starts_with("20") && text.bytes().all(|byte| byte.is_ascii_digit());
    if let Some(base) = name.strip_suffix("-latest") {
        return Some(base);
    }
    if let Some((base, date)) = name.rsplit_once(['-', '@'])
        && date.len() == 8
        && is_date(date)
    {
        return Some(base);
    }
    let at = name.len().checked_sub("-2025-08-07".len())?;
    let (base, date) = (name.get(..at)?, name.get(at..)?);
    let mut parts = date.strip_prefix('-')?.split('-');
    let mut digits =
        |count: usize| parts.next().is_some_and(|part| part.len() == count && part.bytes().all(|b| b.is_ascii_digit()));
    (digits(4) && digits(2) && digits(2) && date.starts_with("-20")).then_some(base)
}

fn overridden(model: &mut Model, one: &Override) {
    model.prices = one.row(Some(&model.prices));
    model.standing = Standing::Overridden;
    model.context_tokens = one.context_tokens.or(model.context_tokens);
    model.output_tokens_max = one.output_tokens_max.or(model.output_tokens_max);
}

fn unlisted(name: &str, prices: PriceRow, overheads: Overheads) -> Model {
    Model {
        id: name.into(),
        provider: EVERYONE.into(),
        aliases: Vec::new(),
        standing: Standing::Unpriced,
        prices,
        cache_writes_unasked: false,
        context_tokens: None,
        output_tokens_max: None,
        capabilities: Capabilities::STREAMING | Capabilities::SYSTEM | Capabilities::SAMPLING,
        overheads,
    }
}

fn stand_in(unknown: UnknownPrice, stranger: Overheads) -> Option<Model> {
    match unknown {
        UnknownPrice::Reject => None,
        UnknownPrice::Allow => {
            Some(unlisted("unknown", PriceRow { regional_permille: 1000, ..PriceRow::default() }, stranger))
        }
        UnknownPrice::Flat { input, output } => {
            let prices = Override::new("unknown", input, output).row(None);
            Some(Model { standing: Standing::Flat, ..unlisted("unknown", prices, stranger) })
        }
    }
}

fn overridden_version<'a>(
    builtin: &str,
    overrides: impl Iterator<Item = &'a Override>,
    unknown: UnknownPrice,
) -> String {
    let mut settings = match unknown {
        UnknownPrice::Reject => String::new(),
        UnknownPrice::Allow => "allow\n".to_owned(),
        UnknownPrice::Flat { input, output } => format!("flat {} {}\n", input.0, output.0),
    };
    for one in overrides {
        let numbers = [
            Some(one.input.0),
            Some(one.output.0),
            one.cache_read.map(|price| price.0),
            one.cache_write_5m.map(|price| price.0),
            one.cache_write_1h.map(|price| price.0),
            one.web_search.map(|price| price.0),
            one.context_tokens,
            one.output_tokens_max,
        ];
        settings.push_str(&one.model);
        for number in numbers {
            settings.push(' ');
            settings.push_str(&number.map_or_else(|| "-".to_owned(), |number| number.to_string()));
        }
        settings.push('\n');
    }
    if settings.is_empty() { builtin.to_owned() } else { format!("{builtin}+{:016x}", fnv1a(settings.as_bytes())) }
}

/// FNV-1a, 64 bits: tells tables apart, protects nothing.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3))
}
