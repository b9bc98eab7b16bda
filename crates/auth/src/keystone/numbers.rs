//! Numbers about tokens of Keystone's. No label says anything of a token or a user.

use std::time::Duration;

use bailey_core::access::Method;
use metrics::{Counter, Histogram};

use super::client::Trouble;
use super::verdict::{Refusal, Verdict};

/// Counters of what every request touches.
pub(super) struct Numbers {
    pub(super) hits: Counter,
    pub(super) misses: Counter,
    pub(super) stale: Counter,
    seconds: Histogram,
}

impl Numbers {
    pub(super) fn new() -> Self {
        let lookups = |outcome: &'static str| {
            let method = Method::Keystone.as_str();
            metrics::counter!("bailey_token_cache_lookups_total", "method" => method, "outcome" => outcome)
        };
        let [hits, misses, stale] = ["hit", "miss", "stale"].map(lookups);
        Self { hits, misses, stale, seconds: metrics::histogram!("bailey_keystone_validation_seconds") }
    }

    pub(super) fn validated(&self, outcome: &Result<Verdict, Trouble>, elapsed: Duration) {
        let outcome = match outcome {
            Ok(Verdict::Good(_)) => "valid",
            Ok(Verdict::Refused(Refusal::Unknown)) => "unknown",
            Ok(Verdict::Refused(Refusal::Unscoped)) => "unscoped",
            Ok(Verdict::Refused(Refusal::AccessRules)) => "access_rules",
            Err(Trouble::Silent(_)) => "silent",
            Err(Trouble::Odd(_)) => "odd",
            Err(Trouble::GivenUp) => "given_up",
            Err(Trouble::Busy) => "busy",
        };
        metrics::counter!("bailey_keystone_validations_total", "outcome" => outcome).increment(1);
        if outcome != "given_up" {
            self.seconds.record(elapsed.as_secs_f64());
        }
    }
}
