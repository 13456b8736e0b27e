//! `count_tokens`: asked of an Anthropic target, which does it for nothing; counted here for every other.

use std::sync::Arc;

use bh_count::{Encoding, count_text, estimate_from_bytes};
use bh_dialect::Dialect;
use bh_policy::{Chain, Failure, Turn};
use bytes::Bytes;
use http::HeaderMap;
use tokio::time::{Instant, timeout_at};

use crate::clock::{self, next_draw};
use crate::gateway::Gateway;
use crate::known::Known;
use crate::planned::plan_for;
use crate::ports::{Call, Op};
use crate::prepared::{Terms, on_unsupported, prepare};
use crate::read::{Reader, read_whole};
use crate::received::Received;
use crate::reply::Refused;

/// Longest a count may take at a provider; past it the count is made here.
const PATIENCE: std::time::Duration = std::time::Duration::from_secs(20);

impl Gateway {
    /// Counts the prompt tokens of a messages request. Nothing is charged, and no conversation is answered.
    ///
    /// # Errors
    /// Every refusal, already recorded.
    pub async fn count_tokens(&self, known: Known, headers: &HeaderMap, body: Bytes) -> Result<Bytes, Refused> {
        let away = |refusal| self.turn_away(&known.arrival, Some(&known), refusal);
        let mut received = Received::read(&known, headers, body).map_err(away)?;
        let slot = self
            .parts
            .ledger
            .limit(known.arrival.at, &known.bearer.caller, bh_ledger::Tokens::default())
            .map_err(|limit| away(limit.into()))?;
        let plan = plan_for(&received).map_err(away)?;
        let first = plan.steps.first().map(|step| Arc::clone(&step.target));
        let counted = self.ask_anthropic(&mut received, Chain::new(plan, known.arrival.at)).await;
        slot.settle(clock::now(), bh_ledger::Tokens::default());
        match counted {
            Some(answer) => Ok(answer),
            None => {
                let model = first.as_ref().map_or(received.scan.model.as_str(), |target| &*target.model);
                Ok(Bytes::from(bh_dialect::count_tokens_body(count_here(&received, model))))
            }
        }
    }

    /// The first Anthropic target that answers.
    async fn ask_anthropic(&self, received: &mut Received, mut chain: Chain) -> Option<Bytes> {
        let end = Instant::now() + PATIENCE;
        let on_unsupported = on_unsupported(&received.known.view, &chain.plan().source);
        let terms = Terms { quote: None, on_unsupported };
        let mut draw = clock::draw_of(received.known.arrival.id);
        loop {
            draw = next_draw(draw);
            let attempt = match chain.turn(clock::now(), draw) {
                Turn::Call(attempt) => attempt,
                Turn::Wait(_) | Turn::Queue(..) | Turn::Over(_) => return None,
            };
            let target = Arc::clone(attempt.target());
            let provider = received.known.view.providers.get(&target.provider.id)?.clone();
            if provider.dialect != Dialect::AnthropicMessages {
                return None;
            }
            let prepared = prepare(received, &provider, &target.model, &terms).ok()?;
            let call = Call {
                provider: Arc::clone(&target.provider.id),
                key: attempt.key(),
                op: Op::CountTokens,
                headers: received.wishes.anthropic.clone(),
                body: prepared.body,
                model: Arc::clone(&target.model),
                stream: false,
            };
            let called = Instant::now();
            let fault = match timeout_at(end, self.parts.upstream.call(call)).await.ok()? {
                Ok(response) if response.status == 200 => {
                    let reader = Reader::new(response.body, &provider.deadlines, called, Some(end));
                    match read_whole(reader).await {
                        Ok(body) => {
                            let noticed = attempt.completed(None, clock::now());
                            tracing::trace!(?noticed, "tokens were counted");
                            return Some(body);
                        }
                        Err(fault) => fault,
                    }
                }
                Ok(response) => bh_dialect::classify(provider.dialect, response.status, &|_| None, &[]),
                Err(fault) => fault,
            };
            let (_, noticed) = chain.failed(attempt, &Failure::from(&fault), clock::now(), draw);
            tracing::debug!(?noticed, "a provider could not count tokens");
        }
    }
}

/// Our own count: exact text tokens where the model's encoding is known, an estimate elsewhere.
fn count_here(received: &Received, model: &str) -> u64 {
    let size = &received.scan.size;
    match (Encoding::for_model(model), std::str::from_utf8(&received.body)) {
        // The body is the text plus its JSON dress; the share of the text in it is the share of its tokens.
        (Some(encoding), Ok(text)) if !text.is_empty() => {
            let whole = count_text(encoding, text);
            let bytes = u64::try_from(text.len()).unwrap_or(u64::MAX);
            whole.saturating_mul(size.text_bytes.min(bytes)).div_ceil(bytes)
        }
        (Some(_), Ok(_)) | (None, _) | (_, Err(_)) => estimate_from_bytes(size.text_bytes),
    }
}
