//! Steps that must not be taken twice: which ones this process has told that it will take, and not taken yet.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};

use bailey_core::ids::IssuanceId;

/// How many are remembered; what became of an older one is looked up at the CA instead.
const MOST: usize = 1_024;

/// What a state with an intention in it stands for may be done at once by whoever told it, and by nobody else: another
/// process, or this one at a second time, doesn't know whether it was done already.
#[derive(Default)]
pub(crate) struct Intentions(Mutex<VecDeque<String>>);

impl Intentions {
    /// An intention that is told, and acted on in the next poll.
    pub(crate) fn tell(&self) -> String {
        let intention = IssuanceId::new().to_string();
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == MOST {
            all.pop_front();
        }
        all.push_back(intention.clone());
        intention
    }

    /// Whether nobody can have acted on an intention before: this process told it, and hasn't acted on it yet.
    pub(crate) fn acts_first(&self, intention: &str) -> bool {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let found = all.iter().position(|known| known == intention);
        found.is_some_and(|at| all.remove(at).is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_told_an_intention_acts_on_it_and_once() {
        let (one, other) = (Intentions::default(), Intentions::default());
        let told = one.tell();
        assert!(!other.acts_first(&told));
        assert!(one.acts_first(&told) && !one.acts_first(&told));
    }

    #[test]
    fn the_oldest_are_forgotten() {
        let all = Intentions::default();
        let first = all.tell();
        let second = all.tell();
        (1..MOST).for_each(|_| drop(all.tell()));
        assert!(!all.acts_first(&first) && all.acts_first(&second));
    }
}
