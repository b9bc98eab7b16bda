//! The health check's answer.

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

impl From<Result<HealthReport, String>> for HealthBody {
    fn from(asked: Result<HealthReport, String>) -> Self {
        let report = match asked {
            Ok(report) if report.is_healthy() => return Self::ok(),
            Ok(report) => report,
            Err(reason) => return Self::trouble(vec![format!("worker: {reason}")]),
        };
        let trouble = |PartHealth { part, trouble, .. }| trouble.map(|trouble| format!("{part}: {trouble}"));
        Self::trouble(report.parts.into_iter().filter_map(trouble).collect())
    }
}

/// Whether clients should be sent here, and why.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Readiness)]
pub struct ReadinessBody {
    /// Whether everything that is needed works.
    pub ready: bool,
    /// Each part, and how it is.
    pub parts: Vec<PartBody>,
}

/// How one part is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Part)]
pub struct PartBody {
    /// `process`, `worker`, `queue`, `database`, `vault`, `worker key`, or `store NAME`.
    #[schema(example = "database")]
    part: String,
    /// `ok`, or what is the matter.
    #[schema(example = "ok")]
    state: String,
    /// Whether requests fail without it whatever they are about.
    needed: bool,
}

impl PartBody {
    fn new(part: &str, trouble: Option<String>, needed: bool) -> Self {
        Self { part: part.to_owned(), state: trouble.unwrap_or_else(|| "ok".to_owned()), needed }
    }
}

impl ReadinessBody {
    /// One part alone says no.
    #[must_use]
    pub fn trouble(part: &str, trouble: &str) -> Self {
        Self { ready: false, parts: vec![PartBody::new(part, Some(trouble.to_owned()), true)] }
    }
}

impl From<Result<HealthReport, String>> for ReadinessBody {
    fn from(asked: Result<HealthReport, String>) -> Self {
        match asked {
            Ok(report) => {
                let ready = report.is_ready();
                let parts = report.parts.into_iter();
                let parts = parts.map(|health| PartBody::new(&health.part, health.trouble, health.is_needed));
                Self { ready, parts: [PartBody::new("worker", None, true)].into_iter().chain(parts).collect() }
            }
            Err(reason) => Self::trouble("worker", &reason),
        }
    }
}
