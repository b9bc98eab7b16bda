//! ACLs of secrets and containers.

use bailey_core::access::Call;
use bailey_core::acl::{Acl, AclChange};
use bailey_core::failure::Failure;
use bailey_core::ids::EntityId;
use bailey_core::request::{DeleteAcl, GetAcl, PatchAcl, PutAcl};
use bailey_db::acl;

use crate::Worker;
use crate::policy::Rule;
use crate::session::{EntityRule, EntityTarget, Session, entity_failure};

const GET: EntityRule = EntityRule { secret: Rule::SecretAclsGet, container: Rule::ContainerAclsGet };
const PUT_PATCH: EntityRule = EntityRule { secret: Rule::SecretAclsPutPatch, container: Rule::ContainerAclsPutPatch };
const DELETE: EntityRule = EntityRule { secret: Rule::SecretAclsDelete, container: Rule::ContainerAclsDelete };

/// An ACL, if one was stored.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn get(worker: &Worker, call: Call, request: GetAcl) -> Result<Option<Acl>, Failure> {
    let session = worker.session(call).await?;
    let target = session.entity(GET, request.entity).await?;
    Ok(acl::find(worker.db.reader(), &target.project, target.id).await?)
}

/// Replaces an ACL, or removes it.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Invalid`, `Unavailable`.
pub async fn put(worker: &Worker, call: Call, request: PutAcl) -> Result<EntityId, Failure> {
    let session = worker.session(call).await?;
    let target = session.entity(PUT_PATCH, request.entity).await?;
    let wanted = request.acl.accept()?;
    let result = if wanted.is_empty() {
        remove(&session, &target).await
    } else {
        let whole = AclChange {
            project_access: wanted.project_access.or(Some(true)),
            users: wanted.users.or_else(|| Some(Vec::new())),
        };
        change(&session, &target, whole).await
    };
    session.audited(target.rule, target.id.to_string(), result.map(|()| target.id))
}

/// Changes an ACL, or makes one.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Invalid`, `Unavailable`.
pub async fn patch(worker: &Worker, call: Call, request: PatchAcl) -> Result<EntityId, Failure> {
    let session = worker.session(call).await?;
    let target = session.entity(PUT_PATCH, request.entity).await?;
    let wanted = request.change.accept()?;
    let result = if wanted.is_empty() { Ok(()) } else { change(&session, &target, wanted).await };
    session.audited(target.rule, target.id.to_string(), result.map(|()| target.id))
}

/// Removes an ACL, if there is one.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn delete(worker: &Worker, call: Call, request: DeleteAcl) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let target = session.entity(DELETE, request.entity).await?;
    let result = remove(&session, &target).await;
    session.audited(target.rule, target.id.to_string(), result)
}

async fn change(session: &Session<'_>, target: &EntityTarget, change: AclChange) -> Result<(), Failure> {
    let (project, id, now) = (target.project.clone(), target.id, session.worker.clock.now());
    let changed = session.write(move |tx| {
        let (project, change) = (project.clone(), change.clone());
        Box::pin(async move { acl::put(tx, &project, id, &change, now).await })
    });
    changed.await.map_err(|error| entity_failure(id, error))
}

async fn remove(session: &Session<'_>, target: &EntityTarget) -> Result<(), Failure> {
    let (project, id) = (target.project.clone(), target.id);
    let removed = session.write(move |tx| {
        let project = project.clone();
        Box::pin(async move { acl::delete(tx, &project, id).await })
    });
    Ok(removed.await?)
}
