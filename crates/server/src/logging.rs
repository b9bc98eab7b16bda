//! Logs, to stderr: readable on a terminal, JSON otherwise.

use std::io::{self, IsTerminal as _};

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};
use tracing::Subscriber;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer};

use crate::traces::{self, Exporter, TracesConfig};

/// What others tell at `info` only their developers need, and what the HTTP dispatcher calls an error
/// any client can cause at will, and spans of traces are no part of lines; a filter that names them goes
/// before this.
const QUIET: &str = "actix_server=warn,async_nats=error,actix_http::h1::dispatcher=off,bailey_trace=off,sea_orm_migration=warn,sqlx=warn";

/// What is logged, and in which form.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct LogConfig {
    /// A level, or a filter such as `info,bailey_worker=debug`.
    pub level: String,
    /// The form.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// The form of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// For machines: one object per line.
    Json,
}

impl LogConfig {
    /// The filter that `level` means.
    ///
    /// # Errors
    /// When it is none.
    pub fn filter(&self) -> Result<EnvFilter> {
        EnvFilter::builder()
            .parse(format!("{QUIET},{}", self.level))
            .context("not a level or a filter such as `info,bailey_worker=debug`")
    }
}

/// Starts logging, and tracing if it is on. To be called once.
///
/// # Errors
/// When the filter can't be parsed, or traces can't be exported.
pub fn start(config: &LogConfig, traces: &TracesConfig) -> Result<Option<Exporter>> {
    let filter = config.filter()?;
    if !traces.is_on() {
        // One filter for all costs less than one for each of two readers.
        tracing_subscriber::registry().with(filter).with(lines(config.format)).init();
        return Ok(None);
    }
    let (traced, exporter) = traces::start(traces)?;
    tracing_subscriber::registry().with(lines(config.format).with_filter(filter)).with(traced).init();
    Ok(Some(exporter))
}

/// What writes lines.
fn lines<S>(format: LogFormat) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'s> LookupSpan<'s>,
{
    let is_terminal = io::stderr().is_terminal();
    let as_text = match format {
        LogFormat::Auto => is_terminal,
        LogFormat::Text => true,
        LogFormat::Json => false,
    };
    let layer = tracing_subscriber::fmt::layer().with_writer(io::stderr);
    if as_text {
        layer.compact().with_target(false).with_ansi(is_terminal).boxed()
    } else {
        layer.json().flatten_event(true).with_current_span(false).boxed()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tracing::subscriber::with_default;

    use super::*;

    const DISPATCHER: &str = "actix_http::h1::dispatcher";

    #[test]
    fn a_client_can_not_fill_the_log() {
        let is_logged = |level: &str| {
            let filter = LogConfig { level: level.to_owned(), ..LogConfig::default() }.filter().unwrap();
            let subscriber = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::sink).finish();
            with_default(subscriber, || {
                assert!(tracing::enabled!(target: "bailey_api", tracing::Level::ERROR));
                tracing::enabled!(target: DISPATCHER, tracing::Level::ERROR)
            })
        };
        assert!(!is_logged("info") && !is_logged("debug"));
        assert!(is_logged(&format!("info,{DISPATCHER}=error")), "unless it is asked for");
    }
}
