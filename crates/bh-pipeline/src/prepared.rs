//! The body one target gets: the client's own bytes with a few fields spliced, or a translation.

use bh_catalog::Capabilities;
use bh_dialect::{DecodeError, Dialect, Edits, EncodeOptions, OnUnsupported, Unsupported, encode_request, splice};
use bh_policy::Source;
use bytes::Bytes;

use crate::admitted::Quote;
use crate::received::Received;
use crate::view::{ProviderFacts, View};

/// A body ready for one provider.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub(crate) body: Bytes,
    /// What was left out, by name.
    pub(crate) warnings: Vec<Unsupported>,
    /// Whether the client is to be told of it.
    pub(crate) tell: bool,
}

/// Under which terms a body is made.
pub(crate) struct Terms<'a> {
    /// What the attempt may cost, where it costs anything.
    pub(crate) quote: Option<&'a Quote>,
    /// What happens to parameters the target has no place for.
    pub(crate) on_unsupported: OnUnsupported,
}

/// What the route of a plan says of parameters a target has no place for.
pub(crate) fn on_unsupported(view: &View, source: &Source) -> OnUnsupported {
    match source {
        Source::Route { index, .. } => view.on_unsupported.get(*index).copied().unwrap_or_default(),
        Source::ProviderNamed | Source::OnlyProvider => OnUnsupported::default(),
    }
}

/// Why no body can be made for this target.
#[derive(Debug)]
pub(crate) enum Unprepared {
    /// The target's dialect has no words for it.
    Unsupported(Unsupported),
    /// The request is wrong where only a whole look could tell.
    Unreadable(DecodeError),
}

/// The limit of answer tokens an Anthropic target gets when the client named none and no budget set one.
const OUTPUT_DEFAULT: u64 = 4096;

/// Checks that a target can be told this request, before money is held for it.
///
/// # Errors
/// See [`Unprepared`].
pub(crate) fn prepare(
    received: &mut Received,
    provider: &ProviderFacts,
    model: &str,
    terms: &Terms<'_>,
) -> Result<Prepared, Unprepared> {
    let from = received.dialect();
    let set_output = terms.quote.and_then(|quote| quote.set_output);
    if from == provider.dialect {
        let edits = Edits {
            model: (model != received.scan.model).then_some(model),
            max_output: set_output,
            limit_field: provider.limit_field,
            ask_usage: received.scan.stream && from == Dialect::OpenAiChat,
        };
        let body = splice(from, &received.body, &received.scan, &edits);
        return Ok(Prepared { body, warnings: Vec::new(), tell: false });
    }
    let (output_default, reasons) = {
        let model = received.known.view.catalog.find(&provider.kind, model);
        (
            model.and_then(|model| model.output_tokens_max),
            model.is_none_or(|model| model.capabilities.contains(Capabilities::REASONING)),
        )
    };
    let on_unsupported = terms.on_unsupported;
    let options = EncodeOptions {
        model: model.to_owned(),
        max_output_default: set_output.or(output_default).or(Some(OUTPUT_DEFAULT)),
        max_output_cap: None,
        on_unsupported,
        limit_field: provider.limit_field,
        ask_usage: received.scan.stream,
        no_reasoning: !reasons,
        thinking: None,
    };
    let request = received.conversation().map_err(Unprepared::Unreadable)?;
    let encoded = encode_request(provider.dialect, from, request, &options).map_err(Unprepared::Unsupported)?;
    let tell = on_unsupported == OnUnsupported::Warn;
    Ok(Prepared { body: encoded.body.into(), warnings: encoded.warnings, tell })
}
