//! What a request asks for and this dialect cannot say, collected by name.

use crate::{Capability, Dialect, OnUnsupported, Unsupported};

/// The things left out so far, and what to do about the next one.
#[derive(Debug)]
pub(super) struct Report {
    policy: OnUnsupported,
    warnings: Vec<Unsupported>,
}

impl Report {
    /// An empty report.
    pub(super) fn new(policy: OnUnsupported) -> Self {
        Report { policy, warnings: Vec::new() }
    }

    /// A parameter is left out.
    ///
    /// # Errors
    /// The caller wants such requests refused.
    pub(super) fn leave_out(&mut self, field: impl Into<String>, capability: Capability) -> Result<(), Unsupported> {
        let unsupported = refusal(field, capability);
        match self.policy {
            OnUnsupported::Reject => Err(unsupported),
            OnUnsupported::Warn | OnUnsupported::Drop => {
                self.warnings.push(unsupported);
                Ok(())
            }
        }
    }

    /// Something is left out that never stops a request.
    pub(super) fn note(&mut self, field: impl Into<String>, capability: Capability) {
        self.warnings.push(refusal(field, capability));
    }

    /// Everything left out.
    pub(super) fn into_warnings(self) -> Vec<Unsupported> {
        self.warnings
    }
}

/// Something without which the request would mean something else.
pub(super) fn refusal(field: impl Into<String>, capability: Capability) -> Unsupported {
    Unsupported { field: field.into(), capability, target: Dialect::OpenAiChat }
}
