//! Which spans are traced, and what of them.

use bailey_core::trace::TARGET;
use opentelemetry_sdk::trace::SdkTracer;
use tracing::subscriber::Interest;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::layer::{Context, Filter};
use tracing_subscriber::registry::LookupSpan;

/// Makes OpenTelemetry's spans of those that are meant to be traced, with no more than their own fields: no
/// events, whose texts are the log's, and no places in the code.
pub(super) fn of<S>(tracer: SdkTracer) -> impl Layer<S>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    tracing_opentelemetry::layer()
        .with_error_fields_to_exceptions(false)
        .with_error_records_to_exceptions(false)
        .with_location(false)
        .with_tracked_inactivity(false)
        .with_threads(false)
        .with_level(false)
        .with_target(false)
        .with_context_activation(false)
        .with_tracer(tracer)
        .with_filter(Traced)
}

/// Spans of [`TARGET`]; those that are parts of others, only in others.
struct Traced;

impl Traced {
    fn may_be(metadata: &Metadata<'_>) -> bool {
        metadata.is_span() && metadata.target() == TARGET
    }
}

impl<S> Filter<S> for Traced
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    fn enabled(&self, metadata: &Metadata<'_>, context: &Context<'_, S>) -> bool {
        Self::may_be(metadata) && (*metadata.level() <= Level::INFO || context.lookup_current().is_some())
    }

    fn callsite_enabled(&self, metadata: &'static Metadata<'static>) -> Interest {
        if Self::may_be(metadata) { Interest::sometimes() } else { Interest::never() }
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::DEBUG)
    }
}
