//! `dev --once`: the printed request, its answer, what it cost, and the evidence it left, verified.

use std::path::Path;
use std::sync::Arc;

use bh_audit::{Record, Verdict, VerifyOptions};
use bh_disk::{DataFolder, LogReader, ReadError};

use super::setup::Request;
use crate::node::Node;

/// Why the look did not come to a good end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OnceError {
    /// The request could not be sent, or its answer not be read.
    #[error("the request to the gateway itself failed")]
    Http(#[from] reqwest::Error),
    /// The gateway refused it.
    #[error("the gateway answered {status}: {body}")]
    Refused {
        /// The status.
        status: u16,
        /// The body.
        body: String,
    },
    /// The evidence cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// The evidence does not hold.
    #[error("the audit log does not verify: {0:?}")]
    Unverified(Verdict),
}

/// Sends the request and shows what came of it.
///
/// # Errors
/// It failed or was refused.
pub(crate) async fn show(
    request: &Request,
    node: &Arc<Node>,
    print: &mut (dyn FnMut(&str) + Send),
) -> Result<(), OnceError> {
    let client = reqwest::Client::builder().no_proxy().build()?;
    let response = client
        .post(format!("{}/v1/chat/completions", request.url))
        .bearer_auth(&request.token)
        .header("content-type", "application/json")
        .body(Request::BODY)
        .send()
        .await?;
    let status = response.status();
    let header =
        |name: &str| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or("unknown").to_owned();
    let (cost, provider, id) = (header("x-bulkhead-cost-usd"), header("x-bulkhead-provider"), header("x-request-id"));
    let body = response.text().await?;
    if !status.is_success() {
        return Err(OnceError::Refused { status: status.as_u16(), body });
    }
    print(&format!("request   {}", Request::BODY));
    print(&format!("answer    {body}"));
    print(&format!("provider  {provider}"));
    print(&format!("cost      {cost} USD"));
    print(&format!("id        {id}"));
    if let Ok(ticket) = node.spool().flush(bh_pipeline::clock::now())
        && let Err(fault) = ticket.durable().await
    {
        tracing::warn!(%fault, "the audit record is not on disk yet");
    }
    Ok(())
}

/// Shows the records and verifies the log, as `bulkhead audit verify` does.
///
/// # Errors
/// The log cannot be read or does not hold.
pub(crate) fn verify(data_dir: &Path, print: &mut (dyn FnMut(&str) + Send)) -> Result<(), OnceError> {
    let folders = [DataFolder::audit_in(data_dir)];
    for line in LogReader::open(&folders)?.lines() {
        let line = line?;
        if Record::parse(&line).is_ok_and(|record| record.request_id.is_some()) {
            print(&format!("audit     {}", String::from_utf8_lossy(&line)));
        }
    }
    let report = bh_audit::verify(LogReader::open(&folders)?, &VerifyOptions::default())?;
    if report.verdict == Verdict::Ok {
        print(&format!("verified  {} records, chain unbroken", report.records));
        return Ok(());
    }
    Err(OnceError::Unverified(report.verdict))
}
