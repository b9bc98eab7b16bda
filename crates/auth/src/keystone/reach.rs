//! Whether Keystone is asked at all: when it didn't answer several times in a row, one caller now and then
//! finds out for all.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bailey_core::probe::{Probe, ProbeLimits, ProbeState};

use super::client::Trouble;

const LIMITS: ProbeLimits =
    ProbeLimits { failures: 3, shortest_wait: Duration::from_millis(500), longest_wait: Duration::from_secs(5) };

/// Whether it answers, as far as is known.
pub(super) struct Reach(Mutex<State>);

struct State {
    probe: Probe,
    /// Whether somebody is finding out.
    is_probed: bool,
}

impl Reach {
    pub(super) fn new() -> Self {
        let reach = Self(Mutex::new(State { probe: Probe::new(LIMITS, Instant::now()), is_probed: false }));
        tell(ProbeState::Probing);
        reach
    }

    /// Lets one question pass, unless Keystone is known not to answer.
    pub(super) fn enter(&self) -> Result<Pass<'_>, Trouble> {
        let (mut state, now) = (self.lock(), Instant::now());
        let is_probe = state.probe.state() == ProbeState::Unusable;
        if is_probe {
            if state.is_probed || state.probe.next_at().is_some_and(|next| now < next) {
                return Err(Trouble::GivenUp);
            }
            state.is_probed = true;
        }
        Ok(Pass { reach: self, begun_at: now, is_probe, answered: None })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One question. Dropped without a word, a probe counts as one in vain.
pub(super) struct Pass<'a> {
    reach: &'a Reach,
    begun_at: Instant,
    is_probe: bool,
    answered: Option<bool>,
}

impl Pass<'_> {
    /// Whether Keystone said anything, a refusal included.
    pub(super) fn leave(mut self, answered: bool) {
        self.answered = Some(answered);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        let (mut state, now) = (self.reach.lock(), Instant::now());
        let before = state.probe.state();
        match (self.is_probe, self.answered) {
            (true, Some(true)) => state.probe.probe_answered(now),
            (true, _) => state.probe.probe_failed(now),
            (false, Some(true)) => state.probe.answered(now),
            (false, Some(false)) => state.probe.failed(self.begun_at, now),
            (false, None) => {}
        }
        state.is_probed &= !self.is_probe;
        let after = state.probe.state();
        drop(state);
        if after != before {
            tell(after);
            match after {
                ProbeState::Unusable => tracing::warn!("Keystone gives no answers"),
                ProbeState::Usable | ProbeState::Probing => tracing::info!("Keystone answers"),
            }
        }
    }
}

fn tell(state: ProbeState) {
    metrics::gauge!("bailey_keystone_usable").set(if state == ProbeState::Unusable { 0.0 } else { 1.0 });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn one_finds_out_for_all() {
        let reach = Reach::new();
        reach.enter().unwrap().leave(true);
        for _ in 0..LIMITS.failures {
            reach.enter().unwrap().leave(false);
        }
        // After an outage that begins anew, the first probe is due at once.
        let probe = reach.enter().unwrap();
        assert!(reach.enter().is_err(), "one at a time");
        probe.leave(false);
        assert!(reach.enter().is_err(), "not before its time");
        std::thread::sleep(LIMITS.shortest_wait);
        drop(reach.enter().unwrap());
        assert!(reach.enter().is_err(), "one that ended without a word was in vain");
        std::thread::sleep(LIMITS.shortest_wait * 2);
        reach.enter().unwrap().leave(true);
        let (one, other) = (reach.enter().unwrap(), reach.enter().unwrap());
        one.leave(true);
        drop(other);
        assert!(reach.enter().is_ok());
    }
}
