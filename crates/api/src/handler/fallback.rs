//! What is answered where there is nothing, or nothing of the kind.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, HeaderValue};
use actix_web::{HttpRequest, HttpResponse};
use bailey_core::failure::Failure;

use crate::dto::error::ErrorBody;
use crate::error::ApiError;
use crate::extract::asker::Asker;
use crate::extract::path::named;

/// No such path, outside the API.
pub async fn nowhere() -> Result<HttpResponse, ApiError> {
    Err(Failure::not_found("").into())
}

/// No such path in the API: told to those only who may know.
pub async fn unknown(asker: Asker) -> Result<HttpResponse, ApiError> {
    Err(asker.refuse(Failure::not_found("")).await)
}

/// No such method on an open path.
#[must_use]
pub fn method_not_allowed(allowed: &'static str) -> HttpResponse {
    HttpResponse::MethodNotAllowed()
        .insert_header((ALLOW, HeaderValue::from_static(allowed)))
        .json(ErrorBody::new(StatusCode::METHOD_NOT_ALLOWED, Some(String::new())))
}

/// No such method on a path of the API. Identity is told first, then that the path names nothing that is there.
pub async fn unsupported(asker: Asker, request: HttpRequest, allowed: &'static str) -> Result<HttpResponse, ApiError> {
    asker.find(named(&request)).await?;
    Ok(method_not_allowed(allowed))
}
