//! What is alike for secrets and containers.

use bailey_core::failure::{Failure, Parsed};
use bailey_core::ids::{EntityId, ProjectId};
use bailey_core::request::EntityPath;
use bailey_db::{Error, ErrorKind};

use crate::policy::Rule;
use crate::session::{Session, container_not_found, secret_not_found};

/// The rule for one and the same thing to do to a secret or to a container.
pub(crate) struct EntityRule {
    pub(crate) secret: Rule,
    pub(crate) container: Rule,
}

/// A secret or container that the caller may do something to.
pub(crate) struct EntityTarget {
    pub(crate) id: EntityId,
    pub(crate) project: ProjectId,
    /// The rule that allows it.
    pub(crate) rule: Rule,
}

impl Session<'_> {
    /// Finds a secret or a container and allows the caller to do what the rule is about. A denial is audited.
    pub(crate) async fn entity(&self, rule: EntityRule, path: EntityPath) -> Result<EntityTarget, Failure> {
        let id = path.accept()?;
        let (rule, project) = match id {
            EntityId::Secret(secret) => {
                (rule.secret, self.secret(rule.secret, Parsed::Valid(secret)).await?.secret.project)
            }
            EntityId::Container(container) => {
                (rule.container, self.container(rule.container, Parsed::Valid(container)).await?.container.project)
            }
        };
        Ok(EntityTarget { id, project, rule })
    }
}

/// What an error means where a secret or container may have gone between the decision and the write.
pub(crate) fn entity_failure(id: EntityId, error: Error) -> Failure {
    match (error.kind, id) {
        (ErrorKind::NotFound, EntityId::Secret(_)) => secret_not_found(),
        (ErrorKind::NotFound, EntityId::Container(_)) => container_not_found(),
        _ => error.into(),
    }
}
