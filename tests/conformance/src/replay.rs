//! Plans the exchanges of a set of recordings and plays them through running gateways.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bh_dialect::{Dialect, Unsupported};
use bh_testkit::{Client, Reply, Seed, Seen};
use bytes::Bytes;
use futures_util::stream::{self, StreamExt};
use serde_json::Value;

use crate::account::{Account, Wanted};
use crate::ask::{self, Across, Ask, Malformed, short};
use crate::case::{Case, native_kind, other, path};
use crate::check::{self, Heard, Recorded};
use crate::crafted::{self, Crafted};
use crate::exceptions::Exception;
use crate::gateway::{Gateway, Provider};
use crate::stage::{Stage, recorded};

/// Exchanges one gateway plays: each has a provider of its own in its configuration.
const BATCH: usize = 192;
/// Exchanges in flight at once.
const AT_ONCE: usize = 8;
/// Longest silence of the gateway; nothing here is slow.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// One request and what is to be seen of it.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// The recording it replays; none for a request of our own.
    pub(crate) case: Option<Arc<Case>>,
    /// What is shown by it.
    pub(crate) pass: Pass,
    /// Its name in reports.
    pub(crate) name: String,
    ask: Result<Ask, String>,
    kind: &'static str,
}

/// What an exchange shows.
#[derive(Clone, Debug)]
pub(crate) enum Pass {
    /// The recorded request in its own dialect.
    Own,
    /// The same request in the other dialect.
    Across,
    /// The recorded request under a hard budget: what is held covers what it cost.
    Bound,
    /// A request the other dialect has no words for, sent to a target of that dialect.
    Refused(Unsupported),
    /// A request that is wrong in its own dialect: the provider refused it, so does the gateway.
    Malformed(Exception),
    /// A request of our own that stands for a line of the list of exceptions.
    Crafted(Exception),
}

/// What came of an exchange.
#[derive(Debug)]
pub(crate) struct Played {
    /// The exchange.
    pub(crate) exchange: Exchange,
    /// The exceptions it met.
    pub(crate) exceptions: BTreeSet<Exception>,
    /// What was wrong; nothing is right.
    pub(crate) faults: Vec<String>,
    wanted: Option<Wanted>,
}

impl Pass {
    /// The spelling in reports.
    #[must_use]
    pub(crate) const fn as_str(&self) -> &'static str {
        match self {
            Pass::Own => "own dialect",
            Pass::Across => "other dialect",
            Pass::Bound => "hard budget",
            Pass::Refused(_) => "refused across",
            Pass::Malformed(_) => "malformed",
            Pass::Crafted(_) => "exception",
        }
    }
}

/// The exchanges of the recordings and of our own requests. Provider names are places in this list.
#[must_use]
pub(crate) fn plan(cases: &[Arc<Case>]) -> Vec<Exchange> {
    let mut all = Vec::new();
    for case in cases {
        let name = case.recording.name();
        let mut add = |pass: Pass, kind, ask: &dyn Fn(&str) -> Result<Ask, String>| {
            let ask = ask(&provider_id(all.len()));
            all.push(Exchange { case: Some(Arc::clone(case)), pass, name: name.clone(), ask, kind });
        };
        let malformed = || Pass::Malformed(Exception::malformed(case.dialect));
        match ask::malformed(case) {
            Some(Malformed::AtSight) => {
                add(malformed(), case.kind, &|id| ask::as_it_is(case, id));
                continue;
            }
            Some(Malformed::InTranslation) => {
                add(Pass::Own, case.kind, &|id| ask::own(case, id));
                add(malformed(), native_kind(other(case.dialect)), &|id| ask::own(case, id));
                continue;
            }
            None => add(Pass::Own, case.kind, &|id| ask::own(case, id)),
        }
        match ask::across(case, "") {
            Ok(Across::Refused(why)) => {
                add(Pass::Refused(why), native_kind(other(case.dialect)), &|id| ask::own(case, id));
            }
            Ok(Across::Asked(_)) | Err(_) => add(Pass::Across, case.kind, &|id| match ask::across(case, id)? {
                Across::Asked(ask) => Ok(*ask),
                Across::Refused(why) => Err(format!("refused only under this name: {why}")),
            }),
        }
        if matches!(check::recorded(case), Ok(Recorded::Answer(said)) if said.spent.is_some()) {
            add(Pass::Bound, case.kind, &|id| ask::own(case, id));
        }
    }
    for crafted in crafted::all() {
        let id = provider_id(all.len());
        all.push(of_our_own(crafted, &id));
    }
    all
}

fn provider_id(place: usize) -> String {
    format!("x{place}")
}

fn of_our_own(crafted: Crafted, provider: &str) -> Exchange {
    let Crafted { exception, dialect, mut body } = crafted;
    let model = body["model"].as_str().unwrap_or("m");
    body["model"] = format!("{provider}/{model}").into();
    let headers = Vec::new();
    let body = Bytes::from(body.to_string());
    let ask = Ask { dialect, body, headers, stream: false, wants_usage: false, left_out: Vec::new() };
    let target = if exception.is_native() { dialect } else { other(dialect) };
    let (name, kind) = (exception.line(), native_kind(target));
    Exchange { case: None, pass: Pass::Crafted(exception), name, ask: Ok(ask), kind }
}

/// Plays all exchanges, in batches, each through a gateway of its own.
///
/// # Errors
/// A gateway or the scripted provider cannot be run at all; an exchange that fails is no error.
pub(crate) async fn play(binary: &Path, exchanges: Vec<Exchange>, seed: &mut Seed) -> Result<Vec<Played>> {
    let mut all = Vec::with_capacity(exchanges.len());
    let mut exchanges = exchanges.into_iter().enumerate();
    loop {
        let batch: Vec<_> = exchanges.by_ref().take(BATCH).collect();
        if batch.is_empty() {
            return Ok(all);
        }
        all.extend(play_batch(binary, batch, seed).await?);
    }
}

async fn play_batch(binary: &Path, batch: Vec<(usize, Exchange)>, seed: &mut Seed) -> Result<Vec<Played>> {
    let stage = Stage::open().await?;
    let mut providers = Vec::with_capacity(batch.len());
    for (place, exchange) in &batch {
        let id = provider_id(*place);
        let reply = match &exchange.case {
            Some(case) => recorded(&case.recording, seed),
            None => canned(exchange),
        };
        stage.set(&id, reply);
        let suffix = if exchange.kind == "anthropic" { "" } else { "/v1" };
        let base_url = format!("{}{suffix}", stage.url(&id));
        providers.push(Provider { id, kind: exchange.kind, base_url });
    }
    let gateway = Gateway::start(binary, &providers)?;
    let client = Client::new().deadline(SILENCE_MAX);
    let (stage, running) = (&stage, &gateway);
    let mut played: Vec<Played> = stream::iter(batch)
        .map(|(place, exchange)| play_one(stage, running, client.clone(), place, exchange))
        .buffered(AT_ONCE)
        .collect()
        .await;
    for one in &mut played {
        if let Some(wanted) = &mut one.wanted {
            let token = token(&gateway, &one.exchange.pass);
            one.faults.extend(wanted.meet(&client, gateway.url(), token).await);
        }
    }
    let settled = gateway.stop().context("the gateway did not stop in order")?;
    for one in &mut played {
        if let Some(wanted) = &one.wanted {
            one.faults.extend(wanted.settled(&settled));
        }
    }
    Ok(played)
}

/// What a target says to a request of ours, should it be asked.
fn canned(exchange: &Exchange) -> Reply {
    let dialect = exchange.ask.as_ref().map_or(Dialect::OpenAiChat, |ask| ask.dialect);
    Reply::json(200, crafted::answer(other(dialect)).to_string())
}

fn token<'g>(gateway: &'g Gateway, pass: &Pass) -> &'g str {
    match pass {
        Pass::Bound => &gateway.budgeted,
        Pass::Crafted(exception) if exception.what == "unbounded" => &gateway.budgeted,
        Pass::Own | Pass::Across | Pass::Refused(_) | Pass::Malformed(_) | Pass::Crafted(_) => &gateway.free,
    }
}

async fn play_one(stage: &Stage, gateway: &Gateway, client: Client, place: usize, exchange: Exchange) -> Played {
    let mut played = Played { exchange, exceptions: BTreeSet::new(), faults: Vec::new(), wanted: None };
    let ask = match &played.exchange.ask {
        Ok(ask) => ask.clone(),
        Err(fault) => {
            played.faults.push(fault.clone());
            return played;
        }
    };
    let heard = match send(gateway, &client, &ask, token(gateway, &played.exchange.pass)).await {
        Ok(heard) => heard,
        Err(error) => {
            played.faults.push(format!("no answer: {error:#}"));
            return played;
        }
    };
    let seen = stage.seen(&provider_id(place));
    match (played.exchange.pass.clone(), played.exchange.case.clone()) {
        (Pass::Own | Pass::Across | Pass::Bound, Some(case)) => played.judge(&case, &ask, &heard, &seen),
        (Pass::Own | Pass::Across | Pass::Bound, None) => played.faults.push("a recording is missing".to_owned()),
        (Pass::Refused(why), _) => {
            let expected = Exception::of("refused", &why);
            let named = refused_field(&ask, &heard).is_none_or(|field| field == why.field);
            played.faults.extend((!named).then(|| format!("the refusal does not name `{}`", why.field)));
            played.excused(expected, &ask, &heard, &seen);
        }
        (Pass::Malformed(expected) | Pass::Crafted(expected), _) => played.excused(expected, &ask, &heard, &seen),
    }
    played
}

impl Played {
    /// A recording's answer: exact, or refused before the provider was asked.
    fn judge(&mut self, case: &Case, ask: &Ask, heard: &Heard, seen: &[Seen]) {
        if heard.status == 400 && seen.is_empty() {
            let refusal = match self.exchange.pass {
                Pass::Bound => Some(unbounded(ask.dialect, heard)),
                Pass::Across => Some(refused(ask, heard)),
                Pass::Own | Pass::Refused(_) | Pass::Malformed(_) | Pass::Crafted(_) => None,
            };
            if let Some(refusal) = refusal {
                self.faults.extend(refusal.as_ref().err().cloned());
                self.exceptions.extend(refusal);
                return;
            }
        }
        self.exceptions.extend(ask.left_out.iter().map(|left_out| Exception::of("left_out", left_out)));
        self.exceptions.extend(left_out(heard));
        self.compare(case, ask, heard, seen);
    }

    /// A request that must meet one exception.
    fn excused(&mut self, expected: Exception, ask: &Ask, heard: &Heard, seen: &[Seen]) {
        let fault = match expected.what {
            "left_out" if heard.status == 200 && left_out(heard).any(|exception| exception == expected) => None,
            "left_out" => Some(format!("status {} and warnings {:?}: {}", heard.status, heard.warnings, text(heard))),
            _ if !seen.is_empty() => Some("the provider was asked all the same".to_owned()),
            "malformed" => malformed(ask.dialect, heard).and_then(|found| is(&found, &expected)).err(),
            "unbounded" => unbounded(ask.dialect, heard).and_then(|found| is(&found, &expected)).err(),
            _ => refused(ask, heard).and_then(|found| is(&found, &expected)).err(),
        };
        self.faults.extend(fault);
        self.exceptions.insert(expected);
    }

    fn compare(&mut self, case: &Case, ask: &Ask, heard: &Heard, seen: &[Seen]) {
        let recorded = match check::recorded(case) {
            Ok(recorded) => recorded,
            Err(fault) => {
                self.faults.push(fault);
                return;
            }
        };
        self.faults.extend(check::heard(case, ask, &recorded, heard));
        let bound = matches!(self.exchange.pass, Pass::Bound);
        if !bound {
            let asked: Value = serde_json::from_slice(&ask::recorded_body(case)).unwrap_or_default();
            self.faults.extend(check::arrived(case, ask, &asked, seen, &heard.warnings));
        }
        let readable = case.recording.request.body.is_some() && ask::malformed(case).is_none();
        if matches!(self.exchange.pass, Pass::Own) && readable {
            self.faults.extend(ask::lost_in_the_conversation(case));
        }
        let account = match recorded {
            Recorded::Answer(said) => Account::Answered { spent: said.spent, bound },
            Recorded::Broken(_) => return,
            Recorded::Refusal(_) => Account::Nothing,
        };
        self.wanted = Some(Wanted::new(heard.id.clone(), account));
    }
}

async fn send(gateway: &Gateway, client: &Client, ask: &Ask, token: &str) -> Result<Heard> {
    let mut request = client
        .post(format!("{}{}", gateway.url(), path(ask.dialect)))
        .bearer(token)
        .header("content-type", "application/json")
        .body(ask.body.clone());
    for (name, value) in &ask.headers {
        request = request.header(name, value);
    }
    let answer = request.send().await?;
    let (status, id) = (answer.status, answer.header("x-request-id").to_owned());
    let warnings = answer.headers.get_all("x-bulkhead-warning").iter();
    let warnings = warnings.filter_map(|value| value.to_str().ok().map(str::to_owned)).collect();
    let body = answer.bytes().await.context("the answer broke off")?;
    Ok(Heard { status, id, warnings, body })
}

/// Reads a refusal for want of words.
fn refused(ask: &Ask, heard: &Heard) -> Result<Exception, String> {
    let value: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
    let error = &value["error"];
    let typed = heard.status == 400
        && error["type"] == "invalid_request_error"
        && (ask.dialect == Dialect::AnthropicMessages || error["code"] == "unsupported_parameter");
    let exception = exception_in("refused", error["message"].as_str().unwrap_or_default());
    exception
        .filter(|_| typed)
        .ok_or_else(|| format!("status {} without a typed refusal: {}", heard.status, text(heard)))
}

/// The field a refusal names, where the dialect has a place for it.
fn refused_field(ask: &Ask, heard: &Heard) -> Option<String> {
    let value: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
    let field = value["error"]["param"].as_str().unwrap_or_default().to_owned();
    (ask.dialect == Dialect::OpenAiChat).then_some(field)
}

fn is(found: &Exception, expected: &Exception) -> Result<(), String> {
    if found == expected { Ok(()) } else { Err(format!("`{}` instead of `{}`", found.line(), expected.line())) }
}

/// What the gateway says it left out.
fn left_out(heard: &Heard) -> impl Iterator<Item = Exception> {
    heard.warnings.iter().filter_map(|warning| exception_in("left_out", warning))
}

/// Reads a refusal for want of an upper bound.
fn unbounded(dialect: Dialect, heard: &Heard) -> Result<Exception, String> {
    let text = text(heard);
    let reason = text.split_once("has no upper bound (").and_then(|(_, rest)| rest.split_once(')'));
    match reason {
        Some((reason, _)) => {
            Ok(Exception { what: "unbounded", target: dialect.as_str(), capability: reason.to_owned() })
        }
        None => Err(format!("status {} under a hard budget: {text}", heard.status)),
    }
}

/// Reads a refusal of what is wrong in its own dialect: it names the field.
fn malformed(dialect: Dialect, heard: &Heard) -> Result<Exception, String> {
    let value: Value = serde_json::from_slice(&heard.body).unwrap_or_default();
    let error = &value["error"];
    let typed = heard.status == 400 && error["type"] == "invalid_request_error";
    let named = dialect == Dialect::AnthropicMessages || (error["param"].is_string() && error["code"].is_string());
    if typed && named {
        Ok(Exception::malformed(dialect))
    } else {
        Err(format!("status {}: {}", heard.status, text(heard)))
    }
}

/// The exception that a message of the gateway's speaks of: `` `field` (capability) cannot be expressed in target ``.
fn exception_in(what: &'static str, message: &str) -> Option<Exception> {
    let (before, after) = message.split_once(") cannot be expressed in ")?;
    let (_, capability) = before.rsplit_once('(')?;
    let target = [Dialect::OpenAiChat, Dialect::AnthropicMessages]
        .into_iter()
        .map(Dialect::as_str)
        .find(|target| after.starts_with(target))?;
    Some(Exception { what, target, capability: capability.to_owned() })
}

fn text(heard: &Heard) -> String {
    short(&String::from_utf8_lossy(&heard.body))
}
