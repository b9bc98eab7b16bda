//! Containers as clients see them.

use bailey_core::consumer::ContainerConsumer;
use bailey_core::container::{Container, ContainerType};
use bailey_core::secret::{Page, PageRequest};
use serde::Serialize;
use utoipa::ToSchema;

use crate::dto::paging::PageBody;
use crate::dto::time;
use crate::extract::links::Links;

/// Where a container is.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ContainerRef, example = json!({
    "container_ref": "http://localhost:9311/v1/containers/01968a3e-8f4b-7cc3-98c4-dc0c0c07398f",
}))]
pub struct ContainerRefBody {
    /// The container's href.
    pub container_ref: String,
}

/// What a container is and holds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Container, example = json!({
    "created": "2030-02-28T19:14:44.180394", "updated": "2030-02-28T19:14:44.180394", "status": "ACTIVE",
    "name": "key pair", "type": "rsa", "creator_id": "admin",
    "secret_refs": [{
        "name": "private_key",
        "secret_ref": "http://localhost:9311/v1/secrets/01968a3e-8f4b-7cc3-98c4-dc0c0c07398f",
    }],
    "consumers": [{"name": "load balancer", "URL": "https://lb.example/listeners/1"}],
    "container_ref": "http://localhost:9311/v1/containers/01968a3e-8f4b-7cc3-98c4-dc0c0c073990",
}))]
pub struct ContainerBody {
    /// When it was made, in UTC.
    created: String,
    /// When it last changed, in UTC.
    updated: String,
    /// Always ACTIVE.
    status: &'static str,
    /// Label.
    #[schema(required)]
    name: Option<String>,
    /// What it holds.
    #[schema(schema_with = container_type)]
    r#type: &'static str,
    /// Who made it.
    #[schema(required)]
    creator_id: Option<String>,
    /// What is in it, in the order in which it came.
    secret_refs: Vec<SecretReferenceBody>,
    /// Who registered an interest.
    consumers: Vec<ContainerConsumerBody>,
    /// Its href.
    container_ref: String,
}

fn container_type() -> utoipa::openapi::Object {
    super::new_container::one_of(&ContainerType::ALL)
}

/// A secret in a container.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = SecretReference)]
pub struct SecretReferenceBody {
    /// What it is called there.
    #[schema(required)]
    name: Option<String>,
    /// The secret's href.
    secret_ref: String,
}

/// A registered interest.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ContainerConsumer)]
pub struct ContainerConsumerBody {
    /// Name of the service.
    name: String,
    /// Where it can be reached.
    #[serde(rename = "URL")]
    url: String,
}

impl ContainerBody {
    /// Writes a container.
    #[must_use]
    pub fn new(container: Container, links: &Links) -> Self {
        let references = container.secrets.into_iter();
        Self {
            created: time::format(container.created_at),
            updated: time::format(container.updated_at),
            status: "ACTIVE",
            name: container.name,
            r#type: container.container_type.as_str(),
            creator_id: container.creator.map(String::from),
            secret_refs: references
                .map(|reference| SecretReferenceBody {
                    name: reference.name,
                    secret_ref: links.secret(reference.secret),
                })
                .collect(),
            consumers: container.consumers.into_iter().map(ContainerConsumerBody::from).collect(),
            container_ref: links.container(container.id),
        }
    }
}

impl From<ContainerConsumer> for ContainerConsumerBody {
    fn from(ContainerConsumer { name, url, .. }: ContainerConsumer) -> Self {
        Self { name, url }
    }
}

/// Part of the list of containers.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ContainerList)]
pub struct ContainerListBody {
    /// The containers on this page.
    containers: Vec<ContainerBody>,
    #[serde(flatten)]
    page: PageBody,
}

impl ContainerListBody {
    /// Writes a page; an empty one has no links, and links carry no filters.
    #[must_use]
    pub fn new(page: Page<Container>, asked: PageRequest, links: &Links) -> Self {
        let href = |page: &str| format!("{}?{page}", links.containers());
        Self {
            page: PageBody::of(&page, asked, href),
            containers: page.items.into_iter().map(|container| ContainerBody::new(container, links)).collect(),
        }
    }
}
