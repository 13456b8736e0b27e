//! Bodies on their way in and out: read whole within bounds, sent whole or piece by piece.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bh_pipeline::{Pieces, Refusal};
use bytes::{Bytes, BytesMut};
use http_body::Frame;
use http_body_util::BodyExt;
use tokio::time::timeout;

/// Longest silence while a request's body arrives.
pub(crate) const BODY_IDLE_MAX: Duration = Duration::from_secs(30);

/// Reads a request's body whole.
///
/// # Errors
/// [`Refusal::TooLarge`] as soon as it is known to be, [`Refusal::BodyCut`] when it breaks off or stalls.
pub(crate) async fn read(mut body: Body, bytes_max: usize) -> Result<Bytes, Refusal> {
    let too_large = || Refusal::TooLarge { bytes_max };
    let announced = http_body::Body::size_hint(&body).lower();
    if usize::try_from(announced).map_or(true, |bytes| bytes_max < bytes) {
        return Err(too_large());
    }
    let mut first: Option<Bytes> = None;
    let mut whole = BytesMut::new();
    loop {
        let frame = match timeout(BODY_IDLE_MAX, body.frame()).await {
            Ok(Some(Ok(frame))) => frame,
            Ok(None) => break,
            Ok(Some(Err(_))) | Err(_) => return Err(Refusal::BodyCut),
        };
        let Ok(piece) = frame.into_data() else { continue };
        let so_far = first.as_ref().map_or(0, Bytes::len) + whole.len();
        if bytes_max < so_far + piece.len() {
            return Err(too_large());
        }
        match first.take() {
            // Most bodies arrive in one piece, which then needs no copy.
            None if whole.is_empty() => first = Some(piece),
            None => whole.extend_from_slice(&piece),
            Some(before) => {
                whole.extend_from_slice(&before);
                whole.extend_from_slice(&piece);
            }
        }
    }
    Ok(first.unwrap_or_else(|| whole.freeze()))
}

/// A streamed answer as a body. A failure becomes the dialect's error event and is the last thing sent.
pub(crate) struct Streamed {
    pieces: Pieces,
    told: Box<dyn Fn(Refusal) -> Bytes + Send>,
    over: bool,
}

impl Streamed {
    pub(crate) fn new(pieces: Pieces, told: impl Fn(Refusal) -> Bytes + Send + 'static) -> Self {
        Streamed { pieces, told: Box::new(told), over: false }
    }
}

impl http_body::Body for Streamed {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.over {
            return Poll::Ready(None);
        }
        match self.pieces.poll_recv(cx) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Ok(bytes))) => Poll::Ready(Some(Ok(Frame::data(bytes)))),
            Poll::Ready(Some(Err(refusal))) => {
                self.over = true;
                let last = (self.told)(refusal);
                Poll::Ready(Some(Ok(Frame::data(last))))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.over
    }
}
