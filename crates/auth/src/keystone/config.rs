//! Settings of Keystone's tokens.

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use bailey_core::sensitive::SecretSetting;
use chrono::TimeDelta;
use reqwest::{Certificate, Url};
use serde::{Deserialize, Serialize};

use super::Error;

/// Where Keystone is, who asks it, and for how long its word is believed. Part of the configuration, as
/// `[auth.keystone]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// Where Keystone's API is, with or without `/v3`.
    pub url: String,
    /// Where clients find Keystone; blank where that is `url`.
    pub public_url: String,
    /// The service user's name.
    pub username: String,
    /// The service user's password.
    pub password: SecretSetting,
    /// Name of the service user's domain.
    pub user_domain: String,
    /// Name of the service user's project.
    pub project: String,
    /// Name of that project's domain.
    pub project_domain: String,
    /// Id of an application credential of the service user's, instead of name and password.
    pub application_credential_id: String,
    /// The application credential's secret.
    pub application_credential_secret: SecretSetting,
    /// Certificates of the authorities that may vouch for Keystone, PEM; blank for the system's.
    pub ca_file: PathBuf,
    /// Seconds that Keystone may take to answer.
    pub timeout_seconds: f64,
    /// Seconds that a verdict in a token's favour is believed.
    pub cache_seconds: f64,
    /// Seconds that a verdict against a token is believed; 0 for not at all.
    pub refused_seconds: f64,
    /// Seconds that a verdict in a token's favour is believed beyond that while Keystone gives no answer; 0 for
    /// not at all.
    pub outage_seconds: f64,
    /// How many verdicts of each kind are kept.
    pub cache_tokens: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            public_url: String::new(),
            username: String::new(),
            password: SecretSetting::default(),
            user_domain: "Default".to_owned(),
            project: "service".to_owned(),
            project_domain: "Default".to_owned(),
            application_credential_id: String::new(),
            application_credential_secret: SecretSetting::default(),
            ca_file: PathBuf::new(),
            timeout_seconds: 5.0,
            cache_seconds: 300.0,
            refused_seconds: 10.0,
            outage_seconds: 300.0,
            cache_tokens: 10_000,
        }
    }
}

impl Config {
    /// Everything that is wrong with it, each with its key, if Keystone is to be used.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut complain = |key, complaint: &str| problems.push((key, complaint.to_owned()));
        if let Err(error) = self.base() {
            complain("url", &error);
        }
        if !self.public_url.is_empty() && self.public_url.parse::<Url>().is_err() {
            complain("public_url", "neither blank nor a URL");
        }
        let (by_password, by_credential) = (!self.username.is_empty(), !self.application_credential_id.is_empty());
        match (by_password, by_credential) {
            (false, false) => {
                complain("username", "Keystone is asked by a service user: name it, or an application credential")
            }
            (true, true) => complain("username", "there is an application credential too: leave one of them out"),
            (true, false) if self.password.is_empty() => complain("password", "the service user has none"),
            (false, true) if self.application_credential_secret.is_empty() => {
                complain("application_credential_secret", "the application credential has none");
            }
            _ => {}
        }
        if let Err(Error::Certificates(error)) = self.certificates() {
            complain("ca_file", &error);
        }
        problems
    }

    /// What clients without a valid token are told (RFC 9110, section 11.6.1): where to get one.
    pub(crate) fn challenge(&self) -> String {
        let url = if self.public_url.is_empty() { &self.url } else { &self.public_url };
        // Normalised, a URL has no quotes.
        let url = url.parse::<Url>().map_or_else(|_| url.clone(), |url| url.to_string());
        format!("Keystone uri=\"{}\"", url.trim_end_matches('/'))
    }

    /// The URL of the API with its version.
    pub(super) fn base(&self) -> Result<Url, String> {
        if self.url.is_empty() {
            return Err("there is none: where is Keystone?".to_owned());
        }
        let mut url: Url = self.url.parse().map_err(|error| format!("no URL: {error}"))?;
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("neither http://HOST nor https://HOST".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err("user, password, query and fragment have no place in it".to_owned());
        }
        let path = url.path().trim_end_matches('/');
        let path = if path.ends_with("/v3") { path.to_owned() } else { format!("{path}/v3") };
        url.set_path(&path);
        Ok(url)
    }

    /// The authorities that may vouch for Keystone; the system's, if there are none.
    pub(super) fn certificates(&self) -> Result<Option<Vec<Certificate>>, Error> {
        if self.ca_file.as_os_str().is_empty() {
            return Ok(None);
        }
        let about = |what: &dyn fmt::Display| Error::Certificates(format!("{}: {what}", self.ca_file.display()));
        let pem = std::fs::read(&self.ca_file).map_err(|error| about(&error))?;
        match Certificate::from_pem_bundle(&pem) {
            Ok(none) if none.is_empty() => Err(about(&"no certificate in it")),
            Ok(some) => Ok(Some(some)),
            Err(error) => Err(about(&error)),
        }
    }

    /// Tells the log of what is better not done.
    pub(super) fn warn(&self) {
        let Ok(url) = self.base() else { return };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
        let is_here = host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
        if url.scheme() == "http" && !is_here {
            tracing::warn!(%url, "tokens and the service user's password go to Keystone unprotected: use https");
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::from_secs_f64(self.timeout_seconds)
    }
}

/// Seconds of the configuration as what times are reckoned with.
pub(super) fn delta(seconds: f64) -> TimeDelta {
    Duration::try_from_secs_f64(seconds)
        .ok()
        .and_then(|duration| TimeDelta::from_std(duration).ok())
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).unwrap()
    }

    #[test]
    fn the_version_is_part_of_the_url_whether_written_or_not() {
        for (written, read) in [
            ("https://keystone.example.org", "https://keystone.example.org/v3"),
            ("https://keystone.example.org/v3/", "https://keystone.example.org/v3"),
            ("http://10.0.0.1:5000/identity", "http://10.0.0.1:5000/identity/v3"),
        ] {
            let config = Config { url: written.to_owned(), ..Config::default() };
            assert_eq!(config.base().unwrap().as_str(), read);
        }
        for wrong in ["", "keystone", "ftp://keystone/v3", "http://user:canary@keystone/v3", "http://keystone/?a=b"] {
            let error = Config { url: wrong.to_owned(), ..Config::default() }.base().unwrap_err();
            assert!(!error.contains("canary"), "{error}");
        }
    }

    #[test]
    fn clients_are_told_where_they_find_keystone() {
        let mut config = Config { url: "http://inside:5000/v3".to_owned(), ..Config::default() };
        assert_eq!(config.challenge(), "Keystone uri=\"http://inside:5000/v3\"");
        config.public_url = "https://keystone.example.org/\"x".to_owned();
        assert_eq!(config.challenge(), "Keystone uri=\"https://keystone.example.org/%22x\"");
    }

    #[test]
    fn everything_that_is_wrong_is_told() {
        let keys = |text: &str| config(text).problems().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(
            keys("ca_file = \"/no/such/file\"\npublic_url = \"x\""),
            ["url", "public_url", "username", "ca_file"]
        );
        assert_eq!(keys("url = \"https://k\"\nusername = \"bailey\""), ["password"]);
        assert_eq!(keys("url = \"https://k\"\napplication_credential_id = \"i\""), ["application_credential_secret"]);
        let both = "url = \"https://k\"\nusername = \"bailey\"\npassword = \"p\"\napplication_credential_id = \"i\"";
        assert_eq!(keys(both), ["username"]);
        assert!(keys("url = \"https://k\"\nusername = \"bailey\"\npassword = \"p\"").is_empty());
    }

    #[test]
    fn a_password_is_never_printed() {
        let config = config("password = \"canary\"");
        assert_eq!(config.password.expose(), "canary");
        let printed = format!("{config:?} {}", toml::to_string(&config).unwrap());
        assert!(!printed.contains("canary") && printed.contains("password = \"***\""), "{printed}");
        assert_eq!(toml::to_string(&Config::default()).unwrap().matches("***").count(), 0);
    }
}
