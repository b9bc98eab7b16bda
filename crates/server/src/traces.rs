//! Traces, to a collector that takes OTLP over HTTP: which spans there are, and how they get there.
//!
//! Nothing waits for the collector. Spans that have ended wait in a bounded queue for a thread of their own;
//! what has no room there, or isn't taken, is counted and gone.

mod exporter;
mod layer;

use anyhow::{Context as _, Result};
use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::registry::LookupSpan;
use uuid::Uuid;

pub use exporter::Exporter;

/// Where traces go. Part of the configuration, as `[traces]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct TracesConfig {
    /// URL of a collector, to which `/v1/traces` is added; no traces, if empty.
    pub endpoint: String,
    /// Which part of the traces that begin here is recorded, from 0 to 1.
    pub sample_ratio: f64,
    /// `service.name` of the spans.
    pub service_name: String,
}

impl Default for TracesConfig {
    fn default() -> Self {
        Self { endpoint: String::new(), sample_ratio: 1.0, service_name: "bailey".to_owned() }
    }
}

impl TracesConfig {
    /// Whether there are any.
    #[must_use]
    pub const fn is_on(&self) -> bool {
        !self.endpoint.is_empty()
    }
}

/// Begins to export, and returns what makes traces of spans. To be called once.
///
/// # Errors
/// When there can be no client or no thread for it.
pub fn start<S>(config: &TracesConfig) -> Result<(impl Layer<S> + use<S>, Exporter)>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    let resource = Resource::builder_empty()
        .with_service_name(config.service_name.clone())
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", Uuid::new_v4().to_string()))
        .build();
    let (exporter, queue) = Exporter::start(&config.endpoint, &resource).context("traces can't be exported")?;
    // Whoever asks has decided already, if it traces: half a trace is of no use.
    let sampler = Sampler::ParentBased(Box::new(Sampler::TraceIdRatioBased(config.sample_ratio)));
    let provider =
        SdkTracerProvider::builder().with_resource(resource).with_sampler(sampler).with_span_processor(queue).build();
    Ok((layer::of(provider.tracer("bailey")), exporter))
}
