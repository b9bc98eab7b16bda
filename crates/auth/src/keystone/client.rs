//! The two questions that Keystone is asked: whose a token is, and for a token of one's own.

use std::time::Duration;

use bailey_core::failure::causes;
use bailey_core::sensitive::SecretText;
use reqwest::header::{CONTENT_TYPE, HeaderValue, InvalidHeaderValue};
use reqwest::redirect::Policy;
use reqwest::{RequestBuilder, Response, StatusCode, Url};
use serde::Deserialize;
use tokio::time::Instant;

use super::Error;
use super::config::Config;

/// Longest answer that is read. Without the catalog, one has about a thousand bytes.
const LONGEST_ANSWER: usize = 1 << 20;
/// Longest time for a connection, which is not Keystone's but the network's.
const CONNECT: Duration = Duration::from_secs(2);
/// How long a connection is kept that nobody uses.
const IDLE: Duration = Duration::from_secs(30);

/// Whose token asks.
const OWN_TOKEN: &str = "x-auth-token";
/// Whose token is asked about, and where the one that was asked for is.
const SUBJECT_TOKEN: &str = "x-subject-token";
/// Says that access rules are understood: without it, Keystone denies that such tokens exist.
const ACCESS_RULES: &str = "openstack-identity-access-rules";

/// Why there is no answer to go by.
#[derive(Debug, thiserror::Error)]
pub(super) enum Trouble {
    /// Nothing was heard of Keystone itself.
    #[error("it is out of reach: {0}")]
    Silent(String),
    /// It said something else than an answer.
    #[error("{0}")]
    Odd(String),
    /// It was not asked, because it didn't answer lately.
    #[error("it did not answer lately and is not asked just now")]
    GivenUp,
    /// It was not asked, because too many wait for it.
    #[error("too many questions to it are under way")]
    Busy,
}

/// What Keystone says of a token.
pub(super) enum Said {
    /// It is good; this describes it.
    Token(Vec<u8>),
    /// There is no such token.
    Unknown,
    /// It knows nothing of the token that asks.
    AskerUnknown,
}

/// A token that Keystone issued.
pub(super) struct Issued {
    pub(super) text: SecretText,
    pub(super) body: Vec<u8>,
}

pub(super) struct Client {
    http: reqwest::Client,
    tokens: Url,
}

impl Client {
    pub(super) fn new(config: &Config) -> Result<Self, Error> {
        let mut tokens = config.base().map_err(Error::Url)?;
        let path = format!("{}/auth/tokens", tokens.path());
        tokens.set_path(&path);
        tokens.set_query(Some("nocatalog"));
        // A redirection would have tokens sent where nobody said they may go.
        let http = reqwest::Client::builder().redirect(Policy::none()).connect_timeout(CONNECT).pool_idle_timeout(IDLE);
        let http = match config.certificates()? {
            Some(certificates) => http.tls_certs_only(certificates),
            // The system's are not looked for where nobody needs them.
            None if tokens.scheme() == "http" => http.tls_certs_only([]),
            None => http,
        };
        let http = http.build().map_err(|error| Error::System(causes(&error)))?;
        Ok(Self { http, tokens })
    }

    /// Asks about `subject` with the token `own`.
    pub(super) async fn validate(
        &self,
        own: &SecretText,
        subject: &SecretText,
        deadline: Instant,
    ) -> Result<Said, Trouble> {
        let question = || -> Result<RequestBuilder, InvalidHeaderValue> {
            let question = self.http.get(self.tokens.clone()).header(ACCESS_RULES, "1.0");
            Ok(question.header(OWN_TOKEN, hidden(own)?).header(SUBJECT_TOKEN, hidden(subject)?))
        };
        let (response, body) = exchange(question, deadline).await?;
        match response.status() {
            StatusCode::OK => Ok(Said::Token(body)),
            // What stands before Keystone may say 404 too, as long as Keystone is not there.
            StatusCode::NOT_FOUND if is_keystone_s(&body, 404) => Ok(Said::Unknown),
            StatusCode::UNAUTHORIZED => Ok(Said::AskerUnknown),
            StatusCode::FORBIDDEN => {
                Err(Trouble::Odd("its policy does not let the service user validate tokens".to_owned()))
            }
            status => Err(unexpected(status)),
        }
    }

    /// Asks for a token; `request` says for whom and proves it.
    pub(super) async fn issue(&self, request: &str, deadline: Instant) -> Result<Issued, Trouble> {
        let question = || -> Result<RequestBuilder, InvalidHeaderValue> {
            let question = self.http.post(self.tokens.clone()).header(CONTENT_TYPE, "application/json");
            Ok(question.body(request.to_owned()))
        };
        let (response, body) = exchange(question, deadline).await?;
        match response.status() {
            StatusCode::CREATED => {
                let text = response.headers().get(SUBJECT_TOKEN).and_then(|text| text.to_str().ok());
                let text = text.ok_or_else(|| Trouble::Odd("it issued no token to the service user".to_owned()))?;
                Ok(Issued { text: SecretText::new(text.to_owned()), body })
            }
            StatusCode::UNAUTHORIZED => {
                Err(Trouble::Odd("it does not know the service user, or not by this password".to_owned()))
            }
            status => Err(unexpected(status)),
        }
    }
}

fn hidden(token: &SecretText) -> Result<HeaderValue, InvalidHeaderValue> {
    let mut value = HeaderValue::from_str(token.expose())?;
    value.set_sensitive(true);
    Ok(value)
}

/// Asks, and once more if the connection turns out to be one that was closed meanwhile.
async fn exchange(
    question: impl Fn() -> Result<RequestBuilder, InvalidHeaderValue>,
    deadline: Instant,
) -> Result<(Response, Vec<u8>), Trouble> {
    let ask = || async {
        let question = question().map_err(|_| Trouble::Odd("a token is no header".to_owned()))?;
        let left = deadline.saturating_duration_since(Instant::now());
        Ok::<_, Trouble>(question.timeout(left).send().await)
    };
    let mut sent = ask().await?;
    if sent.as_ref().is_err_and(|error| error.is_request() && !error.is_timeout() && !error.is_connect()) {
        sent = ask().await?;
    }
    let mut response = sent.map_err(|error| Trouble::Silent(causes(&error)))?;
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(|error| Trouble::Silent(causes(&error)))? {
        if body.len() + chunk.len() > LONGEST_ANSWER {
            return Err(Trouble::Odd(format!("its answer is longer than {LONGEST_ANSWER} bytes")));
        }
        body.extend_from_slice(&chunk);
    }
    Ok((response, body))
}

/// What stands before Keystone says these when Keystone isn't there.
fn unexpected(status: StatusCode) -> Trouble {
    let what = format!("it answers {status}");
    match status {
        StatusCode::BAD_GATEWAY | StatusCode::SERVICE_UNAVAILABLE | StatusCode::GATEWAY_TIMEOUT => {
            Trouble::Silent(what)
        }
        _ => Trouble::Odd(what),
    }
}

/// Keystone's own complaints are JSON with the status in them.
fn is_keystone_s(body: &[u8], status: u16) -> bool {
    #[derive(Deserialize)]
    struct Body {
        error: Complaint,
    }
    #[derive(Deserialize)]
    struct Complaint {
        code: u16,
    }
    serde_json::from_slice::<Body>(body).is_ok_and(|body| body.error.code == status)
}
