//! `bulkhead route`: why a request went, or would go, where.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bh_audit::{Candidate, Decision, Skipped};
use bh_pipeline::{Surface, explain};
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Exit, Failure, Out, not_built};
use crate::ask::{base_url, chain, get};
use crate::config::{Environment, Source, load};
use crate::node::fresh_view;

/// Explain routing decisions.
#[derive(Debug, clap::Args)]
#[command(after_help = "Example:\n  bulkhead route explain --body request.json --token $TOKEN --config bulkhead.yaml")]
pub(crate) struct Args {
    #[command(subcommand)]
    command: RouteCommand,
}

#[derive(Debug, Subcommand)]
enum RouteCommand {
    Explain(Explain),
    /// Decide recorded requests again under another configuration (not built yet).
    Replay(not_built::Args),
}

/// Say who would answer a request and why, or who answered one.
///
/// With `--body` nobody is called and no node is needed: the configuration decides as a node that has just started would.
/// With `--request-id` a running node is asked. Exit 1 when the request would be refused or is not known.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  bulkhead route explain --body request.json --token $TOKEN --config bulkhead.yaml\n  bulkhead route explain --request-id req_… --token $TOKEN --url http://127.0.0.1:8080"
)]
struct Explain {
    /// A request's body; `-` reads standard input.
    #[arg(long, value_name = "FILE", required_unless_present = "request_id", conflicts_with = "request_id")]
    body: Option<PathBuf>,
    /// A request that was made, by the x-request-id of its answer.
    #[arg(long, value_name = "ID")]
    request_id: Option<String>,
    /// The token the request carries; a made request is shown to its own token only.
    #[arg(long, env = "BULKHEAD_TOKEN", hide_env_values = true)]
    token: String,
    /// The body is one of Anthropic's `/v1/messages`, not of OpenAI's `/v1/chat/completions`.
    #[arg(long, conflicts_with = "request_id")]
    anthropic: bool,
    /// The configuration to decide under; found as `serve` finds it without.
    #[arg(long, value_name = "FILE", conflicts_with = "request_id")]
    config: Option<PathBuf>,
    /// The node that answered.
    #[arg(long, default_value = "http://127.0.0.1:8080", conflicts_with = "body")]
    url: String,
}

/// The body cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("the body {} cannot be read", path.display())]
struct NoBody {
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// The node did not tell.
#[derive(Debug, thiserror::Error)]
#[error("the node answered {status}: {body}")]
struct NotTold {
    status: u16,
    body: String,
}

impl Args {
    pub(super) fn run(self, out: &mut Out) -> Result<Exit, Failure> {
        match self.command {
            RouteCommand::Explain(Explain { body: Some(body), token, anthropic, config, .. }) => {
                let surface = if anthropic { Surface::Messages } else { Surface::ChatCompletions };
                would(out, surface, &token, &body, config.as_deref())
            }
            RouteCommand::Explain(Explain { request_id, token, url, .. }) => {
                did(out, &request_id.unwrap_or_default(), &token, &url)
            }
            RouteCommand::Replay(args) => args.refuse("route replay"),
        }
    }
}

/// What would happen to a request.
fn would(out: &mut Out, surface: Surface, token: &str, body: &Path, config: Option<&Path>) -> Result<Exit, Failure> {
    let body = read(body)?;
    let environment = Environment::of_process();
    let source = Source::find(config, &environment)?;
    let node = load(&source, &environment)?.node;
    let view = fresh_view(&node.live, &node.data_dir).map_err(|error| Failure::new(Exit::Config, error))?;
    let view = Arc::new(view);
    match explain(&view, surface, token, body.into()) {
        Ok(decision) => {
            out.result(&told(&decision), &json!({ "decision": decision, "config_version": &*view.config_version }))?;
            Ok(Exit::Ok)
        }
        Err(refusal) => {
            let bh_pipeline::Told { status, code } = bh_http::told(&refusal, &view);
            let message = chain(&refusal);
            let json = json!({ "refused": { "status": status, "code": code, "message": message } });
            out.result(&format!("refused    {status} {code}: {message}"), &json)?;
            Ok(Exit::CheckFailed)
        }
    }
}

/// What happened to one.
fn did(out: &mut Out, id: &str, token: &str, url: &str) -> Result<Exit, Failure> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if id.is_empty() || !id.chars().all(is_plain) {
        return Err(Failure::usage("--request-id: expected the x-request-id of an answer"));
    }
    let url = format!("{}/v1/requests/{id}", base_url(url));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| Failure::new(Exit::Unavailable, error))?;
    let answer = runtime.block_on(get(&url, Some(token))).map_err(|error| Failure::new(Exit::Unavailable, error))?;
    let meta: Value = serde_json::from_str(&answer.body).unwrap_or_default();
    let decision: Option<Decision> = serde_json::from_value(meta["decision"].clone()).ok();
    let Some(decision) = decision.filter(|_| answer.status == 200) else {
        let not_told = NotTold { status: answer.status, body: answer.body.trim().to_owned() };
        let help = "a node tells of requests it answered lately, and only to the token that made them";
        return Err(Failure::new(Exit::CheckFailed, not_told).help(help));
    };
    let word = |name: &str| meta[name].as_str().unwrap_or("?");
    let mut text = told(&decision);
    text.push_str(&format!(
        "\nanswered   {}/{} at attempt {}, {}",
        word("provider"),
        word("model"),
        meta["attempts"],
        word("outcome")
    ));
    out.result(&text, &json!({ "decision": decision, "config_version": meta["config_version"], "request": meta }))?;
    Ok(Exit::Ok)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut body = Vec::new();
    let read = if path == Path::new("-") {
        std::io::stdin().lock().read_to_end(&mut body)
    } else {
        std::fs::File::open(path).and_then(|mut file| file.read_to_end(&mut body))
    };
    let no_body = |source| Failure::usage(NoBody { path: path.to_owned(), source });
    read.map(|_| body).map_err(no_body)
}

/// A decision for people.
fn told(decision: &Decision) -> String {
    let route = decision.route.as_ref().map_or("no route matched: by provider and model", |route| route.as_str());
    let strategy = decision.strategy.as_ref().map(|strategy| format!(" ({})", strategy.as_str()));
    let mut lines = vec![format!("route      {route}{}", strategy.unwrap_or_default())];
    let candidate = |(at, one): (usize, &Candidate)| {
        format!("{:<10} {}/{}: {}", at + 1, one.provider.as_str(), one.model.as_str(), one.reason.as_str())
    };
    let skipped =
        |one: &Skipped| format!("skipped    {}/{}: {}", one.provider.as_str(), one.model.as_str(), one.why.as_str());
    lines.extend(decision.candidates.iter().enumerate().map(candidate));
    lines.extend(decision.skipped.iter().map(skipped));
    lines.extend(decision.draw.map(|draw| format!("draw       {draw}")));
    lines.join("\n")
}
