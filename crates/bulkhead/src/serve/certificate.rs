//! The certificate of the data plane, replaced while connections are served: new handshakes get the new one.

use std::fmt;
use std::sync::{Arc, PoisonError, RwLock};

use rustls::ServerConfig;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;

/// Hands out the certificate of the newest configuration.
pub(super) struct LiveCertificate(RwLock<Arc<dyn ResolvesServerCert>>);

impl LiveCertificate {
    /// Takes the place of a TLS configuration's own certificate.
    pub(super) fn within(tls: &mut Arc<ServerConfig>) -> Arc<Self> {
        let live = Arc::new(LiveCertificate(RwLock::new(Arc::clone(&tls.cert_resolver))));
        let mut config = ServerConfig::clone(tls);
        config.cert_resolver = live.clone();
        *tls = Arc::new(config);
        live
    }

    /// Takes up the certificate of another TLS configuration.
    pub(super) fn replace(&self, tls: &ServerConfig) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::clone(&tls.cert_resolver);
    }
}

impl ResolvesServerCert for LiveCertificate {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner));
        current.resolve(hello)
    }
}

impl fmt::Debug for LiveCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LiveCertificate")
    }
}
