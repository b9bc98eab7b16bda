//! Certificate authorities as clients see them.

use bailey_core::ca::{CaOrigin, CaQuery, ConfiguredCa, DescribedCa, ProfileDescriptor};
use bailey_core::failure::Failure;
use bailey_core::ids::{CaId, ProjectId};
use bailey_core::secret::{Page, PageRequest};
use serde::Serialize;
use serde_json::{Map, Value};
use utoipa::{IntoParams, ToSchema};

use crate::config::Limits;
use crate::dto::paging::{self, PageBody};
use crate::dto::time;
use crate::extract::links::Links;
use crate::extract::params::Params;

/// Where a CA is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaRef, example = json!({
    "ca_ref": "http://localhost:9311/v1/cas/01968a3e-8f4b-7cc3-98c4-dc0c0c07398f",
}))]
pub struct CaRefBody {
    /// The CA's href.
    pub ca_ref: String,
}

/// A certificate authority.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Ca, example = json!({
    "ca_id": "01968a3e-8f4b-7cc3-98c4-dc0c0c07398f", "status": "ACTIVE",
    "created": "2030-02-28T19:14:44.180394", "updated": "2030-02-28T19:14:44.180394",
    "expiration": "2040-02-28T19:14:44", "plugin_name": "local", "plugin_ca_id": "internal",
    "profiles": [{"name": "server", "description": "TLS servers below example.org"}],
    "meta": [
        {"name": "internal"}, {"ca_signing_certificate": "-----BEGIN CERTIFICATE-----\n…"},
        {"intermediates": "-----BEGIN CERTIFICATE-----\n…"},
    ],
    "ca_ref": "http://localhost:9311/v1/cas/01968a3e-8f4b-7cc3-98c4-dc0c0c07398f",
}))]
pub struct CaBody {
    /// Its id, as orders may name it.
    ca_id: String,
    /// Always ACTIVE.
    status: &'static str,
    /// When it came to be, in UTC.
    created: String,
    /// When it last changed, in UTC.
    updated: String,
    /// When its certificate ends, in UTC; null where that can't be told.
    #[schema(required)]
    expiration: Option<String>,
    /// The kind of its plugin.
    plugin_name: String,
    /// How the plugin calls it.
    plugin_ca_id: String,
    /// What orders may name as their profile; the first is what they get that name none.
    profiles: Vec<ProfileBody>,
    /// What else is known of it, each an object with one field: name, description, ca_signing_certificate,
    /// intermediates.
    #[schema(value_type = Vec<Object>)]
    meta: Vec<Map<String, Value>>,
    /// The CA above it, if a project had it made.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parent_ca_ref: Option<String>,
    /// Its href.
    ca_ref: String,
}

/// A sort of certificate that a CA issues.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaProfile)]
pub struct ProfileBody {
    /// How orders name it.
    name: String,
    /// What it is for.
    description: String,
}

impl From<ProfileDescriptor> for ProfileBody {
    fn from(ProfileDescriptor { name, description }: ProfileDescriptor) -> Self {
        Self { name, description }
    }
}

impl CaBody {
    /// Writes one CA.
    #[must_use]
    pub fn new(described: DescribedCa, links: &Links) -> Self {
        let DescribedCa { ca, profiles, certificate, chain, expires_at } = described;
        let ConfiguredCa { id, name, plugin, plugin_ca_id, description, origin, created_at, updated_at } = ca;
        let meta = [
            ("name", Some(name)),
            ("description", description),
            ("ca_signing_certificate", certificate),
            ("intermediates", chain),
        ];
        let entry = |(name, value): (&str, Option<String>)| {
            value.map(|value| Map::from_iter([(name.to_owned(), Value::String(value))]))
        };
        Self {
            ca_id: id.to_string(),
            status: "ACTIVE",
            created: time::format(created_at),
            updated: time::format(updated_at),
            expiration: expires_at.map(time::format),
            plugin_name: plugin,
            plugin_ca_id,
            profiles: profiles.into_iter().map(ProfileBody::from).collect(),
            meta: meta.into_iter().filter_map(entry).collect(),
            parent_ca_ref: match origin {
                CaOrigin::Configured => None,
                CaOrigin::Project { parent, .. } => Some(links.ca(parent)),
            },
            ca_ref: links.ca(id),
        }
    }
}

/// Projects that have chosen a CA.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaProjects)]
pub struct CaProjectsBody {
    /// Their ids, as the identity service names them.
    #[schema(value_type = Vec<String>)]
    projects: Vec<ProjectId>,
}

impl From<Vec<ProjectId>> for CaProjectsBody {
    fn from(projects: Vec<ProjectId>) -> Self {
        Self { projects }
    }
}

/// The parameters of lists of CAs. None is ever malformed but what is repeated.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters in the OpenAPI document; they are read by hand")]
pub struct CaListParams {
    /// Most CAs on the page; nonsense counts as the default.
    limit: Option<String>,
    /// How many CAs to leave out first; nonsense counts as 0.
    offset: Option<String>,
    /// Exact kind of the plugin.
    plugin_name: Option<String>,
    /// Exactly how the plugin calls it.
    plugin_ca_id: Option<String>,
}

/// Part of a list of CAs.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CaList)]
pub struct CaListBody {
    /// Hrefs of the CAs on this page.
    cas: Vec<String>,
    #[serde(flatten)]
    page: PageBody,
}

impl CaListBody {
    /// Writes a page of the list that is at `list`; an empty one has no links, and links carry no filter.
    #[must_use]
    pub fn new(page: Page<CaId>, asked: PageRequest, list: &str, links: &Links) -> Self {
        let href = |page: &str| format!("{list}?{page}");
        Self { page: PageBody::of(&page, asked, href), cas: page.items.into_iter().map(|id| links.ca(id)).collect() }
    }
}

/// Reads the query string of a list of CAs.
///
/// # Errors
/// `Invalid` for a repeated parameter.
pub fn read_query(params: &Params, limits: &Limits) -> Result<CaQuery, Failure> {
    let text = |name| Ok::<_, Failure>(params.one(name)?.map(str::to_owned));
    let (plugin, plugin_ca_id) = (text("plugin_name")?, text("plugin_ca_id")?);
    Ok(CaQuery { plugin, plugin_ca_id, page: paging::read(params, limits)? })
}
