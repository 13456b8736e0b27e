//! What a request costs: the gateway with everything on beside a bare hyper forwarder, against one mock provider, in
//! one run. Ratios are the result; absolutes belong to the machine.
//!
//! Three modes: `quick` (plain requests), `stream` (CPU per chunk, first byte), `idle` (memory). The mock, the forwarder and
//! the gateway are processes of their own, so that CPU is what the kernel accounts to each of them; the load comes from
//! this process. It fails when a request fails, never because of a figure.

mod args;
mod compare;
mod exchange;
mod forward;
mod gateway;
mod idle;
mod kernel;
mod listen;
mod load;
mod mock;
mod quick;
mod report;
mod rig;
mod stream;
mod summary;
mod wire;

use std::process::ExitCode;

use anyhow::Result;

use args::{Args, Mode};

/// The gateway's allocator as well: the comparison is about the work, not about malloc.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match Args::parse(std::env::args().skip(1)).and_then(run) {
        Ok(code) => code,
        Err(error) => {
            report::complain(&format!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

fn run(args: Args) -> Result<ExitCode> {
    match args.mode {
        Mode::Help => {
            report::print(args::HELP);
            Ok(ExitCode::SUCCESS)
        }
        Mode::ServeMock => mock::serve().map(|()| ExitCode::SUCCESS),
        Mode::ServeForward(upstream) => forward::serve(upstream).map(|()| ExitCode::SUCCESS),
        Mode::Quick => quick::run(&args),
        Mode::Stream => stream::run(&args),
        Mode::Idle => idle::run(&args),
    }
}
