//! The command line.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail};

/// What `--help` prints.
pub(crate) const HELP: &str = "\
bench [quick|stream|idle] [options]     (default: quick)

  quick    CPU per plain request beside a bare hyper forwarder, alternating rounds, then each at a fixed rate
  stream   CPU per chunk and time to the first byte of streams of 50 chunks, one every 20 ms
  idle     memory and CPU of a process that has nothing to do, and with open connections

  --connections N    connections (quick: 100, idle: 1000) or streams (100) at once
  --rounds N         rounds of each side (quick: 5, stream: 3)
  --seconds N        measured seconds of one round (3; stream: 4)
  --rate N           requests a second of the fixed-rate part of quick (1000; 0 leaves it out)
  --only SIDE        gateway, bare or direct: one side only, as for a profiler
  --gateway PATH     use this binary instead of building `bulkhead`
  --json             one JSON object on stdout instead of a table

Exit codes: 0 every request succeeded, 1 some failed, 2 the measurement could not run.";

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    Quick,
    Stream,
    Idle,
    Help,
    /// Inner: be the mock provider.
    ServeMock,
    /// Inner: be the bare forwarder in front of this address.
    ServeForward(SocketAddr),
}

/// What is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    /// The mock itself, to see what load generator and mock alone can do.
    Direct,
    /// The bare hyper forwarder.
    Bare,
    /// The gateway.
    Gateway,
}

/// The command line, read.
#[derive(Debug, Clone)]
pub(crate) struct Args {
    pub(crate) mode: Mode,
    pub(crate) json: bool,
    pub(crate) only: Option<Side>,
    pub(crate) gateway: Option<PathBuf>,
    pub(crate) rate: u32,
    connections: Option<usize>,
    rounds: Option<usize>,
    seconds: Option<u64>,
}

impl Side {
    /// Its name in tables.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Side::Direct => "direct",
            Side::Bare => "bare",
            Side::Gateway => "gateway",
        }
    }
}

impl Args {
    /// Reads the command line.
    ///
    /// # Errors
    /// An option that is unknown or lacks its value.
    pub(crate) fn parse(words: impl Iterator<Item = String>) -> Result<Self> {
        let mut args = Args {
            mode: Mode::Quick,
            json: false,
            only: None,
            gateway: None,
            rate: 1000,
            connections: None,
            rounds: None,
            seconds: None,
        };
        let mut words = words.peekable();
        match words.peek().map(String::as_str) {
            Some(word) if !word.starts_with('-') => {
                args.mode = mode(&words.next().expect("it was peeked at"), words.next_if(|w| !w.starts_with('-')))?;
            }
            Some(_) | None => (),
        }
        while let Some(option) = words.next() {
            let mut number = || -> Result<u64> {
                let text = words.next().with_context(|| format!("{option} needs a number"))?;
                text.parse().with_context(|| format!("{option}: `{text}` is no number"))
            };
            match option.as_str() {
                "--connections" => args.connections = Some(usize::try_from(number()?.max(1))?),
                "--rounds" => args.rounds = Some(usize::try_from(number()?.max(1))?),
                "--seconds" => args.seconds = Some(number()?.max(1)),
                "--rate" => args.rate = u32::try_from(number()?)?,
                "--gateway" => args.gateway = Some(words.next().context("--gateway needs a path")?.into()),
                "--only" => args.only = Some(side(&words.next().context("--only needs a side")?)?),
                "--json" => args.json = true,
                "--help" | "-h" => args.mode = Mode::Help,
                other => bail!("unknown option {other}; see --help"),
            }
        }
        Ok(args)
    }

    /// Connections at once, or this many when none were named.
    pub(crate) fn connections(&self, usual: usize) -> usize {
        self.connections.unwrap_or(usual)
    }

    /// Rounds of each side, or this many when none were named.
    pub(crate) fn rounds(&self, usual: usize) -> usize {
        self.rounds.unwrap_or(usual)
    }

    /// The measured part of one round, or this many seconds when none were named.
    pub(crate) fn window(&self, usual: u64) -> Duration {
        Duration::from_secs(self.seconds.unwrap_or(usual))
    }

    /// Whether this side takes part.
    pub(crate) fn wants(&self, side: Side) -> bool {
        self.only.is_none_or(|only| only == side)
    }
}

fn mode(word: &str, more: Option<String>) -> Result<Mode> {
    let mode = match word {
        "quick" => Mode::Quick,
        "stream" => Mode::Stream,
        "idle" => Mode::Idle,
        "help" => Mode::Help,
        "serve-mock" => Mode::ServeMock,
        "serve-forward" => {
            let upstream = more.context("serve-forward needs an address")?;
            return Ok(Mode::ServeForward(upstream.parse()?));
        }
        other => bail!("unknown mode {other}; see --help"),
    };
    match more {
        None => Ok(mode),
        Some(more) => bail!("unexpected {more}; see --help"),
    }
}

fn side(word: &str) -> Result<Side> {
    [Side::Direct, Side::Bare, Side::Gateway]
        .into_iter()
        .find(|side| side.name() == word)
        .with_context(|| format!("--only takes direct, bare or gateway, not {word}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> Result<Args> {
        Args::parse(line.split_whitespace().map(str::to_owned))
    }

    #[test]
    fn options_are_read_and_defaults_stand() {
        let args = parse("stream --connections 1000 --json --only bare").unwrap();
        assert_eq!((args.mode, args.connections(100), args.json), (Mode::Stream, 1000, true));
        assert!(args.wants(Side::Bare) && !args.wants(Side::Gateway));
        let args = parse("--rounds 2").unwrap();
        assert_eq!((args.mode, args.rounds(5), args.window(3)), (Mode::Quick, 2, Duration::from_secs(3)));
    }

    #[test]
    fn what_is_unknown_is_refused() {
        for line in ["fast", "quick more", "--speed 3", "--rounds", "--rounds many", "--only nginx"] {
            assert!(parse(line).is_err(), "{line}");
        }
    }
}
