//! Settled: what did it cost? Holds are settled on every way out, by the task that made them.

use bh_audit::Hash;
use bh_base::{NanoUsd, Usage};
use bh_catalog::{Model, ServiceTier, Terms, cost};
use bh_chat::Fault;
use bh_dialect::AnswerFacts;
use bh_ledger::Tokens;
use bh_policy::Failure;
use bytes::Bytes;

use crate::attempted::Attempted;
use crate::clock;
use crate::commitment::{Body, Commitment};
use crate::refusal::Refusal;
use crate::relay::Ended;
use crate::reply::{Head, Reply, ReplyBody};
use crate::tally::Note;
use crate::walk::{End, Walk};

/// How an answer went.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// What records say: `ok`, `client_gone`, or the code of the failure the client saw in its stream.
    pub(crate) said: Said,
    pub(crate) finish: Option<&'static str>,
    pub(crate) answered: String,
    pub(crate) first_token_us: Option<u64>,
    pub(crate) response_commit: Option<Hash>,
}

/// The end of an answer in a word.
#[derive(Debug)]
pub(crate) enum Said {
    Ok,
    ClientGone,
    Failed(Refusal),
}

/// What was seen of an answer beside its facts.
pub(crate) struct Seen {
    pub(crate) first_token_us: Option<u64>,
    pub(crate) commitment: Option<Hash>,
}

impl Walk {
    /// A commitment to the answer, where the setting asks for one.
    pub(crate) fn begin_response(&self) -> Option<Commitment> {
        let known = self.known();
        let key = &self.gateway.parts.commit_key;
        known.view.settings.commit_bodies.then(|| Commitment::begin(key, known.arrival.id, Body::Response))
    }

    /// Settles a whole answer and hands it over.
    pub(crate) fn answer_whole(
        &mut self,
        attempted: Attempted,
        body: Bytes,
        facts: AnswerFacts,
        head: &mut Head,
    ) -> End {
        let mut reply_facts = self.reply_facts(&attempted, None);
        let commitment = self.begin_response().map(|mut commitment| {
            commitment.feed(&body);
            commitment.finish()
        });
        let cost = self.settle(attempted, &facts, "ok");
        reply_facts.cost = Some(cost);
        reply_facts.budget_remaining = self.gateway.budget_remaining(self.known());
        let heard = head.send(Ok(Reply { facts: reply_facts, body: ReplyBody::Whole(body) }));
        let said = if heard { Said::Ok } else { Said::ClientGone };
        End::Answered(Box::new(Outcome {
            said,
            finish: finish_word(&facts),
            answered: facts.model,
            first_token_us: None,
            response_commit: commitment,
        }))
    }

    /// Settles a stream, however it ended.
    pub(crate) fn stream_over(&mut self, attempted: Attempted, facts: &AnswerFacts, ended: Ended, seen: Seen) -> End {
        let said = match ended {
            Ended::Complete => {
                self.settle(attempted, facts, "ok");
                Said::Ok
            }
            Ended::ClientGone => {
                self.settle_cut(attempted, facts, "client_gone", None);
                Said::ClientGone
            }
            Ended::Broke(refusal) => {
                self.settle_cut(attempted, facts, "budget_exhausted", None);
                Said::Failed(refusal)
            }
            Ended::Failed(fault) => {
                self.settle_cut(attempted, facts, fault.class.as_str(), Some(&fault));
                Said::Failed(Refusal::Provider { fault: Box::new(fault), raw: None })
            }
        };
        End::Answered(Box::new(Outcome {
            said,
            finish: finish_word(facts),
            answered: facts.model.clone(),
            first_token_us: seen.first_token_us,
            response_commit: seen.commitment,
        }))
    }

    /// Settles a complete answer by the provider's own usage, or at what is held when it said none.
    fn settle(&mut self, attempted: Attempted, facts: &AnswerFacts, outcome: &'static str) -> NanoUsd {
        let now = clock::now();
        let note = self.note(&attempted, outcome);
        let Attempted { attempt, admitted, .. } = attempted;
        let keys: Vec<_> = admitted.hold.accounts().cloned().collect();
        let view = self.known().view.clone();
        let target = attempt.target().clone();
        let model = view.catalog.find(&target.provider.kind, &target.model);
        let charged = match (facts.usage, model) {
            (Some(usage), Some(model)) => {
                let settled = admitted.hold.settle(now, price(model, &usage, facts));
                // A guess can be passed without anybody charging too much.
                if settled.overcharged && admitted.quote.bounded {
                    self.gateway.overcharged.note(&admitted.quote.name, view.catalog.version());
                }
                settled.cost
            }
            (None, _) | (_, None) => {
                self.tally.estimated = true;
                admitted.hold.settle_unknown(now).cost
            }
        };
        let usage = facts.usage.unwrap_or_default();
        self.tally.used(&usage);
        self.tally.charge(keys, charged);
        self.tally.notes.push(Note { cost: charged, ..note });
        if facts.usage.is_some() {
            let caller = &self.known().bearer.caller;
            self.gateway.parts.ledger.note_output(caller, &admitted.quote.name, usage.answer_tokens());
        }
        admitted.slot.settle(now, tokens(&usage));
        let noticed = attempt.completed(facts.usage.map(|usage| usage.total_tokens()), now);
        tracing::trace!(?noticed, "an attempt was completed");
        charged
    }

    /// Settles an answer that broke off. What the provider will bill nobody knows, so what is held is charged.
    fn settle_cut(&mut self, attempted: Attempted, facts: &AnswerFacts, outcome: &'static str, fault: Option<&Fault>) {
        let now = clock::now();
        let note = self.note(&attempted, outcome);
        let Attempted { attempt, admitted, .. } = attempted;
        let keys: Vec<_> = admitted.hold.accounts().cloned().collect();
        let charged = admitted.hold.settle_unknown(now).cost;
        let usage = facts.usage.unwrap_or_default();
        self.tally.estimated = true;
        self.tally.used(&usage);
        self.tally.charge(keys, charged);
        self.tally.notes.push(Note { cost: charged, ..note });
        admitted.slot.settle(now, tokens(&usage));
        if let Some(fault) = fault {
            let noticed = attempt.failed(&Failure::from(fault), Some(usage.total_tokens()), now);
            tracing::info!(request_id = %self.known().arrival.id, class = fault.class.as_str(), ?noticed,
                "a stream broke off after the client was answered");
        }
    }
}

/// The cost of an answer: by the tier that served it, where the provider says.
fn price(model: &Model, usage: &Usage, facts: &AnswerFacts) -> NanoUsd {
    let tier = facts.service_tier.as_deref().map_or(ServiceTier::Standard, ServiceTier::from_wire);
    cost(&model.prices, usage, Terms { tier, regional: false })
}

fn tokens(usage: &Usage) -> Tokens {
    Tokens { input: usage.prompt_tokens(), output: usage.answer_tokens() }
}

fn finish_word(facts: &AnswerFacts) -> Option<&'static str> {
    use bh_chat::Finish;
    facts.finish.as_ref().map(|finish| match finish {
        Finish::Stop => "stop",
        Finish::StopSequence(_) => "stop_sequence",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::Refusal => "refusal",
        Finish::ContentFilter => "content_filter",
        Finish::Pause => "pause",
        Finish::Other(_) => "other",
    })
}
