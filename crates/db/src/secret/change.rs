//! Placing, moving and deleting.

use bailey_core::ids::{MasterKeyId, ProjectId, SecretId, WriteId};
use bailey_core::store::Place;
use bailey_sql::{Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, Value};

use crate::counter::slot;
use crate::placement::{self, Placement};
use crate::reference_key::{check, not_retired};
use crate::secret::insert::condemned;
use crate::secret::lock;

const PLACE: Sql = Sql::both(concat!(
    "UPDATE secrets SET write_id = $3, store_id = $4, reference = $5, reference_key = $6, content_type = $7, \
     updated_at = $8 WHERE id = $1 AND project = $2 AND write_id IS NULL \
     AND (expires_at IS NULL OR expires_at > $8) AND ",
    not_retired!("$6")
));
const INSERT_WRITE: Sql = Sql::both("INSERT INTO writes (write_id, state) VALUES ($1, 'live')");
const BURY: Sql = Sql::both("UPDATE writes SET state = 'dead' WHERE write_id = $1");
/// How a payload is moved in one of the tables that refer to payloads.
struct Moving {
    /// Notes what is left behind.
    delete_later: Sql,
    replace: Sql,
}

macro_rules! delete_later {
    ($table:literal, $secret:literal, $lock:literal) => {
        concat!(
            "INSERT INTO deletions (write_id, store_id, project, secret_id, reference, reference_key, attempts, \
             next_attempt_at) SELECT write_id, store_id, project, ",
            $secret,
            ", reference, reference_key, 0, $4 FROM ",
            $table,
            " WHERE ",
            $secret,
            " = $1 AND project = $2 AND write_id = $3",
            $lock
        )
    };
}
macro_rules! moving {
    ($table:literal, $secret:literal) => {
        Moving {
            delete_later: Sql {
                sqlite: delete_later!($table, $secret, ""),
                // The lock makes the row that was copied the row that is updated next.
                postgres: delete_later!($table, $secret, " FOR UPDATE"),
            },
            replace: Sql::both(concat!(
                "UPDATE ",
                $table,
                " SET write_id = $3, store_id = $4, reference = $5, reference_key = $6, content_type = $7 WHERE ",
                $secret,
                " = $1 AND project = $2 AND write_id = $8 AND ",
                not_retired!("$6")
            )),
        }
    };
}

/// An input that becomes a secret meanwhile is in the second table until it is in the first.
const MOVING: [Moving; 2] = [moving!("secrets", "id"), moving!("order_inputs", "secret_id")];

/// Gives a payload to a secret that has none; whether it did. A secret that is gone, has expired or
/// has a payload by now stays as it is.
///
/// # Errors
/// `Condemned` if the write was condemned meanwhile, `Retired` if the version of the worker key was given up;
/// `Unavailable`.
pub async fn place<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    id: SecretId,
    placement: &Placement,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    attach(tx, &PLACE, project, id, placement, now.trunc_subsecs(6).into()).await
}

/// Moves a secret's or an order input's payload, if it still is where the write `old` put it; whether it did.
/// What `old` put there is due for deletion from then on.
///
/// # Errors
/// `Condemned` if the new write was condemned meanwhile, `Retired` if the version of the worker key was given
/// up: nothing of the transaction may be committed. `Unavailable`.
pub async fn replace<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    id: SecretId,
    old: WriteId,
    placement: &Placement,
) -> Result<bool, Error> {
    for Moving { delete_later, replace } in &MOVING {
        let copy = [id.uuid().into(), project.as_str().into(), old.uuid().into(), DateTime::<Utc>::UNIX_EPOCH.into()];
        let copied = tx.execute_raw(delete_later.with(tx, copy)).await.explain("delete replaced payload")?;
        if copied.rows_affected() > 0 {
            tx.execute_raw(BURY.with(tx, [old.uuid().into()])).await.explain("bury write")?;
            return attach(tx, replace, project, id, placement, old.uuid().into()).await;
        }
    }
    Ok(false)
}

const RESEAL: [Sql; 2] = [
    Sql::both(concat!(
        "UPDATE secrets SET reference = $4, reference_key = $5 \
         WHERE id = $1 AND project = $2 AND write_id = $3 AND reference_key = $6 AND ",
        not_retired!("$5")
    )),
    Sql::both(concat!(
        "UPDATE order_inputs SET reference = $4, reference_key = $5 \
         WHERE secret_id = $1 AND project = $2 AND write_id = $3 AND reference_key = $6 AND ",
        not_retired!("$5")
    )),
];

/// Replaces the seal of a secret's or an order input's reference, if it still is under `old`; whether it did.
///
/// # Errors
/// `Retired` if the new version was given up meanwhile; `Unavailable`.
pub async fn reseal<C: ConnectionTrait>(
    tx: &C,
    place: &Place,
    old: MasterKeyId,
    reference: &[u8],
    key: MasterKeyId,
) -> Result<bool, Error> {
    for sql in RESEAL {
        let values = [
            place.secret.uuid().into(),
            place.project.as_str().into(),
            place.write.uuid().into(),
            reference.to_vec().into(),
            key.uuid().into(),
            old.uuid().into(),
        ];
        let updated = tx.execute_raw(sql.with(tx, values)).await.explain("reseal reference")?;
        if updated.rows_affected() > 0 {
            return Ok(true);
        }
    }
    check(tx, key, "reseal reference").await?;
    Ok(false)
}

async fn attach<C: ConnectionTrait>(
    tx: &C,
    sql: &Sql,
    project: &ProjectId,
    id: SecretId,
    placement: &Placement,
    condition: Value,
) -> Result<bool, Error> {
    let values = [id.uuid().into(), project.as_str().into()]
        .into_iter()
        .chain(placement::values(Some(placement)))
        .chain([condition]);
    let updated = tx.execute_raw(sql.with(tx, values)).await.explain("attach payload")?;
    if updated.rows_affected() == 0 {
        check(tx, placement.key, "attach payload").await?;
        return Ok(false);
    }
    let write = INSERT_WRITE.with(tx, [placement.write.uuid().into()]);
    tx.execute_raw(write).await.explain("insert write").map_err(condemned)?;
    Ok(true)
}

const DELETE: Sql = Sql {
    // Each statement looks for the secret itself, and the last one removes it: without it, all do nothing.
    sqlite: concat!(
        "INSERT INTO deletions (write_id, store_id, project, secret_id, reference, reference_key, attempts, \
             next_attempt_at) SELECT write_id, store_id, project, id, reference, reference_key, 0, $3 \
             FROM secrets WHERE id = $1 AND project = $2 AND write_id IS NOT NULL; \
             UPDATE writes SET state = 'dead' \
             WHERE write_id = (SELECT write_id FROM secrets WHERE id = $1 AND project = $2); \
             DELETE FROM acls WHERE entity_id = $1 AND entity_kind = 'secret' \
             AND EXISTS (SELECT 1 FROM secrets WHERE id = $1 AND project = $2); \
             INSERT INTO project_counters (project, resource, slot, live) \
             SELECT project, 'secret', ",
        slot!(sqlite),
        ", -1 FROM secrets WHERE id = $1 AND project = $2 \
             ON CONFLICT (project, resource, slot) DO UPDATE SET live = project_counters.live - 1; \
             DELETE FROM secrets WHERE id = $1 AND project = $2"
    ),
    postgres: concat!(
        "WITH gone AS (DELETE FROM secrets WHERE id = $1 AND project = $2 \
               RETURNING write_id, store_id, project, id, reference, reference_key), \
               d AS (INSERT INTO deletions (write_id, store_id, project, secret_id, reference, reference_key, \
               attempts, next_attempt_at) SELECT write_id, store_id, project, id, reference, reference_key, 0, $3 \
               FROM gone WHERE write_id IS NOT NULL), \
               w AS (UPDATE writes SET state = 'dead' FROM gone WHERE writes.write_id = gone.write_id), \
               a AS (DELETE FROM acls USING gone WHERE entity_id = gone.id AND entity_kind = 'secret') \
               INSERT INTO project_counters (project, resource, slot, live) \
               SELECT project, 'secret', ",
        slot!(postgres),
        ", -1 FROM gone \
               ON CONFLICT (project, resource, slot) DO UPDATE SET live = project_counters.live - 1"
    ),
};

/// Deletes a secret with its user metadata, ACL and consumers; whether it was there, expired or not.
/// Its payload is due for deletion from then on.
///
/// # Errors
/// `Unavailable`.
pub async fn delete<C: ConnectionTrait>(
    tx: &C,
    project: &ProjectId,
    id: SecretId,
    now: DateTime<Utc>,
) -> Result<bool, Error> {
    // Each part of one statement sees what was there when it began. Without the lock before it, a write
    // that another transaction attaches meanwhile would stay live.
    if !lock(tx, project, id).await? {
        return Ok(false);
    }
    let values = [id.uuid().into(), project.as_str().into(), now.trunc_subsecs(6).into()];
    let deleted = tx.execute_raw(DELETE.with(tx, values)).await.explain("delete secret")?;
    Ok(deleted.rows_affected() > 0)
}
