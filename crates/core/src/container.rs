//! Containers: named references to secrets that belong together.

use std::fmt;
use std::str::FromStr;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::consumer::ContainerConsumer;
use crate::ids::{ContainerId, ProjectId, SecretId, UserId};
use crate::secret::PageRequest;
use crate::spec::Unknown;

/// What a container holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ContainerType {
    /// Anything.
    Generic,
    /// An RSA key pair.
    Rsa,
    /// A certificate with what belongs to it.
    Certificate,
    /// A DSA key pair. Orders alone make it.
    Dsa,
}

impl ContainerType {
    /// Every type; those that clients may create come first.
    pub const ALL: [Self; 4] = [Self::Generic, Self::Rsa, Self::Certificate, Self::Dsa];

    /// The name on the wire and in the database.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Generic => "generic",
            Self::Rsa => "rsa",
            Self::Certificate => "certificate",
            Self::Dsa => "dsa",
        }
    }
}

impl fmt::Display for ContainerType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for ContainerType {
    type Err = Unknown;
    fn from_str(text: &str) -> Result<Self, Unknown> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or(Unknown("container type"))
    }
}

/// A secret in a container, and what it is called there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretReference {
    /// What it is called, at most 255 characters. No name is another name than an empty one.
    pub name: Option<String>,
    /// Which secret.
    pub secret: SecretId,
}

/// The same as a client gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenReference {
    /// What it is called.
    pub name: Option<String>,
    /// Which secret; `None` when the text can be no secret's href, so that there is no such secret.
    pub secret: Option<SecretId>,
}

impl GivenReference {
    /// The reference, if it can be one.
    #[must_use]
    pub fn known(self) -> Option<SecretReference> {
        Some(SecretReference { name: self.name, secret: self.secret? })
    }
}

/// A container to be created. One that exists obeys the rules of its type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewContainer {
    /// Label, at most 255 characters.
    pub name: Option<String>,
    /// What it holds.
    pub container_type: ContainerType,
    /// What is in it, in this order.
    pub secrets: Vec<GivenReference>,
}

/// A container as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its id.
    pub id: ContainerId,
    /// The project that owns it.
    pub project: ProjectId,
    /// The user who made it.
    pub creator: Option<UserId>,
    /// Label.
    pub name: Option<String>,
    /// What it holds.
    pub container_type: ContainerType,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
    /// What is in it, in the order in which it came; empty unless it was asked for.
    pub secrets: Vec<SecretReference>,
    /// Who registered an interest, by name; empty unless they were asked for.
    pub consumers: Vec<ContainerConsumer>,
}

/// Which containers a list shows; conditions are ANDed.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerFilter {
    /// LIKE pattern on the name; `%` and `_` are wildcards, `\` is an ordinary character.
    pub name: Option<String>,
    /// Exact type, as the client wrote it; an unknown one matches nothing.
    pub container_type: Option<String>,
}

/// A question for a list of containers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerQuery {
    /// Which ones.
    pub filter: ContainerFilter,
    /// Which part of the list, by creation and id.
    pub page: PageRequest,
}
