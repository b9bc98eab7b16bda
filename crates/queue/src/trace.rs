//! Spans of what crosses the queue, and how a trace goes on in another process.

use bailey_core::failure::Failure;
use bailey_core::trace::{TARGET, TraceContext};
use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt as _, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing::field::{Empty, display};
use tracing_opentelemetry::OpenTelemetrySpanExt as _;

/// The span of a request on its way, until its reply is there.
pub(crate) fn asking(request: &'static str) -> Span {
    tracing::debug_span!(
        target: TARGET,
        "queue",
        otel.name = format_args!("ask {request}"),
        otel.kind = "client",
        otel.status_code = Empty,
        error.type = Empty,
        bailey.request = request,
    )
}

/// The span of a use case at work, wherever it was asked for. If the current span is one of the log's that has
/// a place for it, it learns the trace's id.
pub(crate) fn working(request: &'static str, asked: Option<TraceContext>) -> Span {
    let span = tracing::info_span!(
        target: TARGET,
        "use case",
        otel.name = request,
        otel.kind = "server",
        otel.status_code = Empty,
        error.type = Empty,
        bailey.request = request,
    );
    if let (Some(asked), false) = (asked, span.is_disabled()) {
        continue_from(&span, asked);
        tell(&Span::current(), asked);
    }
    span
}

/// Has lines of the log that belong to a span say which trace they are of.
pub fn tell(log: &Span, context: TraceContext) {
    log.record("trace_id", display(format_args!("{:032x}", context.trace)));
}

/// Notes in a span why it failed; whether that is a fault is the failure's to say.
pub(crate) fn failed(span: &Span, failure: &Failure) {
    span.record("error.type", failure.kind.as_str());
    if failure.is_fault() {
        span.record("otel.status_code", "ERROR");
    }
}

/// Gives a span a name that was not known when it began.
pub fn rename(span: &Span, name: String) {
    span.context().span().update_name(name);
}

/// Where in a trace a span is; nothing, where nobody traces.
#[must_use]
pub fn context_of(span: &Span) -> Option<TraceContext> {
    if span.is_disabled() {
        return None;
    }
    let context = span.context();
    let context = context.span().span_context().clone();
    context.is_valid().then(|| TraceContext {
        trace: u128::from_be_bytes(context.trace_id().to_bytes()),
        span: u64::from_be_bytes(context.span_id().to_bytes()),
        flags: context.trace_flags().to_u8(),
    })
}

/// Makes a span a child of one that is elsewhere. To be called before anything happens in it.
pub fn continue_from(span: &Span, parent: TraceContext) {
    let parent = SpanContext::new(
        TraceId::from_bytes(parent.trace.to_be_bytes()),
        SpanId::from_bytes(parent.span.to_be_bytes()),
        TraceFlags::new(parent.flags),
        true,
        TraceState::default(),
    );
    // It fails where nobody traces, which is as well.
    let _ = span.set_parent(Context::new().with_remote_span_context(parent));
}
