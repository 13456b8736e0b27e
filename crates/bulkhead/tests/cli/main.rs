//! The command line as people and scripts meet it: the real binary, its output and its exit codes.

mod commands;
mod configs;
mod dev;
mod docs;
mod doctor;
mod evidence;
mod keys;
mod node;
mod reload;
mod route;
mod serve;
mod support;
mod tokens;
