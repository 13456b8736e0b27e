//! Real SDKs and agents against the running gateway: `cargo run -p clients [-- OPTIONS]`.
//!
//! Two scripted providers stand behind the gateway for each client, one of the client's own family and one of the
//! other. The clients' scripts (one folder each beside `src/`) print what they saw; this program judges that and what
//! the providers got. It knows nothing of the gateway's crates: everything goes over sockets and the command line.
//! `tests/clients/fetch` makes the environments the clients run in.

mod client;
mod gateway;
mod judge;
mod requests;
mod script;
mod table;
mod wire;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use bh_testkit::{ScriptedProvider, Seed};
use tokio::runtime::Handle;

use crate::client::{CLIENTS, Client, Orders, Said};
use crate::gateway::{Gateway, Target};
use crate::judge::{Case, Complaints};
use crate::requests::Secrets;
use crate::script::Script;
use crate::table::Cell;
use crate::wire::Family;

/// The image of the image scenario: one red pixel.
const IMAGE: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==";
/// Longest wait for a call to a provider to end once its client has left.
const LEFT: Duration = Duration::from_secs(20);

const USAGE: &str = "\
usage: clients [--only CLIENT]… [--direct] [--write-docs] [--gateway BINARY] [--cache FOLDER]
  --only CLIENT     this client only; may be given more than once
  --direct          without a gateway, same family only: shows whether a script or the gateway is at fault
  --write-docs      writes docs/clients.md
  --gateway BINARY  the bulkhead to test; else $BULKHEAD_BIN, else the one beside this program
  --cache FOLDER    where tests/clients/fetch put the environments; .cache/clients if left out";

/// What was asked for on the command line.
struct Options {
    clients: Vec<&'static Client>,
    direct: bool,
    write_docs: bool,
    gateway: Option<PathBuf>,
    cache: PathBuf,
}

/// One client against one target, ready to go.
struct Pairing {
    client: &'static Client,
    target: Target,
    provider: ScriptedProvider,
}

#[expect(clippy::print_stderr, reason = "what went wrong is for the terminal")]
fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let why: Vec<_> = error.chain().map(ToString::to_string).collect();
            eprintln!("clients: {}", why.join(": "));
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let options = options(std::env::args().skip(1))?;
    let mut seed = Seed::announced("clients");
    let pairings = runtime.block_on(pairings(&options, &mut seed))?;
    let targets: Vec<_> = pairings.iter().map(|pairing| pairing.target.clone()).collect();
    let gateway = if options.direct {
        None
    } else {
        let binary = options.gateway.clone().map_or_else(gateway::binary, Ok)?;
        Some(Gateway::start(&binary, &options.cache.join("gateway"), &targets)?)
    };
    let cells = run_all(&pairings, gateway.as_ref(), &options, runtime.handle());
    let failed = report(&cells, &options)?;
    if let Some(gateway) = gateway {
        let log = options.cache.join("gateway.log");
        std::fs::write(&log, gateway.log())?;
        gateway.end().with_context(|| format!("its log is {}", log.display()))?;
        if failed != 0 {
            bail!("{failed} of {} failed; the gateway's log is {}", cells.len(), log.display());
        }
    }
    if failed != 0 {
        bail!("{failed} of {} failed", cells.len());
    }
    Ok(())
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).parent().context("this crate is in tests/")?;
    let cache = tests.parent().context("tests/ is in the root")?.join(".cache/clients");
    let mut options = Options { clients: Vec::new(), direct: false, write_docs: false, gateway: None, cache };
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().with_context(|| format!("{argument} wants a value\n{USAGE}"));
        match argument.as_str() {
            "--direct" => options.direct = true,
            "--write-docs" => options.write_docs = true,
            "--gateway" => options.gateway = Some(value()?.into()),
            "--cache" => options.cache = value()?.into(),
            "--only" => {
                let name = value()?;
                let client = CLIENTS.iter().find(|client| client.name == name);
                options.clients.push(client.with_context(|| format!("no client is called {name}\n{USAGE}"))?);
            }
            _ => bail!("{argument} is not an option\n{USAGE}"),
        }
    }
    if options.clients.is_empty() {
        options.clients = CLIENTS.iter().collect();
    }
    Ok(options)
}

async fn pairings(options: &Options, seed: &mut Seed) -> Result<Vec<Pairing>> {
    let mut pairings = Vec::new();
    for client in options.clients.iter().copied() {
        for family in Family::BOTH {
            if options.direct && family != client.family {
                continue;
            }
            let provider = ScriptedProvider::start().await?;
            let script = Script::new(family, seed.fork());
            provider.on(move |seen| script.reply(seen));
            let name = format!("{}.to-{}", client.name, family.word());
            let target = Target { name, family, url: provider.url() };
            pairings.push(Pairing { client, target, provider });
        }
    }
    Ok(pairings)
}

/// Runs all clients side by side; each has providers and routes of its own, so that they cannot disturb one another.
fn run_all(pairings: &[Pairing], gateway: Option<&Gateway>, options: &Options, handle: &Handle) -> Vec<Cell> {
    std::thread::scope(|scope| {
        let running: Vec<_> = options
            .clients
            .iter()
            .copied()
            .map(|client| {
                let mine = pairings.iter().filter(move |pairing| pairing.client.name == client.name);
                scope.spawn(move || {
                    mine.flat_map(|pairing| run_one(pairing, gateway, options, handle)).collect::<Vec<_>>()
                })
            })
            .collect();
        running.into_iter().flat_map(|thread| thread.join().expect("a driver thread does not panic")).collect()
    })
}

/// One client against one target; a client that cannot be run fails in every scenario.
fn run_one(pairing: &Pairing, gateway: Option<&Gateway>, options: &Options, handle: &Handle) -> Vec<Cell> {
    let Pairing { client, target, provider } = pairing;
    let url = provider.url();
    let orders = Orders {
        url: gateway.map_or(&url, |gateway| &gateway.url),
        token: gateway.map_or("sk-direct", |gateway| &gateway.token),
        model: &target.name,
        image: IMAGE,
        cache: &options.cache,
    };
    let mut all = client.run(&orders);
    let left = handle.block_on(provider.until(|served| served.abandoned != 0, LEFT));
    let seen = provider.seen();
    let key = target.key();
    let provider_key = if gateway.is_some() { &key } else { orders.token };
    let secrets = Secrets { provider_key, token: orders.token, model: target.model(), image: IMAGE };
    let case = Case { client, target: target.family, model: &target.name, gateway: gateway.is_some() };
    let unjudged = |scenario: &str| gateway.is_none() && matches!(scenario, "models");
    let scenarios = client.scenarios.iter().filter(|scenario| !unjudged(scenario));
    let judged = scenarios.map(|scenario| {
        let mut complaints = Complaints::default();
        match said(&mut all, scenario) {
            Ok(said) => {
                judge::seen(case, scenario, &said, &mut complaints);
                requests::got(case, scenario, &seen, &secrets, &mut complaints);
            }
            Err(failure) => complaints.holds(false, || failure),
        }
        if let ("cancel", Err(error)) = (*scenario, &left) {
            complaints.holds(false, || format!("the provider's stream was not left: {error}"));
        }
        let scenario = (*scenario).to_owned();
        Cell { client, target: target.family, scenario, complaints: complaints.into_vec() }
    });
    judged.collect()
}

/// What a client said of a scenario, or why nothing is known of it.
fn said(all: &mut Result<Vec<Said>>, scenario: &str) -> Result<serde_json::Value, String> {
    match all {
        Err(error) => Err(format!("{error:#}")),
        Ok(all) => match all.iter().position(|said| said.scenario == scenario) {
            Some(at) => all.swap_remove(at).seen,
            None => Err("the client said nothing of it".to_owned()),
        },
    }
}

/// Prints the outcome, writes the page if wanted, and says how many failed.
#[expect(clippy::print_stdout, reason = "the table is what this program is for")]
fn report(cells: &[Cell], options: &Options) -> Result<usize> {
    let failed = cells.iter().filter(|cell| !cell.complaints.is_empty()).count();
    println!("{}", table::terminal(cells));
    println!("clients: {} passed, {failed} failed", cells.len() - failed);
    if options.write_docs {
        if options.direct || options.clients.len() != CLIENTS.len() {
            bail!("the page is written from a whole run only");
        }
        let page = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../docs/clients.md");
        std::fs::write(&page, table::page(cells)?)?;
    }
    Ok(failed)
}
