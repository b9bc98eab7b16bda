//! Secrets: create, describe, list, delete.

use bailey_core::access::Call;
use bailey_core::failure::{Failure, Violation};
use bailey_core::ids::{SecretId, TransportKeyId};
use bailey_core::quota::Counted;
use bailey_core::request::{CreateSecret, DeleteSecret, GetSecret, ListSecrets};
use bailey_core::secret::{CreatedSecret, NewSecret, Page, Secret, SentPayload};
use bailey_db::secret::Created;
use bailey_db::target::SecretTarget;
use bailey_db::{Placement, consumer, secret, target};

use crate::Worker;
use crate::idempotency::{Asked, Once, claim};
use crate::limits::reserve;
use crate::policy::Rule;
use crate::session::{Session, secret_name, secret_not_found};

/// Creates a secret: ciphertext first, then its row.
///
/// # Errors
/// `Invalid` for what the body has wrong; `Mismatch` when its key was used with another body;
/// `QuotaExceeded`; `NotSupported` or `TooLarge` when the store won't have it; `Unavailable`.
pub async fn create(worker: &Worker, call: Call, request: CreateSecret) -> Result<CreatedSecret, Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::SecretsPost)?;
    let new = request.secret.accept()?;
    let transport_key = if new.transport_key_needed {
        let store = worker.store_of(&session.caller.project).await?;
        Some(worker.transport_key_of(store.as_ref()).await?)
    } else {
        None
    };
    let once = match session.asked("secrets", request.idempotency).await? {
        Asked::Before(first) => return Ok(CreatedSecret { id: first.into(), transport_key }),
        Asked::Anew(once) => once,
    };
    let id = SecretId::new();
    let result = insert(worker, &session, id, new, once).await;
    let target = format!("secrets/{}", result.as_ref().unwrap_or(&id));
    session.audited(Rule::SecretsPost, target, result).map(|id| CreatedSecret { id, transport_key })
}

async fn insert(
    worker: &Worker,
    session: &Session<'_>,
    id: SecretId,
    new: NewSecret,
    once: Option<Once>,
) -> Result<SecretId, Failure> {
    let now = worker.clock.now();
    if new.expires_at.is_some_and(|expires_at| expires_at <= now) {
        let reason = "'expiration' is before current time".to_owned();
        return Err(Failure::schema("Secret", vec![Violation { property: Some("expiration".into()), reason }]));
    }
    let secret = Secret {
        id,
        project: session.caller.project.clone(),
        creator: session.caller.user.clone(),
        name: new.name,
        secret_type: new.secret_type,
        spec: new.spec,
        content_type: new.payload.as_ref().map(SentPayload::content_type),
        expires_at: new.expires_at,
        created_at: now,
        updated_at: now,
        consumers: Vec::new(),
    };
    let is_limited = worker.limits.probably_limit_secrets(&secret.project);
    if is_limited {
        worker.look_for_room(&secret.project, &WANTED).await?;
    }
    let placed = match new.payload {
        Some(sent) => {
            let received = worker.receive(&secret.project, sent).await?;
            Some(worker.place_received(&secret, &received).await?)
        }
        None => None,
    };
    let placement = placed.as_ref().map(|placed| &placed.placement);
    if !is_limited && once.is_none() && !session.has_message() {
        match secret::create(&worker.db, &secret, placement).await? {
            Created::Yes => return Ok(id),
            Created::Refused => worker.limits.remember(&secret.project),
        }
    }
    let inserted = insert_once(session, secret, placement.cloned(), once).await;
    if let Some(placed) = placed.filter(|_| !inserted.as_ref().is_ok_and(|inserted| *inserted == id)) {
        worker.take_back(&placed).await;
    }
    inserted
}

const WANTED: [(Counted, u64); 1] = [(Counted::Secrets, 1)];

/// Inserts a secret if there is room for it, unless the same was asked for before.
async fn insert_once(
    session: &Session<'_>,
    secret: Secret,
    placement: Option<Placement>,
    once: Option<Once>,
) -> Result<SecretId, Failure> {
    let (id, now, defaults) = (secret.id, secret.created_at, session.worker.limits.defaults());
    let asked = once.clone();
    let inserted = session.write(move |tx| {
        let (secret, placement, once) = (secret.clone(), placement.clone(), asked.clone());
        Box::pin(async move {
            let first = claim(tx, once.as_ref(), id.uuid(), now).await?;
            if first.is_none() {
                reserve(tx, &secret.project, &defaults, &WANTED, now).await?;
                secret::insert(tx, &secret, placement.as_ref()).await?;
            }
            Ok::<_, Failure>(first)
        })
    });
    session.answer(id, once.as_ref(), inserted.await?)
}

/// Tells what is known of a secret.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn get(worker: &Worker, call: Call, request: GetSecret) -> Result<(Secret, Option<TransportKeyId>), Failure> {
    let session = worker.session(call).await?;
    let SecretTarget { mut secret, placement, .. } = session.secret(Rule::SecretGet, request.id).await?;
    let transport_key = if request.with_transport_key.accept()? {
        let store = match &placement {
            Some(placement) => worker.stores.get(placement.store)?,
            None => worker.store_of(&secret.project).await?,
        };
        Some(worker.transport_key_of(store.as_ref()).await?)
    } else {
        None
    };
    if request.with_consumers {
        add_consumers(worker, std::slice::from_mut(&mut secret)).await?;
    }
    Ok((secret, transport_key))
}

/// Lists the project's secrets, or those of any project whose ACL names the caller.
///
/// # Errors
/// `Forbidden`; `Invalid` for a malformed filter or order; `Unavailable`.
pub async fn list(worker: &Worker, call: Call, request: ListSecrets) -> Result<Page<Secret>, Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::SecretsGet)?;
    let query = request.query.accept()?;
    let (reader, now) = (worker.db.reader(), worker.clock.now());
    let mut page = match &session.caller.user {
        Some(user) if query.acl_only => secret::list_readable(reader, user, &query, now).await?,
        _ => secret::list(reader, &session.caller.project, &query, session.sight(Rule::SecretGet)?, now).await?,
    };
    if request.with_consumers {
        add_consumers(worker, &mut page.items).await?;
    }
    Ok(page)
}

/// Deletes a secret, expired or not: its row first, then its bytes.
///
/// # Errors
/// `NotFound`, `Forbidden`; `Invalid` while consumers forbid it; `Unavailable`.
pub async fn delete(worker: &Worker, call: Call, request: DeleteSecret) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let target = session.secret_even_expired(Rule::SecretDelete, request.id).await?;
    let spare_consumed = request.spare_consumed.accept()?;
    let (project, id, now) = (target.secret.project.clone(), target.secret.id, worker.clock.now());
    let result = session
        .write(move |tx| {
            let project = project.clone();
            Box::pin(async move {
                // Nobody registers a consumer between the look and the deletion.
                if spare_consumed && secret::lock(tx, &project, id).await? && consumer::exist(tx, &project, id).await? {
                    // Clients look for this very sentence.
                    return Err(Failure::invalid("Secret cannot be deleted as it has consumers"));
                }
                if secret::delete(tx, &project, id, now).await? { Ok(()) } else { Err(secret_not_found()) }
            })
        })
        .await;
    session.audited(Rule::SecretDelete, secret_name(&target), result)?;
    worker.destroy_now(&target).await;
    Ok(())
}

/// A secret with its consumers, for a caller who was allowed to do something to it.
pub(crate) async fn describe(worker: &Worker, id: SecretId) -> Result<Secret, Failure> {
    let target = target::find_secret(worker.db.reader(), id).await?.ok_or_else(secret_not_found)?;
    let mut secret = target.secret;
    add_consumers(worker, std::slice::from_mut(&mut secret)).await?;
    Ok(secret)
}

async fn add_consumers(worker: &Worker, secrets: &mut [Secret]) -> Result<(), Failure> {
    let ids: Vec<SecretId> = secrets.iter().map(|secret| secret.id).collect();
    let mut consumers = consumer::of_secrets(worker.db.reader(), &ids).await?;
    for secret in secrets {
        secret.consumers = consumers.remove(&secret.id).unwrap_or_default();
    }
    Ok(())
}
