//! Received: what is asked? One strict pass over the body; the bytes are kept as they came.

use bh_chat::Request;
use bh_dialect::{DecodeError, Dialect, Scan};
use bytes::Bytes;
use http::HeaderMap;

use crate::known::Known;
use crate::recorded::EXPLAIN_ROLE;
use crate::refusal::Refusal;
use crate::wishes::Wishes;

/// A request that could be read.
#[derive(Debug)]
pub(crate) struct Received {
    pub(crate) known: Known,
    pub(crate) body: Bytes,
    pub(crate) scan: Scan,
    pub(crate) wishes: Wishes,
    /// The conversation, decoded once when a target of another dialect needs it.
    decoded: Option<Request>,
}

impl Received {
    /// Reads headers and body.
    ///
    /// # Errors
    /// [`Refusal::TooLarge`], [`Refusal::NotJson`], [`Refusal::Header`], [`Refusal::Unreadable`].
    pub(crate) fn read(known: &Known, headers: &HeaderMap, body: Bytes) -> Result<Self, Refusal> {
        let bytes_max = known.view.settings.body_bytes_max;
        if bytes_max < body.len() {
            return Err(Refusal::TooLarge { bytes_max });
        }
        if !is_json(headers) {
            return Err(Refusal::NotJson);
        }
        let wishes = Wishes::read(headers)?;
        if wishes.explain && !known.bearer.verified.has_role(EXPLAIN_ROLE) {
            return Err(Refusal::RoleMissing { role: EXPLAIN_ROLE });
        }
        let scan = bh_dialect::scan(known.arrival.dialect, &body).map_err(Refusal::from)?;
        // A body can name further models for the provider to fall back to; each needs the same permission.
        if let Some(model) = scan.other_models.iter().find(|model| !known.may_call(model)) {
            return Err(Refusal::ModelNotAllowed { model: model.clone() });
        }
        Ok(Received { known: known.clone(), body, scan, wishes, decoded: None })
    }

    /// The dialect the client speaks.
    pub(crate) fn dialect(&self) -> Dialect {
        self.known.arrival.dialect
    }

    /// The whole conversation.
    ///
    /// # Errors
    /// A field whose form the dialect does not allow, and that the scan did not look at.
    pub(crate) fn conversation(&mut self) -> Result<&Request, DecodeError> {
        if self.decoded.is_none() {
            self.decoded = Some(bh_dialect::decode_request(self.dialect(), &self.body)?);
        }
        Ok(self.decoded.as_ref().expect("it was decoded above"))
    }
}

/// JSON by its content type; a missing one is taken for it. A compressed body is not, since nothing here unpacks it.
fn is_json(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("?").to_ascii_lowercase());
    let kind = text("content-type");
    let media = kind.as_deref().map(|kind| kind.split(';').next().unwrap_or_default().trim());
    let plain = text("content-encoding").is_none_or(|coding| coding == "identity");
    plain && media.is_none_or(|media| media == "application/json" || media.ends_with("+json"))
}
