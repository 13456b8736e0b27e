//! The dialect against recordings of real providers, and against what they are known to do.

mod recordings;
mod scan;
mod stream;
mod translate;
