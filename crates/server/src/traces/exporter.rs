//! From ended spans to the collector.

use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result};
use bailey_core::told::Complaint;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::transform::common::tonic::ResourceAttributesWithSchema;
use opentelemetry_proto::transform::trace::tonic::group_spans_by_resource_and_scope;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{Span, SpanData, SpanProcessor};
use prost::Message as _;
use reqwest::{Client, Url};
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout_at};

/// Most spans that wait; further ones are dropped.
const QUEUE: usize = 8_192;
/// Most spans in one request.
const BATCH: usize = 512;
/// How long a span waits for others to share a request.
const LINGER: Duration = Duration::from_secs(1);
/// How long the collector may take to answer.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long what waits at the process's end may take.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// The thread that sends spans. What still waits is sent by [`finish`](Self::finish), and lost without it.
pub struct Exporter {
    stop: oneshot::Sender<()>,
    finished: std::sync::mpsc::Receiver<()>,
}

/// Where spans wait for it.
#[derive(Debug)]
pub(super) struct Queue {
    spans: mpsc::Sender<SpanData>,
}

impl Exporter {
    /// Starts the thread.
    pub(super) fn start(endpoint: &str, resource: &Resource) -> Result<(Self, Queue)> {
        // Shown from the beginning, so that the first loss shows as a rise.
        for outcome in ["exported", "dropped", "failed"] {
            count(outcome, 0);
        }
        let (spans, waiting) = mpsc::channel(QUEUE);
        let (stop, stopped) = oneshot::channel();
        let (tell, finished) = std::sync::mpsc::sync_channel(1);
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let url = format!("{}/v1/traces", endpoint.trim_end_matches('/'));
        let sender = Sender {
            client: Client::builder().timeout(PATIENCE).no_proxy().build()?,
            url: url.parse().context("traces.endpoint is no URL")?,
            resource: resource.into(),
            complaint: Complaint::default(),
        };
        thread::Builder::new().name("traces".into()).spawn(move || {
            sender.run(&runtime, waiting, stopped);
            let _ = tell.send(());
        })?;
        Ok((Self { stop, finished }, Queue { spans }))
    }

    /// Sends what waits, if the collector takes it at once.
    pub fn finish(self) {
        let _ = self.stop.send(());
        let _ = self.finished.recv_timeout(LAST_PATIENCE);
    }
}

fn count(outcome: &'static str, spans: u64) {
    metrics::counter!("bailey_trace_spans_total", "outcome" => outcome).increment(spans);
}

impl SpanProcessor for Queue {
    fn on_start(&self, _: &mut Span, _: &opentelemetry::Context) {}

    fn on_end(&self, span: SpanData) {
        if span.span_context.is_sampled() && self.spans.try_send(span).is_err() {
            count("dropped", 1);
        }
    }

    /// The exporter's own clock and end are all there is.
    fn force_flush(&self) -> OTelSdkResult {
        Ok(())
    }

    fn shutdown_with_timeout(&self, _: Duration) -> OTelSdkResult {
        Ok(())
    }
}

struct Sender {
    client: Client,
    url: Url,
    resource: ResourceAttributesWithSchema,
    complaint: Complaint,
}

impl Sender {
    fn run(mut self, runtime: &Runtime, mut waiting: mpsc::Receiver<SpanData>, mut stop: oneshot::Receiver<()>) {
        runtime.block_on(async {
            let mut batch = Vec::with_capacity(BATCH);
            let mut is_last = false;
            while !is_last {
                tokio::select! {
                    () = collect(&mut waiting, &mut batch) => {}
                    _ = &mut stop => is_last = true,
                }
                self.send(&mut batch).await;
            }
            while let Ok(span) = waiting.try_recv() {
                batch.push(span);
                if batch.len() == BATCH {
                    self.send(&mut batch).await;
                }
            }
            self.send(&mut batch).await;
        });
    }

    async fn send(&mut self, batch: &mut Vec<SpanData>) {
        if batch.is_empty() {
            return;
        }
        let spans = batch.len() as u64;
        match self.post(std::mem::take(batch)).await {
            Ok(()) => {
                count("exported", spans);
                if self.complaint.is_over() {
                    tracing::info!("traces are taken again");
                }
            }
            Err(trouble) => {
                count("failed", spans);
                if self.complaint.is_news(&trouble) {
                    tracing::warn!(trouble, url = %self.url, "traces are not taken and lost until they are");
                }
            }
        }
    }

    async fn post(&self, batch: Vec<SpanData>) -> Result<(), String> {
        let resource_spans = group_spans_by_resource_and_scope(batch, &self.resource);
        let body = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let request = self.client.post(self.url.clone()).header("content-type", "application/x-protobuf").body(body);
        let answer = request.send().await.map_err(|error| describe(&error))?;
        if answer.status().is_success() { Ok(()) } else { Err(format!("the collector answers {}", answer.status())) }
    }
}

/// Fills a batch, until it is full or its first span has waited long enough. Loses nothing when it is dropped.
async fn collect(waiting: &mut mpsc::Receiver<SpanData>, batch: &mut Vec<SpanData>) {
    if batch.is_empty() {
        waiting.recv_many(batch, BATCH).await;
    }
    let deadline = Instant::now() + LINGER;
    while batch.len() < BATCH {
        let room = BATCH - batch.len();
        if !matches!(timeout_at(deadline, waiting.recv_many(batch, room)).await, Ok(1..)) {
            return;
        }
    }
}

/// The error and what is behind it: the first alone says only that the request failed.
fn describe(error: &reqwest::Error) -> String {
    let causes = std::iter::successors(Some(error as &dyn std::error::Error), |error| error.source());
    causes.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}
