//! The admin plane: probes, health, metrics, and what operators ask. On its own listener and runtime, so that it
//! answers while the data plane is flooded.
//!
//! A browser tab must not reach a loopback admin port: whoever names this host by anything but an address or
//! `localhost` (DNS rebinding), or comes from another origin, is refused unless it carries an admin token.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get};
use bh_pipeline::{Gateway, Refusal, clock};
use bh_policy::{BreakerState, KeyState};
use http::header::{CONTENT_TYPE, HOST, ORIGIN};
use http::{HeaderMap, StatusCode, Uri};
use serde::Serialize;

use crate::probe::{self, Ready};
use crate::reply;
use crate::report;

/// What the admin plane shows that only the assembly knows.
#[derive(Clone)]
pub struct AdminConfig {
    /// The data plane it is about.
    pub gateway: Arc<Gateway>,
    /// How the node is.
    pub ready: Ready,
    /// The Prometheus text of this moment.
    pub metrics: Arc<dyn Fn() -> String + Send + Sync>,
}

/// The router of the admin plane.
pub fn router(config: AdminConfig) -> Router {
    let guarded = Router::new()
        .route("/admin/v1/budgets", get(budgets))
        .route("/admin/v1/{*rest}", any(not_built))
        .route("/ui/{*rest}", any(not_built))
        .route("/ui/", any(not_built))
        .layer(from_fn_with_state(config.clone(), admin_only));
    Router::new()
        .route("/livez", get(probe::livez))
        .route("/readyz", get(readyz))
        .route("/health", get(health))
        .route("/metrics", get(metrics).layer(from_fn_with_state(config.clone(), loopback_or_admin)))
        .merge(guarded)
        .fallback(async || tell(StatusCode::NOT_FOUND, "not_found", "no such path"))
        .layer(from_fn_with_state(config.clone(), no_browser_tab))
        .with_state(config)
}

async fn readyz(State(config): State<AdminConfig>) -> Response {
    probe::readiness(&(config.ready.0)(&config.gateway))
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    reasons: Vec<String>,
    providers: Vec<ProviderHealth>,
}

#[derive(Serialize)]
struct ProviderHealth {
    provider: String,
    available: bool,
    targets: Vec<TargetHealth>,
    keys: Vec<KeyHealth>,
}

#[derive(Serialize)]
struct TargetHealth {
    model: String,
    breaker: &'static str,
    failures_in_a_row: u32,
    in_flight: u32,
    waiting: usize,
}

#[derive(Serialize)]
struct KeyHealth {
    key: String,
    state: &'static str,
    ready_in_ms: u64,
}

async fn health(State(config): State<AdminConfig>) -> Response {
    let readiness = (config.ready.0)(&config.gateway);
    let view = config.gateway.view();
    let now = clock::now();
    let (targets, keys) = (view.routes.health().targets(now), view.routes.health().keys(now));
    let provider = |id: &str| {
        let own: Vec<_> = targets.iter().filter(|target| *target.provider == *id).collect();
        let keys: Vec<_> = keys.iter().filter(|key| *key.provider == *id).collect();
        let all_open = !own.is_empty() && own.iter().all(|target| target.breaker == BreakerState::Open);
        let no_key = !keys.is_empty() && keys.iter().all(|key| key.state != KeyState::Ready);
        ProviderHealth {
            provider: id.to_owned(),
            available: !all_open && !no_key,
            targets: own
                .into_iter()
                .map(|target| TargetHealth {
                    model: target.model.to_string(),
                    breaker: target.breaker.as_str(),
                    failures_in_a_row: target.failures,
                    in_flight: target.in_flight,
                    waiting: target.waiting,
                })
                .collect(),
            keys: keys
                .into_iter()
                .map(|key| KeyHealth {
                    key: key.key.to_string(),
                    state: key.state.as_str(),
                    ready_in_ms: key.ready_in.0,
                })
                .collect(),
        }
    };
    let providers = view.routes.providers().iter().map(|p| provider(&p.id)).collect();
    json(StatusCode::OK, &Health { status: readiness.status, reasons: readiness.reasons, providers })
}

async fn metrics(State(config): State<AdminConfig>) -> Response {
    let text = (config.metrics)();
    ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
}

async fn budgets(State(config): State<AdminConfig>) -> Response {
    let mut accounts = config.gateway.ledger().accounts();
    accounts.sort_by_cached_key(|account| account.key.scope.to_string());
    ([(CONTENT_TYPE, "application/json")], Body::from(report::accounts(&accounts))).into_response()
}

async fn not_built(request: Request) -> Response {
    tell(StatusCode::NOT_FOUND, "not_built", &format!("{} is not built yet in this version", request.uri().path()))
}

async fn admin_only(State(config): State<AdminConfig>, request: Request, next: Next) -> Response {
    match config.gateway.identify_admin(request.headers()) {
        Ok(_) => next.run(request).await,
        Err(refusal) => refuse(&refusal),
    }
}

async fn loopback_or_admin(State(config): State<AdminConfig>, request: Request, next: Next) -> Response {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>().map(|ConnectInfo(peer)| peer.ip());
    if peer.is_some_and(|ip| ip.to_canonical().is_loopback()) {
        return next.run(request).await;
    }
    admin_only(State(config), request, next).await
}

async fn no_browser_tab(State(config): State<AdminConfig>, request: Request, next: Next) -> Response {
    let probe = matches!(request.uri().path(), "/livez" | "/readyz");
    let host = host_of(&request);
    let foreign_origin = foreign_origin(request.headers(), host.as_deref());
    let foreign_host = !probe && !host.as_deref().is_some_and(is_own_name);
    if foreign_origin {
        return tell(StatusCode::FORBIDDEN, "foreign_origin", "the admin plane answers no page of another origin");
    }
    if foreign_host && config.gateway.identify_admin(request.headers()).is_err() {
        let message = "name the admin plane by its address or localhost, or send an admin token";
        return tell(StatusCode::FORBIDDEN, "foreign_host", message);
    }
    next.run(request).await
}

/// The host the client named, without its port.
fn host_of(request: &Request) -> Option<String> {
    let named = request.uri().authority().map(http::uri::Authority::as_str);
    let header = request.headers().get(HOST).and_then(|host| host.to_str().ok());
    let authority: http::uri::Authority = named.or(header)?.parse().ok()?;
    Some(authority.host().trim_matches(['[', ']']).to_ascii_lowercase())
}

/// Names under which this machine is itself: addresses and `localhost` cannot be rebound by a stranger's DNS.
fn is_own_name(host: &str) -> bool {
    host == "localhost" || host.parse::<IpAddr>().is_ok()
}

fn foreign_origin(headers: &HeaderMap, host: Option<&str>) -> bool {
    let Some(origin) = headers.get(ORIGIN) else { return false };
    let origin = origin.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
    let named = origin.as_ref().and_then(Uri::host).map(|name| name.trim_matches(['[', ']']).to_ascii_lowercase());
    named.is_none() || named.as_deref() != host
}

fn refuse(refusal: &Refusal) -> Response {
    let row = reply::row(refusal, 402);
    let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let message = std::error::Error::source(refusal).map_or_else(|| refusal.to_string(), ToString::to_string);
    tell(status, row.code, &message)
}

#[derive(Serialize)]
struct Problem<'a> {
    error: ProblemBody<'a>,
}

#[derive(Serialize)]
struct ProblemBody<'a> {
    code: &'a str,
    message: &'a str,
}

fn tell(status: StatusCode, code: &str, message: &str) -> Response {
    json(status, &Problem { error: ProblemBody { code, message } })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_string(value).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_localhost_are_own_names_and_nothing_else_is() {
        for own in ["localhost", "127.0.0.1", "::1", "10.0.0.7"] {
            assert!(is_own_name(own), "{own}");
        }
        for foreign in ["", "evil.example", "localhost.evil.example", "127.0.0.1.nip.io"] {
            assert!(!is_own_name(foreign), "{foreign}");
        }
    }

    #[test]
    fn a_page_of_another_origin_is_foreign() {
        let check = |origin: Option<&str>, host: &str, foreign: bool| {
            let mut headers = HeaderMap::new();
            if let Some(origin) = origin {
                headers.insert(ORIGIN, origin.parse().expect("a header value"));
            }
            assert_eq!(foreign_origin(&headers, Some(host)), foreign, "{origin:?}");
        };
        check(None, "127.0.0.1", false);
        check(Some("http://127.0.0.1:8081"), "127.0.0.1", false);
        check(Some("https://evil.example"), "127.0.0.1", true);
        check(Some("null"), "127.0.0.1", true);
    }
}
