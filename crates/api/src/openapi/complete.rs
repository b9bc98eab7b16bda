//! What holds for many routes, added to the document in one place: credentials, microversions, the
//! errors that can always come, and the headers of every answer.

use std::collections::BTreeMap;

use utoipa::Modify;
use utoipa::openapi::header::HeaderBuilder;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn, PathItem};
use utoipa::openapi::response::{Response, ResponseBuilder};
use utoipa::openapi::schema::{ObjectBuilder, OneOfBuilder, Schema, Type};
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};
use utoipa::openapi::{Components, Content, OpenApi, Ref, RefOr, Required};
use utoipa::{PartialSchema as _, ToSchema as _};

use crate::dto::error::{EarlyErrorBody, ErrorBody};
use crate::extract::microversion::HEADER as MICROVERSION;

/// Completes the document.
pub struct Completed;

impl Modify for Completed {
    fn modify(&self, document: &mut OpenApi) {
        secure(document.components.get_or_insert_with(Components::new));
        for (path, item) in &mut document.paths.paths {
            for operation in operations(item) {
                complete(path, operation);
            }
        }
    }
}

fn secure(components: &mut Components) {
    components.schemas.insert(EarlyErrorBody::name().into(), EarlyErrorBody::schema());
    components.schemas.insert(ErrorBody::name().into(), ErrorBody::schema());
    let token = ApiKey::Header(ApiKeyValue::with_description("X-Auth-Token", "A token of Bailey or of Keystone"));
    components.add_security_scheme("token", SecurityScheme::ApiKey(token));
    components
        .add_security_scheme("bearer", SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build()));
}

fn operations(item: &mut PathItem) -> impl Iterator<Item = &mut Operation> {
    [&mut item.get, &mut item.put, &mut item.post, &mut item.patch, &mut item.delete]
        .into_iter()
        .filter_map(Option::as_mut)
}

fn complete(path: &str, operation: &mut Operation) {
    let is_api = path.starts_with("/v1");
    if is_api {
        let requirement = |name: &str| SecurityRequirement::new(name, Vec::<String>::new());
        operation.security = Some(vec![requirement("token"), requirement("bearer")]);
    }
    let has_microversion = is_api || path == "/";
    if has_microversion {
        add_errors(path, is_api, operation);
        ask_for_microversion(operation);
    }
    for (status, response) in &mut operation.responses.responses {
        if let RefOr::T(response) = response {
            add_headers(status, response, has_microversion);
        }
    }
}

/// The errors that each route can answer with, given what it has.
fn add_errors(path: &str, is_api: bool, operation: &mut Operation) {
    let has_body = operation.request_body.is_some();
    let may_be_repeated = has_parameter(operation, "Idempotency-Key");
    let errors = [
        ("400", "Something in the request is wrong, or identity or microversion can't be read", true, true),
        ("401", "The credentials are missing or no good", true, is_api),
        ("403", "The caller has no right to it, or a quota has been reached", false, is_api && path != "/v1"),
        ("404", "There is no such thing", false, path.contains('{')),
        ("406", "The client takes no form of the answer, or the microversion is not offered", true, true),
        ("408", "The body was not received in time", false, has_body),
        ("413", "The body or its payload is too large", false, has_body),
        ("415", "The body has another content type than expected", false, has_body),
        ("422", "The idempotency key was used with another body", false, may_be_repeated),
        ("500", "A fault of Bailey's own", false, is_api),
        ("503", "Something needed is out of reach; try again", false, is_api),
    ];
    for (status, description, can_be_early, applies) in errors {
        if applies {
            let response = error(description, can_be_early, status == "401").into();
            operation.responses.responses.entry(status.into()).or_insert(response);
        }
    }
}

fn has_parameter(operation: &Operation, name: &str) -> bool {
    operation.parameters.iter().flatten().any(|parameter| matches!(parameter, RefOr::T(known) if known.name == name))
}

fn error(description: &str, can_be_early: bool, is_always_early: bool) -> Response {
    let reference = |name: &str| RefOr::Ref(Ref::from_schema_name(name));
    let (late, early) = (reference(&ErrorBody::name()), reference(&EarlyErrorBody::name()));
    let json = match (can_be_early, is_always_early) {
        (_, true) => early,
        (true, false) => RefOr::T(Schema::OneOf(OneOfBuilder::new().item(late).item(early).build())),
        (false, false) => late,
    };
    let response =
        ResponseBuilder::new().description(description).content("application/json", Content::new(Some(json)));
    if can_be_early { response.content("text/plain", Content::new(Some(text()))).build() } else { response.build() }
}

fn text() -> RefOr<Schema> {
    ObjectBuilder::new().schema_type(Type::String).into()
}

fn ask_for_microversion(operation: &mut Operation) {
    let parameter = ParameterBuilder::new()
        .name(MICROVERSION.as_str())
        .parameter_in(ParameterIn::Header)
        .required(Required::False)
        .description(Some("The microversion, such as `key-manager 1.2`; 1.0 if absent"))
        .schema(Some(text()))
        .build();
    operation.parameters.get_or_insert_with(Vec::new).push(RefOr::T(parameter));
}

fn add_headers(status: &str, response: &mut Response, has_microversion: bool) {
    let header = |description: &str| HeaderBuilder::new().schema(Some(text())).description(Some(description)).build();
    let headers: &mut BTreeMap<_, _> = &mut response.headers;
    headers.insert("x-openstack-request-id".into(), header("Names the request").into());
    if has_microversion && status != "401" {
        headers.insert(MICROVERSION.as_str().into(), header("The microversion that was used").into());
        headers.insert("vary".into(), header("What the answer depends on").into());
    }
    match status {
        "401" => drop(headers.insert("www-authenticate".into(), header("How to authenticate").into())),
        "503" if has_microversion => drop(headers.insert("retry-after".into(), header("Seconds to wait").into())),
        _ => {}
    }
}
