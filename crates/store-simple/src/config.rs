//! What can be set about the backend.

use serde::{Deserialize, Serialize};

/// Configuration of a [`SimpleBackend`](crate::SimpleBackend).
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// KEKs that one MKEK wraps before another has to be activated.
    pub mkek_budget: u64,
    /// Wraps that a process reserves at a time.
    pub mkek_block: u64,
    /// How many unwrapped KEKs are held in memory.
    pub unwrapped_keks: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self { mkek_budget: 1 << 30, mkek_block: 1 << 10, unwrapped_keks: 10_000 }
    }
}
