//! Quotas.

use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, Responder};
use bailey_core::request::{DeleteProjectQuotas, GetProjectQuotas, GetQuotas, ListProjectQuotas, PutProjectQuotas};

use crate::dto::paging;
use crate::dto::quota::{self, NewProjectQuotasBody, ProjectQuotasBody, ProjectQuotasListBody, QuotasBody};
use crate::error::ApiError;
use crate::extract::accept::AcceptsJson;
use crate::extract::asker::Asker;
use crate::extract::body::Body;
use crate::extract::links::Links;
use crate::extract::params::Params;
use crate::extract::path::{ProjectInPath, ProjectParams};
use crate::state::State;

/// Tells the quotas that count for the caller's project
#[utoipa::path(get, path = "/v1/quotas", tag = "quotas", operation_id = "get_quotas",
    responses((status = 200, description = "The quotas", body = QuotasBody)))]
pub async fn get(asker: Asker, _: AcceptsJson) -> Result<Json<QuotasBody>, ApiError> {
    Ok(Json(asker.ask(GetQuotas {}).await?.into()))
}

/// Lists the projects with quotas of their own
///
/// By when they first had them.
#[utoipa::path(get, path = "/v1/project-quotas", tag = "quotas", operation_id = "list_project_quotas",
    params(
        ("limit" = Option<String>, Query, description = "Most projects on the page; nonsense counts as the default"),
        ("offset" = Option<String>, Query, description = "How many to leave out first; nonsense counts as 0")),
    responses((status = 200, description = "A page of projects", body = ProjectQuotasListBody)))]
pub async fn list(
    asker: Asker,
    _: AcceptsJson,
    state: Data<State>,
    params: Params,
    links: Links,
) -> Result<Json<ProjectQuotasListBody>, ApiError> {
    let page = paging::asked(&params, &state.config.limits);
    let found = asker.ask(ListProjectQuotas { page }).await?;
    Ok(Json(ProjectQuotasListBody::new(found, page, &links)))
}

/// Tells a project's own quotas
#[utoipa::path(get, path = "/v1/project-quotas/{project}", tag = "quotas", operation_id = "get_project_quotas",
    params(ProjectParams),
    responses((status = 200, description = "Its quotas", body = ProjectQuotasBody)))]
pub async fn get_own(
    asker: Asker,
    _: AcceptsJson,
    project: ProjectInPath,
) -> Result<Json<ProjectQuotasBody>, ApiError> {
    Ok(Json(asker.ask(GetProjectQuotas { project: project.0 }).await?.into()))
}

/// Changes a project's own quotas
///
/// What the body doesn't mention stays as it is. The project need not have anything yet.
#[utoipa::path(put, path = "/v1/project-quotas/{project}", tag = "quotas", operation_id = "put_project_quotas",
    params(ProjectParams), request_body = NewProjectQuotasBody,
    responses((status = 204, description = "They count from now on")))]
pub async fn put_own(
    asker: Asker,
    _: AcceptsJson,
    project: ProjectInPath,
    body: Body,
) -> Result<impl Responder, ApiError> {
    asker.ask(PutProjectQuotas { project: project.0, quotas: quota::read(body).into() }).await?;
    Ok(HttpResponse::NoContent())
}

/// Removes a project's own quotas: the defaults count again
#[utoipa::path(delete, path = "/v1/project-quotas/{project}", tag = "quotas",
    operation_id = "delete_project_quotas", params(ProjectParams),
    responses((status = 204, description = "It has none any more")))]
pub async fn delete_own(asker: Asker, project: ProjectInPath) -> Result<impl Responder, ApiError> {
    asker.ask(DeleteProjectQuotas { project: project.0 }).await?;
    Ok(HttpResponse::NoContent())
}
