//! Hrefs: what every reference in an answer begins with.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HOST, HeaderName};
use actix_web::http::uri::Authority;
use actix_web::{FromRequest, HttpRequest};
use bailey_core::failure::Failure;
use bailey_core::ids::{ContainerId, EntityId, OrderId, SecretId, StoreId, TransportKeyId};

use crate::error::ApiError;
use crate::extract::{accept, header};
use crate::state::State;

const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// Makes hrefs.
#[derive(Debug, Clone)]
pub struct Links {
    base: String,
}

impl Links {
    /// The API: `BASE/v1/`.
    #[must_use]
    pub fn api(&self) -> String {
        format!("{}/v1/", self.base)
    }

    /// The list of secrets.
    #[must_use]
    pub fn secrets(&self) -> String {
        format!("{}/v1/secrets", self.base)
    }

    /// One secret.
    #[must_use]
    pub fn secret(&self, id: SecretId) -> String {
        format!("{}/v1/secrets/{id}", self.base)
    }

    /// The list of containers.
    #[must_use]
    pub fn containers(&self) -> String {
        format!("{}/v1/containers", self.base)
    }

    /// The list of orders.
    #[must_use]
    pub fn orders(&self) -> String {
        format!("{}/v1/orders", self.base)
    }

    /// One order.
    #[must_use]
    pub fn order(&self, id: OrderId) -> String {
        format!("{}/v1/orders/{id}", self.base)
    }

    /// One container.
    #[must_use]
    pub fn container(&self, id: ContainerId) -> String {
        format!("{}/v1/containers/{id}", self.base)
    }

    /// Whether an href begins as those of this service do.
    #[must_use]
    pub fn are_for(&self, href: &str) -> bool {
        href.starts_with(&self.base)
    }

    /// The ACL of a secret or container.
    #[must_use]
    pub fn acl(&self, of: EntityId) -> String {
        format!("{}/v1/{of}/acl", self.base)
    }

    /// The consumers of a secret or container.
    #[must_use]
    pub fn consumers(&self, of: impl Into<EntityId>) -> String {
        format!("{}/v1/{}/consumers", self.base, of.into())
    }

    /// The list of projects with quotas of their own.
    #[must_use]
    pub fn project_quotas(&self) -> String {
        format!("{}/v1/project-quotas", self.base)
    }

    /// A secret's user metadata.
    #[must_use]
    pub fn metadata(&self, id: &str) -> String {
        format!("{}/v1/secrets/{id}/metadata", self.base)
    }

    /// One key of it.
    #[must_use]
    pub fn metadatum(&self, id: &str, key: &str) -> String {
        format!("{}/v1/secrets/{id}/metadata/{key}", self.base)
    }

    /// The list of transport keys.
    #[must_use]
    pub fn transport_keys(&self) -> String {
        format!("{}/v1/transport_keys", self.base)
    }

    /// One transport key.
    #[must_use]
    pub fn transport_key(&self, id: TransportKeyId) -> String {
        format!("{}/v1/transport_keys/{id}", self.base)
    }

    /// One secret store.
    #[must_use]
    pub fn store(&self, id: StoreId) -> String {
        format!("{}/v1/secret-stores/{id}", self.base)
    }
}

impl FromRequest for Links {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(base(request).map(|base| Self { base }))
    }
}

fn base(request: &HttpRequest) -> Result<String, ApiError> {
    match State::of(request)?.config.host_href.trim_end_matches('/') {
        "" => requested_base(request).ok_or_else(|| ApiError::Early {
            failure: Failure::invalid("The Host header names no host"),
            as_text: !accept::takes_json(request.headers()),
        }),
        configured => Ok(configured.to_owned()),
    }
}

/// Scheme and host as the client, or the proxy before us, named them; `None` unless it is a host and
/// perhaps a port, because clients follow what is made of it.
fn requested_base(request: &HttpRequest) -> Option<String> {
    let proto = header(request.headers(), FORWARDED_PROTO);
    let scheme = match proto.as_deref().and_then(|list| list.split(',').next()).map(str::trim) {
        Some(proto) if proto.eq_ignore_ascii_case("https") => "https",
        _ => "http",
    };
    let host = header(request.headers(), HOST)
        .or_else(|| request.uri().authority().map(ToString::to_string))
        .unwrap_or_else(|| request.app_config().host().to_owned());
    let host = host.parse::<Authority>().ok().filter(|host| !host.host().is_empty() && !host.as_str().contains('@'))?;
    Some(format!("{scheme}://{host}"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn hrefs_follow_the_request() {
        let cases: [(&[(&str, &str)], &str); 5] = [
            (&[("Host", "keys.example:9311")], "http://keys.example:9311/v1/secrets"),
            (&[("Host", "a"), ("X-Forwarded-Proto", "https")], "https://a/v1/secrets"),
            (&[("Host", "a"), ("X-Forwarded-Proto", "HTTPS, http")], "https://a/v1/secrets"),
            (&[("Host", "a"), ("X-Forwarded-Proto", "javascript")], "http://a/v1/secrets"),
            (&[("Host", "a"), ("X-Forwarded-Host", "evil")], "http://a/v1/secrets"),
        ];
        for (headers, expected) in cases {
            let request = headers.iter().fold(TestRequest::default(), |request, header| request.insert_header(*header));
            let links = Links { base: requested_base(&request.to_http_request()).unwrap() };
            assert_eq!(links.secrets(), expected, "{headers:?}");
        }
    }

    #[test]
    fn a_host_that_is_none_makes_no_hrefs() {
        for host in ["", " ", "a b/\"<x>", "evil/path?x#", "user@evil", ":80", "a\u{e9}"] {
            let request = TestRequest::default().insert_header(("Host", host)).to_http_request();
            assert_eq!(requested_base(&request), None, "{host:?}");
        }
        for host in ["a", "a.example:9311", "10.0.0.1", "[::1]:9311"] {
            let request = TestRequest::default().insert_header(("Host", host)).to_http_request();
            assert_eq!(requested_base(&request), Some(format!("http://{host}")));
        }
    }
}
