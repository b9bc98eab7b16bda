//! Transport keys: list, register, describe, withdraw.

use bailey_core::access::Call;
use bailey_core::failure::Failure;
use bailey_core::ids::TransportKeyId;
use bailey_core::request::{
    CreateTransportKey, DeleteTransportKey, FindTransportKey, GetTransportKey, ListTransportKeys, TransportKeyPath,
};
use bailey_core::secret::Page;
use bailey_core::transport_key::{NewTransportKey, TransportKey};
use bailey_db::transport_key;

use crate::Worker;
use crate::policy::Rule;

/// Whether there is a transport key.
///
/// # Errors
/// `NotFound`, `Unavailable`.
pub async fn find(worker: &Worker, call: Call, request: FindTransportKey) -> Result<(), Failure> {
    worker.session(call).await?;
    known(worker, request.id).await.map(drop)
}

/// Lists the transport keys, by creation.
///
/// # Errors
/// `Forbidden`; `Invalid` for a malformed filter; `Unavailable`.
pub async fn list(worker: &Worker, call: Call, request: ListTransportKeys) -> Result<Page<TransportKeyId>, Failure> {
    worker.session(call).await?.authorise(Rule::TransportKeysGet)?;
    let query = request.query.accept()?;
    Ok(transport_key::list(worker.db.reader(), &query).await?)
}

/// Registers a key whose private half somebody else has. Nothing can be unwrapped with it here.
///
/// # Errors
/// `Forbidden`; `Invalid` for what the body has wrong; `Unavailable`.
pub async fn create(worker: &Worker, call: Call, request: CreateTransportKey) -> Result<TransportKeyId, Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::TransportKeysPost)?;
    let NewTransportKey { plugin_name, text } = request.key.accept()?;
    let (id, now) = (TransportKeyId::new(), worker.clock.now());
    let key = TransportKey { id, plugin_name, text, origin: None, created_at: now, updated_at: now };
    let inserted = session.write(move |tx| {
        let key = key.clone();
        Box::pin(async move { Ok(transport_key::insert(tx, &key).await?) })
    });
    session.audited(Rule::TransportKeysPost, name(id), inserted.await.map(|_| id))
}

/// One transport key.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn get(worker: &Worker, call: Call, request: GetTransportKey) -> Result<TransportKey, Failure> {
    let session = worker.session(call).await?;
    let key = known(worker, request.id).await?;
    session.authorise(Rule::TransportKeyGet)?;
    Ok(key)
}

/// Withdraws a transport key. Of a store's active one another takes the place.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn delete(worker: &Worker, call: Call, request: DeleteTransportKey) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let id = known(worker, request.id).await?.id;
    session.authorise(Rule::TransportKeyDelete)?;
    let deleted = session.write(move |tx| {
        Box::pin(async move { if transport_key::delete(tx, id).await? { Ok(()) } else { Err(not_found()) } })
    });
    session.audited(Rule::TransportKeyDelete, name(id), deleted.await)
}

async fn known(worker: &Worker, id: TransportKeyPath) -> Result<TransportKey, Failure> {
    transport_key::find(worker.db.reader(), id.accept()?).await?.ok_or_else(not_found)
}

fn name(id: TransportKeyId) -> String {
    format!("transport_keys/{id}")
}

fn not_found() -> Failure {
    Failure::not_found("The transport key was not found")
}
