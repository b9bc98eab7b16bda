//! Quotas.

use bailey_core::failure::Failure;
use bailey_core::quota::{ProjectQuotas, QuotaEntry, Quotas};
use bailey_core::secret::{Page, PageRequest};
use serde::Serialize;
use utoipa::ToSchema;

use crate::dto::fields::Fields;
use crate::dto::paging::PageBody;
use crate::extract::body::Body;
use crate::extract::links::Links;
use crate::json::Json;

const SCHEMA: &str = "Project Quota";
const NAMES: [&str; 5] = ["secrets", "orders", "containers", "consumers", "cas"];

/// The quotas that count for a project.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = EffectiveQuotas, example = json!({
    "quotas": {"secrets": 500, "orders": -1, "containers": -1, "consumers": -1, "cas": -1},
}))]
pub struct QuotasBody {
    quotas: CountsBody,
}

/// How many there may be; a negative number is no limit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Quotas)]
pub struct CountsBody {
    /// Secrets.
    secrets: i64,
    /// Orders.
    orders: i64,
    /// Containers.
    containers: i64,
    /// Consumers of secrets, and as many of containers.
    consumers: i64,
    /// Certificate authorities.
    cas: i64,
}

impl From<Quotas> for QuotasBody {
    fn from(Quotas { secrets, orders, containers, consumers, cas }: Quotas) -> Self {
        Self { quotas: CountsBody { secrets, orders, containers, consumers, cas } }
    }
}

/// A project's own quotas.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectQuotas, example = json!({
    "project_quotas": {"secrets": 500, "orders": null, "containers": null, "consumers": null, "cas": null},
}))]
pub struct ProjectQuotasBody {
    project_quotas: OwnBody,
}

/// How many there may be; a negative number is no limit, null the default.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = OwnQuotas)]
pub struct OwnBody {
    /// Secrets.
    #[schema(required)]
    secrets: Option<i64>,
    /// Orders.
    #[schema(required)]
    orders: Option<i64>,
    /// Containers.
    #[schema(required)]
    containers: Option<i64>,
    /// Consumers of secrets, and as many of containers.
    #[schema(required)]
    consumers: Option<i64>,
    /// Certificate authorities.
    #[schema(required)]
    cas: Option<i64>,
}

impl From<ProjectQuotas> for OwnBody {
    fn from(ProjectQuotas { secrets, orders, containers, consumers, cas }: ProjectQuotas) -> Self {
        Self { secrets, orders, containers, consumers, cas }
    }
}

impl From<ProjectQuotas> for ProjectQuotasBody {
    fn from(quotas: ProjectQuotas) -> Self {
        Self { project_quotas: quotas.into() }
    }
}

/// Part of the list of projects with quotas of their own.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectQuotasList)]
pub struct ProjectQuotasListBody {
    /// The projects on this page.
    project_quotas: Vec<EntryBody>,
    #[serde(flatten)]
    page: PageBody,
}

/// A project with its own quotas.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ProjectQuotasEntry)]
pub struct EntryBody {
    /// The project.
    project_id: String,
    project_quotas: OwnBody,
}

impl From<QuotaEntry> for EntryBody {
    fn from(QuotaEntry { project, quotas }: QuotaEntry) -> Self {
        Self { project_id: project.into(), project_quotas: quotas.into() }
    }
}

impl ProjectQuotasListBody {
    /// Writes a page. Unlike in other lists, one beyond the end leads back.
    #[must_use]
    pub fn new(page: Page<QuotaEntry>, asked: PageRequest, links: &Links) -> Self {
        let href = |page: &str| format!("{}?{page}", links.project_quotas());
        Self {
            page: PageBody::leading_back(&page, asked, href),
            project_quotas: page.items.into_iter().map(EntryBody::from).collect(),
        }
    }
}

/// A change of a project's own quotas.
#[derive(ToSchema)]
#[schema(as = NewProjectQuotas, example = json!({"project_quotas": {"secrets": 500}}))]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand, strictly")]
pub struct NewProjectQuotasBody {
    project_quotas: ChangeBody,
}

/// How many there may be; a negative number is no limit. What is absent stays as it is.
#[derive(ToSchema)]
#[schema(as = QuotasChange)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand, strictly")]
pub struct ChangeBody {
    /// Secrets.
    #[schema(nullable = false)]
    secrets: Option<i32>,
    /// Orders.
    #[schema(nullable = false)]
    orders: Option<i32>,
    /// Containers.
    #[schema(nullable = false)]
    containers: Option<i32>,
    /// Consumers of secrets, and as many of containers.
    #[schema(nullable = false)]
    consumers: Option<i32>,
    /// Certificate authorities.
    #[schema(nullable = false)]
    cas: Option<i32>,
}

/// Reads `{"project_quotas": {...}}`, and nothing else beside it.
///
/// # Errors
/// `UnsupportedMedia`, `TooLarge`, `Invalid` with every bad field.
pub fn read(body: Body) -> Result<ProjectQuotas, Failure> {
    let mut fields = Fields::open(SCHEMA, body.json()?)?;
    let quotas = match fields.take("project_quotas") {
        None => {
            fields.complain("project_quotas", "is required");
            ProjectQuotas::default()
        }
        Some(Json::Object(given)) => {
            let mut quotas = Fields::open(SCHEMA, Json::Object(given))?;
            let [secrets, orders, containers, consumers, cas] =
                NAMES.map(|name| quotas.integer(name, i32::MIN..=i32::MAX).map(i64::from));
            quotas.refuse_others();
            fields.adopt(quotas);
            ProjectQuotas { secrets, orders, containers, consumers, cas }
        }
        Some(_) => {
            fields.complain("project_quotas", "must be an object");
            ProjectQuotas::default()
        }
    };
    fields.refuse_others();
    fields.close().map(|()| quotas)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn parse(text: &str) -> Result<ProjectQuotas, Failure> {
        read(Body::of_json(text))
    }

    #[test]
    fn integers_are_read_and_what_is_absent_stays_absent() {
        let quotas = parse(r#"{"project_quotas":{"secrets":5,"cas":-7,"orders":2.0}}"#).unwrap();
        assert_eq!(
            quotas,
            ProjectQuotas { secrets: Some(5), orders: Some(2), cas: Some(-7), ..ProjectQuotas::default() }
        );
        assert_eq!(parse(r#"{"project_quotas":{}}"#).unwrap(), ProjectQuotas::default());
    }

    #[test]
    fn every_bad_field_is_named() {
        let cases = [
            ("[]", vec![""]),
            ("{}", vec!["project_quotas"]),
            (r#"{"project_quotas":5}"#, vec!["project_quotas"]),
            (r#"{"project_quotas":null,"x":1}"#, vec!["project_quotas", "x"]),
            (
                r#"{"project_quotas":{"secrets":null,"orders":"5","containers":true,"consumers":1.5,"y":1},"x":1}"#,
                vec!["secrets", "orders", "containers", "consumers", "y", "x"],
            ),
            (r#"{"project_quotas":{"cas":2147483648}}"#, vec!["cas"]),
        ];
        for (text, expected) in cases {
            let named: Vec<String> =
                parse(text).unwrap_err().violations.into_iter().map(|bad| bad.property.unwrap_or_default()).collect();
            assert_eq!(named, expected, "{text}");
        }
    }
}
