//! One request, start to end: the stages of the walk, the ports they need, and the view they read.
//!
//! The walk is read top to bottom: `known` (who asks), `received` (what), `limited` (how often), `planned` (who shall
//! answer), `admitted` (with which money), `attempted` (the call), `settled` (what it cost), `recorded` (the evidence);
//! `walk` leads through them. It knows no sockets, no provider's address and no file: the edges implement `ports`.

mod admitted;
mod answer;
mod arrivals;
mod attempted;
pub mod clock;
mod commitment;
mod count;
mod explain;
mod gateway;
mod kept;
mod known;
mod limited;
mod meta;
mod overcharged;
mod own;
mod planned;
pub mod ports;
mod prepared;
mod read;
mod received;
mod recorded;
mod refusal;
mod relay;
mod reply;
mod running;
mod settled;
mod steward;
mod surface;
mod tally;
mod trace;
mod view;
mod walk;
mod wishes;

pub use admitted::OUTPUT_MAX_UNKNOWN;
pub use arrivals::Arrivals;
pub use explain::explain;
pub use gateway::{BEARERS_MAX, Gateway, IN_FLIGHT_MAX, Parts, REQUESTS_KEPT_MAX, StatusOf, Told};
pub use known::{Arrival, Known};
pub use meta::RequestMeta;
pub use own::BudgetReport;
pub use recorded::EXPLAIN_ROLE;
pub use refusal::{RawError, Refusal};
pub use relay::{CLIENT_QUEUE, Pieces};
pub use reply::{Refused, Reply, ReplyBody, ReplyFacts};
pub use steward::serve_ledger;
pub use surface::Surface;
pub use view::{Deadlines, ProviderFacts, Settings, View};
pub use wishes::{TAGS_MAX, TEXT_BYTES_MAX, TIMEOUT_MS_MAX};
