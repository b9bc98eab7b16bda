//! Answers to `http-01` in memory.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bailey_core::ca::{CaError, Challenges};
use chrono::{DateTime, Utc};

/// Keeps answers for as long as the test lives.
#[derive(Default)]
pub struct MemoryChallenges(Mutex<BTreeMap<String, (String, DateTime<Utc>)>>);

impl MemoryChallenges {
    /// How many tokens are answered.
    pub fn count(&self) -> usize {
        self.0.lock().unwrap().len()
    }
}

#[async_trait]
impl Challenges for MemoryChallenges {
    async fn place(&self, token: &str, answer: &str, until: DateTime<Utc>) -> Result<(), CaError> {
        self.0.lock().unwrap().insert(token.to_owned(), (answer.to_owned(), until));
        Ok(())
    }

    async fn remove(&self, token: &str) -> Result<(), CaError> {
        self.0.lock().unwrap().remove(token);
        Ok(())
    }

    async fn find(&self, token: &str) -> Result<Option<String>, CaError> {
        let found = self.0.lock().unwrap().get(token).cloned();
        Ok(found.filter(|(_, until)| *until > Utc::now()).map(|(answer, _)| answer))
    }
}
