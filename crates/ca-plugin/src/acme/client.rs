//! Requests to the server: nonces, signatures, problems and when to come back (RFC 8555, section 6).

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use bailey_core::ca::{CaError, CaErrorKind};
use bailey_core::clock::Clock;
use bailey_core::failure::causes;
use chrono::{DateTime, Utc};
use reqwest::header::{CONTENT_TYPE, HeaderMap, LINK, LOCATION, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::config::{Config, certificates};
use super::jws::{AccountKey, Protected};
use super::limit::{LONGEST_WAIT, Limits, Question};
use super::problem::{Problem, Trouble};
use super::wire::Directory;

/// Longest answer that is read.
const LONGEST_ANSWER: usize = 1 << 20;
/// How often a request is signed anew because the server didn't like its nonce.
const TRIES: usize = 12;
/// How many nonces are kept for later.
const NONCES: usize = 32;
const NONCE: &str = "replay-nonce";

/// Who asks, and as whom.
#[derive(Clone, Copy)]
pub(super) struct Asker<'a> {
    pub(super) key: &'a AccountKey,
    /// The account's URL, once there is one.
    pub(super) account: Option<&'a str>,
}

/// What a server answered, if it was no problem.
pub(super) struct Answer {
    pub(super) location: Option<String>,
    pub(super) retry_after: Option<Duration>,
    /// Relation and URL (RFC 8288).
    links: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

pub(super) struct Client {
    http: reqwest::Client,
    directory_url: String,
    directory: Mutex<Option<Directory>>,
    nonces: Mutex<Vec<String>>,
    limits: Limits,
    clock: Clock,
}

impl Client {
    pub(super) fn new(config: &Config, clock: Clock) -> Result<Self, CaError> {
        let failed = |what: String| CaError::new(CaErrorKind::Internal, "open ACME CA", what);
        // A redirection would have what is signed for one URL sent to another.
        let http = reqwest::Client::builder().redirect(Policy::none()).https_only(true).timeout(config.timeout());
        let http = match certificates(&config.ca_file).map_err(failed)? {
            Some(certificates) => http.tls_certs_only(certificates),
            None => http,
        };
        let http = http.user_agent(concat!("bailey/", env!("CARGO_PKG_VERSION"))).build();
        let http = http.map_err(|error| failed(causes(&error)))?;
        let directory_url = config.directory.clone();
        let (directory, nonces, limits) = (Mutex::default(), Mutex::default(), Limits::default());
        Ok(Self { http, directory_url, directory, nonces, limits, clock })
    }

    pub(super) fn now(&self) -> DateTime<Utc> {
        self.clock.now()
    }

    /// Where things are, as the server says now.
    ///
    /// # Errors
    /// Never `Refused`: a server without a directory is none.
    pub(super) async fn look_up(&self) -> Result<Directory, Trouble> {
        const OPERATION: &str = "read ACME directory";
        let answer = self.get(&self.directory_url, OPERATION).await.map_err(|trouble| match trouble {
            Trouble::Refused(problem) => unavailable(OPERATION, problem.to_string()).into(),
            trouble => trouble,
        })?;
        let directory: Directory = answer.json(OPERATION)?;
        *self.directory.lock().unwrap_or_else(PoisonError::into_inner) = Some(directory.clone());
        Ok(directory)
    }

    /// Where things are, as the server said once.
    pub(super) async fn directory(&self) -> Result<Directory, Trouble> {
        let known = self.directory.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(directory) => Ok(directory),
            None => self.look_up().await,
        }
    }

    /// Asks without a signature, where none is wanted.
    ///
    /// # Errors
    /// `Limited` while a limit stands against the request, which isn't sent then. Whatever else the server says against
    /// it is `Refused`, for the caller to sort.
    pub(super) async fn get(&self, url: &str, operation: &'static str) -> Result<Answer, Trouble> {
        let question = self.unlimited(url, None)?;
        self.exchange(self.http.get(url), &question, operation).await?.map_err(Trouble::Refused)
    }

    /// Signs and asks; without a payload it only reads.
    ///
    /// # Errors
    /// As [`get`](Self::get).
    pub(super) async fn post(
        &self,
        asker: Asker<'_>,
        url: &str,
        payload: Option<&Value>,
        operation: &'static str,
    ) -> Result<Answer, Trouble> {
        let (question, mut refused) = (self.unlimited(url, payload)?, Problem::default());
        for _ in 0..TRIES {
            let nonce = self.nonce(operation).await?;
            let protected = Protected { account: asker.account, nonce: &nonce, url };
            let signed = asker.key.sign(&protected, payload)?;
            let request = self.http.post(url).header(CONTENT_TYPE, "application/jose+json").body(signed);
            match self.exchange(request, &question, operation).await? {
                Ok(answer) => return Ok(answer),
                // Nothing was done: the nonce that came with the refusal is for the next try.
                Err(problem) if problem.is("badNonce") => refused = problem,
                Err(problem) => return Err(Trouble::Refused(problem)),
            }
        }
        Err(Trouble::Refused(refused))
    }

    async fn nonce(&self, operation: &'static str) -> Result<String, Trouble> {
        let kept = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).pop();
        if let Some(nonce) = kept {
            return Ok(nonce);
        }
        let url = self.directory().await?.new_nonce;
        let question = self.unlimited(&url, None)?;
        // It comes with a refusal, too.
        drop(self.exchange(self.http.head(&url), &question, operation).await?);
        let fresh = self.nonces.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Ok(fresh.ok_or_else(|| unavailable(operation, "the server gives no nonce"))?)
    }

    /// What a request asks, unless a limit stands against it.
    fn unlimited(&self, url: &str, payload: Option<&Value>) -> Result<Question, Trouble> {
        let question = (url.to_owned(), payload.map(Value::to_string).unwrap_or_default());
        match self.limits.against(&question, self.now()) {
            Some((limit, left)) => Err(Trouble::Limited(limit, left)),
            None => Ok(question),
        }
    }

    async fn exchange(
        &self,
        request: RequestBuilder,
        question: &Question,
        operation: &'static str,
    ) -> Result<Result<Answer, Problem>, Trouble> {
        let (status, headers, body) = self.send(request, operation).await?;
        let (answer, now) = (self.answer(status, &headers, body), self.now());
        if let Some((limit, left)) = answer.as_ref().err().and_then(|problem| problem.limit(now)) {
            self.limits.note(question.clone(), limit.clone(), now);
            return Err(Trouble::Limited(limit, left));
        }
        Ok(answer)
    }

    async fn send(
        &self,
        request: RequestBuilder,
        operation: &'static str,
    ) -> Result<(StatusCode, HeaderMap, Vec<u8>), CaError> {
        let silent = |error: reqwest::Error| unavailable(operation, causes(&error));
        let mut response = request.send().await.map_err(silent)?;
        let (status, headers) = (response.status(), response.headers().clone());
        if let Some(nonce) = text(&headers, NONCE) {
            let mut nonces = self.nonces.lock().unwrap_or_else(PoisonError::into_inner);
            // The oldest are the first that the server forgets.
            if nonces.len() == NONCES {
                nonces.remove(0);
            }
            nonces.push(nonce);
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(silent)? {
            if body.len() + chunk.len() > LONGEST_ANSWER {
                return Err(unavailable(operation, format!("an answer longer than {LONGEST_ANSWER} bytes")));
            }
            body.extend_from_slice(&chunk);
        }
        Ok((status, headers, body))
    }

    fn answer(&self, status: StatusCode, headers: &HeaderMap, body: Vec<u8>) -> Result<Answer, Problem> {
        let retry_after = text(headers, RETRY_AFTER.as_str()).and_then(|text| self.wait(&text));
        if !status.is_success() {
            // What stands before the server says what it likes, and it need not be JSON.
            let mut problem: Problem = serde_json::from_slice(&body).unwrap_or_default();
            if problem.kind.is_empty() && problem.detail.is_empty() {
                problem.detail = format!("the server answers {status}");
            }
            return Err(Problem { status: Some(status.as_u16()), retry_after, ..problem });
        }
        let location = text(headers, LOCATION.as_str());
        let links = headers.get_all(LINK).iter().filter_map(|value| link(value.to_str().ok()?)).collect();
        Ok(Answer { location, retry_after, links, body })
    }

    /// `Retry-After` (RFC 9110, section 10.2.3): seconds, or a time.
    fn wait(&self, text: &str) -> Option<Duration> {
        let wait = match text.trim().parse::<u64>() {
            Ok(seconds) => Duration::from_secs(seconds),
            Err(_) => {
                let until = DateTime::parse_from_rfc2822(text.trim()).ok()?;
                (until.to_utc() - self.clock.now()).to_std().unwrap_or_default()
            }
        };
        Some(wait.min(LONGEST_WAIT))
    }
}

impl Answer {
    pub(super) fn json<T: DeserializeOwned>(&self, operation: &'static str) -> Result<T, CaError> {
        read(&self.body, operation)
    }

    /// The URLs of a relation, in their order.
    pub(super) fn links(&self, relation: &str) -> impl Iterator<Item = &str> {
        self.links.iter().filter(move |(found, _)| found == relation).map(|(_, url)| url.as_str())
    }
}

pub(super) fn unavailable(operation: &'static str, context: impl Into<String>) -> CaError {
    CaError::new(CaErrorKind::Unavailable, operation, context)
}

fn read<T: DeserializeOwned>(body: &[u8], operation: &'static str) -> Result<T, CaError> {
    serde_json::from_slice(body).map_err(|error| unavailable(operation, format!("the server's answer is odd: {error}")))
}

fn text(headers: &HeaderMap, name: &str) -> Option<String> {
    headers.get(name)?.to_str().ok().map(str::to_owned)
}

/// `<https://…>;rel="alternate"`.
fn link(value: &str) -> Option<(String, String)> {
    let (url, parameters) = value.strip_prefix('<')?.split_once('>')?;
    let relation = parameters.split(';').find_map(|parameter| parameter.trim().strip_prefix("rel="))?;
    url.parse::<Url>().ok()?;
    Some((relation.trim_matches('"').to_owned(), url.to_owned()))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn links_are_read() {
        let read = link("<https://ca/cert/1/alternate/1>;rel=\"alternate\"").unwrap();
        assert_eq!(read, ("alternate".to_owned(), "https://ca/cert/1/alternate/1".to_owned()));
        assert_eq!(link("<https://ca/orders?cursor=2>; rel=next").unwrap().0, "next");
        for odd in ["https://ca", "<https://ca>", "<nowhere>;rel=next", ""] {
            assert_eq!(link(odd), None);
        }
    }

    #[test]
    fn waits_are_seconds_or_times() {
        let now = DateTime::parse_from_rfc3339("2026-11-22T12:00:00Z").unwrap().to_utc();
        let config = Config { directory: "https://ca".into(), ..Config::default() };
        let client = Client::new(&config, Clock::from_fn(move || now)).unwrap();
        assert_eq!(client.wait("120"), Some(Duration::from_secs(120)));
        assert_eq!(client.wait("Sun, 22 Nov 2026 12:01:00 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(client.wait("Sun, 22 Nov 2026 11:00:00 GMT"), Some(Duration::ZERO));
        assert_eq!(client.wait("99999999999"), Some(LONGEST_WAIT));
        assert_eq!(client.wait("soon"), None);
    }
}
