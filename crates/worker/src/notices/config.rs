//! Settings of the webhook that is told of renewed certificates.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bailey_core::sensitive::SecretText;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Webhook;

/// Who is told of renewed certificates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RenewalConfig {
    /// URL that is told by `POST`; blank for nobody.
    pub webhook: String,
    /// What signs what it is told.
    pub webhook_key: SigningKey,
    /// Certificates of the authorities that may vouch for it, PEM; blank for the system's.
    pub webhook_ca_file: PathBuf,
    /// Seconds that it may take to answer.
    pub webhook_timeout_seconds: f64,
    /// For how many hours it is tried to tell it something.
    pub webhook_hours: f64,
}

impl Default for RenewalConfig {
    fn default() -> Self {
        Self {
            webhook: String::new(),
            webhook_key: SigningKey::default(),
            webhook_ca_file: PathBuf::new(),
            webhook_timeout_seconds: 10.0,
            webhook_hours: 72.0,
        }
    }
}

impl RenewalConfig {
    /// Whether anybody is told.
    #[must_use]
    pub const fn is_used(&self) -> bool {
        !self.webhook.is_empty()
    }

    /// What is wrong with it, with its key.
    #[must_use]
    pub fn problem(&self) -> Option<(&'static str, String)> {
        match (self.is_used(), self.webhook_key.is_empty()) {
            (true, _) => Webhook::new(self, "").err(),
            (false, false) => Some(("webhook", "blank, but there is a key: who is to be told?".to_owned())),
            (false, true) => None,
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        Duration::try_from_secs_f64(self.webhook_timeout_seconds).unwrap_or(Duration::from_secs(10))
    }
}

/// A key as the configuration has it, which never shows it.
#[derive(Clone, Default)]
pub struct SigningKey(Option<Arc<SecretText>>);

impl SigningKey {
    /// Takes over `text`; blank means none.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self((!text.is_empty()).then(|| Arc::new(SecretText::new(text))))
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    pub(super) fn expose(&self) -> &str {
        self.0.as_ref().map_or("", |text| text.expose())
    }
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "[none]" } else { "[redacted]" })
    }
}

/// For comparing configurations, never signatures.
impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Serialize for SigningKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { "***" })
    }
}

impl<'de> Deserialize<'de> for SigningKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
