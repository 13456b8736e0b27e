//! Probes: is the process alive, may it be sent traffic, how are its providers?

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use bh_pipeline::Gateway;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Serialize;

use crate::data::Shared;

/// Why a node should not be sent traffic, or only with a caveat.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Readiness {
    /// `ready`, `degraded` or `unready`.
    pub status: &'static str,
    /// What is wrong, in words.
    pub reasons: Vec<String>,
}

/// Asks the node how it is.
#[derive(Clone)]
pub struct Ready(pub Arc<dyn Fn(&Gateway) -> Readiness + Send + Sync>);

impl Readiness {
    /// Nothing is wrong, or all of it can be lived with.
    #[must_use]
    pub fn of(unready: Vec<String>, degraded: Vec<String>) -> Self {
        match (unready.is_empty(), degraded.is_empty()) {
            (false, _) => Readiness { status: "unready", reasons: unready.into_iter().chain(degraded).collect() },
            (true, false) => Readiness { status: "degraded", reasons: degraded },
            (true, true) => Readiness { status: "ready", reasons: Vec::new() },
        }
    }
}

pub(crate) async fn livez() -> &'static str {
    "ok"
}

pub(crate) async fn readyz(State(shared): State<Shared>) -> Response {
    readiness(&(shared.ready.0)(&shared.gateway))
}

/// `/health` without names: what a load balancer may know.
pub(crate) async fn bare_health(State(shared): State<Shared>) -> Response {
    let status = (shared.ready.0)(&shared.gateway).status;
    if status == "ready" { "ok".into_response() } else { status.into_response() }
}

pub(crate) fn readiness(readiness: &Readiness) -> Response {
    let status = if readiness.status == "unready" { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::OK };
    let body = serde_json::to_string(readiness).unwrap_or_default();
    (status, [(CONTENT_TYPE, "application/json")], body).into_response()
}
