//! Carries a provider's stream to the client: held back until its first content, then kept alive, bounded and watched.

use std::time::Duration;

use bh_chat::Fault;
use bh_dialect::{AnswerFacts, AnswerOptions, AnswerStream, Dialect, keep_alive};
use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::commitment::Commitment;
use crate::read::Reader;
use crate::refusal::Refusal;

/// Pieces of an answer that may wait for a slow client before the provider is slowed down.
pub const CLIENT_QUEUE: usize = 16;

/// What the client's connection reads: bytes, and at most one failure, which is the last thing.
pub type Pieces = mpsc::Receiver<Result<Bytes, Refusal>>;

/// How a stream ended once the client had been answered.
#[derive(Debug)]
pub(crate) enum Ended {
    /// With its terminal event.
    Complete,
    /// The provider failed. The client is still to be told, once our secrets are out of the provider's words.
    Failed(Fault),
    /// The client hung up, or read nothing for longer than `write_stall`.
    ClientGone,
    /// The budget was used up on the way; the client has been told in the stream.
    Broke(Refusal),
}

/// A provider's stream that has not reached the client yet.
pub(crate) struct Relay {
    stream: AnswerStream,
    reader: Reader,
    held: BytesMut,
    eof: bool,
    to: Dialect,
    /// Whether the provider's bytes pass as they come.
    verbatim: bool,
    keepalive: Duration,
}

/// The timers of the client's side.
pub(crate) struct Pace {
    /// Silence after which a keep-alive is sent.
    pub(crate) keepalive: Duration,
    /// Longest time the client may leave a full queue unread.
    pub(crate) write_stall: Duration,
}

impl Relay {
    pub(crate) fn new(from: Dialect, to: Dialect, options: AnswerOptions, reader: Reader, keepalive: Duration) -> Self {
        let stream = AnswerStream::new(from, to, options);
        Relay { stream, reader, held: BytesMut::new(), eof: false, to, verbatim: from == to, keepalive }
    }

    /// Reads until the answer has content, so that everything before can still fail over; or until the client would
    /// have to be kept alive while the provider has at least begun.
    ///
    /// # Errors
    /// The provider failed before the client was answered.
    pub(crate) async fn open(&mut self) -> Result<(), Fault> {
        let patience = Instant::now() + self.keepalive;
        while !self.stream.has_content() && !self.stream.terminal() && !self.eof {
            let begun = self.stream.started();
            tokio::select! {
                piece = self.reader.next() => self.take(piece)?,
                () = sleep_until(patience), if begun => return Ok(()),
            }
        }
        self.reader.content_seen();
        Ok(())
    }

    fn take(&mut self, piece: Option<Result<Bytes, Fault>>) -> Result<(), Fault> {
        match piece {
            Some(Ok(bytes)) => self.stream.push(&bytes, &mut self.held),
            Some(Err(fault)) => Err(fault),
            None => {
                self.eof = true;
                self.stream.finish(&mut self.held)
            }
        }
    }

    /// Sends what was held and everything after it. `spend` is told the facts after every piece and may end the
    /// stream when the money is gone.
    pub(crate) async fn pump(
        &mut self,
        client: &mpsc::Sender<Result<Bytes, Refusal>>,
        pace: &Pace,
        mut commitment: Option<&mut Commitment>,
        mut spend: impl FnMut(&AnswerFacts) -> Result<(), Refusal>,
    ) -> Ended {
        loop {
            if !self.send(client, pace, commitment.as_deref_mut()).await {
                return Ended::ClientGone;
            }
            if self.stream.terminal() || self.eof {
                self.send_rest(client, pace, commitment).await;
                return Ended::Complete;
            }
            if let Err(refusal) = spend(self.stream.facts()) {
                tell(client, refusal.clone()).await;
                return Ended::Broke(refusal);
            }
            let silence = Instant::now() + pace.keepalive;
            let taken = tokio::select! {
                piece = self.reader.next() => self.take(piece),
                () = sleep_until(silence) => {
                    self.held.extend_from_slice(keep_alive(self.to));
                    Ok(())
                }
                () = client.closed() => return Ended::ClientGone,
            };
            if self.stream.has_content() {
                self.reader.content_seen();
            }
            if let Err(fault) = taken {
                if !self.send(client, pace, commitment.as_deref_mut()).await {
                    return Ended::ClientGone;
                }
                return Ended::Failed(fault);
            }
        }
    }

    /// Passes on what little follows the terminal event, so that where the provider's bytes were split changes nothing.
    /// The answer is complete by then: a fault after it, or a client that has stopped reading, changes nothing either.
    async fn send_rest(
        &mut self,
        client: &mpsc::Sender<Result<Bytes, Refusal>>,
        pace: &Pace,
        mut commitment: Option<&mut Commitment>,
    ) {
        const PATIENCE: Duration = Duration::from_millis(50);
        let until = Instant::now() + PATIENCE;
        while self.verbatim && !self.eof {
            let Ok(piece) = timeout_at(until, self.reader.next()).await else { return };
            if self.take(piece).is_err() || !self.send(client, pace, commitment.as_deref_mut()).await {
                return;
            }
        }
    }

    /// Sends what is held. False when the client is gone, or stuck for longer than `write_stall`.
    async fn send(
        &mut self,
        client: &mpsc::Sender<Result<Bytes, Refusal>>,
        pace: &Pace,
        commitment: Option<&mut Commitment>,
    ) -> bool {
        if self.held.is_empty() {
            return true;
        }
        let piece = self.held.split().freeze();
        if let Some(commitment) = commitment {
            commitment.feed(&piece);
        }
        matches!(timeout(pace.write_stall, client.send(Ok(piece))).await, Ok(Ok(())))
    }

    /// Reads what little follows the terminal event, so that the connection can be used again.
    pub(crate) async fn drain(&mut self) {
        const PATIENCE: Duration = Duration::from_millis(200);
        const PIECES: usize = 8;
        for _ in 0..PIECES {
            match timeout(PATIENCE, self.reader.next()).await {
                Ok(Some(Ok(_))) => (),
                Ok(Some(Err(_)) | None) | Err(_) => return,
            }
        }
    }

    /// What is known of the answer so far.
    pub(crate) fn facts(&self) -> &AnswerFacts {
        self.stream.facts()
    }
}

/// Tells the client why its stream ends. A client that is gone or stuck cannot be told, and that is no failure.
pub(crate) async fn tell(client: &mpsc::Sender<Result<Bytes, Refusal>>, refusal: Refusal) {
    const LAST_WORD: Duration = Duration::from_secs(5);
    if timeout(LAST_WORD, client.send(Err(refusal))).await.is_err() {
        tracing::debug!("a client read nothing and could not be told why its stream ended");
    }
}
