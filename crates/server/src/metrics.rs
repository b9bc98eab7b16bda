//! Prometheus metrics, on a listener of their own, and what supervisors ask. [`catalogue`] lists them.

pub mod catalogue;
mod process;

use std::net::SocketAddr;

use actix_web::{App, HttpResponse, HttpServer, web};
use anyhow::{Context as _, Result};
use bailey_api::State;
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};
use serde::{Deserialize, Serialize};

use process::Process;

/// Upper ends of the buckets of durations, in seconds: from a cached read to the longest deadline.
const DURATIONS: [f64; 15] =
    [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0];
/// The same for orders, which may wait for a back-end for a day.
const ORDERS: [f64; 14] = [0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0, 20.0, 60.0, 300.0, 1_800.0, 7_200.0, 86_400.0];
/// The same for SQLite's batches, in transactions.
const BATCHES: [f64; 7] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0];

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
    process: Process,
}

impl Collector {
    /// Begins to collect. To be called once.
    ///
    /// # Errors
    /// When something else collects already.
    pub fn start() -> Result<Self> {
        let handle = PrometheusBuilder::new()
            .set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), &DURATIONS)
            .and_then(|builder| builder.set_buckets_for_metric(full("bailey_order_seconds"), &ORDERS))
            .and_then(|builder| builder.set_buckets_for_metric(full("bailey_database_batch_size"), &BATCHES))
            .and_then(PrometheusBuilder::install_recorder)
            .context("metrics can't be collected")?;
        catalogue::describe();
        metrics::gauge!("bailey_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        Ok(Self { handle, process: Process::begin() })
    }

    /// Everything, in Prometheus' text format.
    #[must_use]
    pub fn render(&self) -> String {
        self.handle.render() + &self.process.render()
    }

    /// Drops what histograms no longer need; to be called every second or so.
    pub fn tidy(&self) {
        self.handle.run_upkeep();
    }
}

fn full(name: &str) -> Matcher {
    Matcher::Full(name.to_owned())
}

/// Content type of Prometheus' text format.
const TEXT_FORMAT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// Connections of the metrics' listener; further ones wait.
pub const MAX_CONNECTIONS: usize = 32;

/// Serves `/metrics`, `/livez` and `/readyz` until the process ends.
///
/// # Errors
/// When the address can't be listened on.
pub fn serve(collector: &Collector, address: SocketAddr, state: State) -> Result<actix_web::dev::Server> {
    let (collector, state) = (web::Data::new(collector.clone()), web::Data::new(state));
    let app = move || {
        let app = App::new().app_data(collector.clone()).app_data(state.clone());
        app.route("/metrics", web::get().to(metrics)).configure(bailey_api::probes)
    };
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
    HttpResponse::Ok().content_type(TEXT_FORMAT).body(collector.render())
}
