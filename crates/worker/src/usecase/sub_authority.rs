//! Certificate authorities that projects have below others.

use std::sync::Arc;

use bailey_core::access::Call;
use bailey_core::ca::{
    CaError, CaErrorKind, CaOrigin, CertificateAuthority, ConfiguredCa, GivenSubAuthority, NewSubAuthority,
    SubAuthorities,
};
use bailey_core::failure::{Failure, FailureKind, Violation};
use bailey_core::ids::CaId;
use bailey_core::quota::Counted;
use bailey_core::request::{CreateSubAuthority, DeleteSubAuthority};
use bailey_db::ca;

use super::ca::{known, name, not_found, session, visible};
use super::ca_choice::take_back;
use crate::Worker;
use crate::error::ca_failure;
use crate::idempotency::{Asked, Once, claim};
use crate::limits::reserve;
use crate::policy::Rule;
use crate::session::Session;

const WANTED: [(Counted, u64); 1] = [(Counted::Cas, 1)];

/// Makes a CA of the caller's project's below another: its key first, where the CA above keeps its own, then its row.
///
/// # Errors
/// `NotFound` when CAs are not offered; `Forbidden`; `Invalid` for what the body has wrong, and for a CA above that
/// isn't there or may have none below it; `Mismatch` when the key was used with another body; `QuotaExceeded`,
/// `Unavailable`.
pub async fn create(worker: &Worker, call: Call, request: CreateSubAuthority) -> Result<CaId, Failure> {
    let session = session(worker, call).await?;
    session.authorise(Rule::CasPost)?;
    let given = request.authority.accept()?;
    let once = match session.asked("cas", request.idempotency).await? {
        Asked::Before(first) => return Ok(first.into()),
        Asked::Anew(once) => once,
    };
    let id = CaId::new();
    let made = make(&session, id, given, once).await;
    let target = name(*made.as_ref().unwrap_or(&id));
    session.audited(Rule::CasPost, target, made)
}

async fn make(session: &Session<'_>, id: CaId, given: GivenSubAuthority, once: Option<Once>) -> Result<CaId, Failure> {
    let (worker, project) = (session.worker, &session.caller.project);
    let above = above(session, given.parent).await?;
    let below = above.sub_authorities().ok_or_else(childless)?;
    worker.look_for_room(project, &WANTED).await?;
    let now = worker.clock.now();
    let (subject, ca_name) = (given.subject.to_string(), given.name.clone());
    let created = below.create(&NewSubAuthority { id, name: ca_name, subject, requested_at: now }).await;
    let (project, creator) = (project.clone(), session.caller.user.clone());
    let ca = ConfiguredCa {
        id,
        name: given.name,
        plugin: above.descriptor().kind.to_string(),
        plugin_ca_id: id.to_string(),
        description: given.description,
        origin: CaOrigin::Project { parent: given.parent, project, creator },
        created_at: now,
        updated_at: now,
    };
    let made = match created {
        Ok(_) => insert(session, ca, given.parent, once).await,
        Err(error) => Err(refusal(&error)),
    };
    if !made.as_ref().is_ok_and(|made| *made == id) {
        withdraw(session, below, id).await;
    }
    made
}

/// Destroys the key of a CA that was not made. The project's lock waits for a commit of which nobody knows yet what
/// became of it; where the row can't be asked for, the key stays.
async fn withdraw(session: &Session<'_>, below: &dyn SubAuthorities, id: CaId) {
    let project = session.caller.project.clone();
    let is_there = session.worker.db.write(move |tx| {
        let project = project.clone();
        Box::pin(async move {
            ca::lock(tx, &project).await?;
            Ok::<_, Failure>(ca::find(tx, &project, id).await?.is_some())
        })
    });
    let left = match is_there.await {
        Ok(true) => return,
        Ok(false) => below.delete(id).await.err().map(|error| error.to_string()),
        Err(failure) => Some(failure.to_string()),
    };
    if let Some(reason) = left {
        tracing::warn!(ca = %id, reason, "the key of a CA that was not made is left over");
    }
}

/// The CA above one that is to be made.
async fn above(session: &Session<'_>, id: CaId) -> Result<Arc<dyn CertificateAuthority>, Failure> {
    let found = visible(session, id).await?.ok_or_else(absent)?;
    session.worker.serving(&session.caller.project, found.id).await?.ok_or_else(absent)
}

async fn insert(session: &Session<'_>, ca: ConfiguredCa, parent: CaId, once: Option<Once>) -> Result<CaId, Failure> {
    let (id, now, defaults, asked) = (ca.id, ca.created_at, session.worker.limits.defaults(), once.clone());
    let project = session.caller.project.clone();
    let inserted = session.write(move |tx| {
        let (ca, project, once) = (ca.clone(), project.clone(), asked.clone());
        Box::pin(async move {
            let first = claim(tx, once.as_ref(), id.uuid(), now).await?;
            if first.is_some() {
                return Ok(first);
            }
            reserve(tx, &project, &defaults, &WANTED, now).await?;
            ca::lock(tx, &project).await?;
            if ca::find(tx, &project, parent).await?.is_none() {
                return Err(absent());
            }
            ca::insert(tx, &ca).await?;
            Ok(None)
        })
    });
    session.answer(id, once.as_ref(), inserted.await?)
}

/// Deletes a CA of the caller's project's. Its certificate is revoked and its key destroyed before the row goes: whoever
/// fails in between may ask again.
///
/// # Errors
/// `NotFound`; `Forbidden`, also for CAs of the configuration; `Conflict` for the preferred one of several, and while
/// there are others below it; `Unavailable`.
pub async fn delete(worker: &Worker, call: Call, request: DeleteSubAuthority) -> Result<(), Failure> {
    let session = session(worker, call).await?;
    let ca = known(&session, request.id).await?;
    session.authorise(Rule::CaDelete)?;
    let deleted = remove(&session, &ca).await;
    session.audited(Rule::CaDelete, name(ca.id), deleted)
}

async fn remove(session: &Session<'_>, ca: &ConfiguredCa) -> Result<(), Failure> {
    let CaOrigin::Project { parent, .. } = &ca.origin else {
        return Err(Failure::new(FailureKind::Forbidden, ""));
    };
    let (worker, project, id) = (session.worker, session.caller.project.clone(), ca.id);
    let dismissed = worker.db.write(move |tx| {
        let project = project.clone();
        Box::pin(async move {
            ca::lock(tx, &project).await?;
            if ca::has_below(tx, &project, id).await? {
                let sentence = "There are certificate authorities below this one";
                return Err(Failure::new(FailureKind::Conflict, sentence));
            }
            take_back(tx, &project, id).await.map(drop)
        })
    });
    dismissed.await?;
    let above = worker.authority(&session.caller.project, *parent).await?.ok_or_else(not_found)?;
    let below = above.sub_authorities().ok_or_else(childless)?;
    let ended = below.delete(id).await;
    worker.authorities.published.revoked(*parent).await;
    ended.map_err(|error| ca_failure(&error))?;
    let project = session.caller.project.clone();
    let deleted = session.write(move |tx| {
        let project = project.clone();
        Box::pin(async move {
            ca::lock(tx, &project).await?;
            // Chosen anew meanwhile.
            take_back(tx, &project, id).await?;
            if ca::delete(tx, &project, id).await? { Ok(()) } else { Err(not_found()) }
        })
    });
    let deleted = deleted.await;
    worker.authorities.published.deleted(id);
    deleted
}

fn refusal(error: &CaError) -> Failure {
    match error.kind {
        CaErrorKind::Unsupported => childless(),
        _ => ca_failure(error),
    }
}

fn absent() -> Failure {
    wrong("must be the href of a certificate authority that is there")
}

fn childless() -> Failure {
    wrong("must be the href of a certificate authority that may have others below it")
}

fn wrong(reason: &str) -> Failure {
    let violation = Violation { property: Some("parent_ca_ref".to_owned()), reason: reason.to_owned() };
    Failure::schema("CA", vec![violation])
}
