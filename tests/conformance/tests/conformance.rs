//! Recordings through the running gateway: ours, and those beside the project.

use std::path::{Path, PathBuf};

use anyhow::Result;
use bh_testkit::Seed;
use bh_testkit::recording::shared_folder;

async fn check(folder: &Path, recordings_min: usize) -> Result<()> {
    let mut seed = Seed::announced("conformance");
    let report = conformance::run(folder, seed.next_u64()).await?;
    assert!(report.ok(), "{}", report.table());
    let promised = report.rows.values().filter(|row| row.promised).map(|row| row.recordings).sum::<usize>();
    assert!(recordings_min <= promised, "{}", report.table());
    Ok(())
}

#[tokio::test]
async fn what_no_recording_shows_comes_through_exactly() -> Result<()> {
    check(&PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("cases"), 40).await
}

#[tokio::test]
async fn every_recording_beside_the_project_comes_through_exactly() -> Result<()> {
    let Some(folder) = shared_folder() else { return Ok(()) };
    check(&folder, 50).await
}
