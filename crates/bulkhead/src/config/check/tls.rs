//! Certificate and key of the data plane, read and held against one another.

use std::path::PathBuf;
use std::sync::Arc;

use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::Check;
use crate::config::fault::{FileFault, Problem};
use crate::config::raw::Tls;

impl Check<'_> {
    /// What TLS the data plane speaks: `Some(None)` for none, nothing after a fault.
    pub(super) fn tls(&mut self, tls: Option<&Tls>) -> Option<Option<Arc<ServerConfig>>> {
        let Some(tls) = tls else { return Some(None) };
        let certificates = self.pem("server.tls.cert", &tls.cert, |pem| {
            let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
            certificates.ok().filter(|list| !list.is_empty()).ok_or(FileFault::NoCertificate)
        });
        let key = self.pem("server.tls.key", &tls.key, |pem| {
            PrivateKeyDer::from_pem_slice(pem).map_err(|_| FileFault::NoPrivateKey)
        });
        let (certificates, key) = (certificates?, key?);
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let built = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .and_then(|builder| builder.with_no_client_auth().with_single_cert(certificates, key));
        match built {
            Ok(mut config) => {
                config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
                Some(Some(Arc::new(config)))
            }
            Err(error) => {
                let path = self.at(&tls.key);
                self.fault("server.tls.key", Problem::File { path, what: FileFault::Pair(error) });
                None
            }
        }
    }

    fn pem<T>(&mut self, key: &str, file: &str, read: impl Fn(&[u8]) -> Result<T, FileFault>) -> Option<T> {
        if self.is_broken(key) {
            return None;
        }
        let path: PathBuf = self.at(file);
        let bytes = std::fs::read(&path).map_err(|error| FileFault::Unreadable(error.kind()));
        bytes.and_then(|bytes| read(&bytes)).map_err(|what| self.fault(key, Problem::File { path, what })).ok()
    }
}
