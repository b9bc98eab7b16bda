//! Settings of a CA in EJBCA.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde::{Deserialize, Serialize};

use super::name::NamingRule;
use crate::secret::Secret;

/// Fewest characters of the secret that enrolment codes come from.
const SHORTEST_SECRET: usize = 16;

/// A CA in EJBCA, reached by its REST interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where the REST interface is: `https://ca.example.org/ejbca/ejbca-rest-api`.
    pub url: String,
    /// What EJBCA calls the CA.
    pub certificate_authority: String,
    /// Certificates of the authorities that may vouch for EJBCA's server, PEM; blank for the system's.
    pub ca_file: PathBuf,
    /// The certificate that Bailey shows, with what leads to its root, PEM. Reread when it changes.
    pub certificate_file: PathBuf,
    /// Its key, PEM.
    pub private_key_file: PathBuf,
    /// Headers that each request has, for what stands before EJBCA.
    pub headers: BTreeMap<String, Secret>,
    /// What the enrolment codes of end entities come from: any text of 16 characters or more that stays the same.
    pub enrolment_secret: Secret,
    /// How end entities are named: text in which `{id}` stands for the order, and may be joined by `{cn}`, `{dns}`,
    /// `{project}` and `{profile}`.
    pub end_entity: String,
    /// Seconds that EJBCA may take to answer.
    pub timeout_seconds: f64,
    /// Seconds after which EJBCA is done with an enrolment whose answer was lost, so that a search finds what came
    /// of it.
    pub settle_seconds: f64,
    /// Seconds between questions whether an enrolment was approved.
    pub approval_seconds: f64,
    /// What it issues; the first to whoever names none.
    pub profiles: Vec<ProfileConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            url: String::new(),
            certificate_authority: String::new(),
            ca_file: PathBuf::new(),
            certificate_file: PathBuf::new(),
            private_key_file: PathBuf::new(),
            headers: BTreeMap::new(),
            enrolment_secret: Secret::default(),
            end_entity: "bailey-{id}".into(),
            timeout_seconds: 30.0,
            settle_seconds: 60.0,
            approval_seconds: 60.0,
            profiles: Vec::new(),
        }
    }
}

/// A sort of certificate: a pair of EJBCA's profiles.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileConfig {
    /// How orders name it.
    pub name: String,
    /// What it is for, as people read it.
    pub description: String,
    /// EJBCA's certificate profile.
    pub certificate_profile: String,
    /// EJBCA's end entity profile.
    pub end_entity_profile: String,
}

impl Default for ProfileConfig {
    fn default() -> Self {
        Self {
            name: "server".into(),
            description: String::new(),
            certificate_profile: String::new(),
            end_entity_profile: String::new(),
        }
    }
}

impl Config {
    /// Everything that is wrong with it, each with its key.
    #[must_use]
    pub fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        let mut complain = |key: &str, complaint: &str| problems.push((key.to_owned(), complaint.to_owned()));
        if let Err(complaint) = self.base() {
            complain("url", &complaint);
        }
        if self.certificate_authority.is_empty() {
            complain("certificate_authority", "blank: which CA is it?");
        }
        for (key, file) in [("certificate_file", &self.certificate_file), ("private_key_file", &self.private_key_file)]
        {
            if file.as_os_str().is_empty() {
                complain(key, "blank: EJBCA knows its clients by their certificates");
            }
        }
        for (name, value) in &self.headers {
            if HeaderName::try_from(name).is_err() || HeaderValue::from_str(value.expose()).is_err() {
                complain(&format!("headers.{name}"), "no header");
            }
        }
        if self.enrolment_secret.expose().chars().count() < SHORTEST_SECRET {
            complain("enrolment_secret", "shorter than 16 characters");
        }
        if let Err(complaint) = self.end_entity.parse::<NamingRule>() {
            complain("end_entity", complaint);
        }
        for (key, seconds) in [
            ("timeout_seconds", self.timeout_seconds),
            ("settle_seconds", self.settle_seconds),
            ("approval_seconds", self.approval_seconds),
        ] {
            // Compared so that what is no number is out of range, too.
            if !(seconds > 0.0 && seconds <= 86_400.0) {
                complain(key, "not between 0 and 86400");
            }
        }
        problems.extend(self.profile_problems());
        problems
    }

    fn profile_problems(&self) -> Vec<(String, String)> {
        if self.profiles.is_empty() {
            return vec![("profiles".to_owned(), "there are none, so nothing can be issued".to_owned())];
        }
        let mut problems = Vec::new();
        for (index, profile) in self.profiles.iter().enumerate() {
            let mut complain = |key: &str, complaint: &str| {
                problems.push((format!("profiles.{index}.{key}"), complaint.to_owned()));
            };
            for (key, value) in [
                ("name", &profile.name),
                ("certificate_profile", &profile.certificate_profile),
                ("end_entity_profile", &profile.end_entity_profile),
            ] {
                if value.is_empty() {
                    complain(key, "blank");
                }
            }
            if self.profiles.iter().take(index).any(|other| other.name == profile.name) {
                complain("name", "another profile has it");
            }
        }
        problems
    }

    /// The REST interface's URL.
    pub(super) fn base(&self) -> Result<Url, String> {
        if self.url.is_empty() {
            return Err("blank: where is EJBCA?".to_owned());
        }
        let url: Url = self.url.parse().map_err(|error| format!("no URL: {error}"))?;
        // Without TLS there is no certificate that EJBCA could know Bailey by.
        if url.scheme() != "https" || !url.has_host() {
            return Err("not https://HOST/PATH".to_owned());
        }
        if !url.username().is_empty() || url.password().is_some() || url.query().is_some() || url.fragment().is_some() {
            return Err("user, password, query and fragment have no place in it".to_owned());
        }
        Ok(url)
    }
}

/// A configured number of seconds.
pub(super) fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn each_problem_is_told_with_its_key() {
        let keys = |config: &Config| config.problems().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(
            keys(&Config::default()),
            ["url", "certificate_authority", "certificate_file", "private_key_file", "enrolment_secret", "profiles"]
        );
        let profile = ProfileConfig {
            certificate_profile: "TLS".into(),
            end_entity_profile: "Servers".into(),
            ..ProfileConfig::default()
        };
        let good = Config {
            url: "https://ca.example.org/ejbca/ejbca-rest-api".into(),
            certificate_authority: "IssuingCA".into(),
            certificate_file: "certificate.pem".into(),
            private_key_file: "key.pem".into(),
            enrolment_secret: Secret::new("sixteen letters.".into()),
            profiles: vec![profile.clone()],
            ..Config::default()
        };
        assert_eq!(keys(&good), [""; 0]);
        let bad = Config {
            url: "http://ca.example.org".into(),
            headers: [("x y".to_owned(), Secret::new("1".into()))].into(),
            end_entity: "{cn}".into(),
            settle_seconds: f64::NAN,
            profiles: vec![profile, ProfileConfig::default()],
            ..good
        };
        assert_eq!(
            keys(&bad),
            [
                "url",
                "headers.x y",
                "end_entity",
                "settle_seconds",
                "profiles.1.certificate_profile",
                "profiles.1.end_entity_profile",
                "profiles.1.name"
            ]
        );
    }
}
