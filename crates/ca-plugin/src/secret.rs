//! Secrets as configurations have them.

use std::fmt;
use std::sync::Arc;

use bailey_core::sensitive::SecretText;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A password, key or token of a configuration; written as stars.
#[derive(Clone, Default)]
pub struct Secret(Option<Arc<SecretText>>);

impl Secret {
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

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.is_empty() { "[none]" } else { "[redacted]" })
    }
}

/// For comparing configurations, never credentials.
impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.expose() == other.expose()
    }
}

impl Eq for Secret {}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(if self.is_empty() { "" } else { "***" })
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}
