//! How a scripted body leaves: step by step, each chunk flushed by itself, and what became of it counted.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use anyhow::{Error, Result, anyhow};
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::Shared;
use super::reply::{Reply, Step};

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What becomes of one answer; dropped before it is settled, the client has left.
pub(super) struct Progress {
    shared: Arc<Shared>,
    settled: bool,
}

/// The body of a scripted answer.
pub(super) struct ScriptBody {
    steps: std::vec::IntoIter<Step>,
    /// Bytes that come again and again, once begun.
    endless: Option<(Bytes, Duration)>,
    wait: Option<Wait>,
    /// A chunk was handed over; the server must flush before it gets the next.
    flush: bool,
    bytes_left: Option<u64>,
    bills_per_piece: u64,
    progress: Progress,
}

impl Progress {
    pub(super) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, settled: false }
    }

    pub(super) fn started(&self, bills: u64) {
        self.shared.note(|served| served.billed_nano_usd += bills);
    }

    fn sent(&self, bytes: usize, bills: u64) {
        self.shared.note(|served| {
            served.bytes += bytes as u64;
            served.billed_nano_usd += bills;
        });
    }

    fn completed(&mut self) {
        if !std::mem::replace(&mut self.settled, true) {
            self.shared.note(|served| served.completed += 1);
        }
    }

    fn cut(&mut self) -> Error {
        if !std::mem::replace(&mut self.settled, true) {
            self.shared.note(|served| served.cut += 1);
        }
        anyhow!("the script breaks the connection here")
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if !self.settled {
            self.shared.note(|served| served.abandoned += 1);
        }
    }
}

/// Walks the steps before the headers.
pub(super) async fn before_headers(mut reply: Reply, mut progress: Progress) -> Result<(Reply, Progress)> {
    for step in std::mem::take(&mut reply.before) {
        match step {
            Step::Bytes(_) => {}
            Step::Cut => return Err(progress.cut()),
            Step::Pause(_) | Step::Gate(_) | Step::Stall | Step::Endless(..) => waiting(step).await,
        }
    }
    Ok((reply, progress))
}

fn waiting(step: Step) -> Wait {
    match step {
        Step::Pause(pause) => Box::pin(tokio::time::sleep(pause)),
        Step::Gate(gate) => Box::pin(gate.passed()),
        Step::Stall | Step::Endless(..) => Box::pin(std::future::pending()),
        Step::Bytes(_) | Step::Cut => Box::pin(std::future::ready(())),
    }
}

impl ScriptBody {
    pub(super) fn new(steps: Vec<Step>, declared: Option<u64>, bills_per_piece: u64, mut progress: Progress) -> Self {
        // The server never asks a body that is declared empty.
        if declared == Some(0) {
            progress.completed();
        }
        let steps = steps.into_iter();
        Self { steps, endless: None, wait: None, flush: false, bytes_left: declared, bills_per_piece, progress }
    }

    fn send(&mut self, bytes: Bytes) -> Poll<Option<Result<Frame<Bytes>>>> {
        self.flush = true;
        self.progress.sent(bytes.len(), self.bills_per_piece);
        if let Some(left) = &mut self.bytes_left {
            *left = left.saturating_sub(bytes.len() as u64);
            // With a declared length the server does not ask for an end.
            if *left == 0 {
                self.progress.completed();
            }
        }
        Poll::Ready(Some(Ok(Frame::data(bytes))))
    }
}

impl Body for ScriptBody {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>>>> {
        loop {
            if std::mem::take(&mut self.flush) {
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            if let Some(wait) = &mut self.wait {
                ready!(wait.as_mut().poll(cx));
                self.wait = None;
            }
            if let Some((bytes, every)) = self.endless.clone() {
                self.wait = Some(Box::pin(tokio::time::sleep(every)));
                return self.send(bytes);
            }
            match self.steps.next() {
                None => {
                    self.progress.completed();
                    return Poll::Ready(None);
                }
                Some(Step::Bytes(bytes)) if bytes.is_empty() => {}
                Some(Step::Bytes(bytes)) => return self.send(bytes),
                Some(Step::Cut) => return Poll::Ready(Some(Err(self.progress.cut()))),
                Some(Step::Endless(bytes, every)) => self.endless = Some((bytes, every)),
                Some(step @ (Step::Pause(_) | Step::Gate(_) | Step::Stall)) => self.wait = Some(waiting(step)),
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        self.bytes_left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
