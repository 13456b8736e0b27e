//! The processes of a measurement: mock, bare forwarder, gateway.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use bh_testkit::process::{GatewayProcess, Launch};

use crate::args::{Args, Side};
use crate::gateway::{Credential, Gateway};
use crate::listen::READY;
use crate::load::Load;

const START_MAX: Duration = Duration::from_secs(10);

/// A server of ours in a process of its own.
struct Server {
    process: GatewayProcess,
    address: SocketAddr,
}

/// Everything a measurement talks to. Ends with it.
pub(crate) struct Rig {
    mock: Server,
    bare: Server,
    gateway: Option<Gateway>,
    credential: Credential,
}

impl Rig {
    /// Starts every process the arguments want measured.
    ///
    /// # Errors
    /// When one of them does not start.
    pub(crate) async fn start(args: &Args) -> Result<Self> {
        let mock = Server::start(&["serve-mock"])?;
        let bare = Server::start(&["serve-forward", &mock.address.to_string()])?;
        let credential = Credential::mint()?;
        let gateway =
            if args.wants(Side::Gateway) { Some(Gateway::start(args, mock.address, &credential).await?) } else { None };
        Ok(Rig { mock, bare, gateway, credential })
    }

    /// The sides that take part, the baseline first.
    pub(crate) fn sides(&self, args: &Args) -> Vec<Side> {
        [Side::Bare, Side::Gateway].into_iter().filter(|side| args.wants(*side)).collect()
    }

    /// Where a side listens, and its process.
    pub(crate) fn place(&self, side: Side) -> (SocketAddr, u32) {
        match (side, &self.gateway) {
            (Side::Direct, _) => (self.mock.address, self.mock.process.id()),
            (Side::Gateway, Some(gateway)) => (gateway.address, gateway.process.id()),
            (Side::Bare, _) | (Side::Gateway, None) => (self.bare.address, self.bare.process.id()),
        }
    }

    /// A load on a side; the caller changes what differs.
    pub(crate) fn load(&self, side: Side, connections: usize, window: Duration) -> Load {
        let (to, pid) = self.place(side);
        Load {
            to,
            pid,
            token: self.credential.token.clone(),
            connections,
            stream: false,
            rate: None,
            warm_up: Duration::from_millis(500),
            window,
        }
    }

    /// How long the gateway took from its start to its first good probe.
    pub(crate) fn gateway_start(&self) -> Option<Duration> {
        self.gateway.as_ref().map(|gateway| gateway.start)
    }

    /// The last of what the gateway printed, to explain a failure.
    pub(crate) fn gateway_said(&self) -> String {
        let Some(gateway) = &self.gateway else { return String::new() };
        let said = gateway.process.stderr() + &gateway.process.stdout();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(20)..].join("\n")
    }
}

impl Server {
    fn start(args: &[&str]) -> Result<Self> {
        let exe = std::env::current_exe()?;
        let process = Launch::new(exe).args(args.iter().copied()).spawn()?;
        let address = process.wait_for_word(READY, START_MAX)?.parse()?;
        Ok(Server { process, address })
    }
}
