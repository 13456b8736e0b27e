//! Must-hold 4: under any mixture of clients, cancels and failovers a hard budget is never exceeded by what the
//! providers served, nothing stays held and nothing leaks.

use anyhow::Result;
use bh_base::{BudgetMode, HoldMode, NanoUsd};
use bh_testkit::{ScriptedProvider, Seed};
use e2e::{Config, Folder, Gateway, Issuer, SOON, Wire, budget, eventually, hard, read_log, say, soft};
use serde_json::{Value, json};

use crate::one::One;
use crate::storm::{MODEL, Storm, Tally};

/// What the budget of each storm allows: about a third of what its clients ask for.
const LIMIT: NanoUsd = NanoUsd(20_000_000);

struct Setting {
    gateway: Gateway,
    folder: Folder,
    issuer: Issuer,
    storm: Storm,
    _providers: [ScriptedProvider; 2],
}

/// Two providers behind one route, the first of which fails as it likes, and perhaps a budget of the organisation.
async fn setting(test: &str, budget: Option<Value>, faulty: bool) -> Result<Setting> {
    let (issuer, folder, mut seed) = (Issuer::new(1), Folder::new()?, Seed::announced(test));
    let storm = Storm::new(seed.fork())?;
    let storm = if faulty { storm } else { storm.patient() };
    let providers = [ScriptedProvider::start().await?, ScriptedProvider::start().await?];
    storm.script(&providers[0], Wire::OpenAi, if faulty { 40 } else { 0 });
    storm.script(&providers[1], Wire::Anthropic, if faulty { 10 } else { 0 });
    let target = |provider: &str, model: &str| {
        json!({"provider": provider, "model": model, "circuit_breaker": {"failure_threshold": 1000},
            "retry": {"attempts": 1, "initial_backoff_ms": 5}})
    };
    let targets = json!([target("first", crate::storm::FIRST), target("second", crate::storm::SECOND)]);
    // Short where a provider may stall on purpose; where it may not, a loaded machine is no fault of anybody's.
    let ms = if faulty { 1500 } else { 60_000 };
    let quick = json!({"timeouts": {"headers_ms": ms, "first_token_ms": ms, "idle_ms": ms}});
    let mut config = Config::new(&issuer)
        .provider_with("first", Wire::OpenAi, &providers[0].url(), quick.clone())
        .provider_with("second", Wire::Anthropic, &providers[1].url(), quick)
        .add("routes", json!({"model": MODEL, "attempts_max": 3, "targets": targets}));
    if let Some(budget) = budget {
        config = config.add("budgets", budget);
    }
    let gateway = Gateway::start(&config, &folder)?;
    Ok(Setting { gateway, folder, issuer, storm, _providers: providers })
}

/// After the last request nothing is held, nothing leaked and no invariant broken: what the counter of `scope` says.
async fn calm(setting: &Setting, scope: &str) -> Result<NanoUsd> {
    let Setting { gateway, issuer, .. } = setting;
    let admin = issuer.admin()?;
    let spent = eventually("every hold is settled", SOON, async || {
        let accounts = gateway.budgets(&admin).await?;
        let still = accounts.iter().any(|account| account.held != Some(NanoUsd::ZERO));
        let spent = accounts.iter().find(|account| account.scope.starts_with(scope)).and_then(|account| account.spent);
        Ok(spent.filter(|_| !still))
    })
    .await?;
    let metrics = gateway.metrics().await?;
    assert_eq!(metrics.get("bulkhead_holds_leaked_total", &[]), Some(0.0));
    assert_eq!(metrics.sum("bulkhead_invariant_broken_total", &[]), 0.0, "{}", metrics.text());
    assert_eq!(metrics.get("bulkhead_in_flight", &[]), Some(0.0));
    Ok(spent)
}

fn within_limit(setting: &Setting, tally: &Tally, spent: NanoUsd) {
    let served = setting.storm.bill().total();
    say(&format!("served {served} USD, spent {spent} of {LIMIT}; {tally:?}"));
    assert!(served <= LIMIT, "providers served {served} USD of a budget of {LIMIT}");
    assert!(served <= spent && spent <= LIMIT, "served {served}, spent {spent}, limit {LIMIT}");
    assert!(0 < tally.broke, "nobody met the limit: {tally:?}");
    assert!(0 < tally.answered && 0 < tally.hung_up, "{tally:?}");
    assert!(LIMIT.0 / 2 < spent.0, "most of the budget could be used: {spent}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_never_spend_more_than_the_organisations_hard_budget() -> Result<()> {
    let mut setting = setting("organisation", Some(hard("org:acme", LIMIT)), true).await?;
    let token = setting.issuer.explain()?;
    let tally = setting.storm.run(&setting.gateway, &token, 5).await?;
    let spent = calm(&setting, "org:acme").await?;
    within_limit(&setting, &tally, spent);
    assert!(tally.words.iter().any(|told| told.contains(&format!("limit {LIMIT} USD"))), "{:?}", tally.words);
    let own = setting.gateway.own_budgets(&token).await?;
    assert_eq!(
        own.iter().map(|account| (account.spent, account.held)).collect::<Vec<_>>(),
        [(Some(spent), Some(NanoUsd::ZERO))]
    );
    assert!(setting.gateway.stop()?.success());
    let log = read_log(&setting.folder.data())?;
    assert_eq!(log.report.verdict.as_str(), "ok");
    assert_eq!(log.settled(), spent, "the records add up to what was spent");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_clients_never_spend_more_than_their_tokens_hard_budget() -> Result<()> {
    let setting = setting("token", None, true).await?;
    let token = setting.issuer.token(|claims| claims.grants.budgets = vec![budget(LIMIT)])?;
    let tally = setting.storm.run(&setting.gateway, &token, 5).await?;
    let spent = calm(&setting, "token:").await?;
    within_limit(&setting, &tally, spent);
    // The token's own numbers need no role.
    assert!(tally.words.iter().any(|told| told.contains(&format!("limit {LIMIT} USD"))), "{:?}", tally.words);
    let own = setting.gateway.own_budgets(&token).await?;
    assert_eq!(
        own.iter().map(|account| (account.limit, account.held)).collect::<Vec<_>>(),
        [(Some(LIMIT), Some(NanoUsd::ZERO))]
    );
    Ok(())
}

/// A soft budget that only counts, and what it counted.
async fn metered(test: &str, faulty: bool) -> Result<(Setting, NanoUsd)> {
    let mut setting = setting(test, Some(soft("org:acme", NanoUsd::from_usd(1000))), faulty).await?;
    let token = setting.issuer.plain()?;
    let tally = setting.storm.run(&setting.gateway, &token, 2).await?;
    let spent = calm(&setting, "org:acme").await?;
    assert_eq!(tally.broke, 0, "{tally:?}");
    assert!(setting.gateway.stop()?.success());
    let settled = read_log(&setting.folder.data())?.settled();
    say(&format!("served {}, settled {settled}, spent {spent}; {tally:?}", setting.storm.bill().total()));
    assert_eq!(settled, spent, "the records add up to what was metered");
    Ok((setting, spent))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_budget_meters_exactly_what_healthy_providers_served() -> Result<()> {
    let (setting, spent) = metered("metered", false).await?;
    assert_eq!(spent, setting.storm.bill().total());
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_soft_budget_meters_the_sum_of_what_was_settled_whatever_happens() -> Result<()> {
    metered("storm", true).await.map(drop)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_without_the_role_sees_the_kind_of_a_scope_above_it_and_no_amount() -> Result<()> {
    let setting = setting("amounts", Some(hard("org:acme", NanoUsd(1000))), false).await?;
    for (token, may_see) in [(setting.issuer.plain()?, false), (setting.issuer.explain()?, true)] {
        let answer = Wire::OpenAi
            .send(&setting.gateway.client, &setting.gateway.url(), &token, &Wire::OpenAi.ask(MODEL, false))
            .await?;
        assert_eq!((answer.header("x-should-retry"), answer.header("x-bulkhead-budget-remaining-usd")), ("false", ""));
        let told = Wire::OpenAi.told(answer).await?;
        assert_eq!(
            (told.status, told.kind.as_str(), told.code.as_deref()),
            (402, "insufficient_quota", Some("insufficient_quota"))
        );
        assert_eq!(told.message.contains("0.000001"), may_see, "{}", told.message);
        assert_eq!(told.message.contains("acme"), may_see, "{}", told.message);
        assert!(told.message.contains("org"), "{}", told.message);
        let own = setting.gateway.own_budgets(&token).await?;
        assert_eq!(own[0].limit.is_some(), may_see);
        assert_eq!(own[0].scope == "org", !may_see);
    }
    // The token's own numbers are always shown, and so is what is left of them.
    let mode = bh_token::TokenBudget { mode: BudgetMode::Hard, hold: HoldMode::Strict, ..budget(NanoUsd(10)) };
    let token = setting.issuer.token(|claims| {
        claims.org = None;
        claims.grants.budgets = vec![mode];
    })?;
    let answer = Wire::OpenAi
        .send(&setting.gateway.client, &setting.gateway.url(), &token, &Wire::OpenAi.ask(MODEL, false))
        .await?;
    assert_eq!(answer.header("x-bulkhead-budget-remaining-usd"), "0.00000001");
    assert!(Wire::OpenAi.told(answer).await?.message.contains("limit 0.00000001 USD"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_file_puts_another_limit_in_force_and_keeps_the_spend() -> Result<()> {
    let mut one = One::start(|config, _| Ok(config.add("budgets", hard("org:acme", NanoUsd::from_usd(1))))).await?;
    one.token = one.issuer.explain()?;
    let (wire, admin) = (Wire::OpenAi, one.issuer.admin()?);
    assert_eq!(one.ask(wire, false).await?.status, 200);
    let spent = one.gateway.budgets(&admin).await?[0].spent;
    assert!(Some(NanoUsd::ZERO) < spent);
    let file = one.folder.file("bulkhead.yaml");
    let text = std::fs::read_to_string(&file)?;
    let change = |limit: &str| {
        Folder::write(&file, &text.replace("\"limit_usd\": \"1\"", &format!("\"limit_usd\": \"{limit}\"")))
    };
    let in_force = async |limit: u64| {
        eventually("the new limit is in force", SOON, async || {
            let account = one.gateway.budgets(&admin).await?[0].clone();
            Ok((account.limit == Some(NanoUsd(limit)) && account.spent == spent).then_some(()))
        })
        .await
    };
    change("0.000000001")?;
    in_force(1).await?;
    let told = wire.told(one.ask(wire, false).await?).await?;
    assert_eq!(told.status, 402, "{told:?}");
    // A file with a fault changes nothing.
    Folder::write(&file, "budgets: [{ scope: nobody }]")?;
    let line = tokio::task::block_in_place(|| one.gateway.process.wait_for_line("budgets", SOON))?;
    assert!(line.contains("ERROR") || line.contains("WARN"), "{line}");
    in_force(1).await?;
    change("2")?;
    in_force(2_000_000_000).await?;
    assert_eq!(one.ask(wire, false).await?.status, 200);
    Ok(())
}
