//! One question to a running node, over HTTP.

use std::error::Error;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

/// Longest wait for an answer.
const WAIT_MAX: Duration = Duration::from_secs(5);

/// What a node said.
#[derive(Debug)]
pub(crate) struct Answer {
    /// HTTP status.
    pub(crate) status: u16,
    /// The body, which a node sends as text.
    pub(crate) body: String,
}

/// Nobody answered.
#[derive(Debug, thiserror::Error)]
#[error("no answer from {url}; is the node running there?")]
pub(crate) struct Silent {
    /// What was asked.
    url: String,
    /// What the client said.
    #[source]
    source: reqwest::Error,
}

/// Gets a URL, with a token if one is given. No proxy is used: a node is asked directly.
///
/// # Errors
/// The URL is none, nobody answers, or not within five seconds.
pub(crate) async fn get(url: &str, token: Option<&str>) -> Result<Answer, Silent> {
    let silent = |source: reqwest::Error| Silent { url: url.to_owned(), source: source.without_url() };
    let client = reqwest::Client::builder().timeout(WAIT_MAX).no_proxy().build().map_err(silent)?;
    let mut request = client.get(url);
    if let Some(token) = token {
        request = request.bearer_auth(token);
    }
    let answer = request.send().await.map_err(silent)?;
    let status = answer.status().as_u16();
    Ok(Answer { status, body: answer.text().await.map_err(silent)? })
}

/// The base of a URL from what people write: a URL, or an address and port alone.
pub(crate) fn base_url(text: &str) -> String {
    let text = text.trim_end_matches('/');
    if text.contains("://") { text.to_owned() } else { format!("http://{text}") }
}

/// An address a client on this machine can call: the loopback address where all are listened on.
pub(crate) fn reachable(addr: SocketAddr) -> SocketAddr {
    match (addr.ip().is_unspecified(), addr.is_ipv4()) {
        (false, _) => addr,
        (true, true) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), addr.port()),
        (true, false) => SocketAddr::new(Ipv6Addr::LOCALHOST.into(), addr.port()),
    }
}

/// An error with all its causes, on one line. A cause that only repeats what was said is left out.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let said = error.to_string();
        if !text.ends_with(&said) {
            text.push_str(": ");
            text.push_str(&said);
        }
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_alone_is_a_url_too() {
        assert_eq!(base_url("127.0.0.1:8081"), "http://127.0.0.1:8081");
        assert_eq!(base_url("https://gateway.example/"), "https://gateway.example");
    }

    #[test]
    fn every_address_is_called_at_loopback() {
        let check = |listen: &str, called: &str| {
            let listen = listen.parse().expect("an address");
            assert_eq!(reachable(listen).to_string(), called);
        };
        check("0.0.0.0:8080", "127.0.0.1:8080");
        check("[::]:8080", "[::1]:8080");
        check("10.1.2.3:8080", "10.1.2.3:8080");
    }
}
