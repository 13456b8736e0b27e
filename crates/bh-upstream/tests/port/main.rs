//! The pipeline's port, as this crate provides it: over real sockets and in this process.

#[cfg(test)]
mod echo;
#[cfg(test)]
mod net;
#[cfg(test)]
mod support;
