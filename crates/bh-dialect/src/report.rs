//! What a request asks for and the target dialect cannot say, collected by name.

use crate::{Capability, Dialect, OnUnsupported, Unsupported};

/// The things left out so far, and what to do about the next one.
#[derive(Debug)]
pub(crate) struct Report {
    target: Dialect,
    policy: OnUnsupported,
    warnings: Vec<Unsupported>,
}

impl Report {
    /// An empty report.
    pub(crate) fn new(target: Dialect, policy: OnUnsupported) -> Self {
        Report { target, policy, warnings: Vec::new() }
    }

    /// A parameter is left out.
    ///
    /// # Errors
    /// The caller wants such requests refused.
    pub(crate) fn leave_out(&mut self, field: impl Into<String>, capability: Capability) -> Result<(), Unsupported> {
        let unsupported = refusal(self.target, field, capability);
        match self.policy {
            OnUnsupported::Reject => Err(unsupported),
            OnUnsupported::Warn | OnUnsupported::Drop => {
                self.warnings.push(unsupported);
                Ok(())
            }
        }
    }

    /// Something is left out that never stops a request.
    pub(crate) fn note(&mut self, field: impl Into<String>, capability: Capability) {
        self.warnings.push(refusal(self.target, field, capability));
    }

    /// Everything left out.
    pub(crate) fn into_warnings(self) -> Vec<Unsupported> {
        self.warnings
    }
}

/// Something without which the request would mean something else.
pub(crate) fn refusal(target: Dialect, field: impl Into<String>, capability: Capability) -> Unsupported {
    Unsupported { field: field.into(), capability, target }
}
