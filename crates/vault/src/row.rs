//! Rows as core types, and core types as cells.

use bailey_core::crypto::WrappedKek;
use bailey_core::ids::{KekId, MasterKeyId, StoreId};
use bailey_core::vault::{KekState, MasterKey, MasterKeyPurpose, MasterKeyState, ProjectKek};
use bailey_sql::Cells;
use sea_orm::{DbErr, QueryResult, Value};
use uuid::Uuid;

/// Columns of `project_keks` in the order in which [`kek`] reads them, with the table called `k`.
macro_rules! kek_columns {
    () => {
        "k.id, k.store_id, k.project, k.state, k.mkek_id, k.wrapped, k.reserved, k.created_at"
    };
}
pub(crate) use kek_columns;

/// Columns of `master_keys` in the order in which [`master_key`] reads them, with the table called `m`.
macro_rules! master_key_columns {
    () => {
        "m.id, m.purpose, m.store_id, m.state, m.check_value, m.reserved, m.created_at"
    };
}
pub(crate) use master_key_columns;

/// A UUID, and so each of our ids.
pub(crate) fn id<T: From<Uuid>>(cells: &mut Cells<'_>) -> Result<T, DbErr> {
    cells.take::<Uuid>().map(T::from)
}

/// A number of things.
pub(crate) fn count(cells: &mut Cells<'_>) -> Result<u64, DbErr> {
    u64::try_from(cells.take::<i64>()?).map_err(|_| DbErr::Type("a negative count".to_owned()))
}

/// A count as a cell; one that is too large for the engines stays as large as they can keep.
pub(crate) fn cell(count: u64) -> Value {
    i64::try_from(count).unwrap_or(i64::MAX).into()
}

/// Every row as something else.
pub(crate) fn all<T>(rows: &[QueryResult], read: impl Fn(&mut Cells<'_>) -> Result<T, DbErr>) -> Result<Vec<T>, DbErr> {
    rows.iter().map(|row| read(&mut Cells::of(row))).collect()
}

/// A project KEK.
pub(crate) fn kek(cells: &mut Cells<'_>) -> Result<ProjectKek, DbErr> {
    Ok(ProjectKek {
        id: id::<KekId>(cells)?,
        store: id::<StoreId>(cells)?,
        project: cells.parse()?,
        state: kek_state(&cells.take::<String>()?)?,
        wrapped: WrappedKek { mkek: id::<MasterKeyId>(cells)?, bytes: cells.take()? },
        reserved: count(cells)?,
        created_at: cells.take()?,
    })
}

/// A version of a master key.
pub(crate) fn master_key(cells: &mut Cells<'_>) -> Result<MasterKey, DbErr> {
    Ok(MasterKey {
        id: id::<MasterKeyId>(cells)?,
        purpose: match (cells.take::<String>()?.as_str(), cells.take::<Option<Uuid>>()?) {
            ("mkek", Some(store)) => MasterKeyPurpose::Mkek(store.into()),
            ("worker", None) => MasterKeyPurpose::Worker,
            _ => return Err(DbErr::Type("not a purpose of a master key".to_owned())),
        },
        state: master_key_state(&cells.take::<String>()?)?,
        check_value: cells.take()?,
        reserved: count(cells)?,
        created_at: cells.take()?,
    })
}

/// The two cells of a purpose.
pub(crate) fn purpose(purpose: MasterKeyPurpose) -> [Value; 2] {
    match purpose {
        MasterKeyPurpose::Mkek(store) => ["mkek".into(), store.uuid().into()],
        MasterKeyPurpose::Worker => ["worker".into(), None::<Uuid>.into()],
    }
}

fn kek_state(text: &str) -> Result<KekState, DbErr> {
    match text {
        "active" => Ok(KekState::Active),
        "decrypt-only" => Ok(KekState::DecryptOnly),
        "retired" => Ok(KekState::Retired),
        _ => Err(DbErr::Type("not a state of a KEK".to_owned())),
    }
}

pub(crate) fn master_key_state(text: &str) -> Result<MasterKeyState, DbErr> {
    match text {
        "added" => Ok(MasterKeyState::Added),
        "active" => Ok(MasterKeyState::Active),
        "decrypt-only" => Ok(MasterKeyState::DecryptOnly),
        "retired" => Ok(MasterKeyState::Retired),
        _ => Err(DbErr::Type("not a state of a master key".to_owned())),
    }
}
