//! Lets scripts of other origins' pages ask, where that is configured (Fetch, section 3.2: the CORS
//! protocol), as Barbican's middleware does.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header::{self, HeaderMap, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};

use crate::config::Cors;
use crate::state::State;

/// Methods that scripts may use.
const METHODS: [Method; 5] = [Method::GET, Method::PUT, Method::POST, Method::DELETE, Method::PATCH];

/// Headers that scripts may both send and read.
const BOTH: &str = "X-Auth-Token, X-Openstack-Request-Id, X-Project-Id, X-Identity-Status, X-User-Id, X-Storage-Token, \
                    X-Domain-Id, X-User-Domain-Id, X-Project-Domain-Id, X-Roles, OpenStack-API-Version";
/// Headers that scripts may send.
const SENT: &str = "Authorization, Idempotency-Key, Accept, Accept-Language, Content-Type, Content-Language, \
                    Cache-Control, Expires, Last-Modified, Pragma";
/// Headers that scripts may read beside those that they always may.
const READ: &str = "Location, Retry-After, WWW-Authenticate";

/// Answers a browser that asks beforehand, and tells it in every answer who may read it.
///
/// # Errors
/// None of its own.
pub async fn allow<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let origin = State::of(request.request()).ok().and_then(|state| allowed(&state.config.cors, request.headers()));
    let mut response = match origin.as_ref().and_then(|_| preflight(&request)) {
        Some(answer) => request.into_response(answer).map_into_right_body(),
        None => next.call(request).await?.map_into_left_body(),
    };
    let headers = response.headers_mut();
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.name);
        if origin.with_credentials {
            headers.insert(header::ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        if let Ok(names) = HeaderValue::from_str(&format!("{BOTH}, {READ}")) {
            headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, names);
        }
    }
    Ok(response)
}

/// An origin whose scripts may read the answer.
struct Origin {
    name: HeaderValue,
    with_credentials: bool,
}

fn allowed(cors: &Cors, headers: &HeaderMap) -> Option<Origin> {
    let origin = headers.get(header::ORIGIN)?;
    if cors.allowed_origins.iter().any(|allowed| allowed == "*") {
        return Some(Origin { name: HeaderValue::from_static("*"), with_credentials: false });
    }
    let is_allowed = cors.allowed_origins.iter().any(|allowed| allowed.as_bytes() == origin.as_bytes());
    is_allowed.then(|| Origin { name: origin.clone(), with_credentials: cors.allow_credentials })
}

/// The answer to a browser's question whether a script may send a request; `None` if it is no such question,
/// or the script may not.
fn preflight(request: &ServiceRequest) -> Option<HttpResponse> {
    let headers = request.headers();
    let method = headers.get(header::ACCESS_CONTROL_REQUEST_METHOD)?;
    let names = headers.get(header::ACCESS_CONTROL_REQUEST_HEADERS).cloned();
    let names = names.unwrap_or_else(|| HeaderValue::from_static(""));
    let is_known = METHODS.iter().any(|known| known.as_str().as_bytes() == method.as_bytes());
    if request.method() != Method::OPTIONS || !is_known || !may_send(names.to_str().ok()?) {
        return None;
    }
    let max_age = State::of(request.request()).ok()?.config.cors.max_age_seconds;
    let mut answer = HttpResponse::Ok();
    answer.insert_header((header::ACCESS_CONTROL_ALLOW_METHODS, method.clone()));
    answer.insert_header((header::ACCESS_CONTROL_MAX_AGE, max_age));
    if !names.is_empty() {
        answer.insert_header((header::ACCESS_CONTROL_ALLOW_HEADERS, names));
    }
    Some(answer.finish())
}

fn may_send(names: &str) -> bool {
    let may = |name: &str| [BOTH, SENT].iter().flat_map(|list| list.split(", ")).any(|n| n.eq_ignore_ascii_case(name));
    names.split(',').map(str::trim).filter(|name| !name.is_empty()).all(may)
}
