//! The gateway from outside: a process, real sockets, providers that do what they are told. Each module is one promise.

mod budgets;
mod contract;
mod doors;
mod failover;
mod forge;
mod one;
mod protocol;
mod routing;
mod seeing;
mod storm;
mod tokens;
