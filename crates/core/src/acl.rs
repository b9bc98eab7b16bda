//! Access control lists. Only the operation `read` exists.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::UserId;

/// Who may read a secret beside those whom the policy lets in by role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Acl {
    /// Whether the project's members may read; false makes the resource private.
    pub project_access: bool,
    /// Users who may read, whatever their project and roles. No duplicates.
    pub users: Vec<UserId>,
    /// When the ACL was first stored.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}
