//! Bulkhead: an LLM gateway. The one binary; the walk of a request begins in `bh-http` and is led by `bh-pipeline`.
//!
//! `cli` reads the command line, `config` the configuration; `node` builds, introduces and drains the parts; `dev` is
//! a node from nothing, `serve` one that is kept at what its configuration says. `evidence`, `doctor` and `ask` look at
//! nodes from outside.

mod ask;
mod cli;
mod config;
mod dev;
mod doctor;
mod evidence;
mod node;
mod serve;

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    cli::run()
}
