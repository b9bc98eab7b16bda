//! Settings of authentication.

use serde::{Deserialize, Serialize};

use crate::keystone;

/// How callers prove who they are. Part of the configuration, as `[auth]`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Config {
    /// The methods, in the order in which they are tried.
    pub methods: Vec<MethodName>,
    /// Where Keystone is, if it is one of them.
    pub keystone: keystone::Config,
}

/// A method of authentication, as the configuration names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum MethodName {
    /// Tokens made by `bailey token create`.
    StaticToken,
    /// Tokens that Keystone issues.
    Keystone,
    /// Identity headers are believed. Anybody can be anybody.
    NoneForDevelopment,
}

impl Default for Config {
    fn default() -> Self {
        Self { methods: vec![MethodName::StaticToken], keystone: keystone::Config::default() }
    }
}

impl Config {
    /// Whether identity headers are believed, so that nobody else's machine may reach the API.
    #[must_use]
    pub fn believes_anyone(&self) -> bool {
        self.methods.contains(&MethodName::NoneForDevelopment)
    }

    /// Whether tokens of Bailey's own are taken.
    #[must_use]
    pub fn takes_static_tokens(&self) -> bool {
        self.methods.contains(&MethodName::StaticToken)
    }

    /// Whether Keystone is asked.
    #[must_use]
    pub fn asks_keystone(&self) -> bool {
        self.methods.contains(&MethodName::Keystone)
    }

    /// What callers without valid credentials are told of how to get some (RFC 9110, section 11.6.1).
    pub(crate) fn challenge(&self) -> String {
        // Clients of OpenStack look at the first.
        let keystone = self.asks_keystone().then(|| self.keystone.challenge());
        let bearer = self.takes_static_tokens().then(|| "Bearer realm=\"bailey\"".to_owned());
        keystone.into_iter().chain(bearer).collect::<Vec<_>>().join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn methods_have_the_documented_names() {
        let methods = vec![MethodName::StaticToken, MethodName::Keystone, MethodName::NoneForDevelopment];
        let config = Config { methods, ..Config::default() };
        let written = "methods = [\"static-token\", \"keystone\", \"none-for-development\"]";
        assert_eq!(toml::from_str(written), Ok(config.clone()));
        assert_eq!(toml::from_str(""), Ok(Config::default()));
        assert!(config.believes_anyone());
        assert!(!Config::default().believes_anyone());
    }

    #[test]
    fn callers_are_told_of_every_method_that_takes_tokens() {
        let challenge = |methods: &[MethodName]| {
            let keystone = keystone::Config { url: "http://k/v3".to_owned(), ..keystone::Config::default() };
            Config { methods: methods.to_vec(), keystone }.challenge()
        };
        let (keystone, bearer) = ("Keystone uri=\"http://k/v3\"", "Bearer realm=\"bailey\"");
        assert_eq!(challenge(&[MethodName::StaticToken]), bearer);
        assert_eq!(challenge(&[MethodName::Keystone]), keystone);
        assert_eq!(challenge(&[MethodName::StaticToken, MethodName::Keystone]), format!("{keystone}, {bearer}"));
        assert_eq!(challenge(&[MethodName::NoneForDevelopment]), "");
    }
}
