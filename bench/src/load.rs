//! The load: connections that send, read, check every answer byte for byte, and send again.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU8, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until, timeout};

use crate::exchange::{CHUNKS, SENT_AT, answer_body, request};
use crate::kernel;
use crate::mock::now_ns;
use crate::wire::{Answers, Framing, find};

/// Longest wait for one answer.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Pause after a failure, so that a server that is gone is not asked a million times.
const FAILURE_PAUSE: Duration = Duration::from_millis(50);

const WARMING: u8 = 0;
const MEASURING: u8 = 1;
const STOPPING: u8 = 2;

/// What is sent, where to, and how fast.
#[derive(Debug, Clone)]
pub(crate) struct Load {
    pub(crate) to: SocketAddr,
    /// The process whose CPU and memory are measured.
    pub(crate) pid: u32,
    pub(crate) token: String,
    pub(crate) connections: usize,
    pub(crate) stream: bool,
    /// Requests a second of all connections together; none sends as soon as it has its answer.
    pub(crate) rate: Option<u32>,
    pub(crate) warm_up: Duration,
    pub(crate) window: Duration,
}

/// What one measured window saw.
#[derive(Debug, Default)]
pub(crate) struct Round {
    /// Plain answers, or chunks of streams.
    pub(crate) units: u64,
    pub(crate) failed: u64,
    pub(crate) failure: Option<String>,
    pub(crate) cpu_us: u64,
    pub(crate) seconds: f64,
    pub(crate) rss_kib: u64,
    /// To the whole answer, or to a stream's first byte, in microseconds, sorted.
    pub(crate) times: Vec<u32>,
    /// From a chunk's departure at the mock to its arrival here, in microseconds, sorted.
    pub(crate) delays: Vec<u32>,
}

/// What the connections share.
struct Shared {
    load: Load,
    request: Vec<u8>,
    answer: Vec<u8>,
    phase: AtomicU8,
    failed: AtomicU64,
    failure: Mutex<Option<String>>,
}

/// What one connection saw while it was measured.
#[derive(Debug, Default)]
struct Seen {
    units: u64,
    times: Vec<u32>,
    delays: Vec<u32>,
}

impl Load {
    /// Runs one round. Failures are counted, not returned.
    ///
    /// # Errors
    /// When the measured process is gone.
    pub(crate) async fn run(self) -> Result<Round> {
        let shared = Arc::new(Shared {
            request: request(self.to, &self.token, self.stream),
            answer: answer_body().into_bytes(),
            phase: AtomicU8::new(WARMING),
            failed: AtomicU64::new(0),
            failure: Mutex::new(None),
            load: self,
        });
        let load = &shared.load;
        let mut connections = JoinSet::new();
        for number in 0..load.connections {
            connections.spawn(Arc::clone(&shared).connection(number));
        }
        sleep(load.warm_up).await;
        let (cpu, began) = (kernel::cpu_us(load.pid)?, Instant::now());
        shared.phase.store(MEASURING, Ordering::Relaxed);
        sleep(load.window).await;
        shared.phase.store(STOPPING, Ordering::Relaxed);
        let mut round = Round {
            cpu_us: kernel::cpu_us(load.pid)?.saturating_sub(cpu),
            seconds: began.elapsed().as_secs_f64(),
            rss_kib: kernel::rss_kib(load.pid)?,
            ..Round::default()
        };
        while let Some(seen) = connections.join_next().await {
            let seen = seen.context("a connection of the load generator panicked")?;
            round.units += seen.units;
            round.times.extend(seen.times);
            round.delays.extend(seen.delays);
        }
        round.times.sort_unstable();
        round.delays.sort_unstable();
        round.failed = shared.failed.load(Ordering::Relaxed);
        round.failure = shared.failure.lock().unwrap_or_else(PoisonError::into_inner).take();
        Ok(round)
    }
}

impl Shared {
    fn phase(&self) -> u8 {
        self.phase.load(Ordering::Relaxed)
    }

    /// One connection until the end of the window; a new one after each failure.
    async fn connection(self: Arc<Self>, number: usize) -> Seen {
        let mut seen = Seen::default();
        self.stagger(number).await;
        while self.phase() != STOPPING {
            if let Err(error) = self.talk(&mut seen).await {
                self.note(&error);
                sleep(FAILURE_PAUSE).await;
            }
        }
        seen
    }

    fn note(&self, error: &anyhow::Error) {
        self.failed.fetch_add(1, Ordering::Relaxed);
        let mut first = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| format!("{error:#}"));
    }

    /// Spreads the beginnings of streams and of paced connections, which would otherwise all send at once for ever.
    async fn stagger(&self, number: usize) {
        let share = number as f64 / self.load.connections as f64;
        match (self.load.stream, self.pause()) {
            (true, _) => sleep(self.load.warm_up.mul_f64(share / 2.0)).await,
            (false, Some(pause)) => sleep(pause.mul_f64(share)).await,
            (false, None) => (),
        }
    }

    fn pause(&self) -> Option<Duration> {
        self.load.rate.map(|rate| Duration::from_secs_f64(self.load.connections as f64 / f64::from(rate)))
    }

    async fn talk(&self, seen: &mut Seen) -> Result<()> {
        let mut socket = TcpStream::connect(self.load.to).await?;
        socket.set_nodelay(true)?;
        let mut answers = Answers::new();
        let mut next = tokio::time::Instant::now();
        while self.phase() != STOPPING {
            if self.load.stream {
                timeout(ANSWER_MAX, self.stream(&mut socket, &mut answers, seen)).await??;
            } else {
                timeout(ANSWER_MAX, self.plain(&mut socket, &mut answers, seen)).await??;
            }
            if let Some(pause) = self.pause() {
                next += pause;
                sleep_until(next).await;
            }
        }
        Ok(())
    }

    async fn plain(&self, socket: &mut TcpStream, answers: &mut Answers, seen: &mut Seen) -> Result<()> {
        let sent = Instant::now();
        socket.write_all(&self.request).await?;
        let Framing::Length(bytes) = answers.head(socket).await? else { bail!("a plain answer came in chunks") };
        let body = answers.take(socket, bytes).await?;
        ensure!(body == self.answer, "the answer is not the provider's: {}", String::from_utf8_lossy(body));
        if self.phase() == MEASURING {
            seen.units += 1;
            seen.times.push(micros(sent.elapsed()));
        }
        Ok(())
    }

    async fn stream(&self, socket: &mut TcpStream, answers: &mut Answers, seen: &mut Seen) -> Result<()> {
        let sent = Instant::now();
        socket.write_all(&self.request).await?;
        ensure!(answers.head(socket).await? == Framing::Chunked, "a stream came with a length");
        let (mut chunks, mut over) = (0, false);
        while let Some(piece) = answers.chunk(socket).await? {
            let measuring = self.phase() == MEASURING;
            if chunks == 0 && measuring {
                seen.times.push(micros(sent.elapsed()));
            }
            let mut rest = piece;
            while let Some(at) = find(rest, SENT_AT) {
                rest = &rest[at + SENT_AT.len()..];
                chunks += 1;
                if measuring {
                    seen.units += 1;
                    seen.delays.push(delay(rest)?);
                }
            }
            over |= find(piece, b"data: [DONE]").is_some();
        }
        ensure!(chunks == CHUNKS && over, "a stream ended after {chunks} of {CHUNKS} chunks, terminal event: {over}");
        Ok(())
    }
}

fn micros(span: Duration) -> u32 {
    u32::try_from(span.as_micros()).unwrap_or(u32::MAX)
}

/// How long ago the mock sent the chunk whose content starts here.
fn delay(content: &[u8]) -> Result<u32> {
    let digits = content.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let sent: u128 = std::str::from_utf8(&content[..digits])?.parse().context("a chunk holds its send time")?;
    Ok(u32::try_from(now_ns().saturating_sub(sent) / 1000).unwrap_or(u32::MAX))
}
