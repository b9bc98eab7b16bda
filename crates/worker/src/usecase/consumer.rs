//! Consumers of secrets and containers.

use bailey_core::access::Call;
use bailey_core::consumer::{ConsumerPage, ContainerConsumer, SecretConsumer};
use bailey_core::container::Container;
use bailey_core::failure::{Failure, FailureKind, Parsed};
use bailey_core::ids::{ContainerId, EntityId, SecretId};
use bailey_core::quota::Counted;
use bailey_core::request::{
    AddContainerConsumer, AddSecretConsumer, GetConsumer, ListContainerConsumers, ListSecretConsumers, NoConsumer,
    RemoveContainerConsumer, RemoveSecretConsumer,
};
use bailey_core::secret::{PageRequest, Secret};
use bailey_db::consumer::{self, Consumed, Removal, Used};
use bailey_db::target::{ContainerTarget, SecretTarget};

use crate::Worker;
use crate::limits::reserve;
use crate::policy::Rule;
use crate::session::{EntityRule, Session, entity_failure};
use crate::usecase::{container, secret};

/// Lists who registered with a secret.
///
/// # Errors
/// `NotFound`, `Forbidden`; `Invalid` for a repeated parameter; `Unavailable`.
pub async fn list_of_secret(
    worker: &Worker,
    call: Call,
    request: ListSecretConsumers,
) -> Result<ConsumerPage<SecretConsumer>, Failure> {
    let session = worker.session(call).await?;
    let target = session.secret(Rule::SecretConsumersGet, request.id).await?;
    list(worker, used_secret(&target), request.page).await
}

/// Registers a consumer with a secret.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Invalid`; `QuotaExceeded`, also for one that is registered; `Unavailable`.
pub async fn add_to_secret(worker: &Worker, call: Call, request: AddSecretConsumer) -> Result<Secret, Failure> {
    let session = worker.session(call).await?;
    let target = session.secret(Rule::SecretConsumersPost, request.id).await?;
    add(worker, &session, Rule::SecretConsumersPost, used_secret(&target), request.usage.accept()?).await?;
    secret::describe(worker, target.secret.id).await
}

/// Ends a consumer's registration with a secret.
///
/// # Errors
/// `NotFound` for the secret or the registration; `Forbidden`, also when another project registered it;
/// `Invalid`, `Unavailable`.
pub async fn remove_from_secret(worker: &Worker, call: Call, request: RemoveSecretConsumer) -> Result<Secret, Failure> {
    let session = worker.session(call).await?;
    let target = session.secret(Rule::SecretConsumersDelete, request.id).await?;
    remove(&session, Rule::SecretConsumersDelete, used_secret(&target), request.usage.accept()?).await?;
    secret::describe(worker, target.secret.id).await
}

/// Lists who registered with a container.
///
/// # Errors
/// As [`list_of_secret`].
pub async fn list_of_container(
    worker: &Worker,
    call: Call,
    request: ListContainerConsumers,
) -> Result<ConsumerPage<ContainerConsumer>, Failure> {
    let session = worker.session(call).await?;
    let target = session.container(Rule::ContainerConsumersGet, request.id).await?;
    list(worker, used_container(&target), request.page).await
}

/// Registers a consumer with a container.
///
/// # Errors
/// As [`add_to_secret`].
pub async fn add_to_container(
    worker: &Worker,
    call: Call,
    request: AddContainerConsumer,
) -> Result<Container, Failure> {
    let session = worker.session(call).await?;
    let target = session.container(Rule::ContainerConsumersPost, request.id).await?;
    add(worker, &session, Rule::ContainerConsumersPost, used_container(&target), request.usage.accept()?).await?;
    container::describe(worker, target.container.id).await
}

/// Ends a consumer's registration with a container.
///
/// # Errors
/// As [`remove_from_secret`].
pub async fn remove_from_container(
    worker: &Worker,
    call: Call,
    request: RemoveContainerConsumer,
) -> Result<Container, Failure> {
    let session = worker.session(call).await?;
    let target = session.container(Rule::ContainerConsumersDelete, request.id).await?;
    remove(&session, Rule::ContainerConsumersDelete, used_container(&target), request.usage.accept()?).await?;
    container::describe(worker, target.container.id).await
}

/// Says to those who may ask that there is no such consumer.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn get(worker: &Worker, call: Call, request: GetConsumer) -> Result<NoConsumer, Failure> {
    let rule = EntityRule { secret: Rule::ConsumerGet, container: Rule::ConsumerGet };
    worker.session(call).await?.entity(rule, request.entity).await?;
    Err(consumer_not_found())
}

fn used_secret(target: &SecretTarget) -> Used<SecretId> {
    Used { entity: target.secret.id, project: target.secret.project.clone() }
}

fn used_container(target: &ContainerTarget) -> Used<ContainerId> {
    Used { entity: target.container.id, project: target.container.project.clone() }
}

async fn list<E: Consumed>(
    worker: &Worker,
    used: Used<E>,
    page: Parsed<PageRequest>,
) -> Result<ConsumerPage<E::Consumer>, Failure> {
    let page = consumer::list(worker.db.reader(), &used, page.accept()?).await?;
    Ok(ConsumerPage { of: used.entity.into(), page })
}

async fn add<E: Consumed>(
    worker: &Worker,
    session: &Session<'_>,
    rule: Rule,
    used: Used<E>,
    usage: E::Use,
) -> Result<(), Failure> {
    let (id, by, now): (EntityId, _, _) = (used.entity.into(), session.caller.project.clone(), worker.clock.now());
    let (defaults, counted) = (worker.limits.defaults(), counted(id));
    let added = session.write(move |tx| {
        let (used, usage, by) = (used.clone(), usage.clone(), by.clone());
        Box::pin(async move {
            // Before it is known whether it is registered already, as in Barbican.
            reserve(tx, &by, &defaults, &[(counted, 1)], now).await?;
            let added = consumer::add(tx, &used, &usage, &by, now).await;
            added.map(drop).map_err(|error| entity_failure(id, error))
        })
    });
    session.audited(rule, id.to_string(), added.await)
}

async fn remove<E: Consumed>(session: &Session<'_>, rule: Rule, used: Used<E>, usage: E::Use) -> Result<(), Failure> {
    let (id, by): (EntityId, _) = (used.entity.into(), session.caller.project.clone());
    let removed = session.write(move |tx| {
        let (used, usage, by) = (used.clone(), usage.clone(), by.clone());
        Box::pin(async move { Ok::<_, Failure>(consumer::remove(tx, &used, &usage, &by).await?) })
    });
    let result = removed.await.and_then(|removal| match removal {
        Removal::Removed => Ok(()),
        Removal::Missing => Err(consumer_not_found()),
        Removal::NotTheirs => Err(Failure::new(FailureKind::Forbidden, "")),
    });
    session.audited(rule, id.to_string(), result)
}

const fn counted(entity: EntityId) -> Counted {
    match entity {
        EntityId::Secret(_) => Counted::SecretConsumers,
        EntityId::Container(_) => Counted::ContainerConsumers,
    }
}

fn consumer_not_found() -> Failure {
    Failure::not_found("The consumer was not found")
}
