//! Consumers: who registered an interest in a secret or a container.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{EntityId, ProjectId};
use crate::secret::Page;

/// A service's registration with a secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretConsumer {
    /// The project that registered it.
    pub project: ProjectId,
    /// Name of the service, 1 to 255 characters.
    pub service: String,
    /// Kind of the resource that uses the secret, 1 to 255 characters.
    pub resource_type: String,
    /// Id of that resource.
    pub resource_id: String,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// A service's registration with a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerConsumer {
    /// The project that registered it.
    pub project: ProjectId,
    /// Name of the service, 1 to 36 characters.
    pub name: String,
    /// Where it can be reached, 1 to 255 characters.
    pub url: String,
    /// When it was registered.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// What uses a secret: all that tells one registration with it from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecretUse {
    /// Name of the service, 1 to 255 characters.
    pub service: String,
    /// Kind of the resource that uses the secret, 1 to 255 characters.
    pub resource_type: String,
    /// Id of that resource, 1 to 255 bytes.
    pub resource_id: String,
}

/// What uses a container: all that tells one registration with it from another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContainerUse {
    /// Name of the service, 1 to 36 characters.
    pub name: String,
    /// Where it can be reached, 1 to 255 characters.
    pub url: String,
}

/// Part of a list of consumers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConsumerPage<C> {
    /// What they use.
    pub of: EntityId,
    /// Some of them.
    pub page: Page<C>,
}
