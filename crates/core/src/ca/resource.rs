//! CAs as the API tells of them.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::ProfileDescriptor;
use crate::certificate::DistinguishedName;
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

impl ConfiguredCa {
    /// Whose it is, unless it is configured.
    #[must_use]
    pub const fn project(&self) -> Option<&ProjectId> {
        match &self.origin {
            CaOrigin::Configured => None,
            CaOrigin::Project { project, .. } => Some(project),
        }
    }
}

/// A CA with what it tells of itself. Its certificates are missing where they can't be had now, or never.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DescribedCa {
    /// The CA.
    pub ca: ConfiguredCa,
    /// What orders may name as their profile; the first is what they get that name none.
    pub profiles: Vec<ProfileDescriptor>,
    /// Its certificate, PEM.
    pub certificate: Option<String>,
    /// The same, then its issuer's, up to the root; PEM, one after the other.
    pub chain: Option<String>,
    /// When its certificate ends.
    pub expires_at: Option<DateTime<Utc>>,
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
    /// Its subject.
    pub subject: DistinguishedName,
    /// The CA above it.
    pub parent: CaId,
    /// What it is for.
    pub description: Option<String>,
}
