//! Prometheus metrics, on a listener of their own.

use std::net::SocketAddr;
use std::time::Instant;

use actix_web::http::header::ContentType;
use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context as _, Result};
use metrics::{describe_gauge, gauge};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};

/// Upper ends of the buckets of durations, in seconds: from a cached read to the longest deadline.
const DURATIONS: [f64; 15] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0];

/// Where metrics can be read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct MetricsConfig {
    /// Address and port; none, if empty.
    #[serde(with = "crate::config::blank")]
    pub listen: Option<SocketAddr>,
}

/// Collects what the whole process counts.
#[derive(Clone)]
pub struct Collector {
    handle: PrometheusHandle,
    started: Instant,
}

impl Collector {
    /// Begins to collect. To be called once.
    ///
    /// # Errors
    /// When something else collects already.
    pub fn start() -> Result<Self> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATIONS)
            .and_then(PrometheusBuilder::install_recorder)
            .context("metrics can't be collected")?;
        bailey_api::describe_metrics();
        describe_gauge!("process_resident_memory_bytes", "Resident memory.");
        describe_gauge!("process_open_fds", "Open file descriptors.");
        describe_gauge!("bailey_uptime_seconds", "Time since the process started.");
        describe_gauge!("bailey_build_info", "Always 1; the label tells the version.");
        gauge!("bailey_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self { handle, started: Instant::now() })
    }

    /// Everything, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        gauge!("bailey_uptime_seconds").set(self.started.elapsed().as_secs_f64());
        if let Some(bytes) = resident_memory() {
            gauge!("process_resident_memory_bytes").set(bytes);
        }
        if let Ok(descriptors) = std::fs::read_dir("/proc/self/fd") {
            gauge!("process_open_fds").set(f64::from(u32::try_from(descriptors.count()).unwrap_or(u32::MAX)));
        }
        self.handle.render()
    }

    /// Drops what histograms no longer need; to be called every few seconds.
    pub fn tidy(&self) {
        self.handle.run_upkeep();
    }
}

/// Connections of the metrics' listener; further ones wait.
pub const MAX_CONNECTIONS: usize = 32;

/// Serves `/metrics` until the process ends.
///
/// # Errors
/// When the address can't be listened on.
pub fn serve(collector: &Collector, address: SocketAddr) -> Result<actix_web::dev::Server> {
    let collector = web::Data::new(collector.clone());
    let app = move || App::new().app_data(collector.clone()).route("/metrics", web::get().to(metrics));
    let server = HttpServer::new(app)
        .workers(1)
        .max_connections(MAX_CONNECTIONS)
        .disable_signals()
        .shutdown_timeout(1)
        .bind(address)
        .with_context(|| format!("metrics can't be served on {address}"))?;
    Ok(server.run())
}

async fn metrics(collector: web::Data<Collector>) -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::plaintext()).body(collector.render())
}

fn resident_memory() -> Option<f64> {
    let pages: u32 = std::fs::read_to_string("/proc/self/statm").ok()?.split_whitespace().nth(1)?.parse().ok()?;
    let page_size = nix::unistd::sysconf(nix::unistd::SysconfVar::PAGE_SIZE).ok()??;
    Some(f64::from(pages) * f64::from(i32::try_from(page_size).ok()?))
}
