//! Requests to EJBCA and its answers, without what they mean.

use std::time::Duration;

use bailey_core::ca::{CaError, CaErrorKind};
use bailey_core::failure::causes;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, RequestBuilder, StatusCode, Url};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::config::{Config, seconds};
use super::error::{Trouble, tame};
use super::identity::Http;

/// Longest answer that is read: a search has up to twenty certificates, each encoded twice.
const LONGEST_ANSWER: usize = 1 << 20;

pub(super) struct Client {
    base: Url,
    http: Http,
    timeout: Duration,
}

/// What EJBCA said to a request that it carried out.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// The body. What can't be read is as good as lost: something may have been done.
    pub(super) fn json<T: DeserializeOwned>(&self) -> Result<T, Trouble> {
        serde_json::from_slice(&self.body).map_err(|_| Trouble::Lost("it can't be read".to_owned()))
    }
}

impl Client {
    /// # Errors
    /// `Internal` when the configuration can't be used.
    pub(super) fn new(name: &str, config: &Config) -> Result<Self, CaError> {
        let internal = |context: String| CaError::new(CaErrorKind::Internal, "open CA in EJBCA", context);
        let base = config.base().map_err(|complaint| internal(format!("url: {complaint}")))?;
        let mut headers = HeaderMap::new();
        for (name, value) in &config.headers {
            let no_header = || internal(format!("headers.{name}: no header"));
            let mut value = HeaderValue::from_str(value.expose()).map_err(|_| no_header())?;
            value.set_sensitive(true);
            headers.insert(HeaderName::try_from(name).map_err(|_| no_header())?, value);
        }
        Ok(Self { base, http: Http::new(name, config, headers)?, timeout: seconds(config.timeout_seconds) })
    }

    /// Asks for something that does no harm twice: once more, if the connection turns out to be closed.
    pub(super) async fn get(&self, path: &[&str]) -> Result<Answer, Trouble> {
        self.repeatable(|| self.request(Method::GET, path)).await
    }

    /// The same with a body, such as a search.
    pub(super) async fn look_up(&self, path: &[&str], body: &str) -> Result<Answer, Trouble> {
        self.repeatable(|| Ok(with_json(self.request(Method::POST, path)?, body.to_owned()))).await
    }

    /// Has something done, or perhaps done.
    pub(super) async fn post(&self, path: &[&str], body: String) -> Result<Answer, Trouble> {
        self.exchange(with_json(self.request(Method::POST, path)?, body)).await
    }

    /// The same without a body, with a parameter.
    pub(super) async fn put(&self, path: &[&str], parameter: (&str, &str)) -> Result<Answer, Trouble> {
        let mut url = self.url(path)?;
        url.query_pairs_mut().append_pair(parameter.0, parameter.1);
        self.exchange(self.http.client().request(Method::PUT, url)).await
    }

    async fn repeatable(&self, question: impl Fn() -> Result<RequestBuilder, Trouble>) -> Result<Answer, Trouble> {
        match self.exchange(question()?).await {
            Err(Trouble::Lost(_)) => self.exchange(question()?).await,
            other => other,
        }
    }

    fn url(&self, path: &[&str]) -> Result<Url, Trouble> {
        let mut url = self.base.clone();
        match url.path_segments_mut() {
            Ok(mut segments) => segments.pop_if_empty().extend(path),
            Err(()) => return Err(Trouble::Unsent("its URL has no path".to_owned())),
        };
        Ok(url)
    }

    fn request(&self, method: Method, path: &[&str]) -> Result<RequestBuilder, Trouble> {
        Ok(self.http.client().request(method, self.url(path)?))
    }

    async fn exchange(&self, question: RequestBuilder) -> Result<Answer, Trouble> {
        let mut response = question.timeout(self.timeout).send().await.map_err(trouble)?;
        let status = response.status();
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(trouble)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(Trouble::Lost(format!("it is longer than {LONGEST_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        if status.is_success() { Ok(Answer { status, body }) } else { Err(complaint(status, &body)) }
    }
}

fn with_json(question: RequestBuilder, body: String) -> RequestBuilder {
    question.header(CONTENT_TYPE, "application/json").body(body)
}

/// EJBCA's own complaints are JSON with the status in them. Others are of what stands before it, and nobody knows
/// what became of the request behind that.
fn complaint(status: StatusCode, body: &[u8]) -> Trouble {
    #[derive(Deserialize)]
    struct Complaint {
        error_code: u16,
        #[serde(default)]
        error_message: Option<String>,
    }
    match serde_json::from_slice::<Complaint>(body) {
        Ok(complaint) if complaint.error_code == status => {
            let message = tame(&complaint.error_message.unwrap_or_default());
            Trouble::Refused { status: status.as_u16(), message }
        }
        _ => Trouble::Lost(format!("{status}, and not from EJBCA")),
    }
}

/// What the HTTP client says, with what caused it, which its errors leave out.
fn trouble(error: reqwest::Error) -> Trouble {
    let is_unsent = error.is_connect() || error.is_builder();
    // The URL has EJBCA's names of things in it.
    let error = error.without_url();
    let text = causes(&error);
    if is_unsent { Trouble::Unsent(text) } else { Trouble::Lost(text) }
}
