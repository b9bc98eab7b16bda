//! Quotas: what counts for the caller, and what each project has of its own.

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use bailey_core::ids::ProjectId;
use bailey_core::quota::{ProjectQuotas, QuotaEntry, Quotas};
use bailey_core::request::{DeleteProjectQuotas, GetProjectQuotas, GetQuotas, ListProjectQuotas, PutProjectQuotas};
use bailey_core::secret::Page;
use bailey_db::quota;

use crate::Worker;
use crate::policy::Rule;

/// The quotas that count for the caller's project.
///
/// # Errors
/// `Forbidden`, `Unavailable`.
pub async fn get(worker: &Worker, call: Call, _: GetQuotas) -> Result<Quotas, Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::QuotasGet)?;
    let own = quota::find(worker.db.reader(), &session.caller.project).await?;
    Ok(worker.limits.defaults().with(&own.unwrap_or_default()))
}

/// Lists the projects that have quotas of their own.
///
/// # Errors
/// `Forbidden`, `Unavailable`.
pub async fn list(worker: &Worker, call: Call, request: ListProjectQuotas) -> Result<Page<QuotaEntry>, Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::ProjectQuotasGet)?;
    Ok(quota::list(worker.db.reader(), request.page).await?)
}

/// A project's own quotas.
///
/// # Errors
/// `Forbidden`; `NotFound` when it has none; `Unavailable`.
pub async fn get_own(worker: &Worker, call: Call, request: GetProjectQuotas) -> Result<ProjectQuotas, Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::ProjectQuotasGet)?;
    quota::find(worker.db.reader(), &request.project.accept()?).await?.ok_or_else(not_found)
}

/// Changes a project's own quotas.
///
/// # Errors
/// `Forbidden`; `Invalid` for what the body has wrong; `Unavailable`.
pub async fn put_own(worker: &Worker, call: Call, request: PutProjectQuotas) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::ProjectQuotasPut)?;
    let (project, change) = (request.project.accept()?, request.quotas.accept()?);
    let (target, defaults, now) = (name(&project), worker.limits.defaults(), worker.clock.now());
    let result = session
        .write(move |tx| {
            let project = project.clone();
            Box::pin(async move { quota::merge(tx, &project, &defaults, &change, now).await })
        })
        .await;
    session.audited(Rule::ProjectQuotasPut, target, result.map_err(Failure::from))
}

/// Removes a project's own quotas.
///
/// # Errors
/// `Forbidden`; `NotFound` when it has none; `Unavailable`.
pub async fn delete_own(worker: &Worker, call: Call, request: DeleteProjectQuotas) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::ProjectQuotasDelete)?;
    let project = request.project.accept()?;
    let (target, defaults) = (name(&project), worker.limits.defaults());
    let result = session
        .write(move |tx| {
            let project = project.clone();
            Box::pin(
                async move { if quota::delete(tx, &project, &defaults).await? { Ok(()) } else { Err(not_found()) } },
            )
        })
        .await;
    session.audited(Rule::ProjectQuotasDelete, target, result)
}

fn name(project: &ProjectId) -> String {
    format!("project-quotas/{project}")
}

fn not_found() -> Failure {
    Failure::not_found("The project has no quotas of its own")
}
