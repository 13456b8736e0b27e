//! How an answer leaves the echo: frame by frame, with pauses, and with the ending that was wished for.

use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bh_chat::{Fault, FaultClass};
use bh_pipeline::ports::AnswerBody;
use bytes::Bytes;
use tokio::task::coop;
use tokio::time::Sleep;

use super::answer::Answer;
use super::wire::{self, Envelope};
use super::wishes::Ending;
use crate::fault;

/// Longest sum of the pauses of one answer; the rest then comes without pause.
pub(crate) const PAUSES_TOTAL_MAX: Duration = Duration::from_secs(600);
/// Longest silence of a stalled answer; then the connection breaks.
pub(crate) const STALL_MAX: Duration = Duration::from_secs(600);

/// The frames of an answer.
pub(crate) enum Frames {
    /// Made when they are due.
    Stream(Box<(Envelope, Answer)>),
    /// One body, in one or two parts.
    Plain(Vec<Bytes>),
}

/// An answer on its way.
pub(crate) struct EchoBody {
    provider: String,
    frames: Frames,
    count: usize,
    /// The frame in whose place an early ending happens.
    breaks_at: usize,
    ending: Ending,
    pause: Duration,
    paused: Duration,
    next: usize,
    waiting: Option<Pin<Box<Sleep>>>,
    stalled: bool,
}

impl Frames {
    fn count(&self) -> usize {
        match self {
            Frames::Stream(parts) => wire::frames(&parts.0, &parts.1),
            Frames::Plain(parts) => parts.len(),
        }
    }

    fn get(&self, at: usize) -> Bytes {
        match self {
            Frames::Stream(parts) => wire::frame(&parts.0, &parts.1, at),
            Frames::Plain(parts) => parts[at].clone(),
        }
    }
}

impl EchoBody {
    pub(crate) fn new(provider: &str, frames: Frames, ending: Ending, pause: Duration) -> Self {
        let count = frames.count();
        let breaks_at = match (&frames, ending) {
            (_, Ending::Whole) => count,
            (
                Frames::Stream(parts),
                Ending::Cut(tokens) | Ending::Stall(tokens) | Ending::Error(tokens) | Ending::Unfinished(tokens),
            ) => wire::frames_before(&parts.0, tokens),
            // A plain body breaks in its middle.
            (Frames::Plain(_), Ending::Cut(_) | Ending::Stall(_) | Ending::Error(_) | Ending::Unfinished(_)) => 1,
        };
        // Past the last delta there is only the terminal event to lose.
        let breaks_at = if ending == Ending::Whole { count } else { breaks_at.min(count - 1) };
        let (paused, waiting) = (Duration::ZERO, None);
        let provider = provider.to_owned();
        Self { provider, frames, count, breaks_at, ending, pause, paused, next: 0, waiting, stalled: false }
    }

    /// The end of the frames: `None`, or the fault that was wished for, once.
    fn end(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        let broke_off = |provider: &str| {
            Poll::Ready(Some(Err(fault::fault(FaultClass::Cut, format!("provider `{provider}` broke off its answer")))))
        };
        match std::mem::replace(&mut self.ending, Ending::Whole) {
            Ending::Whole | Ending::Unfinished(_) => Poll::Ready(None),
            Ending::Cut(_) => broke_off(&self.provider),
            Ending::Error(_) => Poll::Ready(Some(Ok(wire::error_frame("echo: an error was asked for")))),
            Ending::Stall(tokens) if !self.stalled => {
                self.stalled = true;
                self.ending = Ending::Stall(tokens);
                self.waiting = Some(Box::pin(tokio::time::sleep(STALL_MAX)));
                self.poll_chunk(cx)
            }
            Ending::Stall(_) => broke_off(&self.provider),
        }
    }
}

impl AnswerBody for EchoBody {
    fn poll_chunk(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, Fault>>> {
        if let Some(wait) = &mut self.waiting {
            ready!(wait.as_mut().poll(cx));
            self.waiting = None;
        }
        if self.breaks_at <= self.next {
            return self.end(cx);
        }
        // An answer that is always ready must still let other tasks run.
        let progress = ready!(coop::poll_proceed(cx));
        let frame = self.frames.get(self.next);
        self.next += 1;
        if !self.pause.is_zero() && self.next < self.count && self.paused < PAUSES_TOTAL_MAX {
            self.paused += self.pause;
            self.waiting = Some(Box::pin(tokio::time::sleep(self.pause)));
        }
        progress.made_progress();
        Poll::Ready(Some(Ok(frame)))
    }
}
