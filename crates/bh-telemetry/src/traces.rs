//! OpenTelemetry traces over OTLP/HTTP, with the attributes of the GenAI semantic conventions (1.37).
//!
//! A span is built once, when its request or attempt has ended, from the facts and the ids the request carried; the
//! provider already saw the attempt's span id in `traceparent`. So a trace costs a request nothing while it runs.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bh_base::Millis;
use bh_pipeline::ports::{AttemptFacts, RequestFacts, Trace};
use opentelemetry::trace::{
    Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt as _, TraceFlags, TraceId, TraceState,
    Tracer as _, TracerProvider as _,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::WithExportConfig as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{IdGenerator, RandomIdGenerator, SdkTracer, SdkTracerProvider};

/// Why traces could not be set up.
#[derive(Debug, thiserror::Error)]
pub enum TracesError {
    /// The exporter refused its settings.
    #[error("telemetry.otlp / OTEL_EXPORTER_OTLP_*: the trace exporter cannot be built")]
    Exporter(#[source] opentelemetry_otlp::ExporterBuildError),
}

/// Sends finished spans to a collector in the background.
#[derive(Debug)]
pub struct Traces {
    provider: SdkTracerProvider,
    tracer: SdkTracer,
}

thread_local! {
    /// The ids the next span of this thread gets: those its request carried.
    static NEXT: Cell<Option<(TraceId, SpanId)>> = const { Cell::new(None) };
}

#[derive(Debug, Default)]
struct CarriedIds(RandomIdGenerator);

impl IdGenerator for CarriedIds {
    fn new_trace_id(&self) -> TraceId {
        NEXT.get().map_or_else(|| self.0.new_trace_id(), |(trace, _)| trace)
    }

    fn new_span_id(&self) -> SpanId {
        NEXT.get().map_or_else(|| self.0.new_span_id(), |(_, span)| span)
    }
}

impl Traces {
    /// Starts the exporter when `endpoint` or one of the standard variables names a collector; otherwise nothing.
    /// `OTEL_SERVICE_NAME`, `OTEL_RESOURCE_ATTRIBUTES`, `OTEL_TRACES_SAMPLER` and the batch settings apply, and
    /// `OTEL_SDK_DISABLED=true` or `OTEL_TRACES_EXPORTER=none` switch it off.
    ///
    /// # Errors
    /// The endpoint or headers are not usable.
    pub fn start(endpoint: Option<&str>) -> Result<Option<Self>, TracesError> {
        let set = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
        let off = set("OTEL_SDK_DISABLED").is_some_and(|v| v.eq_ignore_ascii_case("true"))
            || set("OTEL_TRACES_EXPORTER").is_some_and(|v| v == "none");
        let named = set("OTEL_EXPORTER_OTLP_ENDPOINT").or_else(|| set("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")).is_some();
        if off || (endpoint.is_none() && !named) {
            return Ok(None);
        }
        // Batches leave from a thread of the processor's own, which has no runtime: the client has to be a blocking one.
        let mut exporter = opentelemetry_otlp::SpanExporter::builder().with_http();
        if let (Some(endpoint), false) = (endpoint, named) {
            exporter = exporter.with_endpoint(format!("{}/v1/traces", endpoint.trim_end_matches('/')));
        }
        let exporter = exporter.build().map_err(TracesError::Exporter)?;
        let mut resource = Resource::builder();
        if set("OTEL_SERVICE_NAME").is_none() {
            resource = resource.with_service_name("bulkhead");
        }
        let provider = SdkTracerProvider::builder()
            .with_id_generator(CarriedIds::default())
            .with_resource(resource.build())
            .with_batch_exporter(exporter)
            .build();
        let tracer = provider.tracer("bulkhead");
        Ok(Some(Traces { provider, tracer }))
    }

    /// Sends what is left. Waits at most as long as the exporter's own timeout.
    pub fn stop(&self) {
        if let Err(error) = self.provider.shutdown() {
            tracing::warn!(%error, "the last traces could not be sent");
        }
    }

    fn attempt(&self, facts: &AttemptFacts<'_>, trace: Trace) {
        let mut attributes = vec![
            KeyValue::new("gen_ai.operation.name", "chat"),
            KeyValue::new("gen_ai.provider.name", facts.provider.to_owned()),
            KeyValue::new("gen_ai.request.model", facts.model.to_owned()),
            KeyValue::new("bulkhead.outcome", facts.outcome),
        ];
        attributes.extend(facts.status.map(|status| KeyValue::new("http.response.status_code", i64::from(status))));
        let failed = (facts.outcome != "ok").then(|| facts.outcome.to_owned());
        let parent = Parent { span_id: Some(trace.span_id), local: true };
        let name = format!("chat {}", facts.model);
        self.emit(&Finished {
            name,
            kind: SpanKind::Client,
            trace,
            parent,
            span_id: facts.span_id,
            began: facts.began,
            took_us: facts.took_us,
            attributes,
            failed,
        });
    }

    pub(crate) fn request(&self, facts: &RequestFacts<'_>) {
        let tokens = |n: u64| i64::try_from(n).unwrap_or(i64::MAX);
        let mut attributes = vec![
            KeyValue::new("gen_ai.operation.name", "chat"),
            KeyValue::new("gen_ai.provider.name", facts.kind.to_owned()),
            KeyValue::new("gen_ai.request.model", facts.asked.to_owned()),
            KeyValue::new("gen_ai.response.model", facts.answered.to_owned()),
            KeyValue::new("gen_ai.usage.input_tokens", tokens(facts.usage.prompt_tokens())),
            KeyValue::new("gen_ai.usage.output_tokens", tokens(facts.usage.answer_tokens())),
            KeyValue::new("http.route", facts.route),
            KeyValue::new("http.response.status_code", i64::from(facts.status)),
            KeyValue::new("bulkhead.request_id", facts.request.to_string()),
            KeyValue::new("bulkhead.cost_usd", facts.cost.as_usd_f64()),
            KeyValue::new("bulkhead.attempts", i64::try_from(facts.attempts.len()).unwrap_or(i64::MAX)),
        ];
        attributes.extend(facts.finish.map(|finish| {
            let reasons = vec![opentelemetry::StringValue::from(finish.to_owned())];
            KeyValue::new("gen_ai.response.finish_reasons", opentelemetry::Value::Array(reasons.into()))
        }));
        let failed = (500 <= facts.status || facts.outcome != "ok").then(|| facts.outcome.to_owned());
        let sampled = self.emit(&Finished {
            name: format!("POST {}", facts.route),
            kind: SpanKind::Server,
            trace: facts.trace,
            parent: Parent { span_id: facts.trace.parent, local: false },
            span_id: facts.trace.span_id,
            began: facts.began,
            took_us: facts.total_us,
            attributes,
            failed,
        });
        if sampled {
            facts.attempts.iter().for_each(|attempt| self.attempt(attempt, facts.trace));
        }
    }

    /// Builds and ends a span; tells whether it was sampled.
    fn emit(&self, span: &Finished) -> bool {
        let trace_id = TraceId::from_bytes(span.trace.trace_id);
        let parent = match span.parent.span_id {
            None => Context::new(),
            Some(parent) => {
                let sampled = span.parent.local || span.trace.sampled.unwrap_or(true);
                let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
                let remote = !span.parent.local;
                let context =
                    SpanContext::new(trace_id, SpanId::from_bytes(parent), flags, remote, TraceState::default());
                Context::new().with_remote_span_context(context)
            }
        };
        let began = UNIX_EPOCH + Duration::from_millis(span.began.0);
        let ended: SystemTime = began + Duration::from_micros(span.took_us);
        let builder = self
            .tracer
            .span_builder(span.name.clone())
            .with_kind(span.kind.clone())
            .with_start_time(began)
            .with_attributes(span.attributes.clone());
        NEXT.set(Some((trace_id, SpanId::from_bytes(span.span_id))));
        let mut built = self.tracer.build_with_context(builder, &parent);
        NEXT.set(None);
        if let Some(why) = &span.failed {
            built.set_attribute(KeyValue::new("error.type", why.clone()));
            built.set_status(Status::error(why.clone()));
        }
        let sampled = built.span_context().is_sampled();
        built.end_with_timestamp(ended);
        sampled
    }
}

struct Parent {
    span_id: Option<[u8; 8]>,
    /// Whether the parent is a span of this process.
    local: bool,
}

struct Finished {
    name: String,
    kind: SpanKind,
    trace: Trace,
    parent: Parent,
    span_id: [u8; 8],
    began: Millis,
    took_us: u64,
    attributes: Vec<KeyValue>,
    failed: Option<String>,
}
