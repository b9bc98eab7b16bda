//! Secrets as configurations have them.

use std::fmt;
use std::sync::Arc;

use bailey_core::sensitive::SecretText;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A password, key or token of a configuration, which may stand elsewhere: `file:PATH` or `env:NAME`. Written as stars.
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
        found(String::deserialize(deserializer)?).map(Self::new).map_err(D::Error::custom)
    }
}

/// What a configured text is, or refers to. The complaint never holds it.
fn found(text: String) -> Result<String, String> {
    let found = if let Some(file) = text.strip_prefix("file:") {
        std::fs::read_to_string(file).map_err(|error| format!("{file} can't be read: {error}"))?
    } else if let Some(name) = text.strip_prefix("env:") {
        std::env::var(name).map_err(|_| format!("the environment has no {name}"))?
    } else {
        return Ok(text);
    };
    match found.trim() {
        "" => Err("what it refers to is empty".to_owned()),
        trimmed => Ok(trimmed.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn read(text: &str) -> Result<Secret, String> {
        serde_json::from_value(text.into()).map_err(|error: serde_json::Error| error.to_string())
    }

    #[test]
    fn a_secret_is_read_where_it_stands_and_never_printed() {
        let here = std::env::current_exe().unwrap();
        assert!(read(&format!("file:{}", here.display())).is_err(), "a program is no text");
        assert!(read("file:/no/such/file").unwrap_err().contains("can't be read"));
        assert!(read("env:BAILEY_NO_SUCH_VARIABLE").unwrap_err().contains("BAILEY_NO_SUCH_VARIABLE"));
        assert_eq!(read("env:CARGO_PKG_NAME").unwrap().expose(), "bailey-ca-plugin");
        assert!(read("").unwrap().is_empty());
        let secret = read("canary").unwrap();
        assert_eq!((secret.expose(), serde_json::to_string(&secret).unwrap().as_str()), ("canary", "\"***\""));
        assert_eq!(format!("{secret:?}"), "[redacted]");
    }
}
