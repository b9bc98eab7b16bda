//! Table `project_keks`.

use bailey_core::crypto::WrappedKek;
use bailey_core::ids::{KekId, MasterKeyId, ProjectId, StoreId};
use bailey_core::vault::{KekState, ProjectKek};
use bailey_sql::{Cells, ConnectionTrait as _, Db, Error, Explain as _, Sql};
use sea_orm::{DbErr, Statement, Value};
use uuid::Uuid;

use crate::VaultDb;
use crate::row::{self, kek_columns};

/// A KEK with what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KekSummary {
    /// The KEK.
    pub kek: ProjectKek,
    /// How many ciphertexts are under it.
    pub objects: u64,
    /// Whether they are to be moved to the project's active KEK.
    pub reencrypt: bool,
}

/// Whether a key was retired.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retired {
    /// It is retired, now or already.
    Yes,
    /// So many things still need it.
    InUse(u64),
    /// It is the active one: another has to be active first.
    Active,
    /// There is no such key.
    Unknown,
}

const ACTIVE: Sql = Sql::both(concat!(
    "SELECT ",
    kek_columns!(),
    " FROM project_keks k WHERE k.store_id = $1 AND k.project = $2 AND k.state = 'active'"
));
const FIND: Sql =
    Sql::both(concat!("SELECT ", kek_columns!(), " FROM project_keks k WHERE k.id = $1 AND k.store_id = $2"));
/// The MKEK's row is locked as a KEK's is when a ciphertext is inserted.
const INSERT: Sql = {
    macro_rules! text {
        ($lock:literal) => {
            concat!(
                "INSERT INTO project_keks (id, store_id, project, state, mkek_id, wrapped, reserved, reencrypt, created_at)
                 SELECT $1, store_id, $3, 'active', id, $4, $5, FALSE, $6 FROM master_keys
                 WHERE id = $7 AND store_id = $2 AND purpose = 'mkek' AND state = 'active'",
                $lock,
                " ON CONFLICT DO NOTHING"
            )
        };
    }
    Sql { sqlite: text!(""), postgres: text!(" FOR SHARE") }
};
const LIST_NOT_UNDER: Sql = Sql::both(concat!(
    "SELECT ",
    kek_columns!(),
    " FROM project_keks k WHERE k.store_id = $1 AND k.mkek_id <> $2 AND k.state <> 'retired' \
     AND k.id > $4 ORDER BY k.id LIMIT $3"
));
const REWRAP: Sql = {
    macro_rules! text {
        ($lock:literal) => {
            concat!(
                "UPDATE project_keks SET mkek_id = $1, wrapped = $2
                 WHERE id = $3 AND mkek_id = $4 AND wrapped = $5 AND state <> 'retired'
                 AND store_id IN
                 (SELECT store_id FROM master_keys WHERE id = $1 AND purpose = 'mkek' AND state = 'active'",
                $lock,
                ")"
            )
        };
    }
    Sql { sqlite: text!(""), postgres: text!(" FOR SHARE") }
};
const RESERVE: Sql =
    Sql::both("UPDATE project_keks SET reserved = reserved + $3 WHERE id = $1 AND reserved = $2 AND state = 'active'");
const DEMOTE: Sql = Sql::both("UPDATE project_keks SET state = 'decrypt-only' WHERE id = $1 AND state = 'active'");
const DEMOTE_ALL: Sql = Sql::both("UPDATE project_keks SET state = 'decrypt-only' WHERE state = 'active'");
const MARK: Sql = Sql::both(
    "UPDATE project_keks SET reencrypt = TRUE WHERE state = 'decrypt-only'
     AND (store_id, project) = (SELECT store_id, project FROM project_keks WHERE id = $1)",
);
const LIST_TO_REENCRYPT: Sql = Sql::both(
    "SELECT k.id FROM project_keks k WHERE k.store_id = $1 AND k.state = 'decrypt-only' AND k.reencrypt
     AND EXISTS (SELECT 1 FROM ciphertexts c WHERE c.kek_id = k.id) ORDER BY k.created_at, k.id",
);
const SUMMARIES: Sql = Sql::both(concat!(
    "SELECT ",
    kek_columns!(),
    ", k.reencrypt, (SELECT count(*) FROM ciphertexts c WHERE c.kek_id = k.id)
     FROM project_keks k WHERE k.store_id = $1 ORDER BY k.project, k.created_at, k.id"
));
const SUMMARIES_OF: Sql = Sql::both(concat!(
    "SELECT ",
    kek_columns!(),
    ", k.reencrypt, (SELECT count(*) FROM ciphertexts c WHERE c.kek_id = k.id)
     FROM project_keks k WHERE k.project = $1 ORDER BY k.created_at, k.id"
));
/// As [`RETIRE`] is.
const FORGET: Sql = Sql::both(
    "DELETE FROM project_keks WHERE project = $1 AND state <> 'active'
     AND NOT EXISTS (SELECT 1 FROM ciphertexts WHERE kek_id = project_keks.id)",
);
/// Exact without a lock: a KEK that isn't active gets no ciphertexts any more.
const RETIRE: Sql = Sql::both(
    "UPDATE project_keks SET state = 'retired', wrapped = $2 WHERE id = $1 AND state = 'decrypt-only'
     AND NOT EXISTS (SELECT 1 FROM ciphertexts WHERE kek_id = $1)",
);
const USE: Sql = Sql::both(concat!(
    "SELECT ",
    kek_columns!(),
    ", (SELECT count(*) FROM ciphertexts c WHERE c.kek_id = k.id) FROM project_keks k WHERE k.id = $1"
));

pub(crate) async fn active(db: &Db, store: StoreId, project: &ProjectId) -> Result<Option<ProjectKek>, Error> {
    one(db, ACTIVE.with(db.reader(), [store.uuid().into(), project.as_str().into()])).await
}

pub(crate) async fn find(db: &Db, store: StoreId, kek: KekId) -> Result<Option<ProjectKek>, Error> {
    one(db, FIND.with(db.reader(), [kek.uuid().into(), store.uuid().into()])).await
}

async fn one(db: &Db, statement: Statement) -> Result<Option<ProjectKek>, Error> {
    let row = db.reader().query_one_raw(statement).await.explain("find KEK")?;
    row.map(|row| row::kek(&mut Cells::of(&row))).transpose().explain("find KEK")
}

pub(crate) async fn insert(db: &Db, kek: &ProjectKek) -> Result<bool, Error> {
    let values: [Value; 7] = [
        kek.id.uuid().into(),
        kek.store.uuid().into(),
        kek.project.as_str().into(),
        kek.wrapped.bytes.clone().into(),
        row::cell(kek.reserved),
        kek.created_at.into(),
        kek.wrapped.mkek.uuid().into(),
    ];
    Ok(db.execute("insert KEK", &INSERT, values).await? == 1)
}

pub(crate) async fn list_not_under(
    db: &Db,
    store: StoreId,
    mkek: MasterKeyId,
    after: Option<KekId>,
    limit: u64,
) -> Result<Vec<ProjectKek>, Error> {
    let reader = db.reader();
    let after = after.map_or(Uuid::nil(), KekId::uuid);
    let values = [store.uuid().into(), mkek.uuid().into(), row::cell(limit), after.into()];
    let statement = LIST_NOT_UNDER.with(reader, values);
    let rows = reader.query_all_raw(statement).await.explain("list KEKs")?;
    row::all(&rows, row::kek).explain("list KEKs")
}

pub(crate) async fn rewrap(db: &Db, kek: KekId, old: &WrappedKek, new: &WrappedKek) -> Result<bool, Error> {
    let values: [Value; 5] = [
        new.mkek.uuid().into(),
        new.bytes.clone().into(),
        kek.uuid().into(),
        old.mkek.uuid().into(),
        old.bytes.clone().into(),
    ];
    Ok(db.execute("rewrap KEK", &REWRAP, values).await? == 1)
}

pub(crate) async fn reserve(db: &Db, kek: KekId, seen: u64, block: u64) -> Result<bool, Error> {
    let values = [kek.uuid().into(), row::cell(seen), row::cell(block)];
    Ok(db.execute("reserve encryptions", &RESERVE, values).await? == 1)
}

pub(crate) async fn demote(db: &Db, kek: KekId, reencrypt: bool) -> Result<(), Error> {
    db.write(move |tx| {
        Box::pin(async move {
            tx.execute_raw(DEMOTE.with(tx, [kek.uuid().into()])).await.explain("demote KEK")?;
            if reencrypt {
                tx.execute_raw(MARK.with(tx, [kek.uuid().into()])).await.explain("mark KEKs")?;
            }
            Ok(())
        })
    })
    .await
}

pub(crate) async fn list_to_reencrypt(db: &Db, store: StoreId) -> Result<Vec<KekId>, Error> {
    let reader = db.reader();
    let statement = LIST_TO_REENCRYPT.with(reader, [store.uuid().into()]);
    let rows = reader.query_all_raw(statement).await.explain("list KEKs to re-encrypt")?;
    row::all(&rows, row::id).explain("list KEKs to re-encrypt")
}

fn summary(cells: &mut Cells<'_>) -> Result<KekSummary, DbErr> {
    Ok(KekSummary { kek: row::kek(cells)?, reencrypt: cells.take()?, objects: row::count(cells)? })
}

impl VaultDb {
    /// Every KEK of a store with the number of ciphertexts under it, by project, oldest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn keks(&self, store: StoreId) -> Result<Vec<KekSummary>, Error> {
        let reader = self.db.reader();
        let rows = reader.query_all_raw(SUMMARIES.with(reader, [store.uuid().into()])).await.explain("list KEKs")?;
        row::all(&rows, summary).explain("list KEKs")
    }

    /// Destroys a KEK's wrapping, unless it is active or anything is still encrypted under it.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn retire_kek(&self, kek: KekId) -> Result<Retired, Error> {
        self.db.execute("retire KEK", &RETIRE, [kek.uuid().into(), Vec::<u8>::new().into()]).await?;
        let reader = self.db.reader();
        let row = reader.query_one_raw(USE.with(reader, [kek.uuid().into()])).await.explain("find KEK")?;
        let Some(row) = row else { return Ok(Retired::Unknown) };
        let cells = &mut Cells::of(&row);
        let found = row::kek(cells).explain("find KEK")?;
        Ok(match found.state {
            KekState::Retired => Retired::Yes,
            KekState::Active => Retired::Active,
            KekState::DecryptOnly => Retired::InUse(row::count(cells).explain("find KEK")?),
        })
    }

    /// Every KEK of a project, in every store, with the number of ciphertexts under it, oldest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn keks_of(&self, project: &ProjectId) -> Result<Vec<KekSummary>, Error> {
        let reader = self.db.reader();
        let rows = reader.query_all_raw(SUMMARIES_OF.with(reader, [project.as_str().into()])).await;
        row::all(&rows.explain("list KEKs of project")?, summary).explain("list KEKs of project")
    }

    /// Removes every KEK of a project that nothing is encrypted under, with its wrapping; how many. An active
    /// one, and one that still decrypts something, stay. What is encrypted under a removed one and comes back
    /// by a restore of the metadata alone can't be read any more.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn forget_keks(&self, project: &ProjectId) -> Result<u64, Error> {
        self.db.execute("forget KEKs", &FORGET, [project.as_str().into()]).await
    }

    /// Turns every active KEK decrypt-only, as after a restore: encryptions that the copy doesn't know
    /// of may have used up its budgets. Returns how many those were.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn demote_all_keks(&self) -> Result<u64, Error> {
        self.db.execute("demote KEKs", &DEMOTE_ALL, []).await
    }
}
