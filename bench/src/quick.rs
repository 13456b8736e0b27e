//! Plain requests: CPU per request at full speed, and latency at a fixed rate.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::args::{Args, Side};
use crate::compare::Comparison;
use crate::report::{self, number, object, spread, spread_json};
use crate::rig::Rig;
use crate::summary::Summary;

const CONNECTIONS: usize = 100;
const ROUNDS: usize = 5;
const SECONDS: u64 = 3;

/// Measures, prints, and says whether every request succeeded.
///
/// # Errors
/// When a process does not start or ends early.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let rig = Rig::start(args).await?;
    let connections = args.connections(CONNECTIONS);
    let window = args.window(SECONDS);
    let full =
        async |sides: &[Side], rounds| Comparison::run(sides, rounds, |side| rig.load(side, connections, window)).await;
    let direct = full(if args.wants(Side::Direct) { &[Side::Direct] } else { &[] }, 1).await?;
    let compared = full(&rig.sides(args), args.rounds(ROUNDS)).await?;
    let paced = match args.rate {
        0 => Comparison::run(&[], 0, |side| rig.load(side, connections, window)).await?,
        rate => {
            let all = [Side::Direct, Side::Bare, Side::Gateway];
            let sides: Vec<Side> = all.into_iter().filter(|side| args.wants(*side)).collect();
            Comparison::run(&sides, 1, |side| {
                let mut load = rig.load(side, connections, window);
                load.rate = Some(rate);
                load.warm_up = Duration::from_secs(1);
                load
            })
            .await?
        }
    };
    let (direct, sides, paced_sides) = (direct.summaries(), compared.summaries(), paced.summaries());
    let ratio = compared.ratio();
    if args.json {
        let group = |summaries: &[Summary]| report::list(&summaries.iter().map(json).collect::<Vec<_>>());
        report::print(&object(&[
            ("mode", "\"quick\"".to_owned()),
            ("connections", connections.to_string()),
            ("rate", args.rate.to_string()),
            ("ratio", ratio.map_or_else(|| "null".to_owned(), spread_json)),
            ("start_ms", rig.gateway_start().map_or_else(|| "null".to_owned(), |took| took.as_millis().to_string())),
            ("full_speed", group(&sides)),
            ("direct", group(&direct)),
            ("fixed_rate", group(&paced_sides)),
        ]));
    } else {
        let headings = ["", "CPU µs/request", "requests/s", "p50 ms", "p99 ms", "RSS MiB", "requests", "failed"];
        report::print(&format!("{connections} connections, as fast as they go\n"));
        let rows: Vec<_> = sides.iter().chain(&direct).map(row).collect();
        report::print(&report::table(&headings, &rows));
        if let Some(ratio) = ratio {
            report::print(&format!("gateway / bare: {} (must ≤ 2, aim 1.25)\n", spread(ratio, 2)));
        }
        if !paced_sides.is_empty() {
            report::print(&format!("{connections} connections, {} requests/s\n", args.rate));
            report::print(&report::table(&headings, &paced_sides.iter().map(row).collect::<Vec<_>>()));
        }
    }
    let all: Vec<&Summary> = sides.iter().chain(&direct).chain(&paced_sides).collect();
    Ok(report::outcome(&rig, &all))
}

fn row(summary: &Summary) -> Vec<String> {
    let ms = |us: u32| format!("{:.3}", f64::from(us) / 1000.0);
    vec![
        summary.side.name().to_owned(),
        spread(summary.cpu_us, 1),
        spread(summary.rate, 0),
        ms(summary.p50),
        ms(summary.p99),
        format!("{:.0}", summary.rss_mib),
        summary.units.to_string(),
        summary.failed.to_string(),
    ]
}

fn json(summary: &Summary) -> String {
    object(&[
        ("side", format!("\"{}\"", summary.side.name())),
        ("cpu_us", spread_json(summary.cpu_us)),
        ("per_second", spread_json(summary.rate)),
        ("p50_us", summary.p50.to_string()),
        ("p99_us", summary.p99.to_string()),
        ("rss_mib", number(summary.rss_mib)),
        ("requests", summary.units.to_string()),
        ("failed", summary.failed.to_string()),
    ])
}
