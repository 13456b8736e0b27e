//! What the edge gets back from the pipeline, and how a request's task hands it over.

use std::sync::Arc;

use bh_base::NanoUsd;
use bh_ledger::{AccountView, Rates};
use bytes::Bytes;
use tokio::sync::oneshot;

use crate::refusal::Refusal;
use crate::relay::Pieces;

/// An answer.
#[derive(Debug)]
pub struct Reply {
    /// What the headers say of it.
    pub facts: ReplyFacts,
    /// Its body.
    pub body: ReplyBody,
}

/// The body of an answer.
#[derive(Debug)]
pub enum ReplyBody {
    /// Whole.
    Whole(Bytes),
    /// As it arrives: bytes, and at most one failure, which comes last.
    Stream(Pieces),
}

/// What headers say of a request. What is not known yet, or never will be, is absent.
#[derive(Debug, Clone, Default)]
pub struct ReplyFacts {
    /// The provider that answers.
    pub provider: Option<Arc<str>>,
    /// Its model.
    pub model: Option<Arc<str>>,
    /// Attempts made so far.
    pub attempts: u32,
    /// What it cost; not known yet on a stream.
    pub cost: Option<NanoUsd>,
    /// What is left of the token's own budgets, the tightest of them.
    pub budget_remaining: Option<NanoUsd>,
    /// Time spent in the gateway before a provider was called, in microseconds; not said on a stream.
    pub overhead_us: Option<u64>,
    /// The caller's own rates.
    pub rates: Rates,
    /// The decision, where the caller asked and may know.
    pub explain: Option<bh_audit::Decision>,
    /// What was left out or changed for the provider, where the client is to be told.
    pub warnings: Vec<String>,
}

/// A request that got no answer.
#[derive(Debug)]
pub struct Refused {
    /// Why.
    pub refusal: Refusal,
    /// What the headers say.
    pub facts: Box<ReplyFacts>,
    /// Numbers of the scope that refused may be shown to this caller.
    pub may_see_amounts: bool,
    /// The counters of the token itself, whose numbers its bearer may always see.
    pub own: Vec<AccountView>,
}

/// Where the request's task puts its answer. The client may be gone.
pub(crate) struct Head {
    sender: Option<oneshot::Sender<Result<Reply, Refused>>>,
}

impl Head {
    pub(crate) fn pair() -> (Self, oneshot::Receiver<Result<Reply, Refused>>) {
        let (sender, receiver) = oneshot::channel();
        (Head { sender: Some(sender) }, receiver)
    }

    /// Resolves when the client hung up before it was answered; never after an answer was sent.
    pub(crate) async fn closed(&mut self) {
        match &mut self.sender {
            Some(sender) => sender.closed().await,
            None => std::future::pending().await,
        }
    }

    /// Hands the answer over. False when nobody waits for it any more.
    pub(crate) fn send(&mut self, answer: Result<Reply, Refused>) -> bool {
        self.sender.take().is_some_and(|sender| sender.send(answer).is_ok())
    }

    /// Whether an answer was handed over already.
    pub(crate) fn is_sent(&self) -> bool {
        self.sender.is_none()
    }
}
