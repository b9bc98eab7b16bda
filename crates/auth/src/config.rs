//! Settings of authentication.

use serde::{Deserialize, Serialize};

/// How callers prove who they are. Part of the configuration, as `[auth]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The methods, in the order in which they are tried.
    pub methods: Vec<MethodName>,
}

/// A method of authentication, as the configuration names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodName {
    /// Tokens made by `bailey token create`.
    StaticToken,
    /// Identity headers are believed. Anybody can be anybody.
    NoneForDevelopment,
}

impl Default for Config {
    fn default() -> Self {
        Self { methods: vec![MethodName::StaticToken] }
    }
}

impl Config {
    /// Whether identity headers are believed, so that nobody else's machine may reach the API.
    #[must_use]
    pub fn believes_anyone(&self) -> bool {
        self.methods.contains(&MethodName::NoneForDevelopment)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_the_documented_names() {
        let config = Config { methods: vec![MethodName::StaticToken, MethodName::NoneForDevelopment] };
        assert_eq!(toml::from_str("methods = [\"static-token\", \"none-for-development\"]"), Ok(config.clone()));
        assert_eq!(toml::from_str(""), Ok(Config::default()));
        assert!(config.believes_anyone());
        assert!(!Config::default().believes_anyone());
    }
}
