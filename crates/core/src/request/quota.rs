//! Quotas.

use crate::failure::Parsed;
use crate::ids::ProjectId;
use crate::quota::{ProjectQuotas, QuotaEntry, Quotas};
use crate::secret::{Page, PageRequest};

request!(/// The quotas that count for the caller's project.
    GetQuotas {} -> Quotas, "quota.get.v1", "Quotas");

request!(/// Lists the projects that have quotas of their own.
    ListProjectQuotas {
        /// Which part of the list.
        pub page: PageRequest,
    } -> Page<QuotaEntry>, "project-quota.list.v1", "Project Quotas");

request!(/// A project's own quotas.
    GetProjectQuotas {
        /// Which project, or that no project can have this id.
        pub project: Parsed<ProjectId>,
    } -> ProjectQuotas, "project-quota.get.v1", "Project Quotas");

request!(/// Changes a project's own quotas; what the change doesn't mention stays.
    PutProjectQuotas {
        /// Which project, known or not.
        pub project: Parsed<ProjectId>,
        /// The change.
        pub quotas: Parsed<ProjectQuotas>,
    } -> (), "project-quota.put.v1", "Project Quotas", mutates);

request!(/// Removes a project's own quotas.
    DeleteProjectQuotas {
        /// Which project.
        pub project: Parsed<ProjectId>,
    } -> (), "project-quota.delete.v1", "Project Quotas", mutates);
