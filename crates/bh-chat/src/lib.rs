//! The provider-free conversation: what every dialect is decoded into and encoded from.
//!
//! It knows no provider, no wire format, no HTTP and no serde. JSON that only travels through (schemas, tool
//! arguments, fields a dialect keeps for itself) is carried as checked text in [`Json`].

mod answer;
mod fault;
mod request;

pub use answer::{Answer, Choice, Citation, Event, Finish};
pub use bh_base::Usage;
pub use fault::{Fault, FaultClass};
pub use request::{
    Extra, Format, ImageSource, Json, Message, Part, Reasoning, Request, Role, Sampling, ServerTool, Tool, ToolChoice,
};
