//! What CAs ask to prove that a name is Bailey's. They have no credentials.

use actix_web::{HttpMessage as _, HttpRequest, HttpResponse, web};
use bailey_core::access::{Call, Credentials};
use bailey_core::failure::Failure;
use bailey_core::ids::RequestId;
use bailey_core::request::FindChallenge;

use crate::error::ApiError;
use crate::state::State;

/// Longest token that is looked up; CAs' have 43 characters.
const LONGEST: usize = 256;

/// Answers an ACME server
///
/// Challenges of the sort `http-01` (RFC 8555, section 8.3) for certificates that were ordered. Needs no credentials.
#[utoipa::path(get, path = "/.well-known/acme-challenge/{token}", tag = "certificates", operation_id = "get_challenge",
    params(("token" = String, Path, description = "The server's token")),
    responses(
        (status = 200, description = "The answer", content((String = "application/octet-stream"))),
        (status = 404, description = "Nobody ordered a certificate that this token is for")))]
pub async fn get(
    request: HttpRequest,
    state: web::Data<State>,
    token: web::Path<String>,
) -> Result<HttpResponse, ApiError> {
    let token = token.into_inner();
    let is_token = token.len() <= LONGEST && token.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    if !is_token {
        return Err(Failure::not_found("").into());
    }
    let request_id = request.extensions().get::<RequestId>().cloned().unwrap_or_else(RequestId::new);
    let call = Call::new(Credentials::default(), request_id);
    match state.queue.call(call, FindChallenge { token }).await? {
        Some(answer) => Ok(HttpResponse::Ok().content_type("application/octet-stream").body(answer)),
        None => Err(Failure::not_found("").into()),
    }
}
