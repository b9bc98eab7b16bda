//! Hrefs: what every reference in an answer begins with.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;
use actix_web::{FromRequest, HttpRequest};
use bailey_core::failure::Failure;
use bailey_core::ids::{CaId, ContainerId, EntityId, OrderId, SecretId, StoreId, TransportKeyId};

use crate::error::ApiError;
use crate::extract::{accept, header};
use crate::proxy::{self, Network};
use crate::state::State;

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

    /// The list of CAs.
    #[must_use]
    pub fn cas(&self) -> String {
        format!("{}/v1/cas", self.base)
    }

    /// One CA.
    #[must_use]
    pub fn ca(&self, id: CaId) -> String {
        format!("{}/v1/cas/{id}", self.base)
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
    let config = &State::of(request)?.config;
    match config.host_href.trim_end_matches('/') {
        "" => requested_base(request, &config.http.trusted_proxies).ok_or_else(|| ApiError::Early {
            failure: Failure::invalid("The Host header names no host"),
            as_text: !accept::takes_json(request.headers()),
        }),
        configured => Ok(configured.to_owned()),
    }
}

/// Scheme, host and prefix as the client, or a trusted proxy before us, named them; `None` unless there is
/// a host and perhaps a port, because clients follow what is made of it.
fn requested_base(request: &HttpRequest, trusted: &[Network]) -> Option<String> {
    let told = |name| proxy::told(request.head(), trusted, name);
    let is_secure = match told(proxy::PROTO) {
        Some(proto) => proto.eq_ignore_ascii_case("https"),
        None => request.app_config().secure(),
    };
    let scheme = if is_secure { "https" } else { "http" };
    let host = told(proxy::HOST)
        .or_else(|| header(request.headers(), HOST))
        .or_else(|| request.uri().authority().map(ToString::to_string))
        .unwrap_or_else(|| request.app_config().host().to_owned());
    let host = host.parse::<Authority>().ok().filter(|host| !host.host().is_empty() && !host.as_str().contains('@'))?;
    let prefix = told(proxy::PREFIX).and_then(|prefix| path(&prefix)).unwrap_or_default();
    Some(format!("{scheme}://{host}{prefix}"))
}

/// A prefix as hrefs have it: without the slash at its end, and without the version that follows anyway.
fn path(prefix: &str) -> Option<String> {
    let is_path = |c: char| c.is_ascii_alphanumeric() || "/-._~%".contains(c);
    let path = prefix.trim_end_matches('/');
    let path = path.strip_suffix("/v1").unwrap_or(path);
    (path.starts_with('/') && !path.starts_with("//") && path.chars().all(is_path)).then(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use actix_web::test::TestRequest;

    use super::*;

    fn base_of(request: TestRequest) -> Option<String> {
        let trusted = ["127.0.0.0/8".parse().unwrap()];
        requested_base(&request.to_http_request(), &trusted)
    }

    #[test]
    fn hrefs_follow_the_request() {
        let cases = [
            ("X-Forwarded-Proto", "https", "https://a", "http://a"),
            ("X-Forwarded-Proto", "HTTPS, http", "https://a", "http://a"),
            ("X-Forwarded-Proto", "javascript", "http://a", "http://a"),
            ("X-Forwarded-Host", "b:1", "http://b:1", "http://a"),
            ("X-Forwarded-Prefix", "/key-manager/", "http://a/key-manager", "http://a"),
            ("X-Forwarded-Prefix", "/key-manager/v1", "http://a/key-manager", "http://a"),
            ("X-Forwarded-Prefix", "/v1", "http://a", "http://a"),
            ("X-Forwarded-Prefix", "//evil/\"<x>", "http://a", "http://a"),
        ];
        for (name, value, from_proxy, from_others) in cases {
            for (peer, expected) in [("127.0.0.1:1", from_proxy), ("192.0.2.1:1", from_others)] {
                let request = TestRequest::default().peer_addr(peer.parse().unwrap());
                let request = request.insert_header(("Host", "a")).insert_header((name, value));
                let links = Links { base: base_of(request).unwrap() };
                assert_eq!(links.secrets(), format!("{expected}/v1/secrets"), "{name} {value} of {peer}");
            }
        }
    }

    #[test]
    fn a_host_that_is_none_makes_no_hrefs() {
        for host in ["", " ", "a b/\"<x>", "evil/path?x#", "user@evil", ":80", "a\u{e9}"] {
            assert_eq!(base_of(TestRequest::default().insert_header(("Host", host))), None, "{host:?}");
            let forwarded = TestRequest::default().insert_header(("X-Forwarded-Host", host.trim()));
            let forwarded = forwarded.insert_header(("Host", "a")).peer_addr("127.0.0.1:1".parse().unwrap());
            let expected = host.trim().is_empty().then(|| "http://a".to_owned());
            assert_eq!(base_of(forwarded), expected, "{host:?}");
        }
        for host in ["a", "a.example:9311", "10.0.0.1", "[::1]:9311"] {
            let request = TestRequest::default().insert_header(("Host", host));
            assert_eq!(base_of(request), Some(format!("http://{host}")));
        }
    }
}
