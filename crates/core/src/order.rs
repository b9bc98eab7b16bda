//! Orders: keys to be generated, and what became of them.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::certificate::{CertificateOrder, KeySource};
use crate::ids::{ContainerId, OrderId, ProjectId, SecretId, UserId};
use crate::quota::Counted;
use crate::secret::PageRequest;
use crate::sensitive::{SecretBytes, wire};
use crate::spec::Unknown;

/// What an order makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OrderType {
    /// A symmetric key: one secret.
    Key,
    /// A key pair: a secret for each half, one for its passphrase if there is one, and a container.
    Asymmetric,
    /// A certificate: a secret for it and for its intermediates, those of its key, if the key was made for it, and
    /// a container.
    Certificate,
}

impl OrderType {
    /// Every type.
    pub const ALL: [Self; 3] = [Self::Key, Self::Asymmetric, Self::Certificate];

    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Asymmetric => "asymmetric",
            Self::Certificate => "certificate",
        }
    }
}

impl fmt::Display for OrderType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OrderType {
    type Err = Unknown;
    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(Unknown("order type"))
    }
}

/// How far an order is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum OrderStatus {
    /// It is being worked on, or waits for that.
    Pending,
    /// Its product is there.
    Active,
    /// It has failed for good.
    Error,
}

impl OrderStatus {
    /// Every status.
    pub const ALL: [Self; 3] = [Self::Pending, Self::Active, Self::Error];

    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "PENDING",
            Self::Active => "ACTIVE",
            Self::Error => "ERROR",
        }
    }
}

impl fmt::Display for OrderStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for OrderStatus {
    type Err = Unknown;
    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|status| status.as_str() == text).ok_or(Unknown("order status"))
    }
}

/// An order to be taken. One that exists is well-formed; whether anybody can make what it asks for is
/// found out when it is worked on.
#[derive(Debug, Serialize, Deserialize)]
pub struct NewOrder {
    /// What it makes.
    pub order_type: OrderType,
    /// What the client said of the product, as the text of a JSON object: echoed as it is, without
    /// what is secret.
    pub meta: String,
    /// When the product ceases to be, as `meta` says; checked against the clock by the worker.
    pub expires_at: Option<DateTime<Utc>>,
    /// What the private key is to be encrypted under. Never empty, and only where a key pair is made.
    #[serde(default, with = "wire")]
    pub passphrase: Option<SecretBytes>,
    /// Which certificate; with certificates, and only with them.
    #[serde(default)]
    pub certificate: Option<CertificateOrder>,
}

/// What takes the place of a pending certificate order's `meta`.
#[derive(Debug, Serialize, Deserialize)]
pub struct OrderChange {
    /// What the client says of the product: the text of a JSON object.
    pub meta: String,
    /// Which certificate.
    pub certificate: CertificateOrder,
}

impl NewOrder {
    /// What it counts for against the project's quotas, once it is done.
    #[must_use]
    pub const fn charge(&self) -> Charge {
        let with_passphrase = if self.passphrase.is_some() { 1 } else { 0 };
        match (self.order_type, &self.certificate) {
            (OrderType::Key, _) => Charge { secrets: 1, containers: 0 },
            (OrderType::Asymmetric, _) => Charge { secrets: 2 + with_passphrase, containers: 1 },
            // Whether there will be intermediates only the CA knows.
            (OrderType::Certificate, Some(CertificateOrder { key: KeySource::Made { .. }, .. })) => {
                Charge { secrets: 3 + with_passphrase, containers: 1 }
            }
            (OrderType::Certificate, _) => Charge { secrets: 2, containers: 1 },
        }
    }
}

/// How many resources an order makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Charge {
    /// Secrets.
    pub secrets: i32,
    /// Containers.
    pub containers: i32,
}

impl Charge {
    /// What room has to be reserved for.
    #[must_use]
    pub fn counted(self) -> [(Counted, u64); 2] {
        let number = |charged: i32| u64::try_from(charged).unwrap_or_default();
        [(Counted::Secrets, number(self.secrets)), (Counted::Containers, number(self.containers))]
    }
}

/// An order as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// Its id.
    pub id: OrderId,
    /// The project that owns it.
    pub project: ProjectId,
    /// The user who gave it; the product is this user's.
    pub creator: Option<UserId>,
    /// What it makes.
    pub order_type: OrderType,
    /// What the client said of the product: the text of a JSON object.
    pub meta: String,
    /// How far it is.
    pub status: OrderStatus,
    /// How far it is, more closely; at most 36 characters.
    pub sub_status: Option<String>,
    /// The same as a sentence; at most 255 characters.
    pub sub_status_message: Option<String>,
    /// Why it failed.
    pub error: Option<OrderError>,
    /// The secret it made, or had made: it may be deleted by now.
    pub secret: Option<SecretId>,
    /// The container it made, or had made.
    pub container: Option<ContainerId>,
    /// When it was given.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// Why an order failed for good.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderError {
    /// An HTTP status, as text.
    pub code: String,
    /// One sentence fit for the client; at most 255 characters.
    pub reason: String,
}

/// A question for a list of orders.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OrderQuery {
    /// Part of the text of `meta`; `%` and `_` are wildcards.
    pub meta: Option<String>,
    /// Which part of the list.
    pub page: PageRequest,
}
