//! Known: who asks? Answered from the headers alone, without I/O, so that strangers cannot spend our CPU.

use std::sync::Arc;
use std::time::Instant;

use bh_base::limits::TOKEN_BYTES_MAX;
use bh_base::{Millis, RequestId};
use bh_dialect::Dialect;
use bh_token::{Invalid, Plane, TokenError, Verified};
use http::HeaderMap;

use crate::clock;
use crate::gateway::Gateway;
use crate::ports::Trace;
use crate::refusal::Refusal;
use crate::surface::Surface;
use crate::trace::trace_of;
use crate::view::View;

/// Where and when a request arrived; made before anything is known of it, so that refusals have an id as well.
#[derive(Debug, Clone)]
pub struct Arrival {
    /// The request's id.
    pub id: RequestId,
    /// What was called.
    pub surface: Surface,
    /// The dialect of the answer and of errors.
    pub dialect: Dialect,
    /// When, on the wall clock.
    pub at: Millis,
    /// When, on the clock that never falls back.
    pub started: Instant,
    /// Its trace.
    pub trace: Trace,
}

/// A caller whose token is good now.
#[derive(Debug, Clone)]
pub struct Known {
    pub(crate) arrival: Arrival,
    pub(crate) view: Arc<View>,
    pub(crate) bearer: Arc<Bearer>,
}

/// Everything that follows from a verified token; made once per token and remembered under the hash of its text.
#[derive(Debug)]
pub(crate) struct Bearer {
    pub(crate) verified: Verified,
    /// What the ledger charges.
    pub(crate) caller: bh_ledger::Caller,
    /// What records say.
    pub(crate) audit: Arc<bh_audit::Caller>,
}

impl Arrival {
    /// Notes a request at the moment its headers are there.
    #[must_use]
    pub fn now(surface: Surface, headers: &HeaderMap) -> Self {
        let id = clock::request_id();
        let trace = trace_of(headers, id, clock::draw_of(id));
        let dialect = surface.dialect(headers.contains_key("anthropic-version"));
        Arrival { id, surface, dialect, at: clock::now(), started: Instant::now(), trace }
    }
}

impl Known {
    /// The view this request reads to its end.
    #[must_use]
    pub fn view(&self) -> &Arc<View> {
        &self.view
    }

    /// What was called, and when.
    #[must_use]
    pub fn arrival(&self) -> &Arrival {
        &self.arrival
    }

    /// Whether the token may call a model of this name.
    #[must_use]
    pub fn may_call(&self, model: &str) -> bool {
        self.bearer.verified.may_call(model)
    }
}

impl Gateway {
    /// Verifies the credential of the headers.
    ///
    /// # Errors
    /// [`Refusal::NoToken`], [`Refusal::BadToken`], [`Refusal::ClaimNotBuilt`], or [`Refusal::Draining`].
    pub fn identify(&self, arrival: Arrival, headers: &HeaderMap) -> Result<Known, Refusal> {
        if self.is_draining() {
            return Err(Refusal::Draining);
        }
        let view = self.view();
        let text = credential(headers).ok_or(Refusal::NoToken)?;
        let bearer = self.bearer(&view, text, arrival.at).map_err(Refusal::from)?;
        bearer.verified.check_live(&view.revocations, arrival.at).map_err(Refusal::from)?;
        let subject = bearer.verified.subject();
        if subject.routing.is_some() {
            return Err(Refusal::ClaimNotBuilt { claim: "bh.routing" });
        }
        if subject.quality.is_some() {
            return Err(Refusal::ClaimNotBuilt { claim: "bh.quality" });
        }
        Ok(Known { arrival, view, bearer })
    }

    /// Verifies an administrator's credential. Not remembered: admin calls are few.
    ///
    /// # Errors
    /// [`Refusal::NoToken`] or [`Refusal::BadToken`].
    pub fn identify_admin(&self, headers: &HeaderMap) -> Result<Verified, Refusal> {
        let view = self.view();
        let now = clock::now();
        let text = credential(headers).ok_or(Refusal::NoToken)?;
        let verified = bh_token::verify(text, &view.keys, &view.audience, Plane::Admin, now).map_err(Refusal::from)?;
        verified.check_live(&view.revocations, now).map_err(Refusal::from)?;
        Ok(verified)
    }

    /// The verified token of this text, remembered or verified now. A hit under another key set proves nothing.
    fn bearer(&self, view: &View, text: &str, now: Millis) -> Result<Arc<Bearer>, TokenError> {
        if TOKEN_BYTES_MAX < text.len() {
            return Err(Invalid::TooLong { bytes: text.len(), bytes_max: TOKEN_BYTES_MAX }.into());
        }
        let hash = bh_seal::sha256(&[text.as_bytes()]);
        if let Some(known) = self.bearers.get(&hash)
            && known.verified.key_set_revision() == view.keys.revision()
        {
            return Ok(known);
        }
        let verified = bh_token::verify(text, &view.keys, &view.audience, Plane::Data, now)?;
        let bearer = Arc::new(Bearer::new(verified));
        self.bearers.insert(hash, Arc::clone(&bearer));
        Ok(bearer)
    }
}

impl Bearer {
    pub(crate) fn new(verified: Verified) -> Self {
        let subject = verified.subject();
        let tags: Vec<(String, String)> = subject.tags.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
        let audit = bh_audit::Caller {
            subject: Some(subject.sub.as_str().into()),
            token: Some(verified.id()),
            org: subject.org.as_deref().map(Into::into),
            team: subject.team.as_deref().map(Into::into),
            project: subject.project.as_deref().map(Into::into),
            tags: tags.iter().map(|(k, v)| format!("{k}={v}").into()).collect(),
        };
        let identity = bh_ledger::Identity {
            issuer: subject.iss.clone(),
            user: Some(subject.sub.clone()),
            project: subject.project.clone(),
            team: subject.team.clone(),
            org: subject.org.clone(),
            tags,
        };
        let links: Vec<bh_ledger::Link> = verified.links().iter().map(link).collect();
        let caller = bh_ledger::Caller::new(&identity, &links);
        Bearer { caller, audit: Arc::new(audit), verified }
    }
}

fn link(link: &bh_token::Link) -> bh_ledger::Link {
    let budget = |b: &bh_token::TokenBudget| bh_ledger::TokenBudget {
        limit: b.usd,
        window: b.window,
        mode: b.mode,
        hold: b.hold,
    };
    bh_ledger::Link {
        id: link.id,
        budget_id: link.budget_id.clone(),
        budgets: link.budgets.iter().map(budget).collect(),
        limits: bh_ledger::Limits {
            rpm: link.rpm,
            tpm: link.tpm,
            concurrency: link.concurrency,
            ..bh_ledger::Limits::default()
        },
        expires_at: link.expires_at,
    }
}

/// The credential of a request. SDKs send it in different headers, some in two at once with a provider's dummy key in
/// the other: what looks like a token of ours comes first, then the order of the contract.
fn credential(headers: &HeaderMap) -> Option<&str> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).map(str::trim);
    let bearer = text("authorization").and_then(|value| {
        let (scheme, token) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(token.trim_start())
    });
    let sent = [bearer, text("x-api-key"), text("x-goog-api-key")];
    let mut given = sent.into_iter().flatten().filter(|token| !token.is_empty());
    let ours = given.clone().find(|token| token.starts_with("bh_"));
    ours.or_else(|| given.next())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(headers: &[(&'static str, &str)], found: Option<&str>) {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().expect("a header value"));
        }
        assert_eq!(credential(&map), found, "{headers:?}");
    }

    #[test]
    fn a_credential_is_found_wherever_an_sdk_puts_it() {
        check(&[], None);
        check(&[("authorization", "Bearer bh_a")], Some("bh_a"));
        check(&[("authorization", "bearer  bh_a")], Some("bh_a"));
        check(&[("authorization", "Basic bh_a")], None);
        check(&[("x-api-key", "bh_a")], Some("bh_a"));
        check(&[("x-goog-api-key", "bh_a")], Some("bh_a"));
        check(&[("authorization", "Bearer sk-dummy"), ("x-api-key", "bh_a")], Some("bh_a"));
        check(&[("authorization", "Bearer sk-dummy"), ("x-api-key", "other")], Some("sk-dummy"));
    }
}
