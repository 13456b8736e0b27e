//! What the tests of the port share.

use std::future::poll_fn;
use std::sync::Arc;
use std::time::Duration;

use bh_chat::Fault;
use bh_pipeline::ports::{Call, Op, Response};
use bh_upstream::{Config, KeyConfig, Kind, ProviderConfig, Timeouts, Upstreams};
use bytes::Bytes;

pub(crate) const SECRET: &str = "sk-test-secret-0001";

/// A provider `p` with one key.
pub(crate) fn provider(kind: Kind, base_url: &str) -> ProviderConfig {
    ProviderConfig {
        id: "p".to_owned(),
        kind,
        base_url: Some(base_url.to_owned()),
        keys: vec![KeyConfig { id: "a".to_owned(), secret: SECRET.into() }],
        headers: Vec::new(),
        timeouts: Timeouts { connect: Duration::from_secs(5), headers: Duration::from_secs(20) },
        extra_roots: Vec::new(),
    }
}

pub(crate) fn build(provider: ProviderConfig) -> Upstreams {
    Upstreams::build(Config { providers: vec![provider] }).unwrap()
}

/// A chat call to `p` with its first key.
pub(crate) fn call(body: impl Into<Bytes>) -> Call {
    Call {
        provider: Arc::from("p"),
        key: 0,
        op: Op::Chat,
        headers: Vec::new(),
        body: body.into(),
        model: Arc::from("m"),
        stream: false,
    }
}

/// The next piece of a body.
pub(crate) async fn next(response: &mut Response) -> Option<Result<Bytes, Fault>> {
    poll_fn(|cx| response.body.poll_chunk(cx)).await
}

/// The body up to its end or its fault.
pub(crate) async fn read(response: &mut Response) -> (Vec<u8>, Option<Fault>) {
    let mut bytes = Vec::new();
    loop {
        match next(response).await {
            Some(Ok(piece)) => bytes.extend_from_slice(&piece),
            Some(Err(fault)) => return (bytes, Some(fault)),
            None => return (bytes, None),
        }
    }
}
