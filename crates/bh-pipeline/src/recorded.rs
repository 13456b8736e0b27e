//! Recorded: evidence, metrics, metadata. Every request ends here, whatever its end was.

use std::sync::Arc;

use bh_audit::{Admit, Decision, Deny, Latency, RecordBody, Settle, Text};
use bh_base::NanoUsd;

use crate::attempted::Attempted;
use crate::clock;
use crate::commitment::{Body, Commitment};
use crate::gateway::{Gateway, Told};
use crate::known::{Arrival, Known};
use crate::meta::RequestMeta;
use crate::planned::decision;
use crate::ports::{Durable, RefusedFacts, RequestFacts};
use crate::refusal::Refusal;
use crate::reply::{Head, Refused, ReplyFacts};
use crate::settled::{Outcome, Said};
use crate::tally::held;
use crate::walk::{End, Walk};

/// The role that lets a token ask for explanations and see the amounts of scopes above its own.
pub const EXPLAIN_ROLE: &str = "explain";
/// The status records give a request whose client hung up before it was answered (nginx's convention).
const CLIENT_GONE_STATUS: u16 = 499;

/// What a request's record, metrics and metadata share.
struct Summary<'a> {
    status: u16,
    outcome: &'static str,
    finish: Option<&'static str>,
    answered: &'a str,
    first_token_us: Option<u64>,
    response_commit: Option<bh_audit::Hash>,
    total_us: u64,
}

/// A request that reached no provider.
pub(crate) struct Denied<'a> {
    pub(crate) known: Option<&'a Known>,
    pub(crate) asked: Option<&'a str>,
    pub(crate) decision: Option<Box<Decision>>,
    pub(crate) told: Told,
}

impl Walk {
    /// Writes the Admit before the provider is called; in strict mode, waits until it is on disk.
    ///
    /// # Errors
    /// [`Refusal::AuditUnavailable`].
    pub(crate) async fn record_admit(&self, attempted: &Attempted) -> Result<(), Refusal> {
        let known = self.known();
        let target = attempted.attempt.target();
        let number = attempted.attempt.number();
        let text = |text: &str| -> Text { text.into() };
        let settings = &known.view.settings;
        let commit = settings.commit_bodies.then(|| {
            let mut commitment = Commitment::begin(&self.gateway.parts.commit_key, known.arrival.id, Body::Request);
            commitment.feed(&self.received.body);
            commitment.finish()
        });
        let admit = Admit {
            request: known.arrival.id,
            caller: Arc::clone(&known.bearer.audit),
            op: Text::word(known.arrival.surface.op()),
            asked: text(&self.received.scan.model),
            decision: (number == 1).then(|| Box::new(self.decision())),
            attempt: number,
            provider: (&target.provider.id).into(),
            model: (&target.model).into(),
            est: attempted.admitted.quote.strict,
            charges: held(&attempted.admitted.hold),
            price_version: known.view.catalog.version().into(),
            config_version: (&known.view.config_version).into(),
            request_commit: commit,
            warnings: self.warnings.iter().map(|warning| text(warning)).collect(),
        };
        match self.gateway.parts.recorder.append(clock::now(), RecordBody::Admit(Box::new(admit))) {
            Ok(Durable::Queued) => Ok(()),
            Ok(Durable::Waiting(durable)) => durable.await.map_err(|_| Refusal::AuditUnavailable),
            Err(_) => Err(Refusal::AuditUnavailable),
        }
    }

    /// How the targets were chosen, so far.
    pub(crate) fn decision(&self) -> Decision {
        decision(self.chain.plan(), self.chain.passed_over(), clock::draw_of(self.known().arrival.id))
    }

    /// The decision, where the caller asked and may know.
    pub(crate) fn explanation(&self) -> Option<Decision> {
        self.received.wishes.explain.then(|| self.decision())
    }

    /// What the headers of an answer say.
    pub(crate) fn reply_facts(&self, attempted: &Attempted, cost: Option<NanoUsd>) -> ReplyFacts {
        let known = self.known();
        let target = attempted.attempt.target();
        let stream = self.received.scan.stream;
        ReplyFacts {
            provider: Some(Arc::clone(&target.provider.id)),
            model: Some(Arc::clone(&target.model)),
            attempts: self.chain.attempts(),
            cost,
            budget_remaining: if stream { self.gateway.budget_remaining(known) } else { None },
            overhead_us: if stream { None } else { self.overhead_us },
            rates: self.gateway.parts.ledger.rates(clock::now(), &known.bearer.caller),
            explain: self.explanation(),
            warnings: self.warnings.clone(),
        }
    }

    /// Tells the client, where it still waits, and writes everything down.
    pub(crate) fn finish(self, end: End, head: &mut Head) {
        let total_us = clock::micros_since(self.known().arrival.started);
        match end {
            End::Refused(refusal) => {
                let told = (self.gateway.parts.status_of)(&refusal, &self.known().view);
                head.send(Err(self.refused(refusal)));
                if self.tally.notes.is_empty() {
                    self.deny(told);
                } else {
                    self.record(&Summary::bare(told.status, told.code, total_us));
                }
            }
            End::ClientGone if self.tally.notes.is_empty() => {
                let told = Told { status: CLIENT_GONE_STATUS, code: "client_gone" };
                self.deny(told);
            }
            End::ClientGone => self.record(&Summary::bare(CLIENT_GONE_STATUS, "client_gone", total_us)),
            End::Answered(outcome) => {
                let Outcome { said, finish, answered, first_token_us, response_commit } = *outcome;
                // The client saw 200; a failure after that was told in the stream.
                let (status, outcome) = match &said {
                    Said::Ok => (200, "ok"),
                    Said::ClientGone => (CLIENT_GONE_STATUS, "client_gone"),
                    Said::Failed(refusal) => (200, (self.gateway.parts.status_of)(refusal, &self.known().view).code),
                };
                let answered = answered.as_str();
                self.record(&Summary { status, outcome, finish, answered, first_token_us, response_commit, total_us });
            }
        }
    }

    fn deny(&self, told: Told) {
        let decision = Some(Box::new(self.decision()));
        let asked = Some(self.received.scan.model.as_str());
        self.gateway.deny(&self.known().arrival, Denied { known: Some(self.known()), asked, decision, told });
    }

    /// The Settle record, the metrics and the metadata of a request that had attempts.
    fn record(&self, summary: &Summary<'_>) {
        let known = self.known();
        let text = |text: &str| -> Text { text.into() };
        let Some(last) = self.tally.notes.last() else { return };
        let latency = Latency {
            total_ms: summary.total_us / 1000,
            overhead_us: self.overhead_us.unwrap_or_default(),
            first_token_ms: summary.first_token_us.map(|us| us / 1000),
        };
        let settle = Settle {
            request: known.arrival.id,
            caller: Arc::clone(&known.bearer.audit),
            op: Text::word(known.arrival.surface.op()),
            asked: text(&self.received.scan.model),
            provider: (&last.provider).into(),
            model: (&last.model).into(),
            usage: self.tally.usage,
            usage_estimated: self.tally.estimated,
            est: self.tally.est,
            cost: self.tally.cost,
            charges: self.tally.charges(),
            price_version: known.view.catalog.version().into(),
            config_version: (&known.view.config_version).into(),
            outcome: Text::word(summary.outcome),
            status: summary.status,
            latency,
            attempts: self.tally.audit_notes(),
            response_commit: summary.response_commit,
            warnings: self.warnings.iter().map(|warning| text(warning)).collect(),
        };
        if self.gateway.parts.recorder.append(clock::now(), RecordBody::Settle(Box::new(settle))).is_err() {
            tracing::error!(request_id = %known.arrival.id, "the record of a finished request could not be kept");
        }
        self.measure(summary);
        self.keep(summary, &latency);
    }

    fn measure(&self, summary: &Summary<'_>) {
        let known = self.known();
        let subject = known.bearer.verified.subject();
        let Some(last) = self.tally.notes.last() else { return };
        let kind = known.view.providers.get(&last.provider).map_or("", |provider| &provider.kind);
        self.gateway.parts.meter.request(&RequestFacts {
            request: known.arrival.id,
            trace: known.arrival.trace,
            route: known.arrival.surface.path(),
            provider: &last.provider,
            kind,
            model: &last.model,
            asked: &self.received.scan.model,
            answered: summary.answered,
            stream: self.received.scan.stream,
            status: summary.status,
            outcome: summary.outcome,
            finish: summary.finish,
            attempts: &self.tally.facts(),
            org: subject.org.as_deref().unwrap_or_default(),
            team: subject.team.as_deref().unwrap_or_default(),
            usage: self.tally.usage,
            cost: self.tally.cost,
            began: known.arrival.at,
            total_us: summary.total_us,
            overhead_us: self.overhead_us.unwrap_or_default(),
            first_token_us: summary.first_token_us,
        });
    }

    fn keep(&self, summary: &Summary<'_>, latency: &Latency) {
        let known = self.known();
        let Some(last) = self.tally.notes.last() else { return };
        let meta = RequestMeta {
            id: known.arrival.id,
            token: known.bearer.verified.id(),
            op: known.arrival.surface.op(),
            asked: self.received.scan.model.clone(),
            provider: Arc::clone(&last.provider),
            model: Arc::clone(&last.model),
            began: known.arrival.at,
            total_ms: latency.total_ms,
            overhead_us: latency.overhead_us,
            first_token_ms: latency.first_token_ms,
            stream: self.received.scan.stream,
            status: summary.status,
            outcome: summary.outcome,
            attempts: u32::try_from(self.tally.notes.len()).unwrap_or(u32::MAX),
            usage: self.tally.usage,
            estimated: self.tally.estimated,
            cost: self.tally.cost,
            price_version: Arc::clone(known.view.catalog.version()),
            config_version: Arc::clone(&known.view.config_version),
            decision: self.decision(),
            warnings: self.warnings.clone(),
            session: self.received.wishes.session.clone(),
            tags: self.received.wishes.tags.clone(),
        };
        self.gateway.kept.insert(meta);
    }
}

impl Summary<'static> {
    fn bare(status: u16, outcome: &'static str, total_us: u64) -> Summary<'static> {
        Summary { status, outcome, finish: None, answered: "", first_token_us: None, response_commit: None, total_us }
    }
}

impl Gateway {
    /// Records a request that reached no provider.
    pub(crate) fn deny(&self, arrival: &Arrival, denied: Denied<'_>) {
        let Denied { known, asked, decision, told } = denied;
        let total_us = clock::micros_since(arrival.started);
        let view = known.map_or_else(|| self.view(), |known| Arc::clone(&known.view));
        let deny = Deny {
            request: arrival.id,
            caller: known.map(|known| Arc::clone(&known.bearer.audit)),
            op: Text::word(arrival.surface.op()),
            asked: asked.map(Into::into),
            decision,
            status: told.status,
            code: Text::word(told.code),
            config_version: (&view.config_version).into(),
            latency: Latency { total_ms: total_us / 1000, overhead_us: total_us, first_token_ms: None },
        };
        if self.parts.recorder.append(clock::now(), RecordBody::Deny(Box::new(deny))).is_err() {
            tracing::debug!(request_id = %arrival.id, "the record of a refusal could not be kept");
        }
        self.parts.meter.refused(&RefusedFacts {
            request: arrival.id,
            trace: arrival.trace,
            route: arrival.surface.path(),
            status: told.status,
            code: told.code,
            began: arrival.at,
            total_us,
        });
    }

    /// A refusal before anything is known of the caller, or before its request could be read: recorded and returned.
    #[must_use]
    pub fn turn_away(&self, arrival: &Arrival, known: Option<&Known>, refusal: Refusal) -> Refused {
        let view = known.map_or_else(|| self.view(), |known| Arc::clone(&known.view));
        let told = (self.parts.status_of)(&refusal, &view);
        self.deny(arrival, Denied { known, asked: None, decision: None, told });
        match known {
            Some(known) => self.refused(known, refusal, 0, None),
            None => Refused { refusal, facts: Box::default(), may_see_amounts: false, own: Vec::new() },
        }
    }

    /// A refusal with everything its headers and body may say to this caller.
    pub(crate) fn refused(&self, known: &Known, refusal: Refusal, attempts: u32, explain: Option<Decision>) -> Refused {
        let bearer = &known.bearer;
        let facts = ReplyFacts {
            attempts,
            budget_remaining: self.budget_remaining(known),
            rates: self.parts.ledger.rates(clock::now(), &bearer.caller),
            explain,
            ..ReplyFacts::default()
        };
        let own = |scope| bearer.caller.is_own(scope);
        let own_scope = gone(&refusal).is_some_and(|gone| own(&gone.scope))
            || matches!(&refusal, Refusal::Limited(limit) if own(&limit.scope));
        let may_see_amounts = own_scope || bearer.verified.has_role(EXPLAIN_ROLE);
        Refused { refusal, facts: Box::new(facts), may_see_amounts, own: self.own_accounts(known) }
    }
}

/// The exhausted budget behind a refusal, where there is one.
fn gone(refusal: &Refusal) -> Option<&bh_ledger::Exhausted> {
    if let Refusal::Budget(broke) = refusal
        && let bh_ledger::Refusal::Exhausted(gone) = &**broke
    {
        return Some(gone);
    }
    None
}
