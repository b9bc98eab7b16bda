//! Containers: create, describe, list, delete.

use bailey_core::access::Call;
use bailey_core::container::{Container, GivenReference, NewContainer};
use bailey_core::failure::Failure;
use bailey_core::ids::{ContainerId, SecretId};
use bailey_core::quota::Counted;
use bailey_core::request::{CreateContainer, DeleteContainer, GetContainer, ListContainers};
use bailey_core::secret::Page;
use bailey_db::{consumer, container, secret, target};

use crate::Worker;
use crate::idempotency::{Asked, Once, claim};
use crate::limits::reserve;
use crate::policy::Rule;
use crate::session::{Session, container_name, container_not_found};

/// Creates a container of secrets that are there.
///
/// # Errors
/// `Invalid` for what the body has wrong; `Mismatch` when its key was used with another body;
/// `QuotaExceeded`; `NotFound` when a secret isn't the project's, or not any more; `Unavailable`.
pub async fn create(worker: &Worker, call: Call, request: CreateContainer) -> Result<ContainerId, Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::ContainersPost)?;
    let new = request.container.accept()?;
    let once = match session.asked("containers", request.idempotency).await? {
        Asked::Before(first) => return Ok(first.into()),
        Asked::Anew(once) => once,
    };
    let id = ContainerId::new();
    let result = insert(worker, &session, id, new, once).await;
    let target = format!("containers/{}", result.as_ref().unwrap_or(&id));
    session.audited(Rule::ContainersPost, target, result)
}

async fn insert(
    worker: &Worker,
    session: &Session<'_>,
    id: ContainerId,
    new: NewContainer,
    once: Option<Once>,
) -> Result<ContainerId, Failure> {
    let now = worker.clock.now();
    let given = new.secrets.len();
    let container = Container {
        id,
        project: session.caller.project.clone(),
        creator: session.caller.user.clone(),
        name: new.name,
        container_type: new.container_type,
        created_at: now,
        updated_at: now,
        secrets: new.secrets.into_iter().filter_map(GivenReference::known).collect(),
        consumers: Vec::new(),
    };
    let secrets: Vec<SecretId> = container.secrets.iter().map(|reference| reference.secret).collect();
    let (defaults, asked) = (worker.limits.defaults(), once.clone());
    let inserted = session.write(move |tx| {
        let (container, secrets, once) = (container.clone(), secrets.clone(), asked.clone());
        Box::pin(async move {
            let first = claim(tx, once.as_ref(), id.uuid(), now).await?;
            if first.is_some() {
                return Ok(first);
            }
            reserve(tx, &container.project, &defaults, &[(Counted::Containers, 1)], now).await?;
            if secrets.len() < given || !secret::hold(tx, &container.project, &secrets, now).await? {
                return Err(secret_missing());
            }
            container::insert(tx, &container).await?;
            Ok(None)
        })
    });
    session.answer(id, once.as_ref(), inserted.await?)
}

/// The answer for a secret that can't be put into a container.
pub(crate) fn secret_missing() -> Failure {
    Failure::not_found("A secret that is referred to was not found")
}

/// Tells what a container is and holds.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn get(worker: &Worker, call: Call, request: GetContainer) -> Result<Container, Failure> {
    let session = worker.session(call).await?;
    let mut container = session.container(Rule::ContainerGet, request.id).await?.container;
    fill(worker, std::slice::from_mut(&mut container)).await?;
    Ok(container)
}

/// Lists the project's containers.
///
/// # Errors
/// `Forbidden`; `Invalid` for a malformed filter; `Unavailable`.
pub async fn list(worker: &Worker, call: Call, request: ListContainers) -> Result<Page<Container>, Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::ContainersGet)?;
    let query = request.query.accept()?;
    let mut page =
        container::list(worker.db.reader(), &session.caller.project, &query, session.sight(Rule::ContainerGet)?)
            .await?;
    fill(worker, &mut page.items).await?;
    Ok(page)
}

/// A container with all that is told of it, for a caller who was allowed to do something to it.
pub(crate) async fn describe(worker: &Worker, id: ContainerId) -> Result<Container, Failure> {
    let target = target::find_container(worker.db.reader(), id).await?.ok_or_else(container_not_found)?;
    let mut container = target.container;
    fill(worker, std::slice::from_mut(&mut container)).await?;
    Ok(container)
}

/// Adds what the containers hold and who registered with them.
pub(crate) async fn fill(worker: &Worker, containers: &mut [Container]) -> Result<(), Failure> {
    let ids: Vec<ContainerId> = containers.iter().map(|container| container.id).collect();
    let mut references = container::references(worker.db.reader(), &ids).await?;
    let mut consumers = consumer::of_containers(worker.db.reader(), &ids).await?;
    for container in containers {
        container.secrets = references.remove(&container.id).unwrap_or_default();
        container.consumers = consumers.remove(&container.id).unwrap_or_default();
    }
    Ok(())
}

/// Deletes a container; its secrets stay.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn delete(worker: &Worker, call: Call, request: DeleteContainer) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let target = session.container(Rule::ContainerDelete, request.id).await?;
    let (project, id) = (target.container.project.clone(), target.container.id);
    let deleted = session.write(move |tx| {
        let project = project.clone();
        Box::pin(
            async move { if container::delete(tx, &project, id).await? { Ok(()) } else { Err(container_not_found()) } },
        )
    });
    session.audited(Rule::ContainerDelete, container_name(&target), deleted.await)
}
