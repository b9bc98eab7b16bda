//! What can be set about TLS.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Files and rules of TLS on the API.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TlsConfig {
    /// The certificate in PEM, and behind it those that lead to its authority. Blank: no TLS.
    pub certificate: PathBuf,
    /// Its key, in PEM and without a passphrase.
    pub key: PathBuf,
    /// Authorities of clients' certificates, in PEM.
    pub client_ca: PathBuf,
    /// Whether clients show certificates.
    pub client_auth: ClientAuth,
    /// The oldest version of TLS that is spoken.
    pub min_version: MinVersion,
}

impl TlsConfig {
    /// Whether the API speaks TLS.
    #[must_use]
    pub fn is_on(&self) -> bool {
        !self.certificate.as_os_str().is_empty()
    }
}

/// Whether clients show certificates. They do it beside a token, not in its place.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ClientAuth {
    /// Nobody is asked for one.
    #[default]
    Off,
    /// Those who show one are refused if it is no good.
    Optional,
    /// Without a good one there is no connection.
    Required,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum MinVersion {
    /// RFC 5246.
    #[default]
    #[serde(rename = "1.2")]
    Tls12,
    /// RFC 8446.
    #[serde(rename = "1.3")]
    Tls13,
}

/// The file itself: as with other secrets, `file:` may stand before it.
pub fn path(file: &Path) -> &Path {
    file.to_str().and_then(|text| text.strip_prefix("file:")).map_or(file, Path::new)
}
