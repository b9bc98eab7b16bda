//! Payloads.

use actix_web::web::Bytes;
use actix_web::{HttpResponse, Responder};
use bailey_core::failure::{Failure, Parsed};
use bailey_core::request::{FindSecret, GetPayload, PayloadForm, PutPayload, Request as _};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::ContentType;

use crate::dto::{content_type, session_key, upload};
use crate::error::ApiError;
use crate::extract::accept::{PayloadAccept, not_acceptable};
use crate::extract::asker::Asker;
use crate::extract::body::Body;
use crate::extract::params::Params;
use crate::extract::path::{SecretInPath, SecretParams};

/// Gives a payload to a secret that has none
///
/// A payload is written once. Binary ones may be sent as base64, with `Content-Encoding: base64`.
#[utoipa::path(put, path = "/v1/secrets/{id}", tag = "secrets", operation_id = "put_payload",
    params(
        SecretParams,
        ("content-encoding" = Option<String>, Header, description = "`base64`, or absent"),
        ("transport_key_id" = Option<String>, Query, description = "The transport key that the payload is wrapped to")),
    request_body(content((String = "text/plain"), (Vec<u8> = "application/octet-stream"))),
    responses(
        (status = 204, description = "It is stored"),
        (status = 409, description = "The secret has a payload already", body = crate::dto::error::ErrorBody)))]
pub async fn put(asker: Asker, secret: SecretInPath, params: Params, body: Body) -> Result<impl Responder, ApiError> {
    if let Some(complaint) = body.undecodable() {
        asker.ask(FindSecret { id: secret.id }).await?;
        return Err(Failure { operation: PutPayload::OPERATION, ..complaint }.into());
    }
    asker.ask(PutPayload { id: secret.id, payload: upload::read(body, &params).into() }).await?;
    Ok(HttpResponse::NoContent())
}

/// Hands out a payload
///
/// As one of its types, exactly as it was stored.
#[utoipa::path(get, path = "/v1/secrets/{id}/payload", tag = "secrets", operation_id = "get_payload",
    params(
        SecretParams,
        ("trans_wrapped_session_key" = Option<String>, Query,
            description = "A key to encrypt the payload under, wrapped to a transport key, in base64"),
        ("transport_key_id" = Option<String>, Query, description = "Goes with `trans_wrapped_session_key`")),
    responses((status = 200, description = "The payload",
        content((String = "text/plain"), (Vec<u8> = "application/octet-stream"), (Vec<u8> = "application/pkcs8")))))]
pub async fn get(
    asker: Asker,
    secret: SecretInPath,
    accept: PayloadAccept,
    params: Params,
) -> Result<HttpResponse, ApiError> {
    hand_out(asker, secret, accept, &params).await
}

/// Asks for a payload and answers with it.
///
/// # Errors
/// What the worker has against it.
pub async fn hand_out(
    asker: Asker,
    secret: SecretInPath,
    accept: PayloadAccept,
    params: &Params,
) -> Result<HttpResponse, ApiError> {
    let form = payload_form(accept.form, params);
    let payload = asker.ask(GetPayload { id: secret.id, form: Parsed::from(form) }).await?;
    let content_type = accept.content_type.unwrap_or_else(|| content_type::name(payload.content_type).to_owned());
    Ok(HttpResponse::Ok().content_type(content_type).body(Bytes::from_owner(Exposed(payload.bytes))))
}

/// Lends secret bytes to the HTTP layer without a copy of its own; they are wiped when it is done.
struct Exposed(SecretBytes);

impl AsRef<[u8]> for Exposed {
    fn as_ref(&self) -> &[u8] {
        self.0.expose()
    }
}

/// What is accepted, unless the payload is to be encrypted: that is bytes and nothing else.
fn payload_form(accepted: Parsed<PayloadForm>, params: &Params) -> Result<PayloadForm, Failure> {
    match (session_key::read(params)?, accepted.accept()?) {
        (None, form) => Ok(form),
        (Some(key), PayloadForm::AsStored | PayloadForm::As(ContentType::OctetStream)) => Ok(PayloadForm::Wrapped(key)),
        (Some(_), _) => Err(not_acceptable()),
    }
}
