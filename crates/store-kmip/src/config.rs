//! What can be set about the store.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// Configuration of a [`KmipStore`](crate::KmipStore).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The server's host and port.
    pub server: String,
    /// The name that its certificate must be for; the host when blank.
    pub server_name: String,
    /// The authority of its certificate, in PEM.
    pub ca: PathBuf,
    /// The certificate that is shown to it, followed by those that lead to its authority, in PEM.
    pub client_certificate: PathBuf,
    /// Its key, in PEM without a passphrase.
    pub client_key: PathBuf,
    /// Connections open at once, each for one question at a time.
    pub connections: usize,
    /// How long a connection with TLS may take to make.
    pub connect_seconds: f64,
    /// How long an answer may take, and how long to wait for a connection to become free.
    pub answer_seconds: f64,
    /// How long the server may take to make a key pair.
    pub key_pair_seconds: f64,
    /// How long a connection that nobody uses is kept.
    pub idle_seconds: f64,
    /// The newest version of KMIP that is spoken.
    pub max_version: KmipVersion,
    /// Largest payload in bytes.
    pub max_payload: usize,
    /// Who makes AES keys and RSA key pairs.
    pub generation: Generation,
    /// Whether objects are activated once they are stored.
    pub activate: bool,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            server: String::new(),
            server_name: String::new(),
            ca: PathBuf::new(),
            client_certificate: PathBuf::new(),
            client_key: PathBuf::new(),
            connections: 8,
            connect_seconds: 3.0,
            answer_seconds: 3.0,
            key_pair_seconds: 30.0,
            idle_seconds: 60.0,
            max_version: KmipVersion::V1_4,
            max_payload: 1 << 16,
            generation: Generation::Server,
            activate: false,
        }
    }
}

impl Config {
    pub(crate) fn connect(&self) -> Duration {
        seconds(self.connect_seconds)
    }

    pub(crate) fn answer(&self) -> Duration {
        seconds(self.answer_seconds)
    }

    pub(crate) fn key_pair(&self) -> Duration {
        seconds(self.key_pair_seconds)
    }

    pub(crate) fn idle(&self) -> Duration {
        seconds(self.idle_seconds)
    }

    /// The host of [`server`](Self::server), without its port and without an IPv6 address's brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        let host = self.server.rsplit_once(':').map_or(self.server.as_str(), |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']')
    }
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// A version of KMIP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum KmipVersion {
    /// KMIP 1.0.
    #[serde(rename = "1.0")]
    V1_0,
    /// KMIP 1.1.
    #[serde(rename = "1.1")]
    V1_1,
    /// KMIP 1.2.
    #[serde(rename = "1.2")]
    V1_2,
    /// KMIP 1.3.
    #[serde(rename = "1.3")]
    V1_3,
    /// KMIP 1.4.
    #[serde(rename = "1.4")]
    V1_4,
}

impl KmipVersion {
    /// Its minor number; the major one is 1.
    pub(crate) const fn minor(self) -> i32 {
        match self {
            Self::V1_0 => 0,
            Self::V1_1 => 1,
            Self::V1_2 => 2,
            Self::V1_3 => 3,
            Self::V1_4 => 4,
        }
    }
}

/// Who makes AES keys and RSA key pairs. All others are made by this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Generation {
    /// The server.
    Server,
    /// This process.
    Local,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_what_the_port_follows() {
        for (server, host) in
            [("kmip.example.org:5696", "kmip.example.org"), ("10.0.0.1:1", "10.0.0.1"), ("[fd00::7]:5696", "fd00::7")]
        {
            assert_eq!(Config { server: server.to_owned(), ..Config::default() }.host(), host);
        }
    }
}
