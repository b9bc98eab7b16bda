//! Settings of the policy.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// Which rules hold. Part of the configuration, as `[policy]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PolicyConfig {
    /// Which of the two generations of default rules is loaded.
    pub generation: Generation,
    /// A file of the operator's own policies, which add to the default ones or replace them; none,
    /// if empty.
    pub file: PathBuf,
}

/// A generation of Barbican's default rules.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Generation {
    /// Roles `admin`, `creator`, `observer`, `audit` and `key-manager:service-admin`.
    #[default]
    Legacy,
    /// Roles `admin`, `member` and `reader`.
    New,
}

/// How far compatibility with Barbican goes where that lets someone in who shouldn't be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Compat {
    /// The wire contract to the letter.
    #[default]
    Barbican,
    /// Without what is known to be too lax in it.
    Strict,
}
