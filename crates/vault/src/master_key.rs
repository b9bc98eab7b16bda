//! Table `master_keys`.

use bailey_core::ids::{MasterKeyId, WorkerId};
use bailey_core::vault::{MasterKey, MasterKeyPurpose, MasterKeyState};
use bailey_sql::{Cells, ConnectionTrait as _, Db, Error, ErrorKind, Explain as _, Sql, Tx};
use chrono::{DateTime, Utc};
use sea_orm::Value;

use crate::kek::Retired;
use crate::row::{self, master_key_columns};
use crate::{VaultDb, report};

/// A version of a master key with what hangs on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MasterKeySummary {
    /// The version.
    pub key: MasterKey,
    /// How many KEKs it wraps, retired ones aside; 0 for a worker key.
    pub keks: u64,
}

/// Whether a version became the active one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Activated {
    /// It is active, now or already.
    Yes,
    /// These live workers haven't reported it yet.
    NotReported(Vec<WorkerId>),
    /// It was active before and is no more; it doesn't become so again.
    Past,
    /// It is announced only: nobody knows whether there is such a key.
    Unproven,
    /// There is no such version.
    Unknown,
}

const LIST: Sql = Sql::both(concat!(
    "SELECT ",
    master_key_columns!(),
    " FROM master_keys m WHERE m.purpose = $1 AND m.store_id IS NOT DISTINCT FROM $2 ORDER BY m.created_at, m.id"
));
const FIND: Sql = {
    macro_rules! text {
        () => {
            concat!("SELECT ", master_key_columns!(), " FROM master_keys m WHERE m.id = $1")
        };
    }
    Sql { sqlite: text!(), postgres: concat!(text!(), " FOR UPDATE") }
};
const RESERVE: Sql = Sql::both("UPDATE master_keys SET reserved = reserved + $3 WHERE id = $1 AND reserved = $2");
const INSERT: Sql = Sql::both(
    "INSERT INTO master_keys (id, purpose, store_id, state, check_value, reserved, created_at)
     VALUES ($1, $2, $3, 'added', $4, 0, $5)",
);
const PROVE: Sql = Sql::both("UPDATE master_keys SET check_value = $2 WHERE id = $1");
const DEMOTE: Sql = Sql::both(
    "UPDATE master_keys SET state = 'decrypt-only'
     WHERE purpose = $1 AND store_id IS NOT DISTINCT FROM $2 AND state = 'active'",
);
const ACTIVATE: Sql = Sql::both("UPDATE master_keys SET state = 'active' WHERE id = $1");
const SUMMARIES: Sql = Sql::both(concat!(
    "SELECT ",
    master_key_columns!(),
    ", (SELECT count(*) FROM project_keks k WHERE k.mkek_id = m.id AND k.state <> 'retired')
     FROM master_keys m WHERE m.purpose = $1 AND m.store_id IS NOT DISTINCT FROM $2 ORDER BY m.created_at, m.id"
));
const COUNT_KEKS: Sql = Sql::both("SELECT count(*) FROM project_keks WHERE mkek_id = $1 AND state <> 'retired'");
const BAR: Sql = Sql::both("UPDATE master_keys SET state = 'retired' WHERE id = $1 AND state = 'added'");
const RETIRE: Sql = Sql::both("UPDATE master_keys SET state = 'retired' WHERE id = $1");

pub(crate) async fn list(db: &Db, purpose: MasterKeyPurpose) -> Result<Vec<MasterKey>, Error> {
    let reader = db.reader();
    let rows = reader.query_all_raw(LIST.with(reader, row::purpose(purpose))).await.explain("list master keys")?;
    row::all(&rows, row::master_key).explain("list master keys")
}

pub(crate) async fn reserve(db: &Db, key: MasterKeyId, seen: u64, block: u64) -> Result<bool, Error> {
    let values = [key.uuid().into(), row::cell(seen), row::cell(block)];
    Ok(db.execute("reserve encryptions", &RESERVE, values).await? == 1)
}

/// A version, locked against others who want to change its state.
async fn lock(tx: &Tx, key: MasterKeyId) -> Result<Option<MasterKey>, Error> {
    let row = tx.query_one_raw(FIND.with(tx, [key.uuid().into()])).await.explain("find master key")?;
    row.map(|row| row::master_key(&mut Cells::of(&row))).transpose().explain("find master key")
}

async fn prove(tx: &Tx, key: MasterKeyId, check_value: Vec<u8>) -> Result<(), Error> {
    let conflict = |detail: &'static str| Error::new(ErrorKind::Conflict, "prove master key", detail);
    let Some(found) = lock(tx, key).await? else { return Err(conflict("there is no such version")) };
    if found.check_value == check_value {
        return Ok(());
    }
    if !found.check_value.is_empty() {
        return Err(conflict("it is registered with another key"));
    }
    tx.execute_raw(PROVE.with(tx, [key.uuid().into(), check_value.into()])).await.explain("prove master key")?;
    Ok(())
}

async fn activate(tx: &Tx, key: MasterKeyId, live_since: DateTime<Utc>) -> Result<Activated, Error> {
    let Some(found) = lock(tx, key).await? else { return Ok(Activated::Unknown) };
    match found.state {
        MasterKeyState::Active => return Ok(Activated::Yes),
        MasterKeyState::DecryptOnly | MasterKeyState::Retired => return Ok(Activated::Past),
        MasterKeyState::Added if found.check_value.is_empty() => return Ok(Activated::Unproven),
        MasterKeyState::Added => {}
    }
    let without = report::list(tx, live_since).await?.into_iter().filter(|report| !report.keys.contains(&key));
    let without: Vec<_> = without.map(|report| report.worker).collect();
    if !without.is_empty() {
        return Ok(Activated::NotReported(without));
    }
    tx.execute_raw(DEMOTE.with(tx, row::purpose(found.purpose))).await.explain("demote master key")?;
    tx.execute_raw(ACTIVATE.with(tx, [key.uuid().into()])).await.explain("activate master key")?;
    Ok(Activated::Yes)
}

async fn bar(tx: &Tx, key: MasterKeyId) -> Result<bool, Error> {
    let Some(found) = lock(tx, key).await? else { return Ok(true) };
    tx.execute_raw(BAR.with(tx, [key.uuid().into()])).await.explain("bar master key")?;
    Ok(found.state != MasterKeyState::Active)
}

async fn retire(tx: &Tx, key: MasterKeyId, references: u64) -> Result<Retired, Error> {
    let Some(found) = lock(tx, key).await? else { return Ok(Retired::Unknown) };
    if found.state == MasterKeyState::Active {
        return Ok(Retired::Active);
    }
    let row = tx.query_one_raw(COUNT_KEKS.with(tx, [key.uuid().into()])).await.explain("count KEKs")?;
    let keks = row.map(|row| row::count(&mut Cells::of(&row))).transpose().explain("count KEKs")?.unwrap_or(0);
    if keks + references > 0 {
        return Ok(Retired::InUse(keks + references));
    }
    tx.execute_raw(RETIRE.with(tx, [key.uuid().into()])).await.explain("retire master key")?;
    Ok(Retired::Yes)
}

impl VaultDb {
    /// Every version for a purpose with the number of KEKs it wraps, oldest first.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn master_keys(&self, purpose: MasterKeyPurpose) -> Result<Vec<MasterKeySummary>, Error> {
        let reader = self.db.reader();
        let statement = SUMMARIES.with(reader, row::purpose(purpose));
        let rows = reader.query_all_raw(statement).await.explain("list master keys")?;
        let summary =
            |cells: &mut Cells<'_>| Ok(MasterKeySummary { key: row::master_key(cells)?, keks: row::count(cells)? });
        row::all(&rows, summary).explain("list master keys")
    }

    /// Registers a version that no one uses yet. Registering it again with the same key-check value
    /// changes nothing.
    ///
    /// # Errors
    /// `Conflict` when the id is registered with another key; `Unavailable`.
    pub async fn add_master_key(
        &self,
        purpose: MasterKeyPurpose,
        id: MasterKeyId,
        check_value: Vec<u8>,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.db
            .write(move |tx| {
                let [purpose_cell, store] = row::purpose(purpose);
                let check_value = check_value.clone();
                Box::pin(async move {
                    if let Some(found) = lock(tx, id).await? {
                        let is_same = found.purpose == purpose && found.check_value == check_value;
                        let conflict = Error::new(ErrorKind::Conflict, "add master key", "its id is taken");
                        return if is_same { Ok(()) } else { Err(conflict) };
                    }
                    let values: [Value; 5] = [id.uuid().into(), purpose_cell, store, check_value.into(), now.into()];
                    tx.execute_raw(INSERT.with(tx, values)).await.explain("add master key")?;
                    Ok(())
                })
            })
            .await
    }

    /// Registers a version that is about to be made elsewhere, where it can't be made and registered at once: by its
    /// id, what a crash leaves is known again. It holds no key-check value until [`prove_master_key`](Self::prove_master_key).
    ///
    /// # Errors
    /// `Conflict` when the id is registered; `Unavailable`.
    pub async fn announce_master_key(
        &self,
        purpose: MasterKeyPurpose,
        id: MasterKeyId,
        now: DateTime<Utc>,
    ) -> Result<(), Error> {
        self.add_master_key(purpose, id, Vec::new(), now).await
    }

    /// Gives an announced version its key-check value. Giving it the same one again changes nothing.
    ///
    /// # Errors
    /// `Conflict` when it has another one, or isn't registered; `Unavailable`.
    pub async fn prove_master_key(&self, id: MasterKeyId, check_value: Vec<u8>) -> Result<(), Error> {
        self.db
            .write(move |tx| {
                let check_value = check_value.clone();
                Box::pin(prove(tx, id, check_value))
            })
            .await
    }

    /// Makes a version the active one, if every worker that reported since `live_since` has it; the
    /// version before it becomes decrypt-only.
    ///
    /// # Errors
    /// `Conflict` when another version is activated at the same time; `Unavailable`.
    pub async fn activate_master_key(&self, id: MasterKeyId, live_since: DateTime<Utc>) -> Result<Activated, Error> {
        self.db.write(move |tx| Box::pin(activate(tx, id, live_since))).await
    }

    /// Sees to it that a version that isn't active never becomes so: one that is only added is retired. Whether it
    /// isn't active.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn bar_master_key(&self, id: MasterKeyId) -> Result<bool, Error> {
        self.db.write(move |tx| Box::pin(bar(tx, id))).await
    }

    /// Retires a version, unless it is active, wraps a KEK, or `references` things elsewhere need it.
    /// A worker key's references are counted by the caller, who knows the metadata database.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn retire_master_key(&self, id: MasterKeyId, references: u64) -> Result<Retired, Error> {
        self.db.write(move |tx| Box::pin(retire(tx, id, references))).await
    }
}
