//! What goes to and fro (RFC 8555, section 7.1).

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use bailey_core::certificate::AltName;
use serde::{Deserialize, Serialize};

use super::problem::Problem;

/// Where things are.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Directory {
    pub(super) new_nonce: String,
    pub(super) new_account: String,
    pub(super) new_order: String,
    pub(super) revoke_cert: Option<String>,
    pub(super) renewal_info: Option<String>,
    #[serde(default)]
    pub(super) meta: Meta,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub(super) struct Meta {
    pub(super) profiles: BTreeMap<String, String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct AccountObject {
    pub(super) status: Option<String>,
    pub(super) orders: Option<String>,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct OrderList {
    pub(super) orders: Vec<String>,
}

/// A name that is certified.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(super) struct Identifier {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) value: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Pending,
    Ready,
    Processing,
    Valid,
    Invalid,
    Revoked,
    Expired,
    Deactivated,
}

#[derive(Debug, Clone, Deserialize)]
pub(super) struct Order {
    pub(super) status: Status,
    #[serde(default)]
    pub(super) identifiers: Vec<Identifier>,
    #[serde(default)]
    pub(super) profile: Option<String>,
    pub(super) authorizations: Vec<String>,
    pub(super) finalize: String,
    pub(super) certificate: Option<String>,
    pub(super) error: Option<Problem>,
}

/// Whether a name is the account's.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Authorization {
    pub(super) identifier: Identifier,
    pub(super) status: Status,
    #[serde(default)]
    pub(super) wildcard: bool,
    #[serde(default)]
    pub(super) challenges: Vec<Challenge>,
}

/// A way to prove that it is.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Challenge {
    #[serde(rename = "type")]
    pub(super) kind: String,
    pub(super) url: String,
    #[serde(default)]
    pub(super) token: String,
    pub(super) status: Status,
    pub(super) error: Option<Problem>,
}

impl Identifier {
    /// The identifiers of alternative names.
    ///
    /// # Errors
    /// Why there are none, fit for the client.
    pub(super) fn of(names: &[AltName]) -> Result<BTreeSet<Self>, String> {
        let identifiers = names.iter().map(|name| match name {
            AltName::Dns(host) => Ok(Self { kind: "dns".into(), value: host.clone() }),
            AltName::Ip(address) => Ok(Self { kind: "ip".into(), value: address.to_string() }),
            AltName::Email(_) | AltName::Uri(_) => Err("ACME certifies names and addresses of hosts only".to_owned()),
        });
        let identifiers = identifiers.collect::<Result<BTreeSet<_>, _>>()?;
        if identifiers.is_empty() {
            return Err("The certification request names no host".to_owned());
        }
        Ok(identifiers)
    }

    /// Written as everybody does, for comparing.
    pub(super) fn plain(&self) -> Self {
        let value = match self.value.parse::<IpAddr>() {
            Ok(address) if self.kind == "ip" => address.to_string(),
            _ => self.value.to_ascii_lowercase(),
        };
        Self { kind: self.kind.clone(), value }
    }
}

impl Authorization {
    /// The name with its star.
    pub(super) fn name(&self) -> String {
        let star = if self.wildcard && !self.identifier.value.starts_with("*.") { "*." } else { "" };
        format!("{star}{}", self.identifier.value)
    }

    /// The name without it, which is where proofs are.
    pub(super) fn host(&self) -> &str {
        self.identifier.value.strip_prefix("*.").unwrap_or(&self.identifier.value)
    }
}
