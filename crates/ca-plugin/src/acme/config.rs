//! Settings of a CA that speaks ACME.

use std::path::PathBuf;
use std::time::Duration;

use reqwest::{Certificate, Url};
use serde::{Deserialize, Serialize};

use super::wire::Identifier;
use crate::names::grants_host;
use crate::secret::Secret;

/// A CA that speaks ACME (RFC 8555).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where its directory is.
    pub directory: String,
    /// Certificates of the authorities that may vouch for the server, PEM; blank for the system's.
    pub ca_file: PathBuf,
    /// Whom the CA may write to: `mailto:` and other URIs.
    pub contacts: Vec<String>,
    /// Whether its terms of service are agreed to. Most CAs want that.
    pub terms_agreed: bool,
    /// Names the account that the CA keeps elsewhere (RFC 8555, section 7.3.4); blank for none.
    pub external_account_id: String,
    /// That account's key, in base64 without padding, as the CA tells it. Wanted once: the store keeps it.
    pub external_account_key: Secret,
    /// How names are proved, the first that serves; wildcards can only be proved by `dns-01`.
    pub challenges: Vec<ChallengeKind>,
    /// Who makes the records that `dns-01` asks for.
    pub dns: DnsKind,
    /// The name server's address, for `rfc2136`: `ns.example.org:53`.
    pub dns_server: String,
    /// The zone that is changed there. Names that aren't in it can't be proved.
    pub dns_zone: String,
    /// What the key is called that signs updates.
    pub dns_key_name: String,
    /// `hmac-sha256`, `hmac-sha384` or `hmac-sha512`.
    pub dns_key_algorithm: String,
    /// The key, in base64.
    pub dns_key: Secret,
    /// Seconds that the records are good for.
    pub dns_ttl_seconds: u32,
    /// Seconds until all of the zone's servers have a record.
    pub dns_wait_seconds: u32,
    /// Who is told, for `webhook`, by `POST`.
    pub webhook_url: String,
    /// What is shown there as `Authorization: Bearer`; blank for nothing.
    pub webhook_token: Secret,
    /// Certificates of the authorities that may vouch for it, PEM; blank for the system's.
    pub webhook_ca_file: PathBuf,
    /// Common name of the root that chains are to lead to, where the CA offers several; blank for its favourite.
    pub preferred_chain: String,
    /// What it issues; the first to whoever names none.
    pub profiles: Vec<ProfileConfig>,
    /// Seconds that the server may take for an answer.
    pub timeout_seconds: f64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            directory: String::new(),
            ca_file: PathBuf::new(),
            contacts: Vec::new(),
            terms_agreed: false,
            external_account_id: String::new(),
            external_account_key: Secret::default(),
            challenges: vec![ChallengeKind::Http01, ChallengeKind::Dns01],
            dns: DnsKind::default(),
            dns_server: String::new(),
            dns_zone: String::new(),
            dns_key_name: String::new(),
            dns_key_algorithm: "hmac-sha256".into(),
            dns_key: Secret::default(),
            dns_ttl_seconds: 60,
            dns_wait_seconds: 5,
            webhook_url: String::new(),
            webhook_token: Secret::default(),
            webhook_ca_file: PathBuf::new(),
            preferred_chain: String::new(),
            profiles: vec![ProfileConfig::default()],
            timeout_seconds: 30.0,
        }
    }
}

/// A way to prove that a name is one's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ChallengeKind {
    /// By what a web server says (RFC 8555, section 8.3): Bailey's.
    #[serde(rename = "http-01")]
    Http01,
    /// By a record in the DNS (section 8.4).
    #[serde(rename = "dns-01")]
    Dns01,
}

impl ChallengeKind {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Http01 => "http-01",
            Self::Dns01 => "dns-01",
        }
    }
}

/// A sort of certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileConfig {
    /// How orders name it.
    pub name: String,
    /// What it is for, as people read it.
    pub description: String,
    /// What the CA calls it, where it has profiles; blank for the one it has for everybody.
    pub acme_profile: String,
    /// Hosts, as patterns; blank for any that can be proved.
    pub dns: Vec<String>,
}

impl ProfileConfig {
    /// Whether certificates of it may have this name.
    pub(super) fn grants(&self, name: &Identifier) -> bool {
        self.dns.is_empty() || (name.kind == "dns" && grants_host(&self.dns, &name.value))
    }
}

impl Default for ProfileConfig {
    fn default() -> Self {
        Self { name: "server".into(), description: String::new(), acme_profile: String::new(), dns: Vec::new() }
    }
}

/// Who makes DNS records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum DnsKind {
    /// Nobody.
    #[default]
    None,
    /// A name server that takes updates (RFC 2136), signed by a key that it shares (RFC 8945).
    Rfc2136,
    /// Somebody who is told by HTTP.
    Webhook,
}

impl Config {
    /// Everything that is wrong with it, each with its key.
    #[must_use]
    pub fn problems(&self) -> Vec<(&'static str, String)> {
        let mut problems = Vec::new();
        let mut complain = |key, complaint: &str| problems.push((key, complaint.to_owned()));
        match self.directory.parse::<Url>() {
            Ok(url) if url.scheme() == "https" && url.has_host() => {}
            _ => complain("directory", "not https://HOST/PATH: where is the CA?"),
        }
        if let Err(error) = certificates(&self.ca_file) {
            complain("ca_file", &error);
        }
        if let Some(contact) = self.contacts.iter().find(|contact| contact.parse::<Url>().is_err()) {
            complain("contacts", &format!("{contact:?} is no URI; a mailbox is mailto:ME@EXAMPLE.ORG"));
        }
        if self.challenges.is_empty() {
            complain("challenges", "without any no name can be proved");
        }
        if self.challenges == [ChallengeKind::Dns01] && self.dns == DnsKind::None {
            complain("dns", "dns-01 needs somebody who makes records");
        }
        let made = match self.dns {
            DnsKind::None => Ok(()),
            DnsKind::Rfc2136 => super::dns::Rfc2136::new(self).map(drop),
            DnsKind::Webhook => super::dns::Webhook::new(self).map(drop),
        };
        if let Err((key, complaint)) = made {
            complain(key, &complaint);
        }
        if self.profiles.is_empty() {
            complain("profiles", "without any nothing is issued");
        }
        let twice = |(at, profile): (usize, &ProfileConfig)| {
            self.profiles.iter().take(at).any(|other| other.name == profile.name)
        };
        if self.profiles.iter().enumerate().any(twice) {
            complain("profiles", "two have one name");
        }
        if Duration::try_from_secs_f64(self.timeout_seconds).is_ok_and(|time| time.is_zero())
            || !self.timeout_seconds.is_finite()
            || self.timeout_seconds < 0.0
        {
            complain("timeout_seconds", "not a time that anybody could answer in");
        }
        problems
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::try_from_secs_f64(self.timeout_seconds).unwrap_or(Duration::from_secs(30))
    }
}

/// The authorities in a file; none for a blank name, which means the system's.
pub(super) fn certificates(file: &std::path::Path) -> Result<Option<Vec<Certificate>>, String> {
    if file.as_os_str().is_empty() {
        return Ok(None);
    }
    let about = |what: String| format!("{}: {what}", file.display());
    let pem = std::fs::read(file).map_err(|error| about(error.to_string()))?;
    match Certificate::from_pem_bundle(&pem) {
        Ok(none) if none.is_empty() => Err(about("no certificate in it".to_owned())),
        Ok(some) => Ok(Some(some)),
        Err(error) => Err(about(error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn everything_that_is_wrong_is_told() {
        let keys = |config: &Config| config.problems().into_iter().map(|(key, _)| key).collect::<Vec<_>>();
        assert_eq!(keys(&Config::default()), ["directory"]);
        let good = Config { directory: "https://ca.example.org/directory".into(), ..Config::default() };
        assert!(keys(&good).is_empty());
        let bad = Config {
            directory: "http://ca.example.org/directory".into(),
            ca_file: "/no/such/file".into(),
            contacts: vec!["me@example.org".into()],
            challenges: vec![ChallengeKind::Dns01],
            profiles: vec![ProfileConfig::default(), ProfileConfig::default()],
            timeout_seconds: 0.0,
            ..Config::default()
        };
        assert_eq!(keys(&bad), ["directory", "ca_file", "contacts", "dns", "profiles", "timeout_seconds"]);
        let updates = Config { dns: DnsKind::Rfc2136, dns_key: Secret::new("canary!".into()), ..good };
        assert_eq!(keys(&updates), ["dns_server"]);
        assert!(!format!("{:?}", updates.problems()).contains("canary"));
    }

    #[test]
    fn a_profile_with_patterns_grants_hosts_of_them_alone() {
        let name = |kind: &str, value: &str| Identifier { kind: kind.to_owned(), value: value.to_owned() };
        let (host, wildcard) = (name("dns", "www.example.org"), name("dns", "*.example.org"));
        let (elsewhere, address) = (name("dns", "www.example.net"), name("ip", "192.0.2.1"));
        let all = [&host, &wildcard, &elsewhere, &address];
        assert!(all.iter().all(|name| ProfileConfig::default().grants(name)));
        let kept = ProfileConfig { dns: vec!["*.example.org".to_owned()], ..ProfileConfig::default() };
        assert_eq!(all.map(|name| kept.grants(name)), [true, true, false, false]);
    }

    #[test]
    fn secrets_are_not_shown() {
        let config = Config { external_account_key: Secret::new("canary".into()), ..Config::default() };
        let shown = format!("{config:?} {}", serde_json::to_string(&config).unwrap());
        assert!(!shown.contains("canary"));
    }
}
