//! The data plane: every route clients' SDKs call.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Request, State};
use axum::response::Response;
use axum::routing::{any, get, post};
use bh_base::RequestId;
use bh_dialect::{Dialect, WireError, error_body, model_body, models_body, stream_error};
use bh_pipeline::{Arrival, Gateway, Known, Refusal, Refused, Reply, ReplyBody, Surface};
use bytes::Bytes;
use http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use http::{HeaderMap, HeaderValue, Method, StatusCode};

use crate::body::{self, Streamed};
use crate::probe::{self, Ready};
use crate::{headers, reply, report};

/// Routes that can cost money. Each leads through [`Gateway::answer`]; a test walks them.
pub const PAID: &[(&str, Surface)] =
    &[("/v1/chat/completions", Surface::ChatCompletions), ("/v1/messages", Surface::Messages)];

/// Paths of the contract whose feature is not built yet. They answer 404 and say so.
pub const NOT_BUILT: &[&str] = &[
    "/v1/completions",
    "/v1/responses",
    "/v1/responses/{*rest}",
    "/v1/embeddings",
    "/v1/images/{*rest}",
    "/v1/audio/{*rest}",
    "/v1/moderations",
    "/v1/rerank",
    "/v1/capabilities",
    "/v1/stream",
    "/v1/requests/{id}/response",
    "/v1/requests/{id}/stream",
    "/v1beta/{*rest}",
];

/// What every handler shares.
#[derive(Clone)]
pub(crate) struct Shared {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) ready: Ready,
}

/// The router of the data plane.
pub fn router(gateway: Arc<Gateway>, ready: Ready) -> Router {
    let shared = Shared { gateway, ready };
    let mut router = Router::new()
        .route("/v1/chat/completions", post(chat_completions).fallback(only_post))
        .route("/v1/messages", post(messages).fallback(only_post))
        .route("/v1/messages/count_tokens", post(count_tokens).fallback(only_post))
        .route("/v1/models", get(models).fallback(only_get))
        .route("/v1/models/{*id}", get(model).fallback(only_get))
        .route("/v1/budget", get(budget).fallback(only_get))
        .route("/v1/requests/{id}", get(request).fallback(only_get))
        .route("/", any(root))
        .route("/livez", get(probe::livez))
        .route("/readyz", get(probe::readyz))
        .route("/health", get(probe::bare_health));
    for path in NOT_BUILT {
        router = router.route(path, any(not_built));
    }
    router.fallback(unknown_path).with_state(shared)
}

async fn chat_completions(State(shared): State<Shared>, request: Request) -> Response {
    paid(shared, Surface::ChatCompletions, request).await
}

async fn messages(State(shared): State<Shared>, request: Request) -> Response {
    paid(shared, Surface::Messages, request).await
}

/// The one way to an answer that can cost money.
async fn paid(shared: Shared, surface: Surface, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let arrival = Arrival::now(surface, &parts.headers);
    let (known, bytes) = match read_known(&shared.gateway, &arrival, &parts.headers, body).await {
        Ok(read) => read,
        Err(refused) => return refuse(&shared.gateway, &arrival, &refused),
    };
    match shared.gateway.answer(known, &parts.headers, bytes).await {
        Ok(reply) => answer(&shared.gateway, &arrival, reply),
        Err(refused) => refuse(&shared.gateway, &arrival, &refused),
    }
}

async fn count_tokens(State(shared): State<Shared>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let arrival = Arrival::now(Surface::CountTokens, &parts.headers);
    let (known, bytes) = match read_known(&shared.gateway, &arrival, &parts.headers, body).await {
        Ok(read) => read,
        Err(refused) => return refuse(&shared.gateway, &arrival, &refused),
    };
    match shared.gateway.count_tokens(known, &parts.headers, bytes).await {
        Ok(counted) => json(&shared.gateway, &arrival, StatusCode::OK, counted),
        Err(refused) => refuse(&shared.gateway, &arrival, &refused),
    }
}

/// Headers first: a stranger's body is not read.
async fn read_known(
    gateway: &Arc<Gateway>,
    arrival: &Arrival,
    headers: &HeaderMap,
    body: Body,
) -> Result<(Known, Bytes), Refused> {
    let known =
        gateway.identify(arrival.clone(), headers).map_err(|refusal| gateway.turn_away(arrival, None, refusal))?;
    match body::read(body, known.view().settings.body_bytes_max).await {
        Ok(bytes) => Ok((known, bytes)),
        Err(refusal) => Err(gateway.turn_away(arrival, Some(&known), refusal)),
    }
}

async fn models(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    with_known(&shared, Surface::Models, &headers, |known| {
        Ok(models_body(known.arrival().dialect, &shared.gateway.models(known)).into())
    })
}

async fn model(State(shared): State<Shared>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    with_known(&shared, Surface::Model, &headers, |known| {
        let card = shared.gateway.model(known, &id).ok_or_else(|| Refusal::UnknownModel { model: id.clone() })?;
        Ok(model_body(known.arrival().dialect, &card).into())
    })
}

async fn budget(State(shared): State<Shared>, headers: HeaderMap) -> Response {
    with_known(&shared, Surface::Budget, &headers, |known| Ok(report::budget(&shared.gateway.budget_report(known))))
}

async fn request(State(shared): State<Shared>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    with_known(&shared, Surface::Request, &headers, |known| {
        let missing = || Refusal::NotFound { what: "request of this token" };
        let id = RequestId::parse(&id).map_err(|_| missing())?;
        let meta = shared.gateway.request_meta(known, id).ok_or_else(missing)?;
        Ok(report::request(&meta))
    })
}

/// A route that only tells: nothing is called, nothing can cost money.
fn with_known(
    shared: &Shared,
    surface: Surface,
    headers: &HeaderMap,
    tell: impl FnOnce(&Known) -> Result<Bytes, Refusal>,
) -> Response {
    let gateway = &shared.gateway;
    let arrival = Arrival::now(surface, headers);
    let known = match gateway.identify(arrival.clone(), headers) {
        Ok(known) => known,
        Err(refusal) => return refuse(gateway, &arrival, &gateway.turn_away(&arrival, None, refusal)),
    };
    match tell(&known) {
        Ok(body) => json(gateway, &arrival, StatusCode::OK, body),
        Err(refusal) => refuse(gateway, &arrival, &gateway.turn_away(&arrival, Some(&known), refusal)),
    }
}

async fn root(method: Method) -> Response {
    if method == Method::HEAD || method == Method::GET {
        return with_headers(StatusCode::OK, HeaderMap::new(), Body::empty());
    }
    wrong_method("GET, HEAD", Dialect::OpenAiChat)
}

async fn only_post(request: Request) -> Response {
    wrong_method("POST", dialect_of(&request))
}

async fn only_get(request: Request) -> Response {
    wrong_method("GET, HEAD", dialect_of(&request))
}

fn wrong_method(allow: &'static str, dialect: Dialect) -> Response {
    let message = format!("this path takes {allow}");
    let mut response = plain_error(dialect, StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", message);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

async fn not_built(request: Request) -> Response {
    let message = format!("{} is not built yet in this version", request.uri().path());
    plain_error(dialect_of(&request), StatusCode::NOT_FOUND, "not_built", message)
}

async fn unknown_path(request: Request) -> Response {
    let message = format!("no such path: {} {}", request.method(), request.uri().path());
    plain_error(dialect_of(&request), StatusCode::NOT_FOUND, "not_found", message)
}

fn dialect_of(request: &Request) -> Dialect {
    let anthropic =
        request.uri().path().starts_with("/v1/messages") || request.headers().contains_key("anthropic-version");
    if anthropic { Dialect::AnthropicMessages } else { Dialect::OpenAiChat }
}

/// An error before any route was reached.
fn plain_error(dialect: Dialect, status: StatusCode, code: &str, message: String) -> Response {
    let kind = match dialect {
        Dialect::AnthropicMessages if status == StatusCode::NOT_FOUND => "not_found_error",
        Dialect::AnthropicMessages | Dialect::OpenAiChat => "invalid_request_error",
    };
    let error = WireError {
        status: status.as_u16(),
        kind: kind.to_owned(),
        code: Some(code.to_owned()),
        param: None,
        message,
        request_id: None,
    };
    let mut headers = HeaderMap::new();
    headers::json(&mut headers);
    with_headers(status, headers, error_body(dialect, &error).into())
}

fn json(gateway: &Gateway, arrival: &Arrival, status: StatusCode, body: Bytes) -> Response {
    let mut headers = HeaderMap::new();
    headers::ids(&mut headers, arrival.id, gateway.node());
    headers::json(&mut headers);
    with_headers(status, headers, body.into())
}

fn answer(gateway: &Arc<Gateway>, arrival: &Arrival, reply: Reply) -> Response {
    let mut headers = HeaderMap::with_capacity(16);
    headers::ids(&mut headers, arrival.id, gateway.node());
    headers::facts(&mut headers, &reply.facts, arrival.dialect);
    match reply.body {
        ReplyBody::Whole(bytes) => {
            headers::json(&mut headers);
            with_headers(StatusCode::OK, headers, bytes.into())
        }
        ReplyBody::Stream(pieces) => {
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            let (dialect, id) = (arrival.dialect, arrival.id);
            let exhausted_status = gateway.view().settings.budget_exhausted_status;
            let told = move |refusal: Refusal| {
                let refused = Refused { refusal, facts: Box::default(), may_see_amounts: false, own: Vec::new() };
                let row = reply::row(&refused.refusal, exhausted_status);
                stream_error(dialect, &wire_error(&row, &refused, dialect, id)).into()
            };
            with_headers(StatusCode::OK, headers, Body::new(Streamed::new(pieces, told)))
        }
    }
}

fn wire_error(row: &reply::Row, refused: &Refused, dialect: Dialect, id: RequestId) -> WireError {
    WireError {
        status: row.status,
        kind: reply::kind_in(row, dialect).to_owned(),
        code: Some(row.code.to_owned()),
        param: reply::param(&refused.refusal),
        message: reply::message(refused),
        request_id: Some(id.to_string()),
    }
}

fn refuse(gateway: &Gateway, arrival: &Arrival, refused: &Refused) -> Response {
    let row = reply::row(&refused.refusal, gateway.view().settings.budget_exhausted_status);
    let mut headers = HeaderMap::with_capacity(16);
    headers::ids(&mut headers, arrival.id, gateway.node());
    headers::facts(&mut headers, &refused.facts, arrival.dialect);
    headers::retry(&mut headers, &row);
    headers::json(&mut headers);
    // A provider's own words about the request pass as they came, to a client of the same dialect.
    if let Refusal::Provider { raw: Some(raw), .. } | Refusal::Exhausted { raw: Some(raw), .. } = &refused.refusal
        && raw.dialect == arrival.dialect
        && let Ok(status) = StatusCode::from_u16(raw.status)
    {
        if let Some(kind) = raw.content_type.as_deref().and_then(|kind| HeaderValue::from_str(kind).ok()) {
            headers.insert(CONTENT_TYPE, kind);
        }
        return with_headers(status, headers, raw.body.clone().into());
    }
    let error = wire_error(&row, refused, arrival.dialect, arrival.id);
    let status = StatusCode::from_u16(row.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    with_headers(status, headers, error_body(arrival.dialect, &error).into())
}

fn with_headers(status: StatusCode, headers: HeaderMap, body: Body) -> Response {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    *response.headers_mut() = headers;
    response
}
