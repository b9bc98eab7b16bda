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

/// What a client says about an ACL.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AclChange {
    /// Whether the project's members may read.
    pub project_access: Option<bool>,
    /// All users who may read beside them.
    pub users: Option<Vec<UserId>>,
}

impl AclChange {
    /// Whether it says nothing, which is not the same as saying what holds by default.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.project_access.is_none() && self.users.is_none()
    }
}
