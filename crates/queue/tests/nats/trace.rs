//! One trace spans the processes on both sides.

use bailey_core::trace::TARGET;
use opentelemetry::trace::{SpanId, SpanKind, TracerProvider as _};
use opentelemetry_sdk::trace::{InMemorySpanExporter, SdkTracerProvider, SpanData};
use tracing::Instrument as _;
use tracing_subscriber::Layer as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt as _;

use crate::fixture::{Fixture, ask, read};

fn named<'s>(spans: &'s [SpanData], name: &str) -> &'s SpanData {
    spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no `{name}` in {spans:?}"))
}

#[tokio::test]
async fn a_worker_s_spans_are_children_of_the_message_s() {
    let exporter = InMemorySpanExporter::default();
    let provider = SdkTracerProvider::builder().with_simple_exporter(exporter.clone()).build();
    let traced = tracing_opentelemetry::layer().with_context_activation(false).with_tracer(provider.tracer("test"));
    let subscriber = tracing_subscriber::registry()
        .with(traced.with_filter(Targets::new().with_target(TARGET, tracing::Level::DEBUG)));
    let _guard = tracing::subscriber::set_default(subscriber);

    let fixture = Fixture::new().await;
    let _worker = fixture.worker().await;
    let queue = fixture.api().await;
    let request = tracing::info_span!(target: TARGET, "http");
    ask(&queue, read()).instrument(request).await.unwrap();

    let spans = exporter.get_finished_spans().unwrap();
    let [http, asking, working] =
        ["http", "ask secret.payload.get.v1", "secret.payload.get.v1"].map(|name| named(&spans, name));
    assert_eq!(http.parent_span_id, SpanId::INVALID);
    assert_eq!(asking.parent_span_id, http.span_context.span_id());
    assert_eq!(working.parent_span_id, asking.span_context.span_id());
    assert!(working.parent_span_is_remote, "it came with the message");
    assert_eq!((&asking.span_kind, &working.span_kind), (&SpanKind::Client, &SpanKind::Server));
    let traces = [http, asking, working].map(|span| span.span_context.trace_id());
    assert!(traces.iter().all(|trace| *trace == traces[0]));
}
