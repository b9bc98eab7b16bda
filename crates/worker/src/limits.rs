//! Room for what is created: the quotas as use cases meet them.

use std::time::Duration;

use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::ProjectId;
use bailey_core::quota::{Counted, Quotas};
use bailey_db::{Tx, quota};
use chrono::{DateTime, Utc};
use moka::sync::Cache;

use crate::Worker;

/// How long a project is remembered to be limited, and how many are.
const REMEMBERED: Duration = Duration::from_secs(60);
const PROJECTS: u64 = 10_000;

/// The default quotas, and a guess which projects have others.
pub struct Limits {
    defaults: Quotas,
    limited: Cache<ProjectId, ()>,
}

impl Limits {
    /// With these quotas for projects without their own.
    #[must_use]
    pub fn new(defaults: Quotas) -> Self {
        Self { defaults, limited: Cache::builder().time_to_live(REMEMBERED).max_capacity(PROJECTS).build() }
    }

    pub(crate) const fn defaults(&self) -> Quotas {
        self.defaults
    }

    /// Whether a project's secrets are probably limited: then it is worth a question to look for room
    /// before bytes are placed.
    pub(crate) fn probably_limit_secrets(&self, project: &ProjectId) -> bool {
        self.defaults.limit(Counted::Secrets).is_some() || self.limited.contains_key(project)
    }

    /// Remembers that a project's secrets are limited.
    pub(crate) fn remember(&self, project: &ProjectId) {
        self.limited.insert(project.clone(), ());
    }
}

impl Worker {
    /// Refuses early what will be refused anyway, before anything is done that would have to be undone.
    pub(crate) async fn look_for_room(&self, project: &ProjectId, wanted: &[(Counted, u64)]) -> Result<(), Failure> {
        let (defaults, now) = (self.limits.defaults, self.clock.now());
        let has_room = quota::has_room(self.db.reader(), project, &defaults, wanted, now).await?;
        if has_room { Ok(()) } else { Err(exceeded()) }
    }
}

/// Makes sure that there is room in a project for all that is `wanted`, until the transaction ends.
///
/// # Errors
/// `QuotaExceeded`, `Unavailable`.
pub(crate) async fn reserve(
    tx: &Tx,
    project: &ProjectId,
    defaults: &Quotas,
    wanted: &[(Counted, u64)],
    now: DateTime<Utc>,
) -> Result<(), Failure> {
    if quota::reserve(tx, project, defaults, wanted, now).await? { Ok(()) } else { Err(exceeded()) }
}

fn exceeded() -> Failure {
    Failure::new(FailureKind::QuotaExceeded, "Creation not allowed because a quota has been reached")
}
