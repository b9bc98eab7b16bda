//! How long what failed waits for its next attempt.

use std::hash::{BuildHasher, Hasher, RandomState};

use chrono::TimeDelta;

/// Doubled after each attempt in vain, with jitter, so that many orders that failed at once don't come back
/// at once. Always below nine tenths of `longest`: to a clock that is slow, the next attempt must not look
/// further away than any can be.
pub(crate) fn wait(attempts: i32, longest: TimeDelta) -> TimeDelta {
    let doubled = TimeDelta::seconds(1_i64 << attempts.saturating_sub(1).clamp(0, 30));
    let most = doubled.min(longest * 9 / 10);
    let thousandths = i32::try_from(500 + RandomState::new().build_hasher().finish() % 500).unwrap_or(500);
    most / 1_000 * thousandths
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_grows_to_a_bound_and_differs() {
        let longest = TimeDelta::seconds(60);
        for attempts in [i32::MIN, 0, 1, 2, 5, 6, 7, 100, i32::MAX] {
            let waited = wait(attempts, longest);
            assert!(waited >= TimeDelta::milliseconds(500) && waited < TimeDelta::seconds(54), "{attempts}: {waited}");
        }
        assert!(wait(1, longest) < TimeDelta::seconds(1));
        assert!(wait(5, longest) >= TimeDelta::seconds(8));
        assert!((0..100).any(|_| wait(5, longest) != wait(5, longest)));
    }
}
