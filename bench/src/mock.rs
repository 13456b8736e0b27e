//! The provider: answers at once, plain or as a stream, and does nothing else.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::Result;
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{HeaderValue, Request, Response};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::exchange::{CHUNK_EVERY, CHUNKS, STREAM_MARK, USAGE_MARK, answer_body, chunk, stream_end};
use crate::{listen, wire};

/// Serves until the process is killed, on one thread: it must not take the cores of what is measured.
///
/// # Errors
/// When no port can be bound.
pub(crate) fn serve() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let plain = Bytes::from(answer_body());
    runtime.block_on(listen::serve(move |request| answer(plain.clone(), request)))
}

async fn answer(plain: Bytes, request: Request<Incoming>) -> Result<Response<Either<Full<Bytes>, Chunks>>> {
    let body = request.into_body().collect().await?.to_bytes();
    let (kind, body) = if wire::find(&body, STREAM_MARK).is_some() {
        let usage = wire::find(&body, USAGE_MARK).is_some();
        ("text/event-stream; charset=utf-8", Either::Right(Chunks::new(usage)))
    } else {
        ("application/json", Either::Left(Full::new(plain)))
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    Ok(response)
}

/// A streamed answer: the first chunk at once, each next one 20 ms later, then the end.
struct Chunks {
    ticks: Interval,
    sent: u32,
    usage: bool,
}

impl Chunks {
    fn new(usage: bool) -> Self {
        let mut ticks = interval(CHUNK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Chunks { ticks, sent: 0, usage }
    }
}

impl Body for Chunks {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if CHUNKS < self.sent {
            return Poll::Ready(None);
        }
        ready!(self.ticks.poll_tick(cx));
        let text = if self.sent == CHUNKS { stream_end(self.usage) } else { chunk(now_ns()) };
        self.sent += 1;
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(text)))))
    }
}

/// Nanoseconds since the epoch: the one clock that mock and load generator share.
pub(crate) fn now_ns() -> u128 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos())
}
