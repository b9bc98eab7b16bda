//! Messages that may come in floods, let into the log one at a time.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Between two of one kind.
const PAUSE: Duration = Duration::from_secs(10);

/// Decides when it is time to say something again.
#[derive(Default)]
pub(crate) struct Seldom(Mutex<State>);

#[derive(Default)]
struct State {
    said_at: Option<Instant>,
    unsaid: u64,
}

impl Seldom {
    /// If it is to be said now: how often it was not, since the last time.
    pub(crate) fn may_say(&self) -> Option<u64> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if state.said_at.is_some_and(|said_at| said_at.elapsed() < PAUSE) {
            state.unsaid += 1;
            return None;
        }
        state.said_at = Some(Instant::now());
        Some(std::mem::take(&mut state.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_said_once() {
        let seldom = Seldom::default();
        assert_eq!(seldom.may_say(), Some(0));
        assert_eq!((seldom.may_say(), seldom.may_say()), (None, None));
        seldom.0.lock().unwrap_or_else(PoisonError::into_inner).said_at = None;
        assert_eq!(seldom.may_say(), Some(2));
    }
}
