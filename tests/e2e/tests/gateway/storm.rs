//! Two hundred clients that stream, wait, hang up and are failed over, and providers that count what they serve.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bh_catalog::PriceRow;
use bh_testkit::answers::Tokens;
use bh_testkit::{Client, Reply, ScriptedProvider, Seed, Seen, Split, Step};
use e2e::{Bill, Gateway, Wire, is_stream, prices};
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

/// What clients ask for.
pub(crate) const MODEL: &str = "smart";
/// The model of the first target.
pub(crate) const FIRST: &str = "gpt-4o-mini";
/// The model of the second target.
pub(crate) const SECOND: &str = "claude-3-5-haiku-20241022";
/// Clients at once.
const CLIENTS: usize = 200;
/// The longest answer a client asks for, in tokens.
const OUTPUT_MAX: usize = 120;

/// The weather of one test.
pub(crate) struct Storm {
    bill: Bill,
    seed: Arc<Mutex<Seed>>,
    prices: [PriceRow; 2],
    patient: bool,
}

/// How the requests of a storm ended.
#[derive(Debug, Default, Clone)]
pub(crate) struct Tally {
    /// With a whole answer.
    pub(crate) answered: usize,
    /// With 402.
    pub(crate) broke: usize,
    /// By the client's hand.
    pub(crate) hung_up: usize,
    /// With an error event after 200.
    pub(crate) cut: usize,
    /// With another refusal.
    pub(crate) failed: usize,
    /// What refused clients were told, each text once.
    pub(crate) words: Vec<String>,
    /// The statuses of other refusals.
    pub(crate) statuses: Vec<u16>,
}

/// When a client hangs up.
#[derive(Debug, Clone, Copy)]
enum Patience {
    /// Never.
    Whole,
    /// So long after sending, answered or not.
    Millis(u64),
    /// After so many pieces of the answer.
    Pieces(usize),
}

impl Storm {
    /// Prices and chance.
    ///
    /// # Errors
    /// A model has no price.
    pub(crate) fn new(seed: Seed) -> Result<Self> {
        let prices = [prices("openai", FIRST)?, prices("anthropic", SECOND)?];
        Ok(Storm { bill: Bill::default(), seed: Arc::new(Mutex::new(seed)), prices, patient: false })
    }

    /// Nobody hangs up.
    pub(crate) fn patient(mut self) -> Self {
        self.patient = true;
        self
    }

    /// What both providers charged.
    pub(crate) fn bill(&self) -> &Bill {
        &self.bill
    }

    /// Lets a provider serve, and fail in so many of a hundred calls. It charges for whatever it may have served: whole
    /// answers, answers it breaks off, and those it is too slow or too rude to send.
    pub(crate) fn script(&self, provider: &ScriptedProvider, wire: Wire, failing: usize) {
        let prices = self.prices[usize::from(wire == Wire::Anthropic)].clone();
        let (bill, seed) = (self.bill.clone(), Arc::clone(&self.seed));
        provider.on(move |seen| {
            let mut seed = seed.lock().unwrap_or_else(PoisonError::into_inner);
            let most = output_max(seen).unwrap_or(0);
            let output = seed.within(most / 2..most + 1) as u64;
            let tokens = Tokens { input: 8 + seed.within(0..8) as u64, output };
            let fault = (seed.within(0..100) < failing).then(|| seed.within(0..9));
            let (reply, serves) = reply(wire, seen, tokens, fault, seed.fork());
            if serves {
                bill.charge(&prices, tokens);
            }
            Some(reply)
        });
    }

    /// Sends `each` requests from each client and waits for all of them.
    ///
    /// # Errors
    /// A client met something no client should.
    pub(crate) async fn run(&self, gateway: &Gateway, token: &str, each: usize) -> Result<Tally> {
        let tally = Arc::new(Mutex::new(Tally::default()));
        let (tracker, h2c) = (TaskTracker::new(), Client::h2c());
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let mut seed = self.seed.lock().unwrap_or_else(PoisonError::into_inner).fork();
                // Hanging up is a closed connection in HTTP/1.1 and a reset stream in h2.
                let client = if number % 2 == 0 { gateway.client.clone() } else { h2c.clone() };
                let (url, token) = (gateway.url(), token.to_owned());
                let (tally, patient) = (Arc::clone(&tally), self.patient);
                tracker.spawn(async move {
                    for _ in 0..each {
                        let ask = Ask::drawn(&mut seed, patient);
                        one(&client, &url, &token, ask, &tally).await?;
                    }
                    anyhow::Ok(())
                })
            })
            .collect();
        for client in clients {
            client.await.context("a client panicked")??;
        }
        let tally = tally.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(tally)
    }
}

fn output_max(seen: &Seen) -> Option<usize> {
    let body = seen.json().ok()?;
    let limit = body.get("max_completion_tokens").or_else(|| body.get("max_tokens"))?.as_u64()?;
    usize::try_from(limit).ok()
}

/// The reply to one call, and whether the provider charges for it.
fn reply(wire: Wire, seen: &Seen, tokens: Tokens, fault: Option<usize>, seed: Seed) -> (Reply, bool) {
    let stream = wire.stream(&["once ", "upon ", "a ", "time"], tokens);
    let whole = if is_stream(seen) {
        Reply::sse(stream.clone()).split(&Split::Random(seed, 6))
    } else {
        wire.plain("once upon a time", tokens)
    };
    match fault {
        None => (whole, true),
        Some(0) => (wire.error(500, "server_error", "boom"), false),
        Some(1) => (Reply::rate_limited(None), false),
        Some(2) => (wire.error(503, "overloaded_error", "busy"), false),
        Some(3) => (Reply::hang_up(), true),
        Some(4) => (Reply::silence(), true),
        Some(5) if is_stream(seen) => (Reply::sse(stream.clone()).cut_after(stream.len() * 2 / 3), true),
        Some(6) if is_stream(seen) => (Reply::sse(stream.clone()).stall_after(stream.len() / 2), true),
        Some(7) if is_stream(seen) => (Reply::sse(wire.error_event("overloaded_error", "busy")), false),
        Some(_) => (whole.before(Step::Pause(Duration::from_millis(30))), true),
    }
}

/// One request of one client.
#[derive(Debug, Clone, Copy)]
struct Ask {
    wire: Wire,
    stream: bool,
    most: u64,
    patience: Patience,
}

impl Ask {
    fn drawn(seed: &mut Seed, patient: bool) -> Self {
        let patience = match seed.within(0..10) {
            0 if !patient => Patience::Millis(seed.within(0..40) as u64),
            1 if !patient => Patience::Pieces(seed.within(0..4)),
            _ => Patience::Whole,
        };
        let wire = Wire::BOTH[seed.within(0..2)];
        Ask { wire, stream: seed.within(0..2) == 0, most: seed.within(1..OUTPUT_MAX) as u64, patience }
    }
}

async fn one(client: &Client, url: &str, token: &str, ask: Ask, tally: &Mutex<Tally>) -> Result<()> {
    let Ask { wire, stream, most, patience } = ask;
    let body = wire.ask_at_most(MODEL, stream, most);
    let asked = wire.send(client, url, token, &body);
    let answer = match patience {
        Patience::Millis(ms) => match timeout(Duration::from_millis(ms), asked).await {
            Ok(answer) => answer?,
            Err(_hung_up) => return note(tally, |tally| tally.hung_up += 1),
        },
        Patience::Whole | Patience::Pieces(_) => asked.await?,
    };
    if answer.status != 200 {
        let told = wire.told(answer).await?;
        ensure!(told.status != 500, "an error of the gateway itself: {told:?}");
        return note(tally, |tally| match told.status {
            402 => {
                tally.broke += 1;
                if !tally.words.contains(&told.message) && tally.words.len() < 8 {
                    tally.words.push(told.message);
                }
            }
            status => {
                tally.failed += 1;
                if !tally.statuses.contains(&status) {
                    tally.statuses.push(status);
                }
            }
        });
    }
    let mut answer = answer;
    if let Patience::Pieces(pieces) = patience {
        for _ in 0..pieces {
            answer.chunk().await?;
        }
        return note(tally, |tally| tally.hung_up += 1);
    }
    let streamed = answer.header("content-type").starts_with("text/event-stream");
    let items = if streamed { Some(answer.items().await?) } else { None };
    match items {
        None => answer.json().await.map(drop)?,
        Some(items) if wire.is_complete(&items) => (),
        Some(items) => {
            ensure!(wire.error_in(&items).is_some(), "a stream ended without a word: {items:?}");
            return note(tally, |tally| tally.cut += 1);
        }
    }
    note(tally, |tally| tally.answered += 1)
}

fn note(tally: &Mutex<Tally>, change: impl FnOnce(&mut Tally)) -> Result<()> {
    change(&mut tally.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(())
}
