//! Revoking certificates, and telling everybody.

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::web::{Bytes, Data, Path};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, Responder};
use bailey_core::access::{Call, Credentials};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::RequestId;
use bailey_core::request::{AskStatus, GetRevocationList, Request, RevokeCertificate};

use crate::dto::revocation::{self, RevocationBody};
use crate::error::ApiError;
use crate::extract::asker::Asker;
use crate::extract::body::Body;
use crate::extract::path::{OrderInPath, OrderParams};
use crate::state::State;

/// How long others may keep what they were told.
const MINUTE: &str = "max-age=60, public";
/// Longest question on certificates.
const LONGEST_QUESTION: usize = 4_096;

/// Has the certificate that an order made revoked
///
/// For good, and as often as it is asked for. The CA's list of revocations and its answers on the certificate tell of
/// it from then on.
#[utoipa::path(post, path = "/v1/orders/{order}/revoke", tag = "orders", operation_id = "revoke_certificate",
    params(OrderParams), request_body = RevocationBody,
    responses((status = 204, description = "It is revoked")))]
pub async fn revoke(asker: Asker, order: OrderInPath, body: Body) -> Result<impl Responder, ApiError> {
    asker.ask(RevokeCertificate { id: order.0, reason: revocation::read(body).into() }).await?;
    Ok(HttpResponse::NoContent())
}

/// Tells what a CA has revoked
///
/// A CRL (RFC 5280), signed anew every minute at most. Certificates of Bailey's own CAs name it.
#[utoipa::path(get, path = "/crl/{ca}/{generation}", tag = "certificates", operation_id = "get_crl",
    params(("ca" = String, Path, description = "Id of the CA"),
        ("generation" = u32, Path, description = "Number of the CA's certificate")),
    responses((status = 200, description = "The list", content_type = "application/pkix-crl", body = [u8]),
        (status = 404, description = "There is no such list")))]
pub async fn list(request: HttpRequest, state: Data<State>) -> Result<HttpResponse, ApiError> {
    let ca = segment(&request, "ca").into();
    let list =
        ask(&request, &state, GetRevocationList { ca, generation: segment(&request, "generation").into() }).await?;
    Ok(public("application/pkix-crl", MINUTE, list))
}

/// Answers on single certificates
///
/// OCSP (RFC 6960), the question in the body. An answer without a nonce is signed anew every minute at most.
#[utoipa::path(post, path = "/ocsp/{ca}", tag = "certificates", operation_id = "ask_status",
    params(("ca" = String, Path, description = "Id of the CA")),
    request_body(content_type = "application/ocsp-request", content = [u8]),
    responses((status = 200, description = "The answer", content_type = "application/ocsp-response", body = [u8]),
        (status = 404, description = "There is no such CA")))]
pub async fn answer(request: HttpRequest, state: Data<State>, question: Bytes) -> Result<HttpResponse, ApiError> {
    respond(&request, &state, question.to_vec()).await
}

/// Answers on single certificates
///
/// OCSP (RFC 6960), the question in base64 in the path.
#[utoipa::path(get, path = "/ocsp/{ca}/{question}", tag = "certificates", operation_id = "ask_status_by_get",
    params(("ca" = String, Path, description = "Id of the CA"),
        ("question" = String, Path, description = "The question in base64")),
    responses((status = 200, description = "The answer", content_type = "application/ocsp-response", body = [u8]),
        (status = 404, description = "There is no such CA")))]
pub async fn answer_to_path(
    request: HttpRequest,
    state: Data<State>,
    path: Path<(String, String)>,
) -> Result<HttpResponse, ApiError> {
    // What can't be read is answered by the CA, as what it is.
    let question = STANDARD.decode(&path.1).unwrap_or_default();
    respond(&request, &state, question).await
}

async fn respond(request: &HttpRequest, state: &State, question: Vec<u8>) -> Result<HttpResponse, ApiError> {
    if question.len() > LONGEST_QUESTION {
        return Err(Failure::new(FailureKind::TooLarge, "The question is too long").into());
    }
    let answer = ask(request, state, AskStatus { ca: segment(request, "ca").into(), question }).await?;
    // A refusal is for who has it now, and so is what repeats a nonce.
    let kept = if answer.is_for_all { MINUTE } else { "no-store" };
    Ok(public("application/ocsp-response", kept, answer.der))
}

/// Asks the worker for somebody who needs no credentials.
async fn ask<R: Request>(request: &HttpRequest, state: &State, asked: R) -> Result<R::Reply, Failure> {
    let id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::new);
    state.queue.call(Call::new(Credentials::default(), id), asked).await
}

/// A part of the path; what can't be read is nothing that there is.
fn segment<T: std::str::FromStr>(request: &HttpRequest, name: &str) -> Result<T, Failure> {
    let text = request.match_info().get(name).unwrap_or_default();
    text.parse().map_err(|_| Failure::not_found("There is no such certificate authority"))
}

fn public(content_type: &'static str, kept: &'static str, bytes: Vec<u8>) -> HttpResponse {
    HttpResponse::Ok().content_type(content_type).insert_header((CACHE_CONTROL, kept)).body(bytes)
}
