//! Addresses: of the listeners, and of a collector.

use std::net::{Ipv4Addr, SocketAddr};

use super::Check;
use crate::config::fault::Problem;
use crate::config::raw::Server;

/// Where the planes listen when nothing is said.
pub(super) const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 8080);
const ADMIN_LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 8081);

impl Check<'_> {
    /// The addresses of the data plane and the admin plane.
    pub(super) fn listeners(&mut self, server: &Server) -> (Option<SocketAddr>, Option<SocketAddr>) {
        let data = self.address("server.listen", server.listen.as_deref(), LISTEN);
        let admin = self.address("server.admin_listen", server.admin_listen.as_deref(), ADMIN_LISTEN);
        if let (Some(data), Some(admin)) = (data, admin)
            && data == admin
            && data.port() != 0
        {
            self.fault("server.admin_listen", Problem::SameAddress(data));
        }
        (data, admin)
    }

    fn address(&mut self, path: &str, text: Option<&str>, default: SocketAddr) -> Option<SocketAddr> {
        let Some(text) = text else { return Some(default) };
        text.parse().map_err(|invalid| self.fault(path, Problem::Address(invalid))).ok()
    }

    /// The collector of traces.
    pub(super) fn otlp(&mut self, text: Option<&str>) -> Option<String> {
        let text = text?;
        let is_url = text.parse::<http::Uri>().is_ok_and(|uri| {
            matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some_and(|host| !host.is_empty())
        });
        if !is_url {
            self.fault("telemetry.otlp", Problem::Url);
        }
        Some(text.to_owned())
    }
}
