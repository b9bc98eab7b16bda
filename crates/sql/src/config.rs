//! Where a database is and how many connections it gets.

use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize, Serializer};

/// Where a database is and how many connections it gets.
#[derive(Clone, PartialEq, Deserialize, Serialize)]
#[serde(default)]
pub struct Config {
    /// `sqlite://PATH` or `postgres://USER:PASSWORD@HOST:PORT/DATABASE`.
    #[serde(serialize_with = "redacted")]
    pub url: String,
    /// Most connections at a time; SQLite uses one for writing and four for reading whatever this says.
    pub max_connections: u32,
    /// How long to wait for a connection, a lock or an answer before giving up.
    pub timeout_seconds: f64,
}

impl Config {
    /// The defaults, for a database at `url`.
    pub fn new(url: impl Into<String>) -> Self {
        Self { url: url.into(), ..Self::default() }
    }

    /// How long to wait for a connection, a lock or an answer; between 10 ms and one hour.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs_f64(if self.timeout_seconds.is_nan() {
            5.0
        } else {
            self.timeout_seconds.clamp(0.01, 3600.0)
        })
    }

    /// The URL without its password, fit for logs.
    #[must_use]
    pub fn redacted_url(&self) -> String {
        redact(&self.url)
    }
}

impl Default for Config {
    fn default() -> Self {
        Self { url: String::new(), max_connections: 10, timeout_seconds: 5.0 }
    }
}

impl fmt::Debug for Config {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Config")
            .field("url", &self.redacted_url())
            .field("max_connections", &self.max_connections)
            .field("timeout_seconds", &self.timeout_seconds)
            .finish()
    }
}

fn redacted<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&redact(url))
}

/// Hides what stands between the user and the last `@` of the authority, and every query parameter
/// that speaks of a password. Works on text, so that a URL that can't be parsed hides its password too.
fn redact(url: &str) -> String {
    let (login, rest) = match url.split_once("://").and_then(|(scheme, rest)| Some((scheme, rest.rsplit_once('@')?))) {
        Some((scheme, (login, rest))) => {
            let user = login.split(':').next().unwrap_or_default();
            let hidden = if login.contains(':') { ":***" } else { "" };
            (format!("{scheme}://{user}{hidden}@"), rest)
        }
        None => (String::new(), url),
    };
    let (place, query) = rest.split_once('?').map_or((rest, None), |(place, query)| (place, Some(query)));
    let mut text = login + place;
    for (index, parameter) in query.into_iter().flat_map(|query| query.split('&')).enumerate() {
        text.push(if index == 0 { '?' } else { '&' });
        match parameter.split_once('=') {
            Some((key, _)) if key.to_ascii_lowercase().contains("pass") => text.push_str(&format!("{key}=***")),
            _ => text.push_str(parameter),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::Config;

    #[test]
    fn the_password_is_nowhere_to_be_seen() {
        for (url, shown) in [
            ("postgres://bailey:s3cret@db:5432/meta", "postgres://bailey:***@db:5432/meta"),
            ("postgres://bailey:p@ss/w:rd@db/meta?sslmode=require", "postgres://bailey:***@db/meta?sslmode=require"),
            ("postgres://bailey:s3?cret@db/meta?sslmode=require", "postgres://bailey:***@db/meta?sslmode=require"),
            ("postgres://db/meta?user=bailey&password=s3cret", "postgres://db/meta?user=bailey&password=***"),
            ("postgres://bailey@db/meta", "postgres://bailey@db/meta"),
            ("sqlite:///var/lib/bailey/metadata.db", "sqlite:///var/lib/bailey/metadata.db"),
        ] {
            let config = Config::new(url);
            assert_eq!(config.redacted_url(), shown);
            assert!(!format!("{config:?}").contains("s3"), "{config:?}");
        }
    }
}
