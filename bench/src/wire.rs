//! Reads HTTP/1.1 answers with as little work as possible, so that the load generator leaves the cores to others.

use anyhow::{Context, Result, bail};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

/// Room for one read.
const READ_BYTES: usize = 16 * 1024;

/// The first place of `needle` in `text`.
pub(crate) fn find(text: &[u8], needle: &[u8]) -> Option<usize> {
    text.windows(needle.len()).position(|window| window == needle)
}

/// A connection's answers, one after the other.
pub(crate) struct Answers {
    buffer: Vec<u8>,
    /// Bytes of `buffer` already handed out.
    used: usize,
}

/// How the body of an answer is framed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    Length(usize),
    Chunked,
}

impl Answers {
    pub(crate) fn new() -> Self {
        Answers { buffer: Vec::with_capacity(READ_BYTES), used: 0 }
    }

    /// The head of the next answer: its framing, or an error that shows it when its status is not 200.
    ///
    /// # Errors
    /// Another status, a head that cannot be read, a connection that ended.
    pub(crate) async fn head(&mut self, socket: &mut TcpStream) -> Result<Framing> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let end = loop {
            match find(&self.buffer, b"\r\n\r\n") {
                Some(at) => break at + 4,
                None => self.read(socket).await?,
            }
        };
        self.used = end;
        let head = std::str::from_utf8(&self.buffer[..end])?;
        if head.get(9..12) != Some("200") {
            let shown = String::from_utf8_lossy(&self.buffer);
            bail!("the answer is no 200: {}", shown.chars().take(1500).collect::<String>());
        }
        framing(head)
    }

    /// Exactly this many bytes of body.
    ///
    /// # Errors
    /// A connection that ended.
    pub(crate) async fn take(&mut self, socket: &mut TcpStream, bytes: usize) -> Result<&[u8]> {
        while self.buffer.len() < self.used + bytes {
            self.read(socket).await?;
        }
        let from = self.used;
        self.used += bytes;
        Ok(&self.buffer[from..self.used])
    }

    /// The next chunk of a chunked body; nothing at its end.
    ///
    /// # Errors
    /// Framing that cannot be read, a connection that ended.
    pub(crate) async fn chunk(&mut self, socket: &mut TcpStream) -> Result<Option<&[u8]>> {
        self.buffer.drain(..self.used);
        self.used = 0;
        let line = loop {
            match find(&self.buffer, b"\r\n") {
                Some(at) => break at,
                None => self.read(socket).await?,
            }
        };
        let size = std::str::from_utf8(&self.buffer[..line])?;
        let size = usize::from_str_radix(size.trim(), 16).context("a chunk begins with its size")?;
        self.used = line + 2;
        let data = self.take(socket, size + 2).await?;
        Ok(if size == 0 { None } else { Some(&data[..size]) })
    }

    async fn read(&mut self, socket: &mut TcpStream) -> Result<()> {
        self.buffer.reserve(READ_BYTES);
        match socket.read_buf(&mut self.buffer).await? {
            0 => bail!("the server closed the connection"),
            _ => Ok(()),
        }
    }
}

fn framing(head: &str) -> Result<Framing> {
    for line in head.lines().skip(1) {
        let Some((name, value)) = line.split_once(':') else { continue };
        if name.eq_ignore_ascii_case("content-length") {
            return Ok(Framing::Length(value.trim().parse()?));
        }
        if name.eq_ignore_ascii_case("transfer-encoding") && value.trim().eq_ignore_ascii_case("chunked") {
            return Ok(Framing::Chunked);
        }
    }
    bail!("the answer names neither its length nor chunks: {head}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn framing_is_found_whatever_the_case() {
        let check = |headers: &str, expected| {
            assert_eq!(framing(&format!("HTTP/1.1 200 OK\r\n{headers}\r\n\r\n")).ok(), expected, "{headers}");
        };
        check("Content-Length: 12", Some(Framing::Length(12)));
        check("a: b\r\ncontent-length:7", Some(Framing::Length(7)));
        check("Transfer-Encoding: chunked", Some(Framing::Chunked));
        check("a: b", None);
        check("content-length: many", None);
    }
}
