//! How a worker and the parts it depends on are.

use serde::{Deserialize, Serialize};

/// State of one part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHealth {
    /// `database`, `vault`, `worker key`, or `store NAME`.
    pub part: String,
    /// Whether requests fail without it whatever they are about. Another store than the default one is needed
    /// for what is in it only.
    pub is_needed: bool,
    /// Why it is not usable; `None` when it is.
    pub trouble: Option<String>,
}

/// State of everything a worker depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HealthReport {
    /// Each part once, in a fixed order.
    pub parts: Vec<PartHealth>,
}

impl HealthReport {
    /// Whether every part is usable.
    #[must_use]
    pub fn is_healthy(&self) -> bool {
        self.parts.iter().all(|part| part.trouble.is_none())
    }

    /// Whether every part is usable that requests can't do without.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.parts.iter().all(|part| part.trouble.is_none() || !part.is_needed)
    }
}
