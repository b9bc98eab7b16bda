//! Consumers of secrets and of containers.

use bailey_core::consumer::{ConsumerPage, ContainerConsumer, ContainerUse, SecretConsumer, SecretUse};
use bailey_core::failure::Failure;
use bailey_core::secret::PageRequest;
use serde::Serialize;
use utoipa::{IntoParams, ToSchema};

use crate::dto::container::ContainerConsumerBody;
use crate::dto::fields::{Fields, LABEL};
use crate::dto::paging::PageBody;
use crate::dto::secret::ConsumerBody;
use crate::dto::time;
use crate::extract::body::Body;
use crate::extract::links::Links;

/// Most characters of the name of a container's consumer.
const NAME: usize = 36;

/// A registration.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Registration)]
pub struct RegistrationBody<C> {
    /// When it was made, in UTC.
    created: String,
    /// When it last changed, in UTC.
    updated: String,
    /// Always ACTIVE.
    status: &'static str,
    /// Who registered.
    #[serde(flatten)]
    consumer: C,
}

impl From<SecretConsumer> for RegistrationBody<ConsumerBody> {
    fn from(consumer: SecretConsumer) -> Self {
        let (created, updated) = (time::format(consumer.created_at), time::format(consumer.updated_at));
        Self { created, updated, status: "ACTIVE", consumer: consumer.into() }
    }
}

impl From<ContainerConsumer> for RegistrationBody<ContainerConsumerBody> {
    fn from(consumer: ContainerConsumer) -> Self {
        let (created, updated) = (time::format(consumer.created_at), time::format(consumer.updated_at));
        Self { created, updated, status: "ACTIVE", consumer: consumer.into() }
    }
}

/// Part of a list of consumers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ConsumerList)]
pub struct ConsumerListBody<C> {
    /// The consumers on this page.
    consumers: Vec<RegistrationBody<C>>,
    #[serde(flatten)]
    page: PageBody,
}

impl<C> ConsumerListBody<C> {
    /// Writes a page; an empty one has no links.
    #[must_use]
    pub fn new<T: Into<RegistrationBody<C>>>(found: ConsumerPage<T>, asked: PageRequest, links: &Links) -> Self {
        let ConsumerPage { of, page } = found;
        let href = |page: &str| format!("{}?{page}", links.consumers(of));
        Self { page: PageBody::of(&page, asked, href), consumers: page.items.into_iter().map(Into::into).collect() }
    }
}

/// The parameters of lists of consumers. None is ever malformed but what is repeated.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes the parameters in the OpenAPI document; they are read by hand")]
pub struct ConsumerListParams {
    /// Most consumers on the page; nonsense counts as the default.
    limit: Option<String>,
    /// How many consumers to leave out first; nonsense counts as 0.
    offset: Option<String>,
}

/// What uses a secret.
#[derive(ToSchema)]
#[schema(as = SecretUse, example = json!({
    "service": "compute", "resource_type": "volume", "resource_id": "6f2ec1b4-9a2e-4d53-8f0e-9f1f4f1f5d0a",
}))]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand")]
pub struct SecretUseBody {
    /// Name of the service.
    #[schema(min_length = 1, max_length = 255)]
    service: String,
    /// Kind of the resource that uses the secret.
    #[schema(min_length = 1, max_length = 255)]
    resource_type: String,
    /// Its id, at most 255 bytes.
    #[schema(min_length = 1)]
    resource_id: String,
}

/// What uses a container.
#[derive(ToSchema)]
#[schema(as = ContainerUse, example = json!({"name": "load balancer", "URL": "https://lb.example/listeners/1"}))]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand")]
pub struct ContainerUseBody {
    /// Name of the service.
    #[schema(min_length = 1, max_length = 36)]
    name: String,
    /// Where it can be reached.
    #[schema(rename = "URL", min_length = 1, max_length = 255)]
    url: String,
}

/// Reads what uses a secret.
///
/// # Errors
/// `UnsupportedMedia`, `TooLarge`, `Invalid` with every bad field.
pub fn read_secret_use(body: Body) -> Result<SecretUse, Failure> {
    let mut fields = Fields::open("Secret Consumer", body.json()?)?;
    let service = word(&mut fields, "service", LABEL);
    let resource_type = word(&mut fields, "resource_type", LABEL);
    let resource_id = word(&mut fields, "resource_id", LABEL);
    if resource_id.len() > LABEL {
        // With more, PostgreSQL could not tell one registration from another by an index.
        fields.complain("resource_id", format!("must have at most {LABEL} bytes"));
    }
    fields.close().map(|()| SecretUse { service, resource_type, resource_id })
}

/// Reads what uses a container.
///
/// # Errors
/// As [`read_secret_use`].
pub fn read_container_use(body: Body) -> Result<ContainerUse, Failure> {
    let mut fields = Fields::open("Consumer", body.json()?)?;
    let name = word(&mut fields, "name", NAME);
    let url = word(&mut fields, "URL", LABEL);
    fields.close().map(|()| ContainerUse { name, url })
}

/// A label that must be there and say something.
fn word(fields: &mut Fields, name: &str, longest: usize) -> String {
    let Some(text) = fields.required_label(name) else { return String::new() };
    if text.is_empty() {
        fields.complain(name, "must not be empty");
    } else if text.chars().count() > longest {
        fields.complain(name, format!("must have at most {longest} characters"));
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    fn bad<T>(result: Result<T, Failure>) -> Vec<String> {
        result.map(drop).unwrap_err().violations.into_iter().map(|bad| bad.property.unwrap_or_default()).collect()
    }

    #[test]
    fn uses_are_read_and_what_else_is_said_is_ignored() {
        let text = "ä".repeat(255);
        let given = json!({"service": " s ", "resource_type": text, "resource_id": "r".repeat(255), "x": 1});
        let expected = SecretUse { service: "s".into(), resource_type: text.clone(), resource_id: "r".repeat(255) };
        assert_eq!(read_secret_use(Body::of_json(&given)).unwrap(), expected);
        let given = json!({"name": "ä".repeat(36), "URL": text, "x": 1});
        let expected = ContainerUse { name: "ä".repeat(36), url: text };
        assert_eq!(read_container_use(Body::of_json(&given)).unwrap(), expected);
    }

    #[test]
    fn every_bad_field_is_named() {
        let long = "x".repeat(256);
        for (given, expected) in [
            (json!([]), vec![""]),
            (json!({}), vec!["service", "resource_type", "resource_id"]),
            (
                json!({"service": "", "resource_type": " ", "resource_id": "\t"}),
                vec!["service", "resource_type", "resource_id"],
            ),
            (json!({"service": 1, "resource_type": null, "resource_id": "r"}), vec!["service", "resource_type"]),
            (
                json!({"service": long, "resource_type": long, "resource_id": long}),
                vec!["service", "resource_type", "resource_id"],
            ),
            (json!({"service": "s", "resource_type": "t", "resource_id": "ä".repeat(128)}), vec!["resource_id"]),
        ] {
            assert_eq!(bad(read_secret_use(Body::of_json(&given))), expected, "{given}");
        }
        for (given, expected) in [
            (json!("x"), vec![""]),
            (json!({}), vec!["name", "URL"]),
            (json!({"name": "", "URL": ""}), vec!["name", "URL"]),
            (json!({"name": null, "URL": 5}), vec!["name", "URL"]),
            (json!({"name": "n".repeat(37), "URL": long}), vec!["name", "URL"]),
            (json!({"name": "n", "url": "u"}), vec!["URL"]),
        ] {
            assert_eq!(bad(read_container_use(Body::of_json(&given))), expected, "{given}");
        }
    }
}
