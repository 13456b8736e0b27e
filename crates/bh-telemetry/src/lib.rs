//! What people see of a node: structured logs, Prometheus text, OpenTelemetry traces.
//!
//! It implements the pipeline's `Meter` and knows nothing of how a request is answered; it is told facts when they are
//! facts, so that nothing is measured twice and a trace never slows a request.

mod handles;
mod logs;
mod metrics;
mod scrape;
mod traces;

pub use logs::{LogFormat, LogsError, init_logs};
pub use metrics::Telemetry;
pub use scrape::{BreakerSample, BudgetSample, Sample};
pub use traces::{Traces, TracesError};
