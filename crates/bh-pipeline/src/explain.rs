//! What would happen to a request: the walk up to the plan, without money and without a call.

use std::sync::Arc;

use bh_audit::Decision;
use bh_token::Plane;
use bytes::Bytes;
use http::HeaderMap;

use crate::clock;
use crate::known::{Arrival, Bearer, Known};
use crate::planned::{decision, plan_for};
use crate::received::Received;
use crate::refusal::Refusal;
use crate::surface::Surface;
use crate::view::View;

/// Explains how a request of this token would be routed under a view, with the health the view's routes know.
///
/// # Errors
/// The refusal the request would get before its first attempt.
pub fn explain(view: &Arc<View>, surface: Surface, token: &str, body: Bytes) -> Result<Decision, Refusal> {
    let headers = HeaderMap::new();
    let arrival = Arrival::now(surface, &headers);
    let verified =
        bh_token::verify(token, &view.keys, &view.audience, Plane::Data, arrival.at).map_err(Refusal::from)?;
    verified.check_live(&view.revocations, arrival.at).map_err(Refusal::from)?;
    let draw = clock::draw_of(arrival.id);
    let known = Known { arrival, view: Arc::clone(view), bearer: Arc::new(Bearer::new(verified)) };
    let received = Received::read(&known, &headers, body)?;
    Ok(decision(&plan_for(&received)?, &[], draw))
}
