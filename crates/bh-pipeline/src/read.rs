//! Reads a provider's body under its deadlines: whole, or as a stream towards the client.

use std::future::poll_fn;
use std::time::Duration;

use bh_base::Millis;
use bh_base::limits::{ANSWER_BYTES_MAX, ERROR_BODY_BYTES_MAX};
use bh_chat::{Fault, FaultClass};
use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, timeout_at};

use crate::ports::AnswerBody;
use crate::view::Deadlines;

/// A moment so far away that it never comes, for deadlines that are off.
const NEVER: Duration = Duration::from_secs(86_400 * 365);

/// A failure of the transport or of time, in words that name no host.
pub(crate) fn fault(class: FaultClass, message: &str) -> Fault {
    Fault {
        class,
        status: None,
        kind: None,
        code: None,
        param: None,
        message: message.to_owned(),
        retry_after_ms: None,
    }
}

/// A body and the moments it must not miss.
pub(crate) struct Reader {
    body: Box<dyn AnswerBody>,
    idle: Duration,
    total: Instant,
    /// Set until the first content arrives.
    first: Option<Instant>,
}

impl Reader {
    /// A reader whose clocks started when the call did. `request_end` is the client's own deadline, if any.
    pub(crate) fn new(
        body: Box<dyn AnswerBody>,
        deadlines: &Deadlines,
        called: Instant,
        request_end: Option<Instant>,
    ) -> Self {
        let after = |span: Millis| if span.0 == 0 { called + NEVER } else { called + Duration::from(span) };
        let total = after(deadlines.total);
        Reader {
            body,
            idle: if deadlines.idle.0 == 0 { NEVER } else { deadlines.idle.into() },
            total: request_end.map_or(total, |end| end.min(total)),
            first: Some(after(deadlines.first_token)),
        }
    }

    /// Content has arrived: from here on only the idle and total deadlines count.
    pub(crate) fn content_seen(&mut self) {
        self.first = None;
    }

    /// The next piece, or the failure of waiting for it.
    pub(crate) async fn next(&mut self) -> Option<Result<Bytes, Fault>> {
        let idle = Instant::now() + self.idle;
        let (end, words) = match self.first {
            Some(first) if first < self.total => {
                (first, "the provider sent no content before the first-token deadline")
            }
            None if idle < self.total => (idle, "the provider fell silent past the idle deadline"),
            Some(_) | None => (self.total, "the answer took longer than the total deadline"),
        };
        match timeout_at(end, poll_fn(|cx| self.body.poll_chunk(cx))).await {
            Ok(piece) => piece,
            Err(_) => Some(Err(fault(FaultClass::Timeout, words))),
        }
    }
}

/// Reads a plain answer to its end. The first-token deadline does not apply: a plain answer is silent until it is whole.
///
/// # Errors
/// A deadline passed, the connection broke, or the answer is larger than [`ANSWER_BYTES_MAX`].
pub(crate) async fn read_whole(mut reader: Reader) -> Result<Bytes, Fault> {
    reader.content_seen();
    let Some(first) = reader.next().await.transpose()? else { return Ok(Bytes::new()) };
    let Some(second) = reader.next().await.transpose()? else { return Ok(first) };
    let mut whole = BytesMut::with_capacity(2 * (first.len() + second.len()));
    whole.extend_from_slice(&first);
    whole.extend_from_slice(&second);
    while let Some(piece) = reader.next().await.transpose()? {
        if ANSWER_BYTES_MAX < whole.len() + piece.len() {
            return Err(fault(FaultClass::Malformed, "the provider's answer is larger than 64 MiB"));
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
}

/// Reads as much of an error body as is worth showing; what is missing does not matter.
pub(crate) async fn read_error(mut reader: Reader) -> Bytes {
    reader.content_seen();
    let mut text = BytesMut::new();
    while let Some(Ok(piece)) = reader.next().await {
        let room = ERROR_BODY_BYTES_MAX - text.len();
        text.extend_from_slice(&piece[..piece.len().min(room)]);
        if text.len() == ERROR_BODY_BYTES_MAX {
            break;
        }
    }
    text.freeze()
}
