//! What can be set about the API.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::proxy::Network;

/// Settings of the API. Every key has a default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Base of every href, such as `https://keys.example.org`. Blank: hrefs follow the request.
    pub host_href: String,
    /// Sizes.
    pub limits: Limits,
    /// Connections.
    pub http: Http,
    /// Pages of other origins.
    pub cors: Cors,
}

/// Which pages' scripts a browser lets ask, and read the answers (Fetch, CORS protocol).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cors {
    /// Origins such as `https://console.example.org`, or `*` for all; none, if empty.
    pub allowed_origins: Vec<String>,
    /// Whether browsers send cookies and client certificates along.
    pub allow_credentials: bool,
    /// Seconds for which a browser need not ask again.
    pub max_age_seconds: u64,
}

impl Default for Cors {
    fn default() -> Self {
        Self { allowed_origins: Vec::new(), allow_credentials: false, max_age_seconds: 3_600 }
    }
}

/// Sizes the API accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Largest request body, in bytes. The default lets the largest payload in as base64.
    pub body: usize,
    /// Largest payload, in bytes.
    pub payload: usize,
    /// Items on a page when the client doesn't say.
    pub page_default: u64,
    /// Most items on a page.
    pub page_max: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { body: 64 * 1024, payload: 20_000, page_default: 10, page_max: 100 }
    }
}

/// How connections are treated.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Http {
    /// Threads that serve connections; 0 means one for each processor.
    pub workers: usize,
    /// Connections open at once; further ones wait to be accepted.
    pub max_connections: usize,
    /// Seconds an idle connection is kept open.
    pub keep_alive_seconds: f64,
    /// Seconds a client may take to send the head of a request, and again to send its body.
    pub request_seconds: f64,
    /// Seconds a client may leave an answer unread before its connection is cut.
    pub unread_seconds: f64,
    /// Seconds that requests in flight are given when the server stops.
    pub shutdown_seconds: u64,
    /// Seconds that a server that is to stop goes on serving, so that whoever asks `/readyz` can send clients
    /// elsewhere first.
    pub drain_seconds: u64,
    /// Seconds after which the health check calls a worker that doesn't answer unhealthy.
    pub health_seconds: f64,
    /// A file that makes the health check answer 503 while it is there. Blank: none.
    pub disable_file: String,
    /// Proxies whose `X-Forwarded-*` headers are believed.
    pub trusted_proxies: Vec<Network>,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            workers: 0,
            max_connections: 10_000,
            keep_alive_seconds: 30.0,
            request_seconds: 10.0,
            unread_seconds: 30.0,
            shutdown_seconds: 30,
            drain_seconds: 0,
            health_seconds: 5.0,
            disable_file: String::new(),
            trusted_proxies: Vec::new(),
        }
    }
}

impl Http {
    /// Time for a client to send a head, or a body.
    #[must_use]
    pub fn request_time(&self) -> Duration {
        seconds(self.request_seconds)
    }

    /// Time for a client to read on.
    #[must_use]
    pub fn unread_time(&self) -> Duration {
        seconds(self.unread_seconds)
    }

    /// Time between being told to stop and stopping to listen.
    #[must_use]
    pub const fn drain_time(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    /// Time for a worker to answer the health check.
    #[must_use]
    pub fn health_time(&self) -> Duration {
        seconds(self.health_seconds)
    }

    /// Whether an operator takes this server out of service, without stopping it.
    pub async fn is_disabled(&self) -> bool {
        !self.disable_file.is_empty() && tokio::fs::try_exists(&self.disable_file).await.unwrap_or(false)
    }

    /// Time an idle connection is kept.
    #[must_use]
    pub fn keep_alive_time(&self) -> Duration {
        seconds(self.keep_alive_seconds)
    }
}

/// A number of seconds that makes no sense counts as none, so that nothing panics on a bad setting.
fn seconds(number: f64) -> Duration {
    Duration::try_from_secs_f64(number).unwrap_or_default()
}
