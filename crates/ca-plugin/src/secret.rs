//! Secrets as configurations have them.

use std::ops::Deref;

use bailey_core::sensitive::SecretSetting;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// A [`SecretSetting`] which may stand elsewhere: `file:PATH` or `env:NAME`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(transparent)]
pub struct Secret(SecretSetting);

impl Secret {
    /// Takes over `text`; blank means none.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(SecretSetting::new(text))
    }
}

impl Deref for Secret {
    type Target = SecretSetting;

    fn deref(&self) -> &SecretSetting {
        &self.0
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
        assert_eq!(format!("{secret:?}"), "Secret([redacted])");
    }
}
