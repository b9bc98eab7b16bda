//! What the server doesn't want to be asked again before a time (RFC 8555, section 6.6).

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// The longest wait that a server is believed to mean: some count over a week.
pub(super) const LONGEST_WAIT: Duration = Duration::from_secs(7 * 24 * 3_600);
/// How many limits are remembered.
const MOST: usize = 1_024;

/// A URL, and the payload for it; blank without one.
pub(super) type Question = (String, String);

/// Until when a request would be refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Limit {
    pub(super) until: DateTime<Utc>,
    /// As the server puts it.
    pub(super) reason: String,
}

impl Limit {
    /// How long it still stands, if it does. One that would stand for longer than any was written by a clock that was
    /// wrong.
    pub(super) fn left(&self, now: DateTime<Utc>) -> Option<Duration> {
        let left = (self.until - now).to_std().ok();
        left.filter(|left| !left.is_zero() && *left <= LONGEST_WAIT)
    }
}

/// The limits that this process has met. Each counts for the request that met it alone: that is what a server's time is
/// about, and a limit on some names must not keep others waiting.
#[derive(Default)]
pub(super) struct Limits(Mutex<HashMap<Question, Limit>>);

impl Limits {
    /// What stands against a request, and for how long.
    pub(super) fn against(&self, question: &Question, now: DateTime<Utc>) -> Option<(Limit, Duration)> {
        let limit = self.0.lock().unwrap_or_else(PoisonError::into_inner).get(question)?.clone();
        limit.left(now).map(|left| (limit, left))
    }

    pub(super) fn note(&self, question: Question, limit: Limit, now: DateTime<Utc>) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST {
            all.retain(|_, limit| limit.left(now).is_some());
        }
        // With so many that stand, one more request for each is the lesser evil.
        if all.len() < MOST {
            all.insert(question, limit);
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000 + seconds, 0).unwrap()
    }

    fn question(number: usize) -> Question {
        ("https://ca/new-order".to_owned(), number.to_string())
    }

    #[test]
    fn a_limit_stands_until_its_end_and_against_one_request() {
        let (limits, limit) = (Limits::default(), Limit { until: at(77), reason: "too many".to_owned() });
        limits.note(question(1), limit.clone(), at(0));
        assert_eq!(limits.against(&question(1), at(7)), Some((limit, Duration::from_secs(70))));
        assert_eq!(limits.against(&question(1), at(77)), None);
        assert_eq!(limits.against(&question(2), at(7)), None);
    }

    #[test]
    fn what_a_wrong_clock_wrote_stands_against_nothing() {
        let limit = Limit { until: at(0), reason: String::new() };
        let week = i64::try_from(LONGEST_WAIT.as_secs()).unwrap();
        assert_eq!((limit.left(at(-week)), limit.left(at(-week - 1))), (Some(LONGEST_WAIT), None));
    }

    #[test]
    fn what_is_over_makes_room() {
        let limits = Limits::default();
        let until = |seconds| Limit { until: at(seconds), reason: String::new() };
        (0..MOST).for_each(|number| limits.note(question(number), until(10), at(0)));
        limits.note(question(MOST), until(20), at(0));
        assert!(limits.against(&question(MOST), at(1)).is_none() && limits.against(&question(0), at(1)).is_some());
        limits.note(question(MOST), until(20), at(10));
        assert!(limits.against(&question(MOST), at(11)).is_some());
    }
}
