//! CAs as the API tells of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::ids::{CaId, ProjectId, UserId};
use crate::secret::PageRequest;

/// Where a CA comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum CaOrigin {
    /// It is configured, for every project.
    Configured,
    /// A project had it made below another; the project's alone.
    Project {
        /// The CA above it.
        parent: CaId,
        /// Whose it is.
        project: ProjectId,
        /// Who had it made.
        creator: Option<UserId>,
    },
}

/// A CA as clients see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredCa {
    /// Its permanent id.
    pub id: CaId,
    /// Its name.
    pub name: String,
    /// The kind of its plugin: `local`, `acme`, `ejbca`.
    pub plugin: String,
    /// How the plugin calls it.
    pub plugin_ca_id: String,
    /// What it is for.
    pub description: Option<String>,
    /// Where it comes from.
    pub origin: CaOrigin,
    /// When it came to be.
    pub created_at: DateTime<Utc>,
    /// When it last changed.
    pub updated_at: DateTime<Utc>,
}

/// A question for a list of CAs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CaQuery {
    /// The kind of the plugin.
    pub plugin: Option<String>,
    /// How the plugin calls it.
    pub plugin_ca_id: Option<String>,
    /// Which part of the list.
    pub page: PageRequest,
}

/// A CA that a client wants below another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GivenSubAuthority {
    /// Its name, at most 255 characters.
    pub name: String,
    /// Its subject (RFC 4514).
    pub subject_dn: String,
    /// The CA above it; nothing if what was given is no CA's href.
    pub parent: Option<CaId>,
    /// What it is for.
    pub description: Option<String>,
}
