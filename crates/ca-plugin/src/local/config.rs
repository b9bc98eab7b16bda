//! Settings of a local CA.

use bailey_core::ca::CaKeyType;
use bailey_core::certificate::DistinguishedName;
use bailey_core::der::tagged;
use bailey_core::ids::CaId;
use chrono::{DateTime, Utc};
use rcgen::{CertificateParams, CrlDistributionPoint, CustomExtension};
use serde::{Deserialize, Serialize};

use super::authority::NewAuthority;
use super::profile::Profile;

/// A local CA.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// The name of the CA above it, which is local, too. Blank: it is a root.
    pub parent: String,
    /// Whether it signs in the token of its store, which then has its keys for good.
    pub in_token: bool,
    /// Its subject (RFC 4514).
    pub subject: String,
    /// The sort of its keys.
    pub key_type: CaKeyType,
    /// For how many days its certificates are good; those of CAs below it, too.
    pub valid_days: u32,
    /// How many CAs may be below it, one below the other.
    pub path_length: u8,
    /// Where clients reach Bailey's lists of revocations and answers on single certificates, such as
    /// `http://keys.example.org:9311`; certificates name both. Blank: they name neither.
    pub public_url: String,
    /// For how many days a list of revocations is good.
    pub crl_days: u32,
    /// What it issues; the first to whoever names none. Without any it signs CAs below it alone.
    pub profiles: Vec<ProfileConfig>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            parent: String::new(),
            in_token: false,
            subject: String::new(),
            key_type: CaKeyType::default(),
            valid_days: 3_650,
            path_length: 1,
            public_url: String::new(),
            crl_days: 7,
            profiles: Vec::new(),
        }
    }
}

impl Config {
    /// What a certificate of the CA's own is to say.
    ///
    /// # Errors
    /// What is wrong with the subject.
    pub fn authority(&self, begins_at: DateTime<Utc>) -> Result<NewAuthority, String> {
        let subject: DistinguishedName = self.subject.parse().map_err(|error| format!("{}: {error}", self.subject))?;
        if subject.0.is_empty() {
            return Err("a CA needs a subject".to_owned());
        }
        Ok(NewAuthority {
            subject,
            key_type: self.key_type,
            path_length: self.path_length,
            valid_days: self.valid_days,
            begins_at,
        })
    }

    /// Every complaint about values that make no sense: the key and what is wrong with it.
    #[must_use]
    pub fn complaints(&self) -> Vec<(&'static str, String)> {
        let mut all = Vec::new();
        if let Err(complaint) = self.authority(DateTime::UNIX_EPOCH) {
            all.push(("subject", complaint));
        }
        for (key, days, most) in [("valid_days", self.valid_days, 36_500), ("crl_days", self.crl_days, 365)] {
            if !(1..=most).contains(&days) {
                all.push((key, format!("not a number of days from 1 to {most}")));
            }
        }
        if !self.public_url.is_empty() && !self.public_url.starts_with("http://") {
            // Who asks for a list to check a server can't ask a server whose certificate needs checking.
            all.push(("public_url", "not a URL that begins with http://".to_owned()));
        }
        all.extend(
            self.profiles.iter().filter_map(|profile| Profile::new(profile).err()).map(|what| ("profiles", what)),
        );
        let mut names: Vec<_> = self.profiles.iter().map(|profile| &profile.name).collect();
        names.sort();
        if names.windows(2).any(|pair| pair.first() == pair.last()) {
            all.push(("profiles", "two have one name".to_owned()));
        }
        all
    }

    /// Has a certificate say where its revocation would be told.
    pub(super) fn point_out(&self, ca: CaId, generation: u32, params: &mut CertificateParams) {
        let url = self.public_url.trim_end_matches('/');
        if url.is_empty() {
            return;
        }
        let list = format!("{url}/crl/{ca}/{generation}");
        params.crl_distribution_points = vec![CrlDistributionPoint { uris: vec![list] }];
        let responder = tagged(0x86, format!("{url}/ocsp/{ca}").as_bytes());
        let access = tagged(0x30, &[OCSP, &responder].concat());
        params.custom_extensions.push(CustomExtension::from_oid_content(ACCESS, tagged(0x30, &access)));
    }
}

/// Authority information access (RFC 5280, section 4.2.2.1).
const ACCESS: &[u64] = &[1, 3, 6, 1, 5, 5, 7, 1, 1];
/// The object identifier of the access method OCSP, 1.3.6.1.5.5.7.48.1; DER.
const OCSP: &[u8] = &[0x06, 0x08, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01];

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
    /// Attributes that a subject may have: `O`, or `O=Example*` for values of a pattern.
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
