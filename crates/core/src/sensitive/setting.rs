//! Secrets as configurations have them.

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::SecretText;

/// A password, key or token of a configuration, which may be left blank. Written as stars.
#[derive(Clone, Default)]
pub struct SecretSetting(Option<Arc<SecretText>>);

impl SecretSetting {
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

    /// The text. The one way to read it.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.as_ref().map_or("", |text| text.expose())
    }
}

impl fmt::Debug for SecretSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "[none]" } else { "[redacted]" })
    }
}

/// For comparing configurations, never credentials.
impl PartialEq for SecretSetting {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for SecretSetting {}

impl Serialize for SecretSetting {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { "***" })
    }
}

impl<'de> Deserialize<'de> for SecretSetting {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_secret_setting_is_read_and_never_printed() {
        let setting: SecretSetting = serde_json::from_str("\"canary\"").unwrap();
        assert_eq!((setting.expose(), serde_json::to_string(&setting).unwrap().as_str()), ("canary", "\"***\""));
        assert_eq!(format!("{setting:?}"), "[redacted]");
        let none: SecretSetting = serde_json::from_str("\"\"").unwrap();
        assert!(none.is_empty() && none == SecretSetting::default());
        assert_eq!((serde_json::to_string(&none).unwrap().as_str(), format!("{none:?}").as_str()), ("\"\"", "[none]"));
    }
}
