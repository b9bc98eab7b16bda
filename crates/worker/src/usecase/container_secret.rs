//! What is in a container: add, remove.

use bailey_core::access::Call;
use bailey_core::container::{ContainerType, GivenReference};
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::ContainerId;
use bailey_core::request::{AddContainerSecret, RemoveContainerSecret};
use bailey_db::container::{self, Added};
use bailey_db::secret;

use crate::Worker;
use crate::policy::Rule;
use crate::session::{container_name, container_not_found};
use crate::usecase::container::secret_missing;

/// Puts a secret into a generic container.
///
/// # Errors
/// `NotFound` for the container or the secret, `Forbidden`; `Invalid` for another type of container;
/// `Conflict` when the secret is there under the same name; `Unavailable`.
pub async fn add(worker: &Worker, call: Call, request: AddContainerSecret) -> Result<ContainerId, Failure> {
    let session = worker.session(call).await?;
    let target = session.container(Rule::ContainerSecretPost, request.id).await?;
    let given = request.reference.accept()?;
    if target.container.container_type != ContainerType::Generic {
        return Err(Failure::invalid("Only generic containers can be modified"));
    }
    let (id, owner, now) = (target.container.id, target.container.project.clone(), worker.clock.now());
    let (project, reference) = (session.caller.project.clone(), given.known().ok_or_else(secret_missing)?);
    let added = session.write(move |tx| {
        let (project, owner, reference) = (project.clone(), owner.clone(), reference.clone());
        Box::pin(async move {
            if !secret::hold(tx, &project, &[reference.secret], now).await? {
                return Err(secret_missing());
            }
            match container::add_reference(tx, &owner, id, &reference).await? {
                Added::Yes => Ok(id),
                Added::Twin => Err(twin()),
                Added::NoContainer => Err(container_not_found()),
            }
        })
    });
    session.audited(Rule::ContainerSecretPost, container_name(&target), added.await)
}

fn twin() -> Failure {
    Failure::new(FailureKind::Conflict, "The container holds this secret under this name already")
}

/// Takes a secret out of a container.
///
/// # Errors
/// `NotFound` for the container, the secret, or when it isn't there under this name; `Forbidden`;
/// `Unavailable`.
pub async fn remove(worker: &Worker, call: Call, request: RemoveContainerSecret) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let target = session.container(Rule::ContainerSecretDelete, request.id).await?;
    let given: GivenReference = request.reference.accept()?;
    let (id, owner, now) = (target.container.id, target.container.project.clone(), worker.clock.now());
    let (project, reference) = (session.caller.project.clone(), given.known().ok_or_else(secret_missing)?);
    let removed = session.write(move |tx| {
        let (project, owner, reference) = (project.clone(), owner.clone(), reference.clone());
        Box::pin(async move {
            if !secret::hold(tx, &project, &[reference.secret], now).await? {
                return Err(secret_missing());
            }
            let is_removed = container::remove_reference(tx, &owner, id, &reference).await?;
            if is_removed { Ok(()) } else { Err(not_in_container()) }
        })
    });
    session.audited(Rule::ContainerSecretDelete, container_name(&target), removed.await)
}

fn not_in_container() -> Failure {
    Failure::not_found("The secret is not in the container under this name")
}
