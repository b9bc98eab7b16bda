//! Secret stores, and which one a project prefers.

use bailey_core::access::Call;
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{ProjectId, StoreId};
use bailey_core::request::{
    FindStore, GetDefaultStore, GetPreferredStore, GetStore, ListStores, PreferNoStore, PreferStore, StorePath,
};
use bailey_core::store::ConfiguredStore;
use bailey_db::project_store;
use bailey_db::store::{self, Store};

use crate::policy::Rule;
use crate::{Offer, Worker};

/// Whether there is a store.
///
/// # Errors
/// `NotFound`, also when stores are not offered.
pub async fn find(worker: &Worker, call: Call, request: FindStore) -> Result<(), Failure> {
    worker.session(call).await?;
    offered(worker, request.id).map(drop)
}

/// Every configured store, by creation.
///
/// # Errors
/// `Forbidden`; `NotFound` when stores are not offered; `Unavailable`.
pub async fn list(worker: &Worker, call: Call, _: ListStores) -> Result<Vec<ConfiguredStore>, Failure> {
    worker.session(call).await?.authorise(Rule::SecretStoresGet)?;
    check_offered(worker)?;
    let mut rows = store::list(worker.db.reader()).await?;
    rows.sort_by_key(|row| (row.created_at, row.id));
    Ok(rows.iter().filter_map(|row| configured(worker, row)).collect())
}

/// One configured store.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn get(worker: &Worker, call: Call, request: GetStore) -> Result<ConfiguredStore, Failure> {
    let session = worker.session(call).await?;
    let id = offered(worker, request.id)?;
    session.authorise(Rule::SecretStoreGet)?;
    describe(worker, id).await
}

/// The store of all projects without a preference.
///
/// # Errors
/// `Forbidden`; `NotFound` when stores are not offered; `Unavailable`.
pub async fn get_default(worker: &Worker, call: Call, _: GetDefaultStore) -> Result<ConfiguredStore, Failure> {
    worker.session(call).await?.authorise(Rule::SecretStoresGetGlobalDefault)?;
    check_offered(worker)?;
    describe(worker, worker.stores.default().descriptor().id).await
}

/// The store that the caller's project prefers, or that is assigned to it.
///
/// # Errors
/// `Forbidden`; `NotFound` when it prefers none, or stores are not offered; `Unavailable`.
pub async fn get_preferred(worker: &Worker, call: Call, _: GetPreferredStore) -> Result<ConfiguredStore, Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::SecretStoresGetPreferred)?;
    check_offered(worker)?;
    let project = &session.caller.project;
    let preferred = match worker.stores.assigned(project) {
        Some(assigned) => Some(assigned.descriptor().id),
        None => project_store::find(worker.db.reader(), project).await?,
    };
    describe(worker, preferred.ok_or_else(no_preference)?).await
}

/// Makes a store the preferred one of the caller's project. What is stored already stays where it is.
///
/// # Errors
/// `NotFound`, `Forbidden`; `Conflict` when a store is assigned to the project; `Unavailable`.
pub async fn prefer(worker: &Worker, call: Call, request: PreferStore) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let id = offered(worker, request.id)?;
    session.authorise(Rule::SecretStorePreferredPost)?;
    check_unassigned(worker, &session.caller.project)?;
    let (project, now) = (session.caller.project.clone(), worker.clock.now());
    let result = session.write(move |tx| {
        let project = project.clone();
        Box::pin(async move { Ok(project_store::put(tx, &project, id, now).await?) })
    });
    session.audited(Rule::SecretStorePreferredPost, format!("secret-stores/{id}"), result.await)
}

/// Makes the caller's project prefer no store any more, whichever one is named.
///
/// # Errors
/// `NotFound` when there is no such store or the project prefers none; `Conflict` when one is assigned to it;
/// `Forbidden`, `Unavailable`.
pub async fn prefer_none(worker: &Worker, call: Call, request: PreferNoStore) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let id = offered(worker, request.id)?;
    session.authorise(Rule::SecretStorePreferredDelete)?;
    check_unassigned(worker, &session.caller.project)?;
    let project = session.caller.project.clone();
    let result = session.write(move |tx| {
        let project = project.clone();
        Box::pin(async move { if project_store::delete(tx, &project).await? { Ok(()) } else { Err(no_preference()) } })
    });
    session.audited(Rule::SecretStorePreferredDelete, format!("secret-stores/{id}"), result.await)
}

async fn describe(worker: &Worker, id: StoreId) -> Result<ConfiguredStore, Failure> {
    let row = store::find(worker.db.reader(), id).await?;
    row.and_then(|row| configured(worker, &row)).ok_or_else(not_found)
}

/// A registered store as clients see it; `None` if it isn't configured any more.
fn configured(worker: &Worker, row: &Store) -> Option<ConfiguredStore> {
    let store = worker.stores.get(row.id).ok()?.descriptor();
    Some(ConfiguredStore {
        id: row.id,
        name: store.name.clone(),
        kind: store.kind.into(),
        is_default: row.id == worker.stores.default().descriptor().id,
        created_at: row.created_at,
        updated_at: row.updated_at,
    })
}

/// The id in a path, if stores are offered and it is one's.
fn offered(worker: &Worker, id: StorePath) -> Result<StoreId, Failure> {
    check_offered(worker)?;
    let id = id.accept()?;
    worker.stores.get(id).map(|_| id).map_err(|_| not_found())
}

fn check_offered(worker: &Worker) -> Result<(), Failure> {
    match worker.api.secret_stores {
        Offer::Auto if worker.stores.count() < 2 => Err(Failure::not_found("There is only one secret store")),
        Offer::Auto | Offer::On => Ok(()),
    }
}

/// What the operator decided for a project is not the project's to change; to accept a preference that nothing
/// would follow would be a lie.
fn check_unassigned(worker: &Worker, project: &ProjectId) -> Result<(), Failure> {
    let Some(assigned) = worker.stores.assigned(project) else { return Ok(()) };
    let name = &assigned.descriptor().name;
    let sentence =
        format!("The project's secret store, '{name}', is set in the configuration and can't be changed here");
    Err(Failure::new(FailureKind::Conflict, sentence))
}

fn not_found() -> Failure {
    Failure::not_found("The secret store was not found")
}

fn no_preference() -> Failure {
    Failure::not_found("The project prefers no secret store")
}
