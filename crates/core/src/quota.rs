//! Quotas: how much a project may have.

use serde::{Deserialize, Serialize};

use crate::ids::ProjectId;

/// How many of each a project may have; a negative number is no limit, 0 forbids.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Quotas {
    /// Secrets.
    pub secrets: i64,
    /// Orders.
    pub orders: i64,
    /// Containers.
    pub containers: i64,
    /// Registrations with secrets, and as many with containers.
    pub consumers: i64,
    /// Certificate authorities of its own.
    pub cas: i64,
}

impl Default for Quotas {
    fn default() -> Self {
        Self { secrets: -1, orders: -1, containers: -1, consumers: -1, cas: -1 }
    }
}

impl Quotas {
    /// These quotas, except where a project has its own.
    #[must_use]
    pub fn with(self, own: &ProjectQuotas) -> Self {
        Self {
            secrets: own.secrets.unwrap_or(self.secrets),
            orders: own.orders.unwrap_or(self.orders),
            containers: own.containers.unwrap_or(self.containers),
            consumers: own.consumers.unwrap_or(self.consumers),
            cas: own.cas.unwrap_or(self.cas),
        }
    }

    /// The most there may be; `None` is no limit.
    #[must_use]
    pub fn limit(&self, counted: Counted) -> Option<u64> {
        let limit = match counted {
            Counted::Secrets => self.secrets,
            Counted::Orders => self.orders,
            Counted::Containers => self.containers,
            Counted::SecretConsumers | Counted::ContainerConsumers => self.consumers,
            Counted::Cas => self.cas,
        };
        u64::try_from(limit).ok()
    }
}

/// A project's own quotas; where there is none, the default counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProjectQuotas {
    /// Secrets.
    pub secrets: Option<i64>,
    /// Orders.
    pub orders: Option<i64>,
    /// Containers.
    pub containers: Option<i64>,
    /// Registrations with secrets, and as many with containers.
    pub consumers: Option<i64>,
    /// Certificate authorities.
    pub cas: Option<i64>,
}

impl ProjectQuotas {
    /// These quotas, changed where `change` has one.
    #[must_use]
    pub fn merged(self, change: &Self) -> Self {
        Self {
            secrets: change.secrets.or(self.secrets),
            orders: change.orders.or(self.orders),
            containers: change.containers.or(self.containers),
            consumers: change.consumers.or(self.consumers),
            cas: change.cas.or(self.cas),
        }
    }
}

/// A project with its own quotas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuotaEntry {
    /// The project; it need not have anything.
    pub project: ProjectId,
    /// Its quotas.
    pub quotas: ProjectQuotas,
}

/// What is counted against a quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Counted {
    /// Secrets that have not expired, and those that pending orders will make.
    Secrets,
    /// Orders, whatever became of them.
    Orders,
    /// Containers, and those that pending orders will make.
    Containers,
    /// What the project registered with secrets of whatever project.
    SecretConsumers,
    /// What the project registered with containers of whatever project.
    ContainerConsumers,
    /// Certificate authorities that the project had made.
    Cas,
}

impl Counted {
    /// Everything that is counted.
    pub const ALL: [Self; 6] =
        [Self::Secrets, Self::Orders, Self::Containers, Self::SecretConsumers, Self::ContainerConsumers, Self::Cas];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_project_s_own_quotas_go_before_the_default() {
        let default = Quotas { secrets: 5, orders: 6, ..Quotas::default() };
        let own = ProjectQuotas { secrets: Some(-3), containers: Some(0), cas: Some(2), ..ProjectQuotas::default() };
        let effective = default.with(&own);
        assert_eq!(effective, Quotas { secrets: -3, orders: 6, containers: 0, consumers: -1, cas: 2 });
        let limits = Counted::ALL.map(|counted| effective.limit(counted));
        assert_eq!(limits, [None, Some(6), Some(0), None, None, Some(2)]);
    }

    #[test]
    fn a_change_keeps_what_it_does_not_mention() {
        let own = ProjectQuotas { secrets: Some(1), orders: Some(2), ..ProjectQuotas::default() };
        let change = ProjectQuotas { orders: Some(-1), cas: Some(7), ..ProjectQuotas::default() };
        let merged = own.merged(&change);
        assert_eq!(
            merged,
            ProjectQuotas { secrets: Some(1), orders: Some(-1), cas: Some(7), ..ProjectQuotas::default() }
        );
    }
}
