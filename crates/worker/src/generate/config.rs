//! Settings of key generation.

use std::num::NonZeroUsize;
use std::thread;

use serde::{Deserialize, Serialize};

/// How keys for orders are made. Part of the configuration, as `[generation]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct GenerationConfig {
    /// Whether DES, 64-bit keys, and RSA and DSA of 1024 bits are made; `None`: as Barbican does,
    /// unless compatibility is strict.
    #[serde(with = "blank_or_bool")]
    pub allow_weak_keys: Option<bool>,
    /// Threads that make key pairs; 0 is one for each processor.
    pub threads: usize,
    /// Key pairs that may wait for a thread; further ones are refused for now.
    pub waiting: usize,
}

impl Default for GenerationConfig {
    fn default() -> Self {
        Self { allow_weak_keys: None, threads: 0, waiting: 256 }
    }
}

impl GenerationConfig {
    pub(super) fn threads(&self) -> usize {
        match self.threads {
            0 => thread::available_parallelism().map_or(1, NonZeroUsize::get),
            threads => threads,
        }
    }
}

/// A blank text means none; the environment gives texts where the file gives booleans.
mod blank_or_bool {
    use serde::de::{Error as _, Unexpected};
    use serde::{Deserialize, Deserializer, Serializer};

    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Bool(bool),
        Text(String),
    }

    #[expect(clippy::ref_option, reason = "serde's signature")]
    pub fn serialize<S: Serializer>(value: &Option<bool>, serializer: S) -> Result<S::Ok, S::Error> {
        match value {
            Some(value) => serializer.serialize_bool(*value),
            None => serializer.serialize_str(""),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<bool>, D::Error> {
        let expected = "true, false or a blank text";
        match Written::deserialize(deserializer).map_err(|_| D::Error::custom(format!("expected {expected}")))? {
            Written::Bool(value) => Ok(Some(value)),
            Written::Text(text) if text.is_empty() => Ok(None),
            Written::Text(text) => {
                let unexpected = |_| D::Error::invalid_value(Unexpected::Str(&text), &expected);
                text.parse().map(Some).map_err(unexpected)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::json;

    use super::*;

    #[test]
    fn weak_keys_are_allowed_by_a_boolean_or_its_text_or_left_open() {
        for (written, expected) in [
            (json!(true), Some(true)),
            (json!(false), Some(false)),
            (json!("true"), Some(true)),
            (json!("false"), Some(false)),
            (json!(""), None),
        ] {
            let config: GenerationConfig = serde_json::from_value(json!({ "allow_weak_keys": written })).unwrap();
            assert_eq!(config.allow_weak_keys, expected);
            let back: GenerationConfig = serde_json::from_value(serde_json::to_value(&config).unwrap()).unwrap();
            assert_eq!(back, config);
        }
        for written in [json!("yes"), json!(1), json!(null)] {
            let read = serde_json::from_value::<GenerationConfig>(json!({ "allow_weak_keys": written }));
            assert!(read.unwrap_err().to_string().contains("true, false or a blank text"), "{written}");
        }
    }
}
