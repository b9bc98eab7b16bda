//! What a profile grants.

use bailey_core::certificate::{AltName, Attribute, attribute_oid};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::string::PrintableString;
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
};

use super::authority::time_of;
use super::config::{ProfileConfig, Usage};
use super::pattern::{Network, matches};
use crate::request::Read;

const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const COUNTRY: &[u64] = &[2, 5, 4, 6];

/// A profile that makes sense.
#[derive(Clone)]
pub(super) struct Profile {
    config: ProfileConfig,
    networks: Vec<Network>,
    subject: Vec<Vec<u64>>,
}

impl Profile {
    /// Reads what is configured.
    ///
    /// # Errors
    /// What is wrong with it, fit for the operator.
    pub(super) fn new(config: &ProfileConfig) -> Result<Self, String> {
        let name = &config.name;
        if name.is_empty() || config.valid_hours == 0 {
            return Err(format!("profile {name:?} has no name, or grants no time"));
        }
        let network =
            |text: &String| Network::read(text).ok_or_else(|| format!("profile {name}: {text} is no network"));
        let attribute = |text: &String| {
            attribute_oid(text).ok_or_else(|| format!("profile {name}: {text} is no attribute of a subject"))
        };
        Ok(Self {
            networks: config.ip.iter().map(network).collect::<Result<_, _>>()?,
            subject: config.subject.iter().map(attribute).collect::<Result<_, _>>()?,
            config: config.clone(),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.config.name
    }

    /// The certificate that a request gets: all of it from the profile but names that it grants.
    ///
    /// # Errors
    /// What isn't granted, fit for the client.
    pub(super) fn grant(
        &self,
        read: &Read,
        from: DateTime<Utc>,
        ca_ends_at: DateTime<Utc>,
    ) -> Result<CertificateParams, String> {
        if !self.config.keys.contains(&read.key_type) {
            return Err(format!("The profile grants keys of {} only", self.config.keys.join(", ")));
        }
        let names = self.names(read)?;
        let mut params = CertificateParams::default();
        params.distinguished_name = self.subject(read, &names)?;
        params.subject_alt_names = names.iter().map(san).collect::<Result<_, _>>()?;
        params.is_ca = IsCa::ExplicitNoCa;
        params.key_usages = self.key_usages(&read.key_type);
        params.extended_key_usages = extended(self.config.usage);
        let begins_at = from - TimeDelta::seconds(i64::from(self.config.backdate_seconds));
        let ends_at = (from + TimeDelta::hours(i64::from(self.config.valid_hours))).min(ca_ends_at);
        if ends_at <= from {
            return Err("The CA's own certificate has expired".to_owned());
        }
        params.not_before = time_of(begins_at);
        params.not_after = time_of(ends_at);
        params.use_authority_key_identifier_extension = true;
        Ok(params)
    }

    /// The alternative names; a server that names none has its common name for one.
    fn names(&self, read: &Read) -> Result<Vec<AltName>, String> {
        let mut names = read.alt_names.clone();
        if names.is_empty()
            && self.serves()
            && let Some(common) = common_name(read)
        {
            names.push(common.parse().unwrap_or_else(|_| AltName::Dns(common.to_owned())));
        }
        match names.iter().find(|name| !self.grants(name)) {
            Some(_) => Err("The profile doesn't grant one of the names".to_owned()),
            None if names.is_empty() && self.serves() => Err("A server needs a name".to_owned()),
            None => Ok(names),
        }
    }

    fn serves(&self) -> bool {
        matches!(self.config.usage, Usage::Server | Usage::Both)
    }

    fn grants(&self, name: &AltName) -> bool {
        let any = |patterns: &[String], name: &str, separator| {
            patterns.iter().any(|pattern| matches(pattern, name, separator))
        };
        match name {
            AltName::Dns(host) => match host.strip_prefix("*.") {
                // All that it stands for, not one host that happens to be called so.
                Some(rest) => {
                    self.config.wildcards
                        && is_host(rest)
                        && self.config.dns.iter().any(|pattern| {
                            let stars = pattern.strip_prefix("**.").or_else(|| pattern.strip_prefix("*."));
                            pattern == "**" || stars == Some(rest) || matches_below(pattern, rest)
                        })
                }
                None => is_host(host) && any(&self.config.dns, host, '.'),
            },
            AltName::Ip(address) => self.networks.iter().any(|network| network.contains(*address)),
            AltName::Email(mailbox) => mailbox.contains('@') && any(&self.config.email, mailbox, '@'),
            AltName::Uri(uri) => uri.contains("://") && any(&self.config.uri, uri, '/'),
        }
    }

    /// The subject, if each attribute is granted; a server's common name is one of its names.
    fn subject(&self, read: &Read, names: &[AltName]) -> Result<DistinguishedName, String> {
        let mut subject = DistinguishedName::new();
        for Attribute { oid, value } in &read.subject {
            if !self.subject.contains(oid) {
                return Err(format!("The profile grants subjects of {} only", self.config.subject.join(", ")));
            }
            if oid == COMMON_NAME && self.serves() && !names.iter().any(|name| is_called(name, value)) {
                return Err("The common name is none of the granted names".to_owned());
            }
            let value = if oid == COUNTRY {
                let country = PrintableString::try_from(value.as_str());
                DnValue::PrintableString(country.map_err(|_| "The country is no code of letters".to_owned())?)
            } else {
                DnValue::Utf8String(value.clone())
            };
            subject.push(DnType::from_oid(oid), value);
        }
        Ok(subject)
    }

    /// RSA keys of servers also decrypt, for TLS 1.2 without forward secrecy is no more and S/MIME is.
    fn key_usages(&self, key_type: &str) -> Vec<KeyUsagePurpose> {
        match self.config.usage {
            Usage::Email if key_type.starts_with("rsa-") => {
                vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyEncipherment]
            }
            Usage::Email if key_type.starts_with("ec-") => {
                vec![KeyUsagePurpose::DigitalSignature, KeyUsagePurpose::KeyAgreement]
            }
            _ => vec![KeyUsagePurpose::DigitalSignature],
        }
    }
}

/// Whether a pattern grants every host that is one part longer than `rest`.
fn matches_below(pattern: &str, rest: &str) -> bool {
    pattern.strip_prefix("**.").is_some_and(|end| rest.ends_with(&format!(".{end}")))
}

fn is_host(name: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

fn common_name(read: &Read) -> Option<&str> {
    let found = read.subject.iter().find(|attribute| attribute.oid == COMMON_NAME);
    found.map(|attribute| attribute.value.as_str())
}

fn is_called(name: &AltName, value: &str) -> bool {
    match name {
        AltName::Dns(host) => host.eq_ignore_ascii_case(value),
        AltName::Ip(address) => value.parse() == Ok(*address),
        AltName::Email(text) | AltName::Uri(text) => text == value,
    }
}

fn san(name: &AltName) -> Result<SanType, String> {
    let wrong = |_| "An alternative name has characters that don't belong there".to_owned();
    Ok(match name {
        AltName::Dns(host) => SanType::DnsName(host.as_str().try_into().map_err(wrong)?),
        AltName::Ip(address) => SanType::IpAddress(*address),
        AltName::Email(mailbox) => SanType::Rfc822Name(mailbox.as_str().try_into().map_err(wrong)?),
        AltName::Uri(uri) => SanType::URI(uri.as_str().try_into().map_err(wrong)?),
    })
}

fn extended(usage: Usage) -> Vec<ExtendedKeyUsagePurpose> {
    match usage {
        Usage::Server => vec![ExtendedKeyUsagePurpose::ServerAuth],
        Usage::Client => vec![ExtendedKeyUsagePurpose::ClientAuth],
        Usage::Both => vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth],
        Usage::Code => vec![ExtendedKeyUsagePurpose::CodeSigning],
        Usage::Email => vec![ExtendedKeyUsagePurpose::EmailProtection],
    }
}
