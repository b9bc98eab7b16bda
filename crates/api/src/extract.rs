//! What handlers are given: parts of a request, parsed. Whatever is wrong with a part travels to
//! the worker as a complaint, because identity, existence and rights come first.

pub mod accept;
pub mod asker;
pub mod body;
pub mod idempotency;
pub mod links;
pub mod microversion;
pub mod params;
pub mod path;

use actix_web::http::header::{HeaderMap, HeaderName};

/// A header's value as text; bytes that are not UTF-8 are replaced. `None` if absent.
pub(crate) fn header(headers: &HeaderMap, name: impl Into<HeaderName>) -> Option<String> {
    headers.get(name.into()).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
}
