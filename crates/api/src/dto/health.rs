//! The health check's answer.

use bailey_core::failure::Failure;
use bailey_core::health::{HealthReport, PartHealth};
use serde::Serialize;
use utoipa::ToSchema;

/// How Bailey is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Health, example = json!({"detailed": false, "reasons": ["OK"]}))]
pub struct HealthBody {
    /// Always false.
    detailed: bool,
    /// `OK`, or each part that is down, and why.
    pub reasons: Vec<String>,
    /// Whether every part is usable.
    #[serde(skip)]
    pub is_healthy: bool,
}

impl HealthBody {
    /// Everything is fine.
    #[must_use]
    pub fn ok() -> Self {
        Self { detailed: false, reasons: vec!["OK".into()], is_healthy: true }
    }

    /// Something is wrong.
    #[must_use]
    pub fn trouble(reasons: Vec<String>) -> Self {
        Self { detailed: false, reasons, is_healthy: false }
    }
}

impl From<HealthReport> for HealthBody {
    fn from(report: HealthReport) -> Self {
        if report.is_healthy() {
            return Self::ok();
        }
        let trouble = |PartHealth { part, trouble }| trouble.map(|trouble| format!("{part}: {trouble}"));
        Self::trouble(report.parts.into_iter().filter_map(trouble).collect())
    }
}

impl From<Failure> for HealthBody {
    fn from(failure: Failure) -> Self {
        Self::trouble(vec![format!("worker: {}", failure.reason)])
    }
}
