//! Table `ciphertexts`.

use std::sync::Arc;

use bailey_core::ids::{KekId, SecretId, StoreId, WriteId};
use bailey_core::store::Place;
use bailey_core::vault::{Ciphertext, Inserted};
use bailey_sql::{Cells, ConnectionTrait as _, Db, Error, Explain as _, Sql};
use sea_orm::{DbErr, Value};
use uuid::Uuid;

use crate::row;

/// The KEK's row is locked against changes of its state until the insert is committed: a demotion
/// waits for inserts that are under way, so what is counted after it is all there will ever be.
/// On SQLite all writes go one after another anyway.
const INSERT: Sql = {
    macro_rules! text {
        () => {
            "INSERT INTO ciphertexts (write_id, store_id, project, secret_id, kek_id, bytes, created_at)
             SELECT $1, store_id, project, $2, id, $3, $4 FROM project_keks
             WHERE id = $5 AND store_id = $6 AND project = $7 AND state = 'active'"
        };
    }
    Sql { sqlite: text!(), postgres: concat!(text!(), " FOR SHARE") }
};
const FIND: Sql = Sql::both(
    "SELECT write_id, project, secret_id, kek_id, created_at, bytes FROM ciphertexts WHERE write_id = $1 AND store_id = $2",
);
const DELETE: Sql =
    Sql::both("DELETE FROM ciphertexts WHERE write_id = $1 AND store_id = $2 AND project = $3 AND secret_id = $4");
const LIST: Sql = Sql::both(
    "SELECT write_id, project, secret_id, kek_id, created_at FROM ciphertexts
     WHERE store_id = $1 AND write_id > $2 ORDER BY write_id LIMIT $3",
);
const LIST_UNDER: Sql = Sql::both(
    "SELECT write_id, project, secret_id, kek_id, created_at FROM ciphertexts
     WHERE store_id = $1 AND write_id > $2 AND kek_id = $4 ORDER BY write_id LIMIT $3",
);

pub(crate) async fn insert(db: &Db, store: StoreId, ciphertext: &Ciphertext) -> Result<Inserted, Error> {
    let Place { project, secret, write } = &ciphertext.place;
    let values: [Value; 7] = [
        write.uuid().into(),
        secret.uuid().into(),
        ciphertext.bytes.to_vec().into(),
        ciphertext.created_at.into(),
        ciphertext.kek.uuid().into(),
        store.uuid().into(),
        project.as_str().into(),
    ];
    let inserted = db.execute("insert ciphertext", &INSERT, values).await?;
    Ok(if inserted == 0 { Inserted::KeyNotActive } else { Inserted::Yes })
}

pub(crate) async fn find(db: &Db, store: StoreId, write: WriteId) -> Result<Option<Ciphertext>, Error> {
    let reader = db.reader();
    let statement = FIND.with(reader, [write.uuid().into(), store.uuid().into()]);
    let read = |cells: &mut Cells<'_>| {
        let found = without_bytes(cells)?;
        Ok(Ciphertext { bytes: cells.take::<Vec<u8>>()?.into(), ..found })
    };
    let row = reader.query_one_raw(statement).await.explain("find ciphertext")?;
    row.map(|row| read(&mut Cells::of(&row))).transpose().explain("find ciphertext")
}

pub(crate) async fn delete(db: &Db, store: StoreId, place: &Place) -> Result<(), Error> {
    let Place { project, secret, write } = place;
    let values: [Value; 4] = [write.uuid().into(), store.uuid().into(), project.as_str().into(), secret.uuid().into()];
    db.execute("delete ciphertext", &DELETE, values).await.map(|_| ())
}

pub(crate) async fn list(
    db: &Db,
    store: StoreId,
    kek: Option<KekId>,
    after: Option<WriteId>,
    limit: u64,
) -> Result<Vec<Ciphertext>, Error> {
    let reader = db.reader();
    // No write has the nil id, so all are above it.
    let after = after.map_or(Uuid::nil(), WriteId::uuid);
    let values = [store.uuid().into(), after.into(), row::cell(limit)];
    let statement = match kek {
        Some(kek) => LIST_UNDER.with(reader, values.into_iter().chain([kek.uuid().into()])),
        None => LIST.with(reader, values),
    };
    let rows = reader.query_all_raw(statement).await.explain("list ciphertexts")?;
    row::all(&rows, without_bytes).explain("list ciphertexts")
}

fn without_bytes(cells: &mut Cells<'_>) -> Result<Ciphertext, DbErr> {
    let write = row::id::<WriteId>(cells)?;
    let place = Place { project: cells.parse()?, secret: row::id::<SecretId>(cells)?, write };
    Ok(Ciphertext { place, kek: row::id::<KekId>(cells)?, created_at: cells.take()?, bytes: Arc::from([]) })
}
