//! The door of the pipeline: a known caller's headers and body go in, an answer or a refusal comes out.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;

use crate::gateway::Gateway;
use crate::known::Known;
use crate::limited::Limited;
use crate::planned::plan_for;
use crate::received::Received;
use crate::recorded::Denied;
use crate::refusal::Refusal;
use crate::reply::{Head, Refused, Reply};
use crate::walk::Walk;

impl Gateway {
    /// Answers a request that can cost money. The work is done by a task of its own: dropping this future is the
    /// client hanging up, which cancels the provider's call and still settles and records it.
    ///
    /// # Errors
    /// Every refusal, already recorded.
    pub async fn answer(self: &Arc<Self>, known: Known, headers: &HeaderMap, body: Bytes) -> Result<Reply, Refused> {
        let received = match Received::read(&known, headers, body) {
            Ok(received) => received,
            Err(refusal) => return Err(self.turn_away(&known.arrival, Some(&known), refusal)),
        };
        let Limited { received, slot, place } = match self.limit(received) {
            Ok(limited) => limited,
            Err(refused) => {
                let (received, refusal) = *refused;
                return Err(self.turn_back(&received, refusal));
            }
        };
        let plan = match plan_for(&received) {
            Ok(plan) => plan,
            Err(refusal) => {
                slot.refund(crate::clock::now());
                return Err(self.turn_back(&received, refusal));
            }
        };
        let (mut head, answered) = Head::pair();
        let mut walk = Walk::new(Arc::clone(self), received, plan, place);
        self.tracker().spawn(async move {
            let end = walk.run(&mut head).await;
            let used =
                bh_ledger::Tokens { input: walk.tally.usage.prompt_tokens(), output: walk.tally.usage.answer_tokens() };
            if walk.tally.notes.is_empty() {
                slot.refund(crate::clock::now());
            } else {
                slot.settle(crate::clock::now(), used);
            }
            walk.finish(end, &mut head);
        });
        match answered.await {
            Ok(answer) => answer,
            // The task ended without a word: it panicked, and what it held was settled by its drop.
            Err(_) => Err(self.turn_away(&known.arrival, Some(&known), Refusal::Panicked)),
        }
    }

    fn turn_back(&self, received: &Received, refusal: Refusal) -> Refused {
        let known = &received.known;
        let told = (self.parts.status_of)(&refusal, &known.view);
        let asked = Some(received.scan.model.as_str());
        self.deny(&known.arrival, Denied { known: Some(known), asked, decision: None, told });
        self.refused(known, refusal, 0, None)
    }
}
