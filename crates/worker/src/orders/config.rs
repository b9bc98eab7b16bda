//! Settings of order processing.

use std::time::Duration;

use bailey_db::order::Leases;
use chrono::TimeDelta;
use serde::{Deserialize, Serialize};

/// How orders are worked on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// How many orders a process works on at once.
    pub slots: u32,
    /// Seconds after which an order that a process works on is another's, unless it is told otherwise.
    pub lease_seconds: f64,
    /// Seconds between two looks for orders that are due.
    pub poll_seconds: f64,
    /// Most seconds between two attempts.
    pub longest_wait_seconds: f64,
    /// Seconds after which an order isn't tried again.
    pub deadline_seconds: f64,
    /// Attempts after which an order isn't tried again.
    pub max_attempts: i32,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            slots: 8,
            lease_seconds: 30.0,
            poll_seconds: 1.0,
            longest_wait_seconds: 60.0,
            deadline_seconds: 86_400.0,
            max_attempts: 1_000,
        }
    }
}

impl Config {
    /// How leases and waiting times are judged.
    #[must_use]
    pub fn leases(&self) -> Leases {
        Leases { longest: delta(self.lease_seconds), longest_wait: delta(self.longest_wait_seconds) }
    }

    /// For how long an order is tried.
    #[must_use]
    pub fn deadline(&self) -> TimeDelta {
        delta(self.deadline_seconds)
    }

    /// Between two signs of life: a lease runs out only after two are missed.
    pub(super) fn heartbeat(&self) -> Duration {
        Duration::from_secs_f64(self.lease_seconds / 4.0)
    }

    pub(super) fn poll(&self) -> Duration {
        Duration::from_secs_f64(self.poll_seconds)
    }
}

fn delta(seconds: f64) -> TimeDelta {
    TimeDelta::from_std(Duration::from_secs_f64(seconds)).unwrap_or(TimeDelta::MAX)
}
