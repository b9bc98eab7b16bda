//! What can be set about the backend.

use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::mechanism::WrapMechanism;
use crate::pin::Pin;

/// Configuration of a [`Pkcs11Backend`](crate::Pkcs11Backend).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The token's library.
    pub module: PathBuf,
    /// The token's label; blank if it is named by its serial number.
    pub token_label: String,
    /// The token's serial number; blank if it is named by its label.
    pub token_serial: String,
    /// The user PIN, or where it is.
    pub pin: Pin,
    /// Label of the MKEKs.
    pub mkek_label: String,
    /// Label of the keys that authenticate wrapped KEKs.
    pub hmac_label: String,
    /// Calls under way at once, each in a session of its own.
    pub sessions: usize,
    /// How long one call may take.
    pub deadline_seconds: f64,
    /// Calls past their deadline that may be waited for no more before the store gives up on the library.
    pub lost_calls: usize,
    /// Who makes the IVs of AES-GCM.
    pub gcm_iv: GcmIv,
    /// How payloads are encrypted under new KEKs.
    pub payload_mechanism: PayloadMechanism,
    /// How new KEKs are wrapped; the first that the token can when blank.
    #[serde(with = "blank")]
    pub wrap_mechanism: Option<WrapMechanism>,
    /// How many unwrapped KEKs the token holds at a time.
    pub cached_keks: usize,
    /// How long the token holds one that nobody uses.
    pub kek_idle_seconds: f64,
    /// Where the library runs.
    pub isolation: Isolation,
    /// KEKs that one MKEK wraps before another has to be activated.
    pub mkek_budget: u64,
    /// Wraps that a process reserves at a time.
    pub mkek_block: u64,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            module: PathBuf::new(),
            token_label: String::new(),
            token_serial: String::new(),
            pin: Pin::default(),
            mkek_label: "bailey-mkek".to_owned(),
            hmac_label: "bailey-hmac".to_owned(),
            sessions: 8,
            deadline_seconds: 3.0,
            lost_calls: 16,
            gcm_iv: GcmIv::Caller,
            payload_mechanism: PayloadMechanism::AesGcm,
            wrap_mechanism: None,
            cached_keks: 256,
            kek_idle_seconds: 300.0,
            isolation: Isolation::Thread,
            mkek_budget: 1 << 30,
            mkek_block: 1 << 10,
        }
    }
}

impl Config {
    /// How long one call may take.
    #[must_use]
    pub fn deadline(&self) -> Duration {
        Duration::try_from_secs_f64(self.deadline_seconds).unwrap_or(Duration::MAX)
    }

    /// How long the token holds an unwrapped KEK that nobody uses.
    #[must_use]
    pub fn kek_idle(&self) -> Duration {
        Duration::try_from_secs_f64(self.kek_idle_seconds).unwrap_or(Duration::MAX)
    }

    /// Which token is meant.
    #[must_use]
    pub fn token(&self) -> Token {
        if self.token_serial.is_empty() {
            Token::Label(self.token_label.clone())
        } else {
            Token::Serial(self.token_serial.clone())
        }
    }
}

/// How a token is named. Never by its slot, whose number changes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Token {
    /// By its label.
    Label(String),
    /// By its serial number.
    Serial(String),
}

impl std::fmt::Display for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Label(label) => write!(f, "labelled `{label}`"),
            Self::Serial(serial) => write!(f, "with the serial number `{serial}`"),
        }
    }
}

/// Who makes the IVs of AES-GCM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GcmIv {
    /// This process draws them from the token's generator and passes them in.
    Caller,
    /// The token, while it encrypts: some insist on it.
    Token,
}

/// How payloads are encrypted under a KEK.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PayloadMechanism {
    /// AES-256-GCM.
    AesGcm,
    /// AES-256-CBC, then HMAC-SHA-256 under a second key: for tokens without GCM.
    AesCbcHmac,
}

/// Where the library runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Isolation {
    /// In this process, on threads of its own.
    Thread,
    /// In a child process, which can be ended and started again.
    Process,
}

/// TOML has no null: what isn't set is blank.
mod blank {
    use serde::de::IntoDeserializer;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    pub(super) fn serialize<T: Serialize, S: Serializer>(value: &Option<T>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => value.serialize(serializer),
            None => serializer.serialize_str(""),
        }
    }

    pub(super) fn deserialize<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
    where
        T: Deserialize<'de>,
        D: Deserializer<'de>,
    {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() { Ok(None) } else { T::deserialize(text.into_deserializer()).map(Some) }
    }
}
