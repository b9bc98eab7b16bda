//! Secrets.

use actix_web::http::header::LOCATION;
use actix_web::web::{Data, Json};
use actix_web::{HttpResponse, Responder};
use bailey_core::failure::{Failure, Parsed};
use bailey_core::request::{CreateSecret, DeleteSecret, GetSecret, ListSecrets};

use crate::dto::new_secret::{self, NewSecretBody};
use crate::dto::paging;
use crate::dto::secret::{SecretBody, SecretListBody, SecretRefBody};
use crate::dto::secret_query::{self, SecretListParams};
use crate::error::ApiError;
use crate::extract::accept::{AcceptsJson, SecretAccept};
use crate::extract::asker::Asker;
use crate::extract::body::Body;
use crate::extract::idempotency::{Idempotency, IdempotencyParams};
use crate::extract::links::Links;
use crate::extract::microversion::Microversion;
use crate::extract::params::Params;
use crate::extract::path::{SecretInPath, SecretParams};
use crate::handler::payload;
use crate::state::State;

/// Creates a secret
///
/// With a payload, or without one that follows by PUT.
#[utoipa::path(post, path = "/v1/secrets", tag = "secrets", operation_id = "create_secret",
    params(IdempotencyParams), request_body = NewSecretBody,
    responses((status = 201, description = "The secret is stored", body = SecretRefBody,
        headers(("location" = String, description = "Its href")))))]
pub async fn create(
    asker: Asker,
    _: AcceptsJson,
    links: Links,
    idempotency: Idempotency,
    body: Body,
) -> Result<impl Responder, ApiError> {
    let idempotency = idempotency.of(&body);
    let made = asker.ask(CreateSecret { secret: new_secret::read(body).into(), idempotency }).await?;
    let body = SecretRefBody::new(made, &links);
    Ok(HttpResponse::Created().insert_header((LOCATION, body.secret_ref.clone())).json(body))
}

/// Lists the project's secrets
///
/// By creation unless `sort` says otherwise. Expired secrets are never listed.
#[utoipa::path(get, path = "/v1/secrets", tag = "secrets", operation_id = "list_secrets", params(SecretListParams),
    responses((status = 200, description = "A page of secrets", body = SecretListBody)))]
pub async fn list(
    asker: Asker,
    _: AcceptsJson,
    state: Data<State>,
    params: Params,
    links: Links,
    version: Microversion,
) -> Result<Json<SecretListBody>, ApiError> {
    let limits = &state.config.limits;
    let query = secret_query::read(&params, limits).into();
    let page = asker.ask(ListSecrets { query, with_consumers: version >= Microversion::CONSUMERS }).await?;
    Ok(Json(SecretListBody::new(page, paging::asked(&params, limits), &links, &params, version)))
}

/// Tells what is known of a secret
///
/// With another `Accept` than JSON or anything it hands out the payload; that way is deprecated.
#[utoipa::path(get, path = "/v1/secrets/{id}", tag = "secrets", operation_id = "get_secret",
    params(
        SecretParams,
        ("transport_key_needed" = Option<String>, Query,
            description = "`true`: with the transport key of its store")),
    responses((status = 200, description = "The secret, or its payload", content(
        (SecretBody = "application/json"),
        (String = "text/plain"),
        (Vec<u8> = "application/octet-stream"),
        (Vec<u8> = "application/pkcs8")))))]
pub async fn get(
    asker: Asker,
    secret: SecretInPath,
    accept: SecretAccept,
    params: Params,
    links: Links,
    version: Microversion,
) -> Result<HttpResponse, ApiError> {
    if let SecretAccept::Payload(accept) = accept {
        return payload::hand_out(asker, secret, accept, &params).await.map_err(|error| error.labelled(GET_SECRET));
    }
    let with_transport_key = needs_transport_key(&params).into();
    let with_consumers = version >= Microversion::CONSUMERS;
    let (found, key) = asker.ask(GetSecret { id: secret.id, with_consumers, with_transport_key }).await?;
    Ok(HttpResponse::Ok().json(SecretBody::new(found, &links, version).with_transport_key(key, &links)))
}

const GET_SECRET: &str = <GetSecret as bailey_core::request::Request>::OPERATION;

/// Deletes a secret
///
/// Destroys its payload. From microversion 1.2 on a secret with consumers is spared unless forced.
#[utoipa::path(delete, path = "/v1/secrets/{id}", tag = "secrets", operation_id = "delete_secret",
    params(
        SecretParams,
        ("force" = Option<String>, Query,
            description = "Delete it although it has consumers: true, false and their like")),
    responses((status = 204, description = "It is gone")))]
pub async fn delete(
    asker: Asker,
    secret: SecretInPath,
    params: Params,
    version: Microversion,
) -> Result<impl Responder, ApiError> {
    asker.ask(DeleteSecret { id: secret.id, spare_consumed: spare_consumed(&params, version) }).await?;
    Ok(HttpResponse::NoContent())
}

fn needs_transport_key(params: &Params) -> Result<bool, Failure> {
    Ok(params.one("transport_key_needed")?.is_some_and(|needed| needed.eq_ignore_ascii_case("true")))
}

/// Before consumers protected secrets, `force` meant nothing.
fn spare_consumed(params: &Params, version: Microversion) -> Parsed<bool> {
    if version < Microversion::PROTECTION {
        return Parsed::Valid(false);
    }
    params.given("force").and_then(|force| force.map_or(Ok(true), |word| is_forced(word).map(|forced| !forced))).into()
}

fn is_forced(word: &str) -> Result<bool, Failure> {
    match word.trim().to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "on" | "y" | "yes" => Ok(true),
        "0" | "f" | "false" | "off" | "n" | "no" => Ok(false),
        _ => Err(Failure::invalid("The parameter 'force' is neither true nor false")),
    }
}
