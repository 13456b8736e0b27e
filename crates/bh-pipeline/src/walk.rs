//! The walk of one request after it was received: plan, admit, attempt, and again, until something is final.
//!
//! It runs in a task of its own, so that a client that hangs up is still billed and recorded.

use std::sync::Arc;

use bh_base::{Invariant, Millis, hold};
use bh_chat::{Fault, FaultClass};
use bh_ledger::Lane;
use bh_policy::{Attempt, Chain, Failure, Plan, Turn, Verdict, Why};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};

use crate::attempted::{Attempted, Came};
use crate::clock::{self, next_draw};
use crate::commitment::Commitment;
use crate::gateway::{Gateway, InFlight};
use crate::known::Known;
use crate::prepared::{Prepared, Terms, Unprepared, on_unsupported, prepare};
use crate::received::Received;
use crate::refusal::{RawError, Refusal};
use crate::relay::{CLIENT_QUEUE, Ended, Pace, Relay, tell};
use crate::reply::{Head, Refused, Reply, ReplyBody};
use crate::running::RunningCost;
use crate::settled::{Outcome, Seen};
use crate::tally::{Note, Tally};

/// One request on its way through its attempts.
pub(crate) struct Walk {
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) received: Received,
    pub(crate) chain: Chain,
    pub(crate) tally: Tally,
    pub(crate) draw: u64,
    pub(crate) warnings: Vec<String>,
    pub(crate) overhead_us: Option<u64>,
    pub(crate) _place: InFlight,
    /// The first reason of ours why a target was passed over, for when none is left.
    passed: Option<Refusal>,
    /// The last failure of a provider.
    failed: Option<(Fault, Option<RawError>)>,
}

/// How the walk of a request ended.
pub(crate) enum End {
    /// The client has its answer, whole or as a stream that is over.
    Answered(Box<Outcome>),
    /// It gets none.
    Refused(Refusal),
    /// It hung up first.
    ClientGone,
}

/// What an attempt leads to.
enum Step {
    Over(End),
    GoOn,
}

impl Walk {
    pub(crate) fn new(gateway: Arc<Gateway>, received: Received, plan: Plan, place: InFlight) -> Self {
        let known = &received.known;
        let draw = next_draw(clock::draw_of(known.arrival.id));
        let chain = Chain::new(plan, known.arrival.at);
        Walk {
            gateway,
            received,
            chain,
            tally: Tally::default(),
            draw,
            warnings: Vec::new(),
            overhead_us: None,
            _place: place,
            passed: None,
            failed: None,
        }
    }

    pub(crate) fn known(&self) -> &Known {
        &self.received.known
    }

    pub(crate) fn draw(&mut self) -> u64 {
        self.draw = next_draw(self.draw);
        self.draw
    }

    /// Walks to the end.
    pub(crate) async fn run(&mut self, head: &mut Head) -> End {
        loop {
            let draw = self.draw();
            let step = match self.chain.turn(clock::now(), draw) {
                Turn::Over(verdict) => return End::Refused(self.verdict(verdict)),
                Turn::Wait(span) => tokio::select! {
                    () = sleep(span.into()) => Step::GoOn,
                    () = head.closed() => Step::Over(End::ClientGone),
                },
                Turn::Queue(queued, patience) => tokio::select! {
                    pass = queued => {
                        self.chain.entered(pass);
                        Step::GoOn
                    }
                    () = sleep(patience.into()) => {
                        self.chain.queue_too_slow();
                        self.passed.get_or_insert(Refusal::Busy);
                        Step::GoOn
                    }
                    () = head.closed() => Step::Over(End::ClientGone),
                },
                Turn::Call(attempt) => self.attempt(attempt, head).await,
            };
            match step {
                Step::Over(end) => return end,
                Step::GoOn => (),
            }
        }
    }

    async fn attempt(&mut self, attempt: Attempt, head: &mut Head) -> Step {
        hold!(Invariant::NoAttemptAfterFirstByte, !head.is_sent());
        let target = Arc::clone(attempt.target());
        let Some(provider) = self.known().view.providers.get(&target.provider.id).cloned() else {
            self.chain.pass_over(attempt, Why::Unsupported);
            return Step::GoOn;
        };
        let admitted = match self.gateway.admit(&self.received, &target).await {
            Ok(admitted) => admitted,
            Err(refusal) => {
                self.chain.pass_over(attempt, Why::Budget);
                self.passed.get_or_insert(refusal);
                return Step::GoOn;
            }
        };
        let prepared = match self.prepare(&provider, &target.model, &admitted.quote) {
            Ok(prepared) => prepared,
            Err(refusal) => {
                admitted.hold.release();
                admitted.slot.refund(clock::now());
                self.chain.pass_over(attempt, Why::Unsupported);
                self.passed.get_or_insert(refusal);
                return Step::GoOn;
            }
        };
        let draw = self.draw();
        self.tally.est = self.tally.est.saturating_add(admitted.quote.strict);
        let mut attempted = Attempted::new(attempt, admitted, provider, draw);
        if let Err(refusal) = self.record_admit(&attempted).await {
            attempted.admitted.hold.release();
            return Step::Over(End::Refused(refusal));
        }
        if let Lane::Slow { start_at } = attempted.admitted.hold.lane() {
            tokio::select! {
                () = sleep(start_at.since(clock::now()).into()) => (),
                () = head.closed() => {
                    self.abandon(attempted, false);
                    return Step::Over(End::ClientGone);
                }
            }
        }
        self.overhead_us.get_or_insert_with(|| clock::micros_since(self.received.known.arrival.started));
        let end = Instant::now() + self.chain.remaining(clock::now()).into();
        let came = tokio::select! {
            came = attempted.call(&self.gateway, &self.received, &prepared, end) => Some(came),
            () = head.closed() => None,
        };
        self.warn(&prepared);
        match came {
            None => {
                self.abandon(attempted, true);
                Step::Over(End::ClientGone)
            }
            Some(Came::Whole(body, facts)) => Step::Over(self.answer_whole(attempted, body, facts, head)),
            Some(Came::Stream(relay)) => {
                // Apart, so that plain answers do not carry the room a stream needs.
                Step::Over(Box::pin(self.answer_stream(attempted, *relay, head)).await)
            }
            Some(Came::Failed(fault, raw)) => {
                self.fail(attempted, fault, raw);
                Step::GoOn
            }
        }
    }

    fn prepare(
        &mut self,
        provider: &crate::view::ProviderFacts,
        model: &str,
        quote: &crate::admitted::Quote,
    ) -> Result<Prepared, Refusal> {
        let on_unsupported = on_unsupported(&self.known().view, &self.chain.plan().source);
        let terms = Terms { quote: Some(quote), on_unsupported };
        prepare(&mut self.received, provider, model, &terms).map_err(|why| match why {
            Unprepared::Unsupported(unsupported) => unsupported.into(),
            Unprepared::Unreadable(error) => error.into(),
        })
    }

    /// What a later reader of the record, and where the setting says so the client, is told was left out.
    fn warn(&mut self, prepared: &Prepared) {
        for left_out in &prepared.warnings {
            let text = left_out.to_string();
            if prepared.tell && !self.warnings.contains(&text) {
                self.warnings.push(text);
            }
        }
    }

    /// The client left: the provider's outcome is unknown if anything was sent.
    fn abandon(&mut self, attempted: Attempted, called: bool) {
        let now = clock::now();
        let note = self.note(&attempted, "client_gone");
        let keys: Vec<_> = attempted.admitted.hold.accounts().cloned().collect();
        let cost = if called {
            self.tally.estimated = true;
            attempted.admitted.hold.settle_unknown(now).cost
        } else {
            attempted.admitted.hold.release();
            bh_base::NanoUsd::ZERO
        };
        self.tally.charge(keys, cost);
        self.tally.notes.push(Note { cost, ..note });
    }

    /// An attempt failed before the client was answered: settle it and ask what is next.
    fn fail(&mut self, attempted: Attempted, fault: Fault, raw: Option<RawError>) {
        let now = clock::now();
        let note = self.note(&attempted, fault.class.as_str());
        let keys: Vec<_> = attempted.admitted.hold.accounts().cloned().collect();
        let cost = if may_have_been_served(&attempted, &fault) {
            self.tally.estimated = true;
            attempted.admitted.hold.settle_unknown(now).cost
        } else {
            attempted.admitted.hold.release();
            bh_base::NanoUsd::ZERO
        };
        self.tally.charge(keys, cost);
        self.tally.notes.push(Note { cost, ..note });
        attempted.admitted.slot.settle(now, bh_ledger::Tokens::default());
        let draw = self.draw();
        let (next, noticed) = self.chain.failed(attempted.attempt, &Failure::from(&fault), now, draw);
        tracing::info!(request_id = %self.known().arrival.id, class = fault.class.as_str(), status = fault.status,
            ?next, breaker = ?noticed.breaker, key = ?noticed.key, "an attempt failed");
        self.failed = Some((fault, raw));
    }

    pub(crate) fn note(&self, attempted: &Attempted, outcome: &'static str) -> Note {
        let target = attempted.attempt.target();
        let took = attempted.called.elapsed().as_micros();
        Note {
            provider: Arc::clone(&target.provider.id),
            model: Arc::clone(&target.model),
            key: Arc::clone(attempted.attempt.key_id()),
            outcome,
            status: attempted.status,
            began: attempted.began,
            took_us: u64::try_from(took).unwrap_or(u64::MAX),
            cost: bh_base::NanoUsd::ZERO,
            span_id: attempted.span_id,
        }
    }

    /// Hands the stream to the client and carries it to its end.
    async fn answer_stream(&mut self, mut attempted: Attempted, mut relay: Relay, head: &mut Head) -> End {
        let first_token_us = clock::micros_since(self.known().arrival.started);
        let noticed = attempted.attempt.answered(clock::now());
        tracing::debug!(?noticed, "a stream has begun");
        let (client, pieces) = mpsc::channel(CLIENT_QUEUE);
        let facts = self.reply_facts(&attempted, None);
        let mut commitment = self.begin_response();
        let mut ended = if head.send(Ok(Reply { facts, body: ReplyBody::Stream(pieces) })) {
            let settings = &self.known().view.settings;
            let pace = Pace { keepalive: settings.keepalive.into(), write_stall: settings.write_stall.into() };
            let running = RunningCost::new(&self.received, &attempted);
            let hold = &mut attempted.admitted.hold;
            relay.pump(&client, &pace, commitment.as_mut(), |facts| running.cover(facts, hold)).await
        } else {
            Ended::ClientGone
        };
        if let Ended::Failed(fault) = &mut ended {
            self.gateway.scrub(&attempted.attempt.target().provider.id, fault);
            tell(&client, Refusal::Provider { fault: Box::new(fault.clone()), raw: None }).await;
        }
        drop(client);
        if matches!(ended, Ended::Complete) {
            relay.drain().await;
        }
        let seen = Seen { first_token_us: Some(first_token_us), commitment: commitment.map(Commitment::finish) };
        self.stream_over(attempted, relay.facts(), ended, seen)
    }

    /// What the client is told when nothing more can be tried.
    fn verdict(&mut self, verdict: Verdict) -> Refusal {
        let attempts = self.chain.attempts();
        let last = self.failed.take();
        match (verdict, last) {
            (Verdict::NothingTried { retry_after }, _) => {
                self.passed.take().unwrap_or(Refusal::NoTarget { retry_after })
            }
            (Verdict::AsProvider, Some((fault, raw))) => {
                Refusal::Provider { fault: Box::new(fault), raw: raw.map(Box::new) }
            }
            (verdict, Some((fault, raw))) => {
                // A throttled client reads the provider's own words; any other last failure is ours to tell.
                let raw =
                    raw.filter(|raw| matches!(verdict, Verdict::Throttled { status, .. } if status == raw.status));
                Refusal::Exhausted { fault: Box::new(fault), raw: raw.map(Box::new), verdict, attempts }
            }
            (_, None) => Refusal::NoTarget { retry_after: Millis::from_secs(1) },
        }
    }

    /// A refusal with everything its headers and body may say.
    pub(crate) fn refused(&self, refusal: Refusal) -> Refused {
        self.gateway.refused(self.known(), refusal, self.chain.attempts(), self.explanation())
    }
}

/// Whether a failed call may have cost money all the same: it was sent, and the provider did not say that it failed.
fn may_have_been_served(attempted: &Attempted, fault: &Fault) -> bool {
    let said_no = attempted.status.is_some_and(|status| !(200..300).contains(&status));
    match fault.class {
        FaultClass::Timeout | FaultClass::Cut | FaultClass::Malformed => attempted.sent && !said_no,
        FaultClass::Connect
        | FaultClass::BadRequest
        | FaultClass::ModelNotFound
        | FaultClass::ContextTooLong
        | FaultClass::ContentBlocked
        | FaultClass::Credential
        | FaultClass::QuotaExhausted
        | FaultClass::RateLimited
        | FaultClass::Overloaded
        | FaultClass::ServerError => false,
    }
}
