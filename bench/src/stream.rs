//! Streams: CPU per chunk, time to the first byte, delay of each chunk.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Result;

use crate::args::{Args, Side};
use crate::compare::Comparison;
use crate::exchange::{CHUNK_EVERY, CHUNKS};
use crate::report::{self, number, object, spread, spread_json};
use crate::rig::Rig;
use crate::summary::Summary;

const STREAMS: usize = 100;
const ROUNDS: usize = 3;
const SECONDS: u64 = 4;
/// Long enough for every stream's first request to be over.
const WARM_UP: Duration = Duration::from_secs(2);

/// Measures, prints, and says whether every stream was whole.
///
/// # Errors
/// When a process does not start or ends early.
#[tokio::main(flavor = "current_thread")]
pub(crate) async fn run(args: &Args) -> Result<ExitCode> {
    let rig = Rig::start(args).await?;
    let streams = args.connections(STREAMS);
    let mut taking_part = rig.sides(args);
    if args.wants(Side::Direct) {
        taking_part.push(Side::Direct);
    }
    let compared = Comparison::run(&taking_part, args.rounds(ROUNDS), |side| {
        let mut load = rig.load(side, streams, args.window(SECONDS));
        load.stream = true;
        load.warm_up = WARM_UP;
        load
    })
    .await?;
    let (sides, ratio) = (compared.summaries(), compared.ratio());
    if args.json {
        report::print(&object(&[
            ("mode", "\"stream\"".to_owned()),
            ("streams", streams.to_string()),
            ("ratio", ratio.map_or_else(|| "null".to_owned(), spread_json)),
            ("sides", report::list(&sides.iter().map(json).collect::<Vec<_>>())),
        ]));
    } else {
        let every = CHUNK_EVERY.as_millis();
        report::print(&format!("{streams} streams at once, {CHUNKS} chunks each, one every {every} ms\n"));
        let headings = [
            "",
            "CPU µs/chunk",
            "chunks/s",
            "first byte p50 ms",
            "p99 ms",
            "chunk delay p50 ms",
            "p99 ms",
            "RSS MiB",
            "failed",
        ];
        report::print(&report::table(&headings, &sides.iter().map(row).collect::<Vec<_>>()));
        if let Some(ratio) = ratio {
            report::print(&format!("gateway / bare: {}\n", spread(ratio, 2)));
        }
    }
    Ok(report::outcome(&rig, &sides.iter().collect::<Vec<_>>()))
}

fn row(summary: &Summary) -> Vec<String> {
    let ms = |us: u32| format!("{:.2}", f64::from(us) / 1000.0);
    vec![
        summary.side.name().to_owned(),
        spread(summary.cpu_us, 1),
        spread(summary.rate, 0),
        ms(summary.p50),
        ms(summary.p99),
        ms(summary.delay_p50),
        ms(summary.delay_p99),
        format!("{:.0}", summary.rss_mib),
        summary.failed.to_string(),
    ]
}

fn json(summary: &Summary) -> String {
    object(&[
        ("side", format!("\"{}\"", summary.side.name())),
        ("cpu_us_per_chunk", spread_json(summary.cpu_us)),
        ("chunks_per_second", spread_json(summary.rate)),
        ("first_byte_p50_us", summary.p50.to_string()),
        ("first_byte_p99_us", summary.p99.to_string()),
        ("chunk_delay_p50_us", summary.delay_p50.to_string()),
        ("chunk_delay_p99_us", summary.delay_p99.to_string()),
        ("rss_mib", number(summary.rss_mib)),
        ("chunks", summary.units.to_string()),
        ("failed", summary.failed.to_string()),
    ])
}
