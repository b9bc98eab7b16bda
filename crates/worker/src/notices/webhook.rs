//! The webhook: `POST` with a signature, as the Standard Webhooks specification 1.0 has it.

use std::path::Path;
use std::time::Duration;

use bailey_core::failure::causes;
use bailey_core::ids::NoticeId;
use bailey_core::sensitive::SecretBytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, TimeDelta, Utc};
use hmac::{Hmac, KeyInit as _, Mac as _};
use reqwest::header::CONTENT_TYPE;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Url};
use sha2::Sha256;

use super::RenewalConfig;

/// What keys may begin with, so that people see what they are.
const PREFIX: &str = "whsec_";
/// How many bytes a key has.
const KEY: std::ops::RangeInclusive<usize> = 24..=64;
const CONNECT: Duration = Duration::from_secs(5);

/// Whom the operator has told of renewed certificates.
pub struct Webhook {
    http: reqwest::Client,
    url: Url,
    key: SecretBytes,
    timeout: Duration,
    /// For how long it is tried to tell it something.
    pub(super) patience: TimeDelta,
    /// What hrefs begin with; blank where nobody has said.
    base: String,
}

impl Webhook {
    /// The one that is configured. `host_href` is what hrefs begin with, perhaps nothing.
    ///
    /// # Errors
    /// What is wrong with the configuration, with its key.
    pub fn new(config: &RenewalConfig, host_href: &str) -> Result<Self, (&'static str, String)> {
        let url = url(&config.webhook).map_err(|complaint| ("webhook", complaint))?;
        let key = key(config.webhook_key.expose()).map_err(|complaint| ("webhook_key", complaint))?;
        let timeout = config.timeout();
        // A redirection would have it told to somebody whom nobody has named.
        let http = reqwest::Client::builder().redirect(Policy::none()).timeout(timeout).connect_timeout(CONNECT);
        let certificates = certificates(&config.webhook_ca_file).map_err(|complaint| ("webhook_ca_file", complaint))?;
        let http = match certificates {
            Some(certificates) => http.tls_certs_only(certificates),
            // The system's are not looked for where nobody needs them.
            None if url.scheme() == "http" => http.tls_certs_only([]),
            None => http,
        };
        let http = http.user_agent(concat!("bailey/", env!("CARGO_PKG_VERSION"))).build();
        let http = http.map_err(|error| ("webhook", causes(&error)))?;
        let patience = Duration::try_from_secs_f64(config.webhook_hours * 3_600.0).unwrap_or_default();
        let patience = TimeDelta::from_std(patience).unwrap_or(TimeDelta::days(3));
        Ok(Self { http, url, key, timeout, patience, base: host_href.trim_end_matches('/').to_owned() })
    }

    /// What hrefs begin with.
    pub(crate) fn base(&self) -> &str {
        &self.base
    }

    /// How long one attempt is its maker's: twice as long as it can take, and what clocks may differ by.
    pub(super) fn lease(&self) -> TimeDelta {
        TimeDelta::from_std(self.timeout * 2).unwrap_or(TimeDelta::minutes(1)) + TimeDelta::seconds(30)
    }

    /// Tells it something. The answer's body is not read: its status says enough.
    ///
    /// # Errors
    /// Why it has not heard, or doesn't say that it has.
    pub(super) async fn tell(&self, id: NoticeId, body: &str, now: DateTime<Utc>) -> Result<(), String> {
        let (id, at) = (id.to_string(), now.timestamp().to_string());
        let request = self.http.post(self.url.clone()).header(CONTENT_TYPE, "application/json");
        let request = request.header("webhook-signature", sign(&self.key, &id, &at, body));
        let request = request.header("webhook-id", id).header("webhook-timestamp", at).body(body.to_owned());
        let response = request.send().await.map_err(|error| causes(&error.without_url()))?;
        let status = response.status();
        if status.is_success() { Ok(()) } else { Err(format!("it answers {status}")) }
    }
}

/// `v1,` and the base64 of an HMAC over id, time and body, joined by dots.
fn sign(key: &SecretBytes, id: &str, at: &str, body: &str) -> String {
    // A key of any length will do for an HMAC.
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key.expose()) else { return String::new() };
    for part in [id, ".", at, ".", body] {
        mac.update(part.as_bytes());
    }
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

fn url(text: &str) -> Result<Url, String> {
    let url: Url = text.parse().map_err(|error| format!("no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
        return Err("neither http://HOST nor https://HOST".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("no place for a password: what it is told is signed".to_owned());
    }
    Ok(url)
}

fn key(text: &str) -> Result<SecretBytes, String> {
    let encoded = text.strip_prefix(PREFIX).unwrap_or(text);
    let key = STANDARD.decode(encoded).map(SecretBytes::new).ok().filter(|key| KEY.contains(&key.len()));
    key.ok_or_else(|| {
        let (least, most) = KEY.into_inner();
        format!("must be the base64 of {least} to {most} bytes: `openssl rand -base64 32` makes some")
    })
}

/// The authorities in a file; none for a blank name, which means the system's.
fn certificates(file: &Path) -> Result<Option<Vec<Certificate>>, String> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let about = |what: String| format!("{}: {what}", file.display());
    let pem = std::fs::read(file).map_err(|error| about(error.to_string()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(none) if none.is_empty() => Err(about("no certificate in it".to_owned())),
        Ok(certificates) => Ok(Some(certificates)),
        Err(error) => Err(about(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::sensitive::SecretSetting;

    use super::*;

    fn configured(webhook: &str, key: &str) -> Result<Webhook, &'static str> {
        let config = RenewalConfig {
            webhook: webhook.to_owned(),
            webhook_key: SecretSetting::new(key.to_owned()),
            ..RenewalConfig::default()
        };
        Webhook::new(&config, "").map_err(|(key, _)| key)
    }

    /// The vector that the specification's libraries test themselves with.
    #[test]
    fn the_signature_is_the_standard_s() {
        let key = key("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let signature = sign(&key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", r#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn what_is_wrong_is_told_by_its_key() {
        let good = STANDARD.encode([7; 32]);
        assert!(configured("https://hooks.example.org/x", &good).is_ok());
        assert!(configured("http://127.0.0.1:1/x", &format!("{PREFIX}{good}")).is_ok());
        for url in ["", "hooks.example.org", "ftp://hooks.example.org", "https://me:secret@hooks.example.org"] {
            assert_eq!(configured(url, &good).err(), Some("webhook"), "{url}");
        }
        for key in [String::new(), "no base64".to_owned(), STANDARD.encode([7; 23]), STANDARD.encode([7; 65])] {
            assert_eq!(configured("https://hooks.example.org", &key).err(), Some("webhook_key"), "{key}");
        }
        let key = SecretSetting::new(good);
        assert_eq!(format!("{key:?}"), "[redacted]");
    }
}
