//! Must-hold 5: the power goes, twenty times, under load. The log stays provable, `strict` loses nothing that was
//! acknowledged, and no restart forgets money that a provider has served.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result};
use bh_audit::Kind;
use bh_base::NanoUsd;
use bh_testkit::answers::Tokens;
use bh_testkit::{Client, ScriptedProvider, Seed, Split};
use e2e::{Bill, Config, Folder, Gateway, Issuer, SOON, Wire, command, hard, is_stream, prices, read_log, say, soft};
use serde_json::json;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

const MODEL: &str = "gpt-4o-mini";
const TIMES: usize = 20;
const CLIENTS: usize = 12;

/// Which requests clients got an answer for, over all lives of the gateway.
#[derive(Clone)]
struct Acknowledged {
    ids: Arc<Mutex<HashSet<String>>>,
    count: watch::Sender<usize>,
}

impl Acknowledged {
    fn note(&self, id: &str) {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).insert(id.to_owned());
        self.count.send_modify(|count| *count += 1);
    }

    fn all(&self) -> HashSet<String> {
        self.ids.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until so many more answers came.
    async fn more(&self, wanted: usize) -> Result<()> {
        let goal = *self.count.borrow() + wanted;
        let mut seen = self.count.subscribe();
        tokio::time::timeout(SOON, seen.wait_for(|count| goal <= *count)).await.context("the clients are stuck")??;
        Ok(())
    }
}

/// Asks until it is told to stop or the gateway is gone.
async fn customer(client: Client, url: String, token: String, known: Acknowledged, mut seed: Seed) {
    loop {
        let stream = seed.within(0..2) == 0;
        let Ok(answer) = Wire::OpenAi.send(&client, &url, &token, &Wire::OpenAi.ask(MODEL, stream)).await else {
            return;
        };
        if answer.status != 200 {
            continue;
        }
        // The head of a stream is an answer already: the client may act on what follows.
        known.note(answer.header("x-request-id"));
        if answer.whatever_comes().await.is_err() {
            return;
        }
    }
}

async fn check(durability: &str) -> Result<()> {
    let (issuer, folder, mut seed) = (Issuer::new(2), Folder::new()?, Seed::announced(durability));
    let provider = ScriptedProvider::start().await?;
    let (bill, row, chance) = (Bill::default(), prices("openai", MODEL)?, Mutex::new(seed.fork()));
    let charged = bill.clone();
    provider.on(move |seen| {
        let mut seed = chance.lock().unwrap_or_else(PoisonError::into_inner);
        let tokens = Tokens { input: 10, output: seed.within(1..64) as u64 };
        charged.charge(&row, tokens);
        let reply = Wire::OpenAi.reply_to(seen, "hello there", tokens);
        Some(if is_stream(seen) { reply.split(&Split::Random(seed.fork(), 4)) } else { reply })
    });
    let config = Config::new(&issuer)
        .provider("only", Wire::OpenAi, &provider, "gpt-*")
        .set("audit.durability", json!(durability))
        .add("budgets", hard("org:acme", NanoUsd::from_usd(5)))
        .add("budgets", soft("user:*", NanoUsd::from_usd(5)));
    let (token, admin) = (issuer.explain()?, issuer.admin()?);
    let known = Acknowledged { ids: Arc::default(), count: watch::Sender::new(0) };
    for life in 0..TIMES {
        let mut gateway = Gateway::start(&config, &folder)?;
        let served = bill.total();
        remembers(&gateway, &admin, served, life).await?;
        let (tracker, stop) = (TaskTracker::new(), CancellationToken::new());
        for _ in 0..CLIENTS {
            let work = customer(gateway.client.clone(), gateway.url(), token.clone(), known.clone(), seed.fork());
            tracker.spawn(stop.clone().run_until_cancelled_owned(work));
        }
        known.more(seed.within(5..60)).await?;
        // The moment of the crash is drawn: somewhere in the next few calls, not just after one.
        tokio::time::sleep(Duration::from_micros(seed.within(0..8000) as u64)).await;
        tokio::task::block_in_place(|| gateway.process.kill())?;
        // Set before the log is read: what came until now was acknowledged.
        let acknowledged = known.all();
        stop.cancel();
        tracker.close();
        tracker.wait().await;
        verified(&folder, durability, &acknowledged, life)?;
    }
    say(&format!("{durability}: {TIMES} kills, {} answers, {} USD served", known.all().len(), bill.total()));
    let mut gateway = Gateway::start(&config, &folder)?;
    remembers(&gateway, &admin, bill.total(), TIMES).await?;
    assert!(gateway.stop()?.success());
    Ok(())
}

/// What was served counts as spent, at the hard and at the soft budget.
async fn remembers(gateway: &Gateway, admin: &str, served: NanoUsd, life: usize) -> Result<()> {
    if served == NanoUsd::ZERO {
        return Ok(());
    }
    let accounts = gateway.budgets(admin).await?;
    for scope in ["org:acme", "user:alice"] {
        let account = accounts.iter().find(|account| account.scope == scope);
        let spent = account.with_context(|| format!("life {life}: {scope} is forgotten: {accounts:?}"))?.spent;
        assert!(Some(served) <= spent, "life {life}: {served} USD were served, {scope} remembers {spent:?}");
    }
    Ok(())
}

fn verified(folder: &Folder, durability: &str, acknowledged: &HashSet<String>, life: usize) -> Result<()> {
    let data = folder.data();
    let verify = command(["audit", "verify", "--dir", &data.display().to_string()])?;
    let code = verify.status.code();
    assert!(matches!(code, Some(0 | 1)), "life {life}: {code:?}: {}", String::from_utf8_lossy(&verify.stdout));
    let log = read_log(&folder.data())?;
    assert_eq!(code, Some(i32::from(log.report.verdict.exit_code())), "the command and the library agree");
    let kept = log.ids(Kind::Admit);
    let lost: Vec<_> = acknowledged.difference(&kept).collect();
    if !lost.is_empty() {
        say(&format!("{durability}, life {life}: {} acknowledged requests have no record", lost.len()));
    }
    // Relaxed may lose what the last milliseconds wrote; strict may not.
    assert!(durability != "strict" || lost.is_empty(), "life {life}: lost {lost:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_lose_no_acknowledged_record_when_strict_and_never_forget_money() -> Result<()> {
    check("strict").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_kills_never_forget_money_when_relaxed() -> Result<()> {
    check("relaxed").await
}
