//! Certificates for servers on this machine, made anew for each test.

use std::sync::Arc;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rcgen::{CertifiedKey, generate_simple_self_signed};
use rustls::ServerConfig;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};

/// A self-signed certificate for `localhost` and 127.0.0.1, and its key.
pub struct Certificate {
    certificate: CertificateDer<'static>,
    key: Vec<u8>,
}

impl Certificate {
    /// Makes one.
    ///
    /// # Errors
    /// When the crypto library has no randomness.
    pub fn for_localhost() -> Result<Self> {
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let CertifiedKey { cert, signing_key } = generate_simple_self_signed(names)?;
        Ok(Self { certificate: cert.der().clone(), key: signing_key.serialize_der() })
    }

    /// What a client must trust.
    #[must_use]
    pub fn root(&self) -> CertificateDer<'static> {
        self.certificate.clone()
    }

    /// The certificate as PEM text, for a configuration file.
    #[must_use]
    pub fn pem(&self) -> String {
        pem("CERTIFICATE", &self.certificate)
    }

    /// The key as PEM text, for a configuration file.
    #[must_use]
    pub fn key_pem(&self) -> String {
        pem("PRIVATE KEY", &self.key)
    }

    /// A server with this certificate that offers the given protocols by ALPN, the dearest first.
    ///
    /// # Errors
    /// When the TLS library does not take the key.
    pub fn server(&self, protocols: &[&[u8]]) -> Result<Arc<ServerConfig>> {
        let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(self.key.clone()));
        let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![self.root()], key)?;
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Ok(Arc::new(config))
    }
}

fn pem(label: &str, der: &[u8]) -> String {
    let text = STANDARD.encode(der);
    let lines: Vec<_> = (0..text.len()).step_by(64).map(|at| &text[at..text.len().min(at + 64)]).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls::pki_types::pem::PemObject;

    #[test]
    fn the_pem_texts_read_back() {
        let made = Certificate::for_localhost().unwrap();
        assert_eq!(CertificateDer::from_pem_slice(made.pem().as_bytes()).unwrap(), made.root());
        let key = PrivateKeyDer::from_pem_slice(made.key_pem().as_bytes()).unwrap();
        assert_eq!(key.secret_der(), made.key);
    }
}
