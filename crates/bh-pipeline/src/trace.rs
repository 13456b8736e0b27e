//! W3C Trace Context: reads a client's `traceparent`, writes the one a provider sees.

use bh_base::RequestId;
use http::{HeaderMap, HeaderValue};

use crate::clock::next_draw;
use crate::ports::Trace;

/// The trace a request belongs to: the client's when its `traceparent` can be read, a new one named after the request
/// otherwise (a broken header is ignored, as the standard asks).
pub(crate) fn trace_of(headers: &HeaderMap, id: RequestId, draw: u64) -> Trace {
    let span_id = span_id(draw);
    match headers.get("traceparent").and_then(|value| value.to_str().ok()).and_then(parse) {
        Some((trace_id, parent, sampled)) => Trace { trace_id, parent: Some(parent), span_id, sampled: Some(sampled) },
        None => Trace { trace_id: id.0, parent: None, span_id, sampled: None },
    }
}

/// A span id from a draw; never zero, which the standard forbids.
pub(crate) fn span_id(draw: u64) -> [u8; 8] {
    next_draw(draw ^ 0x5bd1_e995).max(1).to_be_bytes()
}

/// The `traceparent` a provider sees: this trace, the attempt's span.
pub(crate) fn traceparent(trace: &Trace, span_id: [u8; 8]) -> Option<HeaderValue> {
    let mut text = *b"00-00000000000000000000000000000000-0000000000000000-01";
    hex(&trace.trace_id, &mut text[3..35]);
    hex(&span_id, &mut text[36..52]);
    if !trace.sampled.unwrap_or(true) {
        text[54] = b'0';
    }
    HeaderValue::from_bytes(&text).ok()
}

fn hex(bytes: &[u8], out: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (pair, byte) in out.chunks_exact_mut(2).zip(bytes) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

fn parse(text: &str) -> Option<([u8; 16], [u8; 8], bool)> {
    let mut parts = text.split('-');
    let (version, trace, parent, flags) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    if version.len() != 2 || version == "ff" || (version == "00" && parts.next().is_some()) {
        return None;
    }
    let trace_id = unhex::<16>(trace)?;
    let parent = unhex::<8>(parent)?;
    let [flags] = unhex::<1>(flags)?;
    let real = trace_id != [0; 16] && parent != [0; 8];
    real.then_some((trace_id, parent, flags & 1 == 1))
}

fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    if text.len() != 2 * N || !text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, at) in bytes.iter_mut().zip((0..).step_by(2)) {
        *byte = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: RequestId = RequestId([9; 16]);

    fn check(sent: Option<&str>, trace_id: [u8; 16], sampled: Option<bool>) {
        let mut headers = HeaderMap::new();
        if let Some(sent) = sent {
            headers.insert("traceparent", sent.parse().expect("a header value"));
        }
        let trace = trace_of(&headers, ID, 1);
        assert_eq!((trace.trace_id, trace.sampled), (trace_id, sampled), "{sent:?}");
    }

    #[test]
    fn a_clients_trace_goes_on_and_a_broken_one_does_not() {
        let good = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let id = unhex("0af7651916cd43dd8448eb211c80319c").expect("hex");
        check(Some(good), id, Some(true));
        check(Some(&good.replace("-01", "-00")), id, Some(false));
        check(None, ID.0, None);
        for broken in ["", "00", &good[..54], &good.to_uppercase(), &good.replace("00-0", "ff-0"), &format!("{good}-x")]
        {
            check(Some(broken), ID.0, None);
        }
        check(Some("00-00000000000000000000000000000000-b7ad6b7169203331-01"), ID.0, None);
    }

    #[test]
    fn a_provider_sees_the_trace_and_the_attempts_span() {
        let trace = trace_of(&HeaderMap::new(), ID, 1);
        let seen = traceparent(&trace, [0xab; 8]).expect("ASCII");
        assert_eq!(seen, "00-09090909090909090909090909090909-abababababababab-01");
    }
}
