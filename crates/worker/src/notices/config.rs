//! Settings of the webhook that is told of renewed certificates.

use std::path::PathBuf;
use std::time::Duration;

use bailey_core::sensitive::SecretSetting;
use serde::{Deserialize, Serialize};

use super::Webhook;

/// Who is told of renewed certificates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RenewalConfig {
    /// URL that is told by `POST`; blank for nobody.
    pub webhook: String,
    /// What signs what it is told.
    pub webhook_key: SecretSetting,
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
            webhook_key: SecretSetting::default(),
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
