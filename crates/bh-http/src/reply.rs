//! The status table: what a client is told of each refusal. One exhaustive match; `docs/status-codes.md` explains each.
//!
//! The envelope follows the route, not the upstream: OpenAI's `type` and `code`, or Anthropic's `type`.

use bh_base::{Millis, Window};
use bh_chat::{Fault, FaultClass};
use bh_dialect::Dialect;
use bh_ledger::{Exhausted, LimitRefusal, Refusal as Broke};
use bh_pipeline::{Refusal, Refused, Told, View};
use bh_policy::Verdict;

/// What a client is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Row {
    pub(crate) status: u16,
    /// OpenAI's `error.type`.
    pub(crate) kind: &'static str,
    /// The stable code.
    pub(crate) code: &'static str,
    /// Anthropic's `error.type`.
    pub(crate) anthropic: &'static str,
    /// Whether trying the same again cannot help.
    pub(crate) hopeless: bool,
    /// When trying again may help.
    pub(crate) retry_after: Option<Millis>,
}

/// Wait named on a 429 or 503 when nothing better is known.
const RETRY_DEFAULT: Millis = Millis(1000);

/// What records and metrics say of a refusal; the pipeline is handed this function.
#[must_use]
pub fn told(refusal: &Refusal, view: &View) -> Told {
    let row = row(refusal, view.settings.budget_exhausted_status);
    Told { status: row.status, code: row.code }
}

const fn fixed(status: u16, kind: &'static str, code: &'static str, anthropic: &'static str) -> Row {
    Row { status, kind, code, anthropic, hopeless: true, retry_after: None }
}

const fn invalid(status: u16, code: &'static str) -> Row {
    fixed(status, "invalid_request_error", code, "invalid_request_error")
}

const fn unauthorized(code: &'static str) -> Row {
    fixed(401, "authentication_error", code, "authentication_error")
}

const fn forbidden(code: &'static str) -> Row {
    fixed(403, "permission_error", code, "permission_error")
}

const fn overloaded(code: &'static str, retry_after: Millis) -> Row {
    Row { retry_after: Some(retry_after), hopeless: false, ..fixed(503, "overloaded_error", code, "overloaded_error") }
}

const fn upstream(status: u16, kind: &'static str, code: &'static str, anthropic: &'static str) -> Row {
    Row { hopeless: false, ..fixed(status, kind, code, anthropic) }
}

/// The status table.
pub(crate) fn row(refusal: &Refusal, exhausted_status: u16) -> Row {
    match refusal {
        Refusal::NoToken => unauthorized("invalid_api_key"),
        Refusal::BadToken(error) => match error.status() {
            401 => unauthorized(error.code()),
            403 => forbidden(error.code()),
            _ => fixed(500, "api_error", "internal_error", "api_error"),
        },
        Refusal::ClaimNotBuilt { .. } => forbidden("claim_not_built"),
        Refusal::Unreadable(error) => invalid(400, error.code()),
        Refusal::Header { .. } => invalid(400, "invalid_header"),
        Refusal::TooLarge { .. } => fixed(413, "invalid_request_error", "request_too_large", "request_too_large"),
        Refusal::BodyCut => invalid(400, "body_incomplete"),
        Refusal::NotJson => invalid(415, "unsupported_media_type"),
        Refusal::Unsupported(_) => invalid(400, "unsupported_parameter"),
        Refusal::UnknownModel { .. } => fixed(404, "invalid_request_error", "model_not_found", "not_found_error"),
        Refusal::AmbiguousModel { .. } => invalid(400, "model_ambiguous"),
        Refusal::ModelNotAllowed { .. } => forbidden("model_not_allowed"),
        Refusal::RoleMissing { .. } => forbidden("role_missing"),
        Refusal::NotFound { .. } => fixed(404, "invalid_request_error", "not_found", "not_found_error"),
        Refusal::Limited(limit) => Row {
            retry_after: Some(limit.retry_after),
            ..upstream(429, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error")
        },
        Refusal::Budget(broke) => budget_row(broke, exhausted_status),
        Refusal::UnboundedCost { .. } => invalid(400, "unbounded_cost"),
        Refusal::Unpriced { .. } => invalid(400, "model_unpriced"),
        Refusal::NoTarget { retry_after } => overloaded("no_target", *retry_after),
        Refusal::Busy => overloaded("no_target", RETRY_DEFAULT),
        Refusal::Shedding => overloaded("shedding", RETRY_DEFAULT),
        Refusal::Draining => overloaded("draining", RETRY_DEFAULT),
        Refusal::AuditUnavailable => overloaded("audit_unavailable", RETRY_DEFAULT),
        Refusal::Provider { fault, .. } => provider_row(fault),
        Refusal::Exhausted { verdict, .. } => exhausted_row(*verdict),
        Refusal::Panicked => upstream(500, "api_error", "internal_error", "api_error"),
    }
}

fn budget_row(broke: &Broke, exhausted_status: u16) -> Row {
    let limited = |status, retry_after| Row {
        retry_after: Some(retry_after),
        ..upstream(status, "rate_limit_error", "rate_limit_exceeded", "rate_limit_error")
    };
    match broke {
        Broke::Exhausted(_) => fixed(exhausted_status, "insufficient_quota", "insufficient_quota", "billing_error"),
        Broke::RightsPending(_) | Broke::RightsUnavailable { .. } => overloaded("rights_unavailable", RETRY_DEFAULT),
        Broke::SlowLaneFull { retry_after, .. } => limited(429, *retry_after),
        Broke::Misconfigured { .. } => forbidden("budget_id_conflict"),
    }
}

/// A provider's own word about the request. Where its body passes through intact, only the status of this row counts.
fn provider_row(fault: &Fault) -> Row {
    let retry_after = fault.retry_after_ms.map(Millis);
    match fault.class {
        FaultClass::BadRequest => {
            invalid(fault.status.filter(|s| matches!(s, 400 | 413 | 415 | 422)).unwrap_or(400), "invalid_request")
        }
        FaultClass::ContextTooLong => invalid(400, "context_length_exceeded"),
        FaultClass::ContentBlocked => invalid(400, "content_policy_violation"),
        FaultClass::ModelNotFound => fixed(404, "invalid_request_error", "model_not_found", "not_found_error"),
        FaultClass::RateLimited | FaultClass::QuotaExhausted => Row {
            retry_after: Some(retry_after.unwrap_or(RETRY_DEFAULT)),
            ..upstream(429, "rate_limit_error", "upstream_rate_limited", "rate_limit_error")
        },
        FaultClass::Overloaded => Row {
            retry_after: Some(retry_after.unwrap_or(RETRY_DEFAULT)),
            ..upstream(529, "overloaded_error", "upstream_overloaded", "overloaded_error")
        },
        FaultClass::Credential => upstream(502, "upstream_error", "upstream_auth_error", "api_error"),
        FaultClass::Timeout => upstream(504, "timeout_error", "upstream_timeout", "timeout_error"),
        FaultClass::ServerError | FaultClass::Connect | FaultClass::Cut | FaultClass::Malformed => {
            upstream(502, "upstream_error", "upstream_failed", "api_error")
        }
    }
}

/// Every target failed: a last 429 or 529 keeps its status, all else is ours to answer for.
fn exhausted_row(verdict: Verdict) -> Row {
    match verdict {
        Verdict::Throttled { status: 529, retry_after } => Row {
            retry_after: Some(retry_after),
            ..upstream(529, "overloaded_error", "upstream_overloaded", "overloaded_error")
        },
        Verdict::Throttled { retry_after, .. } => Row {
            retry_after: Some(retry_after),
            ..upstream(429, "rate_limit_error", "upstream_rate_limited", "rate_limit_error")
        },
        Verdict::CredentialRejected => upstream(502, "upstream_error", "upstream_auth_error", "api_error"),
        Verdict::TooSlow => upstream(504, "timeout_error", "upstream_timeout", "timeout_error"),
        Verdict::NothingTried { retry_after } => overloaded("no_target", retry_after),
        Verdict::Failed | Verdict::AsProvider => upstream(502, "upstream_error", "upstream_failed", "api_error"),
    }
}

/// The `type` an envelope of this dialect carries.
pub(crate) fn kind_in(row: &Row, dialect: Dialect) -> &'static str {
    match dialect {
        Dialect::OpenAiChat => row.kind,
        Dialect::AnthropicMessages => row.anthropic,
    }
}

/// The field at fault, where one is.
pub(crate) fn param(refusal: &Refusal) -> Option<String> {
    if let Refusal::Unreadable(error) = refusal {
        return error.param().map(str::to_owned);
    }
    if let Refusal::Unsupported(unsupported) = refusal {
        return Some(unsupported.field.clone());
    }
    let model = matches!(
        refusal,
        Refusal::UnknownModel { .. }
            | Refusal::ModelNotAllowed { .. }
            | Refusal::AmbiguousModel { .. }
            | Refusal::Unpriced { .. }
    );
    if model {
        return Some("model".to_owned());
    }
    if let Refusal::Provider { fault, .. } = refusal {
        return fault.param.clone();
    }
    None
}

/// What the client reads. Amounts of scopes above the token are for those who may see them.
pub(crate) fn message(refused: &Refused) -> String {
    let refusal = &refused.refusal;
    if let Refusal::Limited(limit) = refusal {
        return limited(limit, refused.may_see_amounts);
    }
    if let Refusal::Budget(broke) = refusal {
        return broke_words(broke, refused.may_see_amounts);
    }
    if let Refusal::Provider { fault, .. } = refusal {
        return provider_words(fault, String::new());
    }
    if let Refusal::Exhausted { fault, attempts, .. } = refusal {
        let lead = format!("no provider could answer after {attempts} attempt(s); the last failure: ");
        return provider_words(fault, lead);
    }
    // A wrapped cause says it better than its wrapper.
    std::error::Error::source(refusal).map_or_else(|| refusal.to_string(), ToString::to_string)
}

/// What a provider said; of a rejected credential of ours nothing but that it was rejected.
fn provider_words(fault: &Fault, lead: String) -> String {
    if fault.class == FaultClass::Credential {
        return "the provider rejected the gateway's credential; the operator must look at the provider's keys"
            .to_owned();
    }
    lead + &fault.message
}

fn limited(limit: &LimitRefusal, may_see: bool) -> String {
    if may_see {
        limit.to_string()
    } else {
        format!("a limit of this token's {} is reached ({})", limit.scope.kind(), limit.kind)
    }
}

fn exhausted(gone: &Exhausted, may_see: bool) -> String {
    let reset = match (gone.window, gone.resets_at) {
        (Window::Total, _) | (_, None) => "it does not reset".to_owned(),
        (_, Some(at)) => format!("it resets at {}", rfc3339(at)),
    };
    if may_see {
        format!("{gone}; {reset}")
    } else {
        format!("the budget of this token's {} per {} is exhausted; {reset}", gone.scope.kind(), gone.window)
    }
}

fn broke_words(broke: &Broke, may_see: bool) -> String {
    let exhausted_here = matches!(broke, Broke::Exhausted(_));
    if may_see && !exhausted_here {
        return broke.to_string();
    }
    match broke {
        Broke::Exhausted(gone) => exhausted(gone, may_see),
        Broke::RightsPending(pending) => {
            format!("rights of this token's {} budget are under way; try again", pending.scope.kind())
        }
        Broke::RightsUnavailable { scope, .. } => {
            format!("rights of this token's {} budget cannot be fetched now; try again", scope.kind())
        }
        Broke::SlowLaneFull { scope, .. } => {
            format!("the budget of this token's {} is spent and its slow lane is full; try again", scope.kind())
        }
        Broke::Misconfigured { .. } => {
            "this token's budget_id is in use with another limit; ask for a token with the same limit".to_owned()
        }
    }
}

/// An instant as RFC 3339 in UTC, to the second.
pub(crate) fn rfc3339(at: Millis) -> String {
    let seconds = i64::try_from(at.as_secs()).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).unwrap_or(jiff::Timestamp::MAX).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instants_are_printed_in_utc() {
        for (seconds, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_795_132_799, "2026-11-19T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
        ] {
            assert_eq!(rfc3339(Millis::from_secs(seconds)), text);
        }
    }

    #[test]
    fn an_exhausted_chain_says_502_unless_it_was_throttled_or_slow() {
        let check = |verdict, status| assert_eq!(exhausted_row(verdict).status, status, "{verdict:?}");
        check(Verdict::Throttled { status: 429, retry_after: Millis(9) }, 429);
        check(Verdict::Throttled { status: 529, retry_after: Millis(9) }, 529);
        check(Verdict::CredentialRejected, 502);
        check(Verdict::TooSlow, 504);
        check(Verdict::Failed, 502);
        check(Verdict::NothingTried { retry_after: Millis(9) }, 503);
    }

    #[test]
    fn own_429_and_503_always_name_a_wait_and_nothing_is_ever_409() {
        let refusals = [
            Refusal::Shedding,
            Refusal::Draining,
            Refusal::AuditUnavailable,
            Refusal::Busy,
            Refusal::NoTarget { retry_after: Millis(5) },
        ];
        for refusal in refusals {
            let row = row(&refusal, 402);
            assert_eq!(row.status, 503);
            assert!(row.retry_after.is_some() && !row.hopeless, "{refusal}");
        }
    }
}
