//! Budgets, limits and prices.

use bh_base::{BudgetMode, HoldMode, NanoUsd, Overage, ScopeKind};
use bh_catalog::{Catalog, Override, UnknownPrice};
use bh_ledger::{BudgetRule, Config, Fault, LimitRule, Limits, Pattern, Scope};

use super::Check;
use crate::config::fault::Problem;
use crate::config::raw::{Budget, Limit, Price, Pricing, Share};
use crate::config::words::{Unpriced, Usd, Word};

/// Shares of a budget at which an alert is raised when nothing is said, in basis points.
const ALERTS_BP: [u32; 3] = [8_000, 9_000, 10_000];

impl Check<'_> {
    pub(super) fn ledger(&mut self, budgets: &[Budget], limits: &[Limit]) -> Config {
        let budgets = budgets.iter().enumerate().map(|(at, budget)| {
            let scope = self.scope(&format!("budgets[{at}].scope"), &budget.scope);
            budget_rule(scope, budget)
        });
        let budgets = budgets.collect();
        let limits = limits.iter().enumerate().map(|(at, limit)| LimitRule {
            scope: self.scope(&format!("limits[{at}].scope"), &limit.scope),
            limits: Limits {
                rpm: limit.rpm,
                tpm: limit.tpm,
                tpm_input: limit.tpm_input,
                tpm_output: limit.tpm_output,
                concurrency: limit.concurrency,
            },
        });
        let config = Config { budgets, limits: limits.collect(), meters: Vec::new() };
        for fault in config.faults() {
            let path = path_of(&fault);
            if !self.is_doubtful(&path) {
                let said = fault.to_string();
                let said = said.split_once(": ").map_or(said.as_str(), |(_, said)| said).to_owned();
                self.fault(path, Problem::Ledger(said));
            }
        }
        config
    }

    /// A scope that means nobody when the text means none.
    fn scope(&mut self, path: &str, text: &str) -> Pattern {
        Pattern::parse(text).unwrap_or_else(|invalid| {
            self.fault_once(path, invalid);
            Pattern::Exact(Scope::of(ScopeKind::Token, path))
        })
    }

    pub(super) fn pricing(&mut self, pricing: &Pricing) -> (Vec<Override>, UnknownPrice) {
        let overrides: Vec<Override> = pricing.overrides.iter().map(|(model, price)| of_price(model, price)).collect();
        let word = pricing.unknown.map_or(Unpriced::Reject, |Word(word)| word);
        let unknown = match (word, &pricing.flat) {
            (Unpriced::Flat, Some(flat)) => UnknownPrice::Flat { input: flat.input.0, output: flat.output.0 },
            (Unpriced::Reject, None) => UnknownPrice::Reject,
            (Unpriced::Allow, None) => UnknownPrice::Allow,
            (Unpriced::Flat, None) | (Unpriced::Reject | Unpriced::Allow, Some(_)) => {
                if !self.is_doubtful("pricing.unknown") && !self.is_doubtful("pricing.flat") {
                    self.fault("pricing.unknown", Problem::Flat);
                }
                UnknownPrice::Reject
            }
        };
        let faults = Catalog::builtin().with_overrides(&overrides, unknown).err().unwrap_or_default();
        for fault in faults {
            use bh_catalog::Fault::{NoName, TooFine, Twice, Zero};
            let said = fault.to_string();
            let path = match fault {
                NoName => "pricing.overrides".to_owned(),
                Twice { model } => format!("pricing.overrides.{model}"),
                TooFine { path } | Zero { path } => format!("pricing.{path}"),
            };
            let said = said.strip_prefix(&format!("{path}: ")).unwrap_or(&said).to_owned();
            self.fault(path.replace("pricing.unknown.", "pricing.flat."), Problem::Catalog(said));
        }
        (overrides, unknown)
    }
}

fn budget_rule(scope: Pattern, budget: &Budget) -> BudgetRule {
    let mode = budget.mode.map_or(BudgetMode::Hard, |Word(mode)| mode);
    let implied = match mode {
        BudgetMode::Hard => HoldMode::Strict,
        BudgetMode::Soft => HoldMode::Adaptive,
    };
    let alerts = budget.alerts.as_ref().map(|shares| shares.iter().map(|Share(share)| basis_points(*share)).collect());
    BudgetRule {
        scope,
        limit: budget.limit_usd.0,
        window: budget.window.0,
        mode,
        hold: budget.hold.map_or(implied, |Word(hold)| hold),
        alerts_bp: alerts.unwrap_or_else(|| ALERTS_BP.to_vec()),
        overage: budget.overage.map_or(Overage::Block, |Word(overage)| overage),
    }
}

/// A share of 0.0001 to 10 in hundredths of a per cent.
fn basis_points(share: f64) -> u32 {
    (share * 10_000.0).round() as u32
}

fn of_price(model: &str, price: &Price) -> Override {
    let usd = |usd: Option<Usd>| usd.map(|Usd(amount): Usd| -> NanoUsd { amount });
    Override {
        model: model.to_owned(),
        input: price.input.0,
        output: price.output.0,
        cache_read: usd(price.cache_read),
        cache_write_5m: usd(price.cache_write_5m),
        cache_write_1h: usd(price.cache_write_1h),
        web_search: usd(price.web_search),
        context_tokens: price.context_tokens,
        output_tokens_max: price.output_tokens_max,
    }
}

fn path_of(fault: &Fault) -> String {
    match fault {
        Fault::BudgetTwice { index, .. } => format!("budgets[{index}].scope"),
        Fault::HardMustBlock { index, .. } => format!("budgets[{index}].overage"),
        Fault::AlertShare { index } => format!("budgets[{index}].alerts"),
        Fault::LimitTwice { index, .. } => format!("limits[{index}].scope"),
        Fault::ZeroLimit { index, kind } => format!("limits[{index}].{kind}"),
        Fault::EmptyLimit { index } => format!("limits[{index}]"),
    }
}
