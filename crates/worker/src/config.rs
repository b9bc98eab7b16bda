//! Settings of the worker.

use std::time::Duration;

use bailey_core::probe::ProbeLimits;
use serde::{Deserialize, Serialize};

/// What the API offers, where it takes a worker to tell.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ApiConfig {
    /// Whether `/v1/secret-stores` is served.
    pub secret_stores: Offer,
    /// Whether certificates can be ordered, and `/v1/cas` is served.
    pub certificates: CertificateOffer,
}

/// When something is offered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Offer {
    /// When there is something to choose from.
    #[default]
    Auto,
    /// Always.
    On,
}

/// When certificates are offered.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CertificateOffer {
    /// When there is a CA.
    #[default]
    Auto,
    /// Never: all answers are those of today's Barbican, which has none.
    Off,
}

/// Intervals and limits of a worker.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Seconds that one call of a secret store may take.
    pub store_deadline_seconds: f64,
    /// Seconds that a store may take to list a part of what it holds, or for one step of a key rotation.
    pub store_batch_deadline_seconds: f64,
    /// Seconds that one call of a certificate authority may take.
    pub ca_deadline_seconds: f64,
    /// Seconds between two questions to a certificate authority whether it can be used.
    pub ca_interval_seconds: f64,
    /// Calls that fail one after the other before a store is no longer asked, only probed.
    pub store_failures: u32,
    /// Seconds between the first two probes of a store that doesn't answer; doubles with each further one.
    pub probe_shortest_seconds: f64,
    /// Longest time between two probes, in seconds.
    pub probe_longest_seconds: f64,
    /// Seconds that each part may take to answer a health check.
    pub health_deadline_seconds: f64,
    /// Seconds between two looks for payloads to destroy.
    pub deletion_interval_seconds: f64,
    /// Seconds between two searches for orphans and for secrets that expired long ago.
    pub sweep_interval_seconds: f64,
    /// Seconds after which a write without a row is taken for an orphan.
    pub orphan_age_seconds: f64,
    /// Seconds after its expiration that a secret is deleted for good; 0 is never.
    pub expired_after_seconds: f64,
    /// Seconds between two looks for keys to rewrap and payloads to re-encrypt.
    pub rotation_interval_seconds: f64,
    /// How many KEKs of a store a second are wrapped anew at most.
    pub rewrap_per_second: f64,
    /// How many payloads a second are re-encrypted at most.
    pub reencrypt_per_second: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            store_deadline_seconds: 10.0,
            store_batch_deadline_seconds: 60.0,
            ca_deadline_seconds: 30.0,
            ca_interval_seconds: 60.0,
            store_failures: 5,
            probe_shortest_seconds: 0.5,
            probe_longest_seconds: 15.0,
            health_deadline_seconds: 2.0,
            deletion_interval_seconds: 5.0,
            sweep_interval_seconds: 600.0,
            orphan_age_seconds: 3600.0,
            expired_after_seconds: 2_592_000.0,
            rotation_interval_seconds: 5.0,
            rewrap_per_second: 100.0,
            reencrypt_per_second: 100.0,
        }
    }
}

impl Config {
    pub(crate) fn store_deadline(&self) -> Duration {
        Duration::from_secs_f64(self.store_deadline_seconds)
    }

    pub(crate) fn store_batch_deadline(&self) -> Duration {
        Duration::from_secs_f64(self.store_batch_deadline_seconds)
    }

    pub(crate) fn ca_deadline(&self) -> Duration {
        Duration::from_secs_f64(self.ca_deadline_seconds)
    }

    /// How long after its expiration a secret is deleted for good, if ever.
    pub(crate) fn expired_after(&self) -> Option<Duration> {
        Some(self.expired_after_seconds).filter(|seconds| *seconds > 0.0).map(Duration::from_secs_f64)
    }

    pub(crate) fn probe_limits(&self) -> ProbeLimits {
        ProbeLimits {
            failures: self.store_failures,
            shortest_wait: Duration::from_secs_f64(self.probe_shortest_seconds),
            longest_wait: Duration::from_secs_f64(self.probe_longest_seconds),
        }
    }

    pub(crate) fn health_deadline(&self) -> Duration {
        Duration::from_secs_f64(self.health_deadline_seconds)
    }

    /// Age after which a write without a row is an orphan.
    #[must_use]
    pub fn orphan_age(&self) -> Duration {
        Duration::from_secs_f64(self.orphan_age_seconds)
    }
}
