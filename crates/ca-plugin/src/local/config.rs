//! Settings of a local CA.

use serde::{Deserialize, Serialize};

/// A local CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Its name: a label.
    pub name: String,
    /// Where its list of revocations is published; certificates name it.
    pub crl_url: Option<String>,
    /// For how many days such a list is good.
    pub crl_days: u32,
    /// What it issues; the first to whoever names none.
    pub profiles: Vec<ProfileConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self { name: "local".into(), crl_url: None, crl_days: 7, profiles: Vec::new() }
    }
}

/// What certificates of a profile are for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Usage {
    /// TLS servers.
    #[default]
    Server,
    /// TLS clients.
    Client,
    /// Both; workloads with a SPIFFE id, too.
    Both,
    /// Signing code.
    Code,
    /// S/MIME.
    Email,
}

/// A sort of certificate, and who may have which.
///
/// In patterns, `*` stands for one part of a name and `**` for any number of them. What no pattern grants is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ProfileConfig {
    /// How orders name it.
    pub name: String,
    /// What it is for, as people read it.
    pub description: String,
    /// What its certificates are for.
    pub usage: Usage,
    /// For how long they are good, at most until the CA's own ends.
    pub valid_hours: u32,
    /// How much earlier than asked for they begin, for clocks that are slow.
    pub backdate_seconds: u32,
    /// Hosts, as patterns.
    pub dns: Vec<String>,
    /// Whether names such as `*.example.org` are granted where `dns` grants all that they stand for.
    pub wildcards: bool,
    /// Networks, such as `10.0.0.0/8`.
    pub ip: Vec<String>,
    /// Mailboxes, as patterns.
    pub email: Vec<String>,
    /// URIs, as patterns: `spiffe://example.org/**`.
    pub uri: Vec<String>,
    /// Attributes that a subject may have.
    pub subject: Vec<String>,
    /// Sorts of keys.
    pub keys: Vec<String>,
}

impl Default for ProfileConfig {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            name: "server".into(),
            description: String::new(),
            usage: Usage::default(),
            valid_hours: 90 * 24,
            backdate_seconds: 60,
            dns: Vec::new(),
            wildcards: false,
            ip: Vec::new(),
            email: Vec::new(),
            uri: Vec::new(),
            subject: texts(&["CN"]),
            keys: texts(&["ec-p256", "ec-p384", "ec-p521", "ed25519", "rsa-2048", "rsa-3072", "rsa-4096"]),
        }
    }
}
