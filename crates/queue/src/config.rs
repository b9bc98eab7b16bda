//! Settings of the queue.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

/// Bounds of the queue, and how it gets from one process to another.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// How many requests may be worked on at once; further ones are answered 503.
    pub in_flight: u32,
    /// Seconds after which a request is answered 503, whatever becomes of its work.
    pub deadline_seconds: f64,
    /// The key file: a worker's, or an API's. Not needed in process.
    pub key_file: PathBuf,
    /// How to reach the others.
    pub nats: NatsConfig,
}

/// How to reach NATS, and what to expect of whoever is behind it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct NatsConfig {
    /// `nats://HOST:PORT` or `tls://HOST:PORT`, several parted by commas. Blank: API and worker are one process.
    pub url: String,
    /// What the names of all subjects begin with; each installation has its own.
    pub subject: String,
    /// User name, with a password.
    pub user: String,
    /// The password.
    #[serde(serialize_with = "redacted")]
    pub password: String,
    /// Seed of an nkey, instead of user and password.
    #[serde(serialize_with = "redacted")]
    pub nkey_seed: String,
    /// A `.creds` file, instead of both.
    pub credentials_file: PathBuf,
    /// Certificates of the authorities that may vouch for the server; blank: the system's.
    pub ca_file: PathBuf,
    /// The certificate to show to the server, if it wants one.
    pub certificate_file: PathBuf,
    /// Its private key.
    pub private_key_file: PathBuf,
    /// Seconds without a sign of life after which an API asks another worker.
    pub ask_again_seconds: f64,
    /// The longest deadline, in seconds, that a worker believes.
    pub longest_deadline_seconds: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self { in_flight: 512, deadline_seconds: 20.0, key_file: PathBuf::new(), nats: NatsConfig::default() }
    }
}

impl Default for NatsConfig {
    fn default() -> Self {
        Self {
            url: String::new(),
            subject: "bailey".to_owned(),
            user: String::new(),
            password: String::new(),
            nkey_seed: String::new(),
            credentials_file: PathBuf::new(),
            ca_file: PathBuf::new(),
            certificate_file: PathBuf::new(),
            private_key_file: PathBuf::new(),
            ask_again_seconds: 1.0,
            longest_deadline_seconds: 60.0,
        }
    }
}

impl Config {
    pub(crate) fn deadline(&self) -> Duration {
        Duration::from_secs_f64(self.deadline_seconds)
    }
}

impl NatsConfig {
    /// Whether API and worker are to be two processes.
    #[must_use]
    pub fn is_used(&self) -> bool {
        !self.url.trim().is_empty()
    }

    /// Whether `subject` can be the beginning of subjects.
    #[must_use]
    pub fn has_valid_subject(&self) -> bool {
        let is_token = |token: &str| {
            !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte))
        };
        self.subject.split('.').all(is_token)
    }

    /// Where requests go.
    #[must_use]
    pub fn requests(&self) -> String {
        format!("{}.requests", self.subject)
    }

    /// Below what answers go.
    #[must_use]
    pub fn replies(&self) -> String {
        format!("{}.replies", self.subject)
    }

    pub(crate) fn ask_again(&self) -> Duration {
        Duration::from_secs_f64(self.ask_again_seconds)
    }

    pub(crate) fn longest_deadline(&self) -> Duration {
        Duration::from_secs_f64(self.longest_deadline_seconds)
    }
}

/// Without what proves who it is.
impl fmt::Debug for NatsConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NatsConfig")
            .field("url", &without_login(&self.url))
            .field("subject", &self.subject)
            .field("user", &self.user)
            .field("credentials_file", &self.credentials_file)
            .field("ca_file", &self.ca_file)
            .field("certificate_file", &self.certificate_file)
            .field("private_key_file", &self.private_key_file)
            .field("ask_again_seconds", &self.ask_again_seconds)
            .field("longest_deadline_seconds", &self.longest_deadline_seconds)
            .finish_non_exhaustive()
    }
}

/// URLs without what stands before an `@` in them.
pub(crate) fn without_login(urls: &str) -> String {
    let one = |url: &str| {
        let url = url.trim();
        let (scheme, rest) = url.split_once("://").map_or(("", url), |(scheme, rest)| (scheme, rest));
        let place = rest.rsplit_once('@').map_or(rest, |(_, place)| place);
        if scheme.is_empty() { place.to_owned() } else { format!("{scheme}://{place}") }
    };
    urls.split(',').map(one).collect::<Vec<_>>().join(",")
}

fn redacted<S: Serializer>(secret: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(if secret.is_empty() { "" } else { "[redacted]" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_tokens_joined_by_dots() {
        let of = |subject: &str| NatsConfig { subject: subject.to_owned(), ..NatsConfig::default() };
        for good in ["bailey", "bailey.eu-1", "a.b_c.D"] {
            assert!(of(good).has_valid_subject(), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a.*", "a.>", "ä"] {
            assert!(!of(bad).has_valid_subject(), "{bad}");
        }
        assert_eq!(of("a.b").requests(), "a.b.requests");
    }

    #[test]
    fn what_proves_who_it_is_is_not_shown() {
        let config = NatsConfig {
            url: "nats://u:canary@a:1, tls://b:2".to_owned(),
            password: "canary".to_owned(),
            nkey_seed: "canary".to_owned(),
            ..NatsConfig::default()
        };
        assert!(!format!("{config:?}").contains("canary"));
        assert_eq!(without_login(&config.url), "nats://a:1,tls://b:2");
    }
}
