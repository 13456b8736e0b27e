//! A process with nothing to do: its memory fresh, under many connections, and after them; its CPU while it waits.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Result, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use crate::args::{Args, Side};
use crate::exchange::{answer_body, request};
use crate::kernel;
use crate::report::{self, number, object};
use crate::rig::Rig;
use crate::summary::Summary;
use crate::wire::{Answers, Framing};

const CONNECTIONS: usize = 1000;
const SECONDS: u64 = 3;
/// For what a process does by itself after a load: freed memory goes back, timers pass.
const SETTLE: Duration = Duration::from_secs(1);
const ANSWER_MAX: Duration = Duration::from_secs(20);

/// Memory of one side in MiB, CPU in microseconds a second.
struct Idle {
    side: Side,
    fresh: f64,
    cpu_us: f64,
    open: f64,
    loaded: f64,
    closed: f64,
    load: Summary,
}

/// Measures, prints, and says whether every request succeeded.
///
/// # Errors
/// When a process does not start or ends early, or a connection gets no answer.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let rig = Rig::start(args).await?;
    let connections = args.connections(CONNECTIONS);
    let mut found = Vec::new();
    for side in rig.sides(args) {
        found.push(measure(&rig, side, connections, args.window(SECONDS)).await?);
    }
    if args.json {
        report::print(&object(&[
            ("mode", "\"idle\"".to_owned()),
            ("connections", connections.to_string()),
            ("start_ms", rig.gateway_start().map_or_else(|| "null".to_owned(), |took| took.as_millis().to_string())),
            ("sides", report::list(&found.iter().map(json).collect::<Vec<_>>())),
        ]));
    } else {
        report::print(&format!("memory in MiB; each of the {connections} connections has had an answer\n"));
        let headings = ["", "fresh", "connections open", "under load", "after them", "idle CPU µs/s"];
        let row = |idle: &Idle| {
            let name = idle.side.name().to_owned();
            let figures = [idle.fresh, idle.open, idle.loaded, idle.closed, idle.cpu_us];
            [name].into_iter().chain(figures.map(|figure| format!("{figure:.1}"))).collect()
        };
        report::print(&report::table(&headings, &found.iter().map(row).collect::<Vec<_>>()));
        if let Some(took) = rig.gateway_start() {
            report::print(&format!("the gateway was ready {} ms after its start\n", took.as_millis()));
        }
    }
    Ok(report::outcome(&rig, &found.iter().map(|idle| &idle.load).collect::<Vec<_>>()))
}

async fn measure(rig: &Rig, side: Side, connections: usize, window: Duration) -> Result<Idle> {
    let load = rig.load(side, connections, window);
    let pid = load.pid;
    let mib = || kernel::rss_kib(pid).map(|kib| kib as f64 / 1024.0);
    sleep(SETTLE).await;
    let fresh = mib()?;
    let cpu = kernel::cpu_us(pid)?;
    sleep(window).await;
    let cpu_us = kernel::cpu_us(pid)?.saturating_sub(cpu) as f64 / window.as_secs_f64();
    let request = request(load.to, &load.token, false);
    let mut asking = JoinSet::new();
    for _ in 0..connections {
        let (to, request) = (load.to, request.clone());
        asking.spawn(async move { timeout(ANSWER_MAX, ask_once(TcpStream::connect(to).await?, &request)).await? });
    }
    let mut held = Vec::new();
    while let Some(asked) = asking.join_next().await {
        held.push(asked??);
    }
    sleep(SETTLE).await;
    let open = mib()?;
    drop(held);
    let round = load.run().await?;
    let loaded = round.rss_kib as f64 / 1024.0;
    sleep(SETTLE).await;
    Ok(Idle { side, fresh, cpu_us, open, loaded, closed: mib()?, load: Summary::of(side, &[round]) })
}

/// One request and its answer; the connection stays open.
async fn ask_once(mut socket: TcpStream, request: &[u8]) -> Result<TcpStream> {
    socket.write_all(request).await?;
    let mut answers = Answers::new();
    let framing = answers.head(&mut socket).await?;
    let expected = answer_body();
    ensure!(framing == Framing::Length(expected.len()), "the answer is framed as {framing:?}");
    ensure!(answers.take(&mut socket, expected.len()).await? == expected.as_bytes(), "the answer is another one");
    Ok(socket)
}

fn json(idle: &Idle) -> String {
    object(&[
        ("side", format!("\"{}\"", idle.side.name())),
        ("fresh_mib", number(idle.fresh)),
        ("open_mib", number(idle.open)),
        ("loaded_mib", number(idle.loaded)),
        ("closed_mib", number(idle.closed)),
        ("idle_cpu_us_per_s", number(idle.cpu_us)),
        ("failed", idle.load.failed.to_string()),
    ])
}
