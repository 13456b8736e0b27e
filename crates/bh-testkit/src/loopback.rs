//! Addresses on this machine, also unfriendly ones.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

/// Most bytes read from a raw connection.
const RAW_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// An address that nothing listens on now; a server can be told to take it.
///
/// # Errors
/// When the machine has no port left.
pub fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

/// A server that takes connections and says nothing: a TLS handshake with it never ends.
#[derive(Debug)]
pub struct SilentServer {
    address: SocketAddr,
    _stop: DropGuard,
}

impl SilentServer {
    /// Starts it on a free port; it ends when dropped.
    ///
    /// # Errors
    /// When no port can be bound.
    pub async fn start() -> Result<Self> {
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let address = listener.local_addr()?;
        let stop = CancellationToken::new();
        let stopped = stop.clone();
        TaskTracker::new().spawn(async move {
            let mut held = Vec::new();
            loop {
                tokio::select! {
                    accepted = listener.accept() => match accepted {
                        Ok((socket, _)) => held.push(socket),
                        Err(_) => return,
                    },
                    () = stopped.cancelled() => return,
                }
            }
        });
        Ok(Self { address, _stop: stop.drop_guard() })
    }

    /// Where it listens.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }
}

/// Sends bytes as they are and reads until the server closes or the deadline passes; what came is returned either
/// way. For requests that no client library would send.
///
/// # Errors
/// When the server cannot be reached or refuses the bytes.
pub async fn exchange(address: SocketAddr, request: &[u8], deadline: Duration) -> Result<Vec<u8>> {
    let mut socket = TcpStream::connect(address).await.context("the server cannot be reached")?;
    socket.write_all(request).await?;
    let mut answer = Vec::new();
    let mut limited = socket.take(RAW_BYTES_MAX);
    match tokio::time::timeout(deadline, limited.read_to_end(&mut answer)).await {
        Ok(read) => read.map(drop)?,
        // What arrived before the deadline is the answer.
        Err(_elapsed) => {}
    }
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn nothing_listens_on_a_free_address() {
        let refused = TcpStream::connect(free_address().unwrap()).await.unwrap_err();
        assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    }

    #[tokio::test]
    async fn a_silent_server_accepts_and_says_nothing() {
        let server = SilentServer::start().await.unwrap();
        let heard = exchange(server.address(), b"hello", Duration::from_millis(50)).await.unwrap();
        assert!(heard.is_empty());
    }
}
