//! Whether a provider's server can be reached: name look-up, TCP and TLS with the trust a call would use, and nothing
//! sent over it. For `doctor`; no request of a client passes here.

use std::time::{Duration, Instant};

use http::Uri;
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::client::legacy::connect::HttpConnector;
use tower_service::Service;

use crate::config::{self, ConfigFault, ProviderConfig};
use crate::connect::{BoxError, ConnectDeadlinePassed, tls};

/// A server that answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reached {
    /// Host and, where it is not the scheme's own, port.
    pub authority: String,
    /// Whether the connection is encrypted.
    pub is_tls: bool,
    /// From the look-up to the end of the handshake.
    pub took: Duration,
}

/// Why a server cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The configuration names no usable server.
    #[error(transparent)]
    Config(#[from] ConfigFault),
    /// The look-up, TCP or TLS failed; the cause says which.
    #[error("{authority} cannot be connected to")]
    Connect {
        /// Host and port.
        authority: String,
        /// What the network or TLS said.
        #[source]
        source: BoxError,
    },
}

/// Connects to a provider within its connect deadline and hangs up. `None` for one without a server (`echo`).
///
/// # Errors
/// See [`Unreachable`].
pub async fn reach(provider: &ProviderConfig) -> Result<Option<Reached>, Unreachable> {
    let mut faults = Vec::new();
    let base = config::check_base(provider, &mut faults);
    if let Some(fault) = faults.into_iter().next() {
        return Err(fault.into());
    }
    let Some(base) = base else { return Ok(None) };
    let uri = base.join("/");
    let tls = tls(&provider.extra_roots).map_err(|_| ConfigFault::InvalidRoot { provider: provider.id.clone() })?;
    let is_tls = uri.scheme_str() == Some("https");
    let begun = Instant::now();
    let connected = tokio::time::timeout(provider.timeouts.connect, connect(tls, uri)).await;
    let source: BoxError = match connected {
        Ok(Ok(())) => return Ok(Some(Reached { authority: base.authority, is_tls, took: begun.elapsed() })),
        Ok(Err(source)) => source,
        Err(_elapsed) => ConnectDeadlinePassed.into(),
    };
    Err(Unreachable::Connect { authority: base.authority, source })
}

async fn connect(tls: rustls::ClientConfig, uri: Uri) -> Result<(), BoxError> {
    let mut http = HttpConnector::new();
    http.enforce_http(false);
    let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_all_versions();
    let mut https = https.wrap_connector(http);
    std::future::poll_fn(|cx| https.poll_ready(cx)).await?;
    drop(https.call(uri).await?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use bh_testkit::ScriptedProvider;
    use bh_testkit::tls::Certificate;

    use super::*;
    use crate::config::{Kind, Timeouts};

    fn provider(kind: Kind, url: Option<&str>) -> ProviderConfig {
        ProviderConfig {
            id: "p".to_owned(),
            kind,
            base_url: url.map(str::to_owned),
            keys: Vec::new(),
            headers: Vec::new(),
            timeouts: Timeouts { connect: Duration::from_secs(20), ..Timeouts::default() },
            extra_roots: Vec::new(),
        }
    }

    #[tokio::test]
    async fn a_server_is_reached_without_a_request() {
        let server = ScriptedProvider::start().await.unwrap();
        let reached = reach(&provider(Kind::OpenAiCompatible, Some(&server.url()))).await.unwrap().unwrap();
        assert!(!reached.is_tls && server.url().ends_with(&reached.authority), "{reached:?}");
        assert!(server.seen().is_empty());
    }

    #[tokio::test]
    async fn tls_is_checked_with_the_providers_own_roots() {
        let certificate = Certificate::for_localhost().unwrap();
        let server = ScriptedProvider::start_tls(&certificate).await.unwrap();
        let mut config = provider(Kind::OpenAiCompatible, Some(&server.url()));
        assert!(matches!(reach(&config).await, Err(Unreachable::Connect { .. })));
        config.extra_roots = vec![certificate.root()];
        assert!(reach(&config).await.unwrap().unwrap().is_tls);
    }

    #[tokio::test]
    async fn a_closed_port_says_so() {
        let address = bh_testkit::loopback::free_address().unwrap();
        let config = provider(Kind::OpenAiCompatible, Some(&format!("http://{address}/v1")));
        let fault = reach(&config).await.unwrap_err();
        assert!(
            matches!(&fault, Unreachable::Connect { authority, .. } if *authority == address.to_string()),
            "{fault}"
        );
    }

    #[tokio::test]
    async fn echo_has_no_server() {
        assert_eq!(reach(&provider(Kind::Echo, None)).await.unwrap(), None);
    }
}
