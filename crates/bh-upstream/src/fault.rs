//! What went wrong on the way to a provider, in words that name the provider and never its host or key.

use std::error::Error as StdError;
use std::io;
use std::time::Duration;

use bh_chat::{Fault, FaultClass};
use hyper_util::client::legacy;

use crate::connect::ConnectDeadlinePassed;

/// A fault of the transport: no answer of the provider's is behind it.
pub(crate) fn fault(class: FaultClass, message: String) -> Fault {
    Fault { class, status: None, kind: None, code: None, param: None, message, retry_after_ms: None }
}

pub(crate) fn not_configured(provider: &str) -> Fault {
    fault(FaultClass::Connect, format!("provider `{provider}` is not configured"))
}

pub(crate) fn no_such_key(provider: &str, key: usize) -> Fault {
    fault(FaultClass::Connect, format!("provider `{provider}` has no key at place {key}"))
}

pub(crate) fn no_such_operation(provider: &str) -> Fault {
    fault(FaultClass::BadRequest, format!("provider `{provider}` cannot count tokens"))
}

pub(crate) fn headers_late(provider: &str, deadline: Duration) -> Fault {
    let ms = deadline.as_millis();
    fault(FaultClass::Timeout, format!("provider `{provider}` sent no response headers within {ms} ms"))
}

/// A failure between the wish to send and the response headers.
pub(crate) fn of_call(provider: &str, connect: Duration, error: &legacy::Error) -> Fault {
    if error.is_connect() {
        let why = connect_reason(error, connect);
        return fault(FaultClass::Connect, format!("provider `{provider}` could not be reached: {why}"));
    }
    match find::<hyper::Error>(error) {
        // Hyper says "canceled" only of a request it never handed to the connection.
        Some(hyper) if hyper.is_canceled() => fault(
            FaultClass::Connect,
            format!("provider `{provider}` closed the connection before the request was sent"),
        ),
        Some(hyper) if hyper.is_parse() => {
            fault(FaultClass::Malformed, format!("provider `{provider}` answered with something that is not HTTP"))
        }
        Some(_) | None => {
            fault(FaultClass::Cut, format!("provider `{provider}` closed the connection before it answered"))
        }
    }
}

/// A failure while the body arrives.
pub(crate) fn of_body(provider: &str, error: &hyper::Error) -> Fault {
    let (class, what) = if error.is_parse() {
        (FaultClass::Malformed, "sent a body that is not HTTP")
    } else {
        (FaultClass::Cut, "broke off its answer")
    };
    fault(class, format!("provider `{provider}` {what}"))
}

/// A redirect: followed, it would carry our credential to an address nobody configured.
pub(crate) fn redirected(provider: &str, status: u16) -> Fault {
    let message = format!("provider `{provider}` answered with a redirect, which is not followed: check its base_url");
    Fault { status: Some(status), ..fault(FaultClass::Malformed, message) }
}

pub(crate) fn compressed(provider: &str, status: u16) -> Fault {
    let message = format!("provider `{provider}` compressed its answer though it was asked not to");
    Fault { status: Some(status), ..fault(FaultClass::Malformed, message) }
}

// The causes' own texts name hosts and addresses, so the reason is chosen here and never copied.
fn connect_reason(error: &(dyn StdError + 'static), deadline: Duration) -> String {
    if find::<ConnectDeadlinePassed>(error).is_some() {
        return format!("no connection within {} ms", deadline.as_millis());
    }
    if let Some(tls) = find::<rustls::Error>(error) {
        return tls_reason(tls).to_owned();
    }
    if chain(error).any(|cause| cause.to_string() == "dns error") {
        return "its name could not be resolved".to_owned();
    }
    match find::<io::Error>(error) {
        Some(io) => io.kind().to_string(),
        None => "no connection could be made".to_owned(),
    }
}

fn tls_reason(error: &rustls::Error) -> &'static str {
    if matches!(error, rustls::Error::InvalidCertificate(_)) {
        "its certificate was not accepted"
    } else {
        "the TLS handshake failed"
    }
}

fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |cause| inner_of(*cause))
}

// `io::Error::source` skips the error it wraps, and TLS errors arrive wrapped so.
fn inner_of<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a (dyn StdError + 'static)> {
    if let Some(inner) = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        return Some(inner);
    }
    error.source()
}

fn find<'a, E: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a E> {
    chain(error).find_map(|cause| cause.downcast_ref::<E>())
}
