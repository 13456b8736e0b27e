//! The last records, and those that follow.

use std::collections::VecDeque;
use std::time::Duration;

use bh_audit::Filter;
use bh_base::Millis;
use bh_disk::{ReadError, Tail};
use serde::Deserialize;
use tokio::time::interval;

use super::Log;

/// How often a followed log is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Where a record stands and when it was written, which every version says.
#[derive(Deserialize)]
struct Place {
    seq: u64,
    ts_ms: u64,
}

/// The last `count` records that match, as stored, and a tail that goes on behind the last one read.
///
/// # Errors
/// The log cannot be read.
pub(crate) fn last(log: &Log, count: usize, filter: &Filter) -> Result<(Vec<Vec<u8>>, Tail), ReadError> {
    if *filter == Filter::default() {
        let mut tail = Tail::last(log.folder.clone(), u64::try_from(count).unwrap_or(u64::MAX))?;
        return Ok((tail.look()?, tail));
    }
    let mut kept: VecDeque<Vec<u8>> = VecDeque::new();
    let mut next = 0;
    for line in log.reader()?.lines() {
        let line = line?;
        next = serde_json::from_slice(&line).map_or(next, |place: Place| place.seq + 1);
        if filter.matches(&line) {
            kept.push_back(line);
        }
        if count < kept.len() {
            kept.pop_front();
        }
    }
    Ok((kept.into(), Tail::from(log.folder.clone(), next)))
}

/// When the newest record was written.
///
/// # Errors
/// The log cannot be read.
pub(crate) fn newest(log: &Log) -> Result<Option<Millis>, ReadError> {
    let records = Tail::last(log.folder.clone(), 1)?.look()?;
    let place = records.last().and_then(|record| serde_json::from_slice::<Place>(record).ok());
    Ok(place.map(|place| Millis(place.ts_ms)))
}

/// Hands over matching records as they are written, until `print` says false. To be dropped to stop it.
///
/// # Errors
/// The log cannot be read any more.
pub(crate) async fn follow(
    mut tail: Tail,
    filter: &Filter,
    print: &mut dyn FnMut(&[u8]) -> bool,
) -> Result<(), ReadError> {
    let mut looks = interval(LOOK_EVERY);
    loop {
        looks.tick().await;
        for record in tail.look()? {
            if filter.matches(&record) && !print(&record) {
                return Ok(());
            }
        }
    }
}
