//! The dialect against recordings of real providers, and against what they are known to do.

mod events;
mod native;
mod recordings;
mod scan;
mod stream;
mod translate;
