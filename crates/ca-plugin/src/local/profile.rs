//! What a profile grants.

use bailey_core::certificate::{AltName, Attribute, attribute_oid};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::string::{Ia5String, PrintableString};
use rcgen::{
    CertificateParams, DistinguishedName, DnType, DnValue, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, SanType,
};

use super::authority::time_of;
use super::config::{ProfileConfig, Usage};
use crate::names::{grants_host, grants_mailbox, grants_uri, is_uri_pattern};
use crate::pattern::{Network, matches};
use crate::request::Read;

const COMMON_NAME: &[u64] = &[2, 5, 4, 3];
const COUNTRY: &[u64] = &[2, 5, 4, 6];
const MAILBOX: &[u64] = &[1, 2, 840, 113_549, 1, 9, 1];
/// Longest common name, in characters (RFC 5280, appendix A.1, ub-common-name).
const LONGEST_NAME: usize = 64;
/// Longest value of any other attribute.
const LONGEST_VALUE: usize = 255;

/// A profile that makes sense.
#[derive(Clone)]
pub(super) struct Profile {
    config: ProfileConfig,
    networks: Vec<Network>,
    subject: Vec<Granted>,
}

/// An attribute that subjects may have.
#[derive(Clone)]
struct Granted {
    oid: Vec<u64>,
    /// What its values are like; any, if that isn't said.
    pattern: Option<String>,
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
            let (attribute, pattern) =
                text.split_once('=').map_or((&**text, None), |(left, right)| (left, Some(right)));
            let unknown = || format!("profile {name}: {text} is no attribute of a subject, nor one with a pattern");
            let pattern = pattern.map(str::to_owned);
            if pattern.as_ref().is_some_and(String::is_empty) {
                return Err(unknown());
            }
            Ok(Granted { oid: attribute_oid(attribute).ok_or_else(unknown)?, pattern })
        };
        if let Some(pattern) = config.uri.iter().find(|pattern| !is_uri_pattern(pattern)) {
            return Err(format!("profile {name}: {pattern} is no pattern of URIs, such as spiffe://example.org/**"));
        }
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

    /// The alternative names; who has none has their common name for one, unless that isn't meant to be a name.
    fn names(&self, read: &Read) -> Result<Vec<AltName>, String> {
        let mut names = read.alt_names.clone();
        if names.is_empty()
            && let Some(common) = common_name(read)
            && (self.serves() || !self.is_patterned(COMMON_NAME, common))
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
        let ProfileConfig { dns, wildcards, email, uri, .. } = &self.config;
        match name {
            AltName::Dns(host) => (*wildcards || !host.starts_with("*.")) && grants_host(dns, host),
            AltName::Ip(address) => self.networks.iter().any(|network| network.contains(*address)),
            AltName::Email(mailbox) => grants_mailbox(email, mailbox),
            AltName::Uri(name) => grants_uri(uri, name),
        }
    }

    /// The subject, if each attribute is granted.
    fn subject(&self, read: &Read, names: &[AltName]) -> Result<DistinguishedName, String> {
        let mut subject = DistinguishedName::new();
        for attribute in &read.subject {
            if !self.subject.iter().any(|granted| granted.oid == attribute.oid) {
                return Err(format!("The profile grants subjects of {} only", self.config.subject.join(", ")));
            }
            self.check(attribute, names)?;
            subject.push(DnType::from_oid(&attribute.oid), written(attribute)?);
        }
        Ok(subject)
    }

    /// A common name is a name like the others: who checks a certificate may look at nothing else. So it is one of
    /// those, unless a pattern grants it; a server's always is. A mailbox is one that `email` grants.
    fn check(&self, Attribute { oid, value }: &Attribute, names: &[AltName]) -> Result<(), String> {
        let is_common = oid == COMMON_NAME;
        let (length, most) = (value.chars().count(), if is_common { LONGEST_NAME } else { LONGEST_VALUE });
        if !(1..=most).contains(&length) {
            return Err("The subject has a value that is blank or too long".to_owned());
        }
        let is_name = names.iter().any(|name| is_called(name, value));
        if is_common && !is_name && (self.serves() || !self.is_patterned(COMMON_NAME, value)) {
            return Err("The common name is none of the granted names".to_owned());
        }
        if oid == MAILBOX && !grants_mailbox(&self.config.email, value) {
            return Err("The profile doesn't grant the mailbox in the subject".to_owned());
        }
        let is_plain = self.subject.iter().any(|granted| granted.oid == *oid && granted.pattern.is_none());
        if is_plain || self.is_patterned(oid, value) {
            return Ok(());
        }
        Err("The profile doesn't grant one of the subject's values".to_owned())
    }

    /// Whether a pattern grants a value of an attribute.
    fn is_patterned(&self, oid: &[u64], value: &str) -> bool {
        let mut patterns = self.subject.iter().filter(|granted| granted.oid == oid);
        patterns.any(|granted| granted.pattern.as_ref().is_some_and(|pattern| matches(pattern, value, |_| true)))
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

/// A value as its attribute's type wants it.
fn written(Attribute { oid, value }: &Attribute) -> Result<DnValue, String> {
    match oid.as_slice() {
        COUNTRY => {
            let is_code = value.len() == 2 && value.bytes().all(|byte| byte.is_ascii_alphabetic());
            let country = PrintableString::try_from(value.as_str()).ok().filter(|_| is_code);
            country.map(DnValue::PrintableString).ok_or_else(|| "The country is no code of two letters".to_owned())
        }
        MAILBOX => {
            let mailbox = Ia5String::try_from(value.as_str());
            mailbox.map(DnValue::Ia5String).map_err(|_| "The mailbox has characters that don't belong there".to_owned())
        }
        _ => Ok(DnValue::Utf8String(value.clone())),
    }
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
