//! Saying once in the log what is found again and again.

use std::collections::HashSet;
use std::fmt::Display;
use std::hash::Hash;

/// So many things are remembered before the first of them are told again.
const MOST_TOLD: usize = 10_000;

/// Things that were complained about: once for each is enough.
#[derive(Debug)]
pub struct Told<K>(HashSet<K>);

impl<K> Default for Told<K> {
    fn default() -> Self {
        Self(HashSet::new())
    }
}

impl<K: Eq + Hash> Told<K> {
    /// Whether it is the first time.
    pub fn is_news(&mut self, thing: K) -> bool {
        if self.0.len() >= MOST_TOLD {
            self.0.clear();
        }
        self.0.insert(thing)
    }
}

/// Something that may be wrong for long: told when it begins, when it changes, and when it is over.
#[derive(Debug, Default)]
pub struct Complaint(Option<String>);

impl Complaint {
    /// Whether this is not what was told last.
    pub fn is_news(&mut self, trouble: impl Display) -> bool {
        let trouble = Some(trouble.to_string());
        let is_news = self.0 != trouble;
        self.0 = trouble;
        is_news
    }

    /// Now nothing is wrong; whether something was told to be.
    pub fn is_over(&mut self) -> bool {
        self.0.take().is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thing_is_told_once() {
        let mut told = Told::default();
        assert!(told.is_news("one") && told.is_news("other"));
        assert!(!told.is_news("one") && !told.is_news("other"));
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut told = Told::default();
        assert!((0..3 * MOST_TOLD).all(|thing| told.is_news(thing)));
        assert!(told.0.len() <= MOST_TOLD);
    }

    #[test]
    fn a_complaint_is_told_when_it_begins_changes_and_ends() {
        let mut complaint = Complaint::default();
        assert!(!complaint.is_over(), "nothing was wrong");
        assert!(complaint.is_news("down") && !complaint.is_news("down"));
        assert!(complaint.is_news("full") && complaint.is_news("down"));
        assert!(complaint.is_over() && !complaint.is_over());
        assert!(complaint.is_news("down"), "it is down again");
    }
}
