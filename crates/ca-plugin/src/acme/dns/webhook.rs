//! Records made by somebody who is told by HTTP.

use std::time::Duration;

use async_trait::async_trait;
use bailey_core::ca::{CaError, CaErrorKind};
use bailey_core::failure::causes;
use reqwest::header::{AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use reqwest::redirect::Policy;
use reqwest::{StatusCode, Url};
use serde_json::json;

use super::super::client::unavailable;
use super::super::config::{Config, certificates};
use super::Records;

const OPERATION: &str = "tell the DNS webhook";

/// `POST {"action": "add" | "remove", "name", "value"}`; any answer of 200 to 299 means that it is done. It may be told
/// the same again.
pub(in super::super) struct Webhook {
    http: reqwest::Client,
    url: Url,
    authorization: Option<HeaderValue>,
    wait: Duration,
}

impl Webhook {
    /// # Errors
    /// What is wrong with the configuration, with its key.
    pub(in super::super) fn new(config: &Config) -> Result<Self, (&'static str, String)> {
        let url: Url = config.webhook_url.parse().map_err(|error| ("webhook_url", format!("no URL: {error}")))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(("webhook_url", "neither http nor https".to_owned()));
        }
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(config.timeout());
        let http = match certificates(&config.webhook_ca_file).map_err(|error| ("webhook_ca_file", error))? {
            Some(certificates) => http.tls_certs_only(certificates),
            // The system's are not looked for where nobody needs them.
            None if url.scheme() == "http" => http.tls_certs_only([]),
            None => http,
        };
        let http = http.build().map_err(|error| ("webhook_url", causes(&error)))?;
        let authorization = match config.webhook_token.expose() {
            "" => None,
            token => {
                let value = HeaderValue::from_str(&format!("Bearer {token}"));
                let mut value = value.map_err(|_| ("webhook_token", "not fit for a header".to_owned()))?;
                value.set_sensitive(true);
                Some(value)
            }
        };
        Ok(Self { http, url, authorization, wait: Duration::from_secs(config.dns_wait_seconds.into()) })
    }

    async fn tell(&self, action: &str, name: &str, value: &str) -> Result<(), CaError> {
        let body = json!({"action": action, "name": name, "value": value}).to_string();
        let mut request = self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/json").body(body);
        if let Some(authorization) = &self.authorization {
            request = request.header(AUTHORIZATION, authorization.clone());
        }
        let response = request.send().await.map_err(|error| unavailable(OPERATION, causes(&error)))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let refused = status.is_client_error() && status != StatusCode::TOO_MANY_REQUESTS;
        let kind = if refused { CaErrorKind::Internal } else { CaErrorKind::Unavailable };
        Err(CaError::new(kind, OPERATION, format!("it answers {status}")))
    }
}

#[async_trait]
impl Records for Webhook {
    fn covers(&self, _: &str) -> bool {
        true
    }

    fn wait(&self) -> Duration {
        self.wait
    }

    async fn add(&self, name: &str, value: &str) -> Result<(), CaError> {
        self.tell("add", name, value).await
    }

    async fn remove(&self, name: &str, value: &str) -> Result<(), CaError> {
        self.tell("remove", name, value).await
    }
}
