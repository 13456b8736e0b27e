//! The command line as people and scripts meet it: the real binary, its output and its exit codes.

mod commands;
mod configs;
mod keys;
mod support;
mod tokens;
