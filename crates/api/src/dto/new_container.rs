//! A container to be created, from the body of `POST /v1/containers`, and a reference in one.

use std::collections::HashSet;

use bailey_core::container::{ContainerType, GivenReference, NewContainer};
use bailey_core::failure::Failure;
use utoipa::ToSchema;

use crate::dto::fields::Fields;
use crate::extract::body::Body;
use crate::extract::links::Links;
use crate::json::Json;

/// The types that clients may create.
const TYPES: [ContainerType; 3] = [ContainerType::Generic, ContainerType::Rsa, ContainerType::Certificate];

/// A container to be created.
#[derive(ToSchema)]
#[schema(as = NewContainer, example = json!({
    "name": "key pair", "type": "generic",
    "secret_refs": [{
        "name": "private_key",
        "secret_ref": "http://localhost:9311/v1/secrets/01968a3e-8f4b-7cc3-98c4-dc0c0c07398f",
    }],
}))]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand, strictly")]
pub struct NewContainerBody {
    /// Label.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// What it holds: it says how the references must be called.
    #[schema(required, schema_with = container_type)]
    r#type: String,
    /// What is in it. No two may have the same name, or be the same secret.
    secret_refs: Vec<GivenReferenceBody>,
}

fn container_type() -> utoipa::openapi::Object {
    one_of(&TYPES)
}

pub(super) fn one_of(types: &[ContainerType]) -> utoipa::openapi::Object {
    utoipa::openapi::ObjectBuilder::new()
        .schema_type(utoipa::openapi::schema::Type::String)
        .enum_values(Some(types.iter().map(|kind| kind.as_str())))
        .build()
}

/// A secret to be in a container.
#[derive(ToSchema)]
#[schema(as = GivenReference)]
#[expect(dead_code, reason = "describes the body in the OpenAPI document; it is read by hand, strictly")]
pub struct GivenReferenceBody {
    /// What it is to be called there.
    #[schema(max_length = 255)]
    name: Option<String>,
    /// The secret's href, as this service gave it.
    #[schema(required, min_length = 1)]
    secret_ref: String,
}

/// Reads the body. `links` knows how hrefs of this service begin.
///
/// # Errors
/// `UnsupportedMedia`, `TooLarge`, `Invalid` with every bad field.
pub fn read(body: Body, links: &Links) -> Result<NewContainer, Failure> {
    parse(body.json()?, |href| links.are_for(href))
}

fn parse(json: Json, is_ours: impl Fn(&str) -> bool) -> Result<NewContainer, Failure> {
    let mut fields = Fields::open("Container", json)?;
    let name = fields.nullable_label("name");
    let container_type = kind(&mut fields);
    let given = references(&mut fields).unwrap_or_default();
    for (number, written) in given.iter().enumerate() {
        if !is_ours(&written.href) {
            fields.complain(&format!("secret_refs[{number}].secret_ref"), "is no href of this service");
        }
    }
    if let Some(reason) = container_type.and_then(|kind| objection(kind, &given)) {
        fields.complain("secret_refs", reason);
    }
    fields.close()?;
    let container_type = container_type.unwrap_or(ContainerType::Generic);
    Ok(NewContainer { name, container_type, secrets: given.into_iter().map(Written::given).collect() })
}

fn kind(fields: &mut Fields) -> Option<ContainerType> {
    let text = fields.required_label("type")?;
    let kind = TYPES.into_iter().find(|kind| kind.as_str() == text);
    if kind.is_none() {
        fields.complain("type", "must be one of generic, rsa, certificate");
    }
    kind
}

/// A reference as the body writes it.
struct Written {
    has_name: bool,
    name: Option<String>,
    href: String,
}

impl Written {
    fn take(fields: &mut Fields) -> Option<Self> {
        let has_name = fields.has("name");
        let name = fields.nullable_label("name");
        Some(Self { has_name, name, href: href(fields)? })
    }

    /// Its name as far as names must differ: an absent one is the same as an empty one, null is another.
    fn distinct_name(&self) -> Option<&str> {
        if self.has_name { self.name.as_deref() } else { Some("") }
    }

    /// What stands for the id in it. One slash at the end doesn't matter.
    fn id(&self) -> &str {
        id_in(&self.href)
    }

    fn given(self) -> GivenReference {
        GivenReference { secret: self.id().parse().ok(), name: self.name }
    }
}

/// What stands for an id in an href: all after the last slash, but for one at the end.
pub(crate) fn id_in(href: &str) -> &str {
    let href = href.strip_suffix('/').unwrap_or(href);
    href.rsplit_once('/').map_or(href, |(_, id)| id)
}

fn href(fields: &mut Fields) -> Option<String> {
    if !fields.has("secret_ref") {
        fields.complain("secret_ref", "is required");
    }
    let href = fields.secret_text("secret_ref")?.expose().to_owned();
    if href.is_empty() {
        fields.complain("secret_ref", "must not be empty");
    }
    Some(href)
}

/// All references, if each can be read.
fn references(fields: &mut Fields) -> Option<Vec<Written>> {
    let Json::List(items) = fields.take("secret_refs")? else {
        fields.complain("secret_refs", "must be an array");
        return None;
    };
    let read = |(number, item)| fields.within(&format!("secret_refs[{number}]"), item, Written::take).flatten();
    let all: Vec<_> = items.into_iter().enumerate().map(read).collect();
    all.into_iter().collect()
}

/// What speaks against these references in a container of this type.
fn objection(kind: ContainerType, given: &[Written]) -> Option<String> {
    let names: HashSet<Option<&str>> = given.iter().map(Written::distinct_name).collect();
    let secrets: HashSet<&str> = given.iter().map(Written::id).collect();
    if names.len() < given.len() {
        return Some("names must differ".to_owned());
    }
    if secrets.len() < given.len() {
        return Some("secrets must differ".to_owned());
    }
    let (allowed, required) = names_in(kind)?;
    if given.is_empty() {
        return None;
    }
    let is_allowed = |name: &Option<&str>| name.is_some_and(|name| allowed.contains(&name));
    if !names.iter().all(is_allowed) {
        return Some(format!("names in this type of container must be of {}", allowed.join(", ")));
    }
    let has_required = required.iter().all(|name| names.contains(&Some(*name)));
    (!has_required).then(|| format!("this type of container needs {}", required.join(" and ")))
}

/// How the secrets in a type of container may be called, and which must be there.
fn names_in(kind: ContainerType) -> Option<(&'static [&'static str], &'static [&'static str])> {
    match kind {
        ContainerType::Rsa => {
            Some((&["public_key", "private_key", "private_key_passphrase"], &["public_key", "private_key"]))
        }
        ContainerType::Certificate => {
            Some((&["certificate", "private_key", "private_key_passphrase", "intermediates"], &["certificate"]))
        }
        _ => None,
    }
}

/// Reads a reference to be added to a container, or removed from it.
///
/// # Errors
/// `UnsupportedMedia`, `TooLarge`, `Invalid` with every bad field.
pub fn read_reference(body: Body) -> Result<GivenReference, Failure> {
    reference(body.json()?)
}

/// The service that the href names doesn't matter here; null is no name.
fn reference(json: Json) -> Result<GivenReference, Failure> {
    let mut fields = Fields::open("ContainerSecret", json)?;
    let (name, href) = (fields.label("name"), href(&mut fields));
    if href.as_ref().is_some_and(|href| !href.is_empty() && !href.contains('/')) {
        fields.complain("secret_ref", "is no href");
    }
    fields.close()?;
    Ok(GivenReference { name, secret: href.and_then(|href| id_in(&href).parse().ok()) })
}

#[cfg(test)]
mod tests;
