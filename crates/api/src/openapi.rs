//! The OpenAPI document, made from the handlers, and its page for people.

use std::borrow::Cow;
use std::io;
use std::sync::{Arc, LazyLock};

use actix_web::body::SizedStream;
use actix_web::http::header::{CONTENT_ENCODING, ContentEncoding, ContentType, LOCATION};
use actix_web::{HttpResponse, web};
use bailey_core::failure::Failure;
use futures_util::stream;
use utoipa::OpenApi as _;
use utoipa_swagger_ui::{Config, SwaggerFile};

mod complete;

use complete::Completed;

use crate::dto::new_order::{CertificateMetaBody, OrderMetaBody};
use crate::error::ApiError;
use crate::handler::{
    acl, ca, ca_choice, challenge, consumer, container, health, metadata, order, payload, quota, revocation, secret,
    secret_store, transport_key, version,
};

/// Everything that is served, as the handlers describe it.
#[derive(utoipa::OpenApi)]
#[openapi(
    info(title = "Bailey", description = "A key manager that speaks the OpenStack Key Manager API v1."),
    paths(
        version::list, version::describe, health::check, health::ready, health::live, document, challenge::get,
        secret::create, secret::list, secret::get, secret::delete, payload::put, payload::get,
        acl::get_of_secret, acl::put_of_secret, acl::patch_of_secret, acl::delete_of_secret,
        acl::get_of_container, acl::put_of_container, acl::patch_of_container, acl::delete_of_container,
        consumer::list_of_secret, consumer::add_to_secret, consumer::remove_from_secret, consumer::get_of_secret,
        consumer::list_of_container, consumer::add_to_container, consumer::remove_from_container,
        consumer::get_of_container,
        metadata::get_all, metadata::put_all, metadata::add, metadata::get, metadata::put, metadata::delete,
        container::create, container::list, container::get, container::delete, container::add_secret,
        container::remove_secret,
        secret_store::list, secret_store::get_default, secret_store::get_preferred, secret_store::get,
        secret_store::prefer, secret_store::prefer_none,
        order::create, order::list, order::get, order::change, order::delete,
        revocation::revoke, revocation::list, revocation::answer, revocation::answer_to_path,
        quota::get, quota::list, quota::get_own, quota::put_own, quota::delete_own,
        ca::list, ca::list_all, ca::create, ca::get, ca::delete, ca::get_certificate, ca::get_chain,
        ca::list_projects, ca_choice::get_preferred, ca_choice::get_global_preferred,
        ca_choice::prefer_none_globally, ca_choice::choose, ca_choice::dismiss, ca_choice::prefer,
        ca_choice::prefer_globally,
        transport_key::list, transport_key::create, transport_key::get, transport_key::delete,
    ),
    // What is only referred to.
    components(schemas(OrderMetaBody, CertificateMetaBody)),
    modifiers(&Completed)
)]
struct Document;

static DOCUMENT: LazyLock<web::Bytes> =
    LazyLock::new(|| serde_json::to_vec(&Document::openapi()).unwrap_or_default().into());

/// Describes the API
///
/// This document.
#[utoipa::path(get, path = "/openapi.json", tag = "documentation", operation_id = "get_openapi",
    responses((status = 200, description = "An OpenAPI document", body = serde_json::Value)))]
pub async fn document() -> HttpResponse {
    HttpResponse::Ok().content_type(ContentType::json()).body(DOCUMENT.clone())
}

static PAGE: LazyLock<Arc<Config<'static>>> = LazyLock::new(|| Arc::new(Config::from("/openapi.json")));

/// How much of a file is handed to a connection at once: a client that reads slowly holds no more.
const PART: usize = 16 * 1024;

/// The page for people, with all it needs: it works offline.
///
/// # Errors
/// `NotFound` when it has no such file.
pub async fn docs(path: web::Path<String>) -> Result<HttpResponse, ApiError> {
    let file = utoipa_swagger_ui::serve(&path, Arc::clone(&PAGE));
    let Some(SwaggerFile { bytes, content_type, gzpipped, .. }) =
        file.map_err(|error| Failure::internal(error.to_string()))?
    else {
        return Err(Failure::not_found("").into());
    };
    let bytes = match bytes {
        Cow::Borrowed(bytes) => web::Bytes::from_static(bytes),
        Cow::Owned(bytes) => bytes.into(),
    };
    let mut response = HttpResponse::Ok();
    if gzpipped {
        response.insert_header((CONTENT_ENCODING, ContentEncoding::Gzip));
    }
    Ok(response.content_type(content_type).body(in_parts(bytes)))
}

fn in_parts(mut bytes: web::Bytes) -> SizedStream<impl stream::Stream<Item = io::Result<web::Bytes>>> {
    let length = bytes.len() as u64;
    let parts = std::iter::from_fn(move || (!bytes.is_empty()).then(|| Ok(bytes.split_to(bytes.len().min(PART)))));
    SizedStream::new(length, stream::iter(parts))
}

/// The page's relative links need a slash at the end.
pub async fn to_docs() -> HttpResponse {
    HttpResponse::PermanentRedirect().insert_header((LOCATION, "/docs/")).finish()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::Value;

    use super::*;

    /// Every `$ref` below a value.
    fn references(value: &Value) -> Vec<&str> {
        match value {
            Value::Object(fields) => {
                let own = fields.get("$ref").and_then(Value::as_str);
                own.into_iter().chain(fields.values().flat_map(references)).collect()
            }
            Value::Array(items) => items.iter().flat_map(references).collect(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn whatever_is_referred_to_is_there() {
        let document = serde_json::to_value(Document::openapi()).unwrap();
        let references = references(&document);
        assert!(references.len() > 100);
        for reference in references {
            assert!(document.pointer(reference.strip_prefix('#').unwrap()).is_some(), "{reference}");
        }
        let certificate = &document["components"]["schemas"]["CertificateMeta"];
        assert_eq!(certificate["properties"]["renew_before"]["maximum"], 87_840);
        assert_eq!(certificate["required"], Value::Null, "{certificate}");
    }
}
