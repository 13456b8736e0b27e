//! `bulkhead dev`: a gateway from nothing. No configuration, no key, no NATS; the same code as `serve`.

mod once;
mod setup;

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use crate::node::{Node, StartError};

pub(crate) use once::OnceError;
pub(crate) use setup::SetupError;

/// What `bulkhead dev` was asked for.
#[derive(Debug, Clone)]
pub(crate) struct DevOptions {
    /// Address of the data plane.
    pub(crate) listen: SocketAddr,
    /// Where state lives; a folder of the user's when absent.
    pub(crate) data_dir: Option<PathBuf>,
    /// Send the printed request, show its answer and evidence, and exit.
    pub(crate) once: bool,
}

/// Why `dev` ended in failure.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DevError {
    /// Keys, token or folders could not be made.
    #[error(transparent)]
    Setup(#[from] SetupError),
    /// The node did not start.
    #[error(transparent)]
    Start(#[from] StartError),
    /// The listeners are gone.
    #[error("the listening addresses cannot be read")]
    Addresses(#[source] std::io::Error),
    /// The request of `--once` went wrong.
    #[error(transparent)]
    Once(#[from] OnceError),
}

/// Runs until `stop`, or with `once` until the request has been shown. `print` gets lines for standard output.
///
/// # Errors
/// See [`DevError`].
pub(crate) async fn run(
    options: DevOptions,
    stop: CancellationToken,
    print: &mut (dyn FnMut(&str) + Send),
) -> Result<(), DevError> {
    let prepared = setup::prepare(&options)?;
    let (node, listeners) = Node::start(prepared.config.clone())?;
    let (data, admin) = listeners.addresses().map_err(DevError::Addresses)?;
    let request = setup::Request { url: format!("http://{}", reachable(data)), token: prepared.token.clone() };
    if !options.once {
        setup::welcome(&prepared, &request, reachable(admin), print);
    }
    let gateway = Arc::clone(&node);
    let mut serving = Box::pin(gateway.run(listeners, stop.clone()));
    if !options.once {
        serving.await;
        return Ok(());
    }
    let shown = tokio::select! {
        shown = once::show(&request, &node, print) => shown,
        _ = &mut serving => return Ok(()),
    };
    stop.cancel();
    serving.await;
    let verified = shown.and_then(|()| once::verify(&prepared.config.data_dir, print));
    prepared.forget();
    Ok(verified?)
}

/// An address a client on this machine can call: the loopback address where all were listened on.
fn reachable(addr: SocketAddr) -> SocketAddr {
    if addr.ip().is_unspecified() {
        return SocketAddr::new(std::net::Ipv4Addr::LOCALHOST.into(), addr.port());
    }
    addr
}
