//! A question for a list of containers, from the query string.

use bailey_core::container::{ContainerFilter, ContainerQuery};
use bailey_core::failure::Failure;
use utoipa::IntoParams;

use crate::config::Limits;
use crate::dto::paging;
use crate::extract::params::Params;

/// The parameters of `GET /v1/containers`. None is ever malformed but what is repeated.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters in the OpenAPI document; they are read by hand")]
pub struct ContainerListParams {
    /// Most containers on the page; nonsense counts as the default.
    limit: Option<String>,
    /// How many containers to leave out first; nonsense counts as 0.
    offset: Option<String>,
    /// LIKE pattern on the name, with `%` and `_`.
    name: Option<String>,
    /// The type; an unknown one matches nothing.
    r#type: Option<String>,
}

/// Reads the query string of `GET /v1/containers`.
///
/// # Errors
/// `Invalid` for a repeated parameter.
pub fn read(params: &Params, limits: &Limits) -> Result<ContainerQuery, Failure> {
    let text = |name| Ok::<_, Failure>(params.one(name)?.map(str::to_owned));
    let filter = ContainerFilter { name: text("name")?, container_type: text("type")? };
    Ok(ContainerQuery { filter, page: paging::read(params, limits)? })
}
