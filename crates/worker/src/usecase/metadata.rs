//! User metadata of secrets.

use bailey_core::access::Call;
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::request::{AddMetadatum, DeleteMetadatum, GetMetadata, GetMetadatum, PutMetadata, PutMetadatum};
use bailey_core::secret::{Metadatum, UserMetadata};
use bailey_db::{ErrorKind, metadata};

use crate::Worker;
use crate::policy::Rule;
use crate::session::{secret_name, secret_not_found};

/// All of a secret's user metadata.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn get(worker: &Worker, call: Call, request: GetMetadata) -> Result<UserMetadata, Failure> {
    let session = worker.session(call).await?;
    let secret = session.secret(Rule::SecretMetaGet, request.id).await?.secret;
    Ok(metadata::list(worker.db.reader(), &secret.project, secret.id).await?)
}

/// Replaces a secret's user metadata.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Invalid`, `Unavailable`.
pub async fn put(worker: &Worker, call: Call, request: PutMetadata) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let target = session.secret(Rule::SecretMetaPut, request.id).await?;
    let wanted = request.metadata.accept()?;
    let (project, id) = (target.secret.project.clone(), target.secret.id);
    let result = session
        .write(move |tx| {
            let (project, wanted) = (project.clone(), wanted.clone());
            Box::pin(async move { metadata::replace(tx, &project, id, &wanted).await })
        })
        .await;
    session.audited(Rule::SecretMetaPut, secret_name(&target), result.map_err(failure))
}

/// Adds one key.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Invalid`; `Conflict` when the key is there; `Unavailable`.
pub async fn add_item(worker: &Worker, call: Call, request: AddMetadatum) -> Result<Metadatum, Failure> {
    let session = worker.session(call).await?;
    let target = session.secret(Rule::SecretMetaPost, request.id).await?;
    let metadatum = request.metadatum.accept()?;
    let (project, id, added) = (target.secret.project.clone(), target.secret.id, metadatum.clone());
    let result = session
        .write(move |tx| {
            let (project, added) = (project.clone(), added.clone());
            Box::pin(async move { metadata::insert(tx, &project, id, &added).await })
        })
        .await;
    session.audited(Rule::SecretMetaPost, secret_name(&target), result.map_err(failure))?;
    Ok(metadatum)
}

/// One key.
///
/// # Errors
/// `NotFound` for the secret or the key, `Forbidden`, `Unavailable`.
pub async fn get_item(worker: &Worker, call: Call, request: GetMetadatum) -> Result<Metadatum, Failure> {
    let session = worker.session(call).await?;
    let secret = session.secret(Rule::SecretMetaGet, request.id).await?.secret;
    metadata::get(worker.db.reader(), &secret.project, secret.id, &request.key).await?.ok_or_else(key_not_found)
}

/// Changes one existing key.
///
/// # Errors
/// `NotFound` for the secret or the key, `Forbidden`, `Invalid`; `Conflict` when the body names
/// another key than the path; `Unavailable`.
pub async fn put_item(worker: &Worker, call: Call, request: PutMetadatum) -> Result<Metadatum, Failure> {
    let session = worker.session(call).await?;
    let target = session.secret(Rule::SecretMetaPut, request.id).await?;
    let metadatum = request.metadatum.accept()?;
    if metadatum.key != request.key {
        let (reader, secret) = (worker.db.reader(), &target.secret);
        metadata::get(reader, &secret.project, secret.id, &request.key).await?.ok_or_else(key_not_found)?;
        return Err(Failure::new(FailureKind::Conflict, "The key in the body differs from the key in the path"));
    }
    let (project, id, changed) = (target.secret.project.clone(), target.secret.id, metadatum.clone());
    let result = session
        .write(move |tx| {
            let (project, changed) = (project.clone(), changed.clone());
            Box::pin(async move { metadata::update(tx, &project, id, &changed).await })
        })
        .await;
    let result = result.map_err(failure).and_then(|found| if found { Ok(()) } else { Err(key_not_found()) });
    session.audited(Rule::SecretMetaPut, secret_name(&target), result)?;
    Ok(metadatum)
}

/// Removes one key; succeeds when it isn't there.
///
/// # Errors
/// `NotFound` for the secret, `Forbidden`, `Unavailable`.
pub async fn delete_item(worker: &Worker, call: Call, request: DeleteMetadatum) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let target = session.secret(Rule::SecretMetaDelete, request.id).await?;
    let (project, id, key) = (target.secret.project.clone(), target.secret.id, request.key);
    let result = session
        .write(move |tx| {
            let (project, key) = (project.clone(), key.clone());
            Box::pin(async move { metadata::delete(tx, &project, id, &key).await })
        })
        .await;
    session.audited(Rule::SecretMetaDelete, secret_name(&target), result.map(drop).map_err(failure))
}

fn key_not_found() -> Failure {
    Failure::not_found("The metadata key was not found")
}

/// The secret can be deleted between the decision and the write.
fn failure(error: bailey_db::Error) -> Failure {
    match error.kind {
        ErrorKind::NotFound | ErrorKind::InUse => secret_not_found(),
        ErrorKind::Conflict => Failure::new(FailureKind::Conflict, "The metadata key already exists"),
        _ => error.into(),
    }
}
