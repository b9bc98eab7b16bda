//! The installation: one row.

use bailey_core::ids::DeploymentId;
use bailey_sql::{Cells, Error, ErrorKind, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::{ConnectionTrait, EntityTrait};

use crate::entity::installation::Entity;

/// What is known of the installation as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// Its id; every name it gives outside begins with it.
    pub deployment: DeploymentId,
    /// How often it was restored from a backup.
    pub epoch: i64,
    /// The last restore that an operator accepted; nothing is destroyed on suspicion until it is
    /// `epoch`.
    pub accepted_epoch: i64,
    /// Whether the first admin token was made.
    pub admin_token_made: bool,
    /// When the last restore began.
    pub restored_at: Option<DateTime<Utc>>,
    /// Until when a backup keeps everything from being destroyed.
    pub destruction_held_until: Option<DateTime<Utc>>,
}

impl Installation {
    /// Whether the last restore was accepted.
    #[must_use]
    pub const fn is_accepted(&self) -> bool {
        self.epoch == self.accepted_epoch
    }

    /// Whether a backup keeps everything from being destroyed.
    #[must_use]
    pub fn holds_destruction(&self, now: DateTime<Utc>) -> bool {
        self.destruction_held_until.is_some_and(|until| until > now)
    }
}

const CREATE: Sql = Sql::both(
    "INSERT INTO installation (id, deployment_id, epoch, accepted_epoch, admin_token_made, created_at) \
     VALUES (1, $1, 0, 0, FALSE, $2) ON CONFLICT (id) DO NOTHING",
);
const MARK_ADMIN_TOKEN_MADE: Sql =
    Sql::both("UPDATE installation SET admin_token_made = TRUE WHERE NOT admin_token_made");
const ACCEPT_EPOCH: Sql = Sql::both("UPDATE installation SET accepted_epoch = epoch");
const ADVANCE_EPOCH: Sql = Sql::both("UPDATE installation SET epoch = epoch + 1");
const BEGIN_RESTORE: Sql = Sql::both(
    "UPDATE installation SET restored_at = $1, epoch = epoch + CASE WHEN epoch = accepted_epoch THEN 1 ELSE 0 END, \
     destruction_held_until = NULL WHERE epoch = accepted_epoch OR restored_at IS NULL",
);
const HOLDS_DESTRUCTION: Sql = Sql::both("SELECT 1 FROM installation WHERE destruction_held_until > $1");
const HOLD_DESTRUCTION: Sql = Sql::both(
    "UPDATE installation SET destruction_held_until = $2 WHERE epoch = accepted_epoch \
     AND (destruction_held_until IS NULL OR destruction_held_until <= $1)",
);
const LOCK: Sql = Sql {
    sqlite: "SELECT destruction_held_until FROM installation",
    postgres: "SELECT destruction_held_until FROM installation FOR UPDATE",
};
const RELEASE_DESTRUCTION: Sql = Sql::both("UPDATE installation SET destruction_held_until = NULL");

/// The installation; the first who asks makes it.
///
/// # Errors
/// `Unavailable`.
pub async fn get_or_create<C: ConnectionTrait>(tx: &C, now: DateTime<Utc>) -> Result<Installation, Error> {
    if let Some(installation) = find(tx).await? {
        return Ok(installation);
    }
    let values = [DeploymentId::new().uuid().into(), now.trunc_subsecs(6).into()];
    tx.execute_raw(CREATE.with(tx, values)).await.explain("create installation")?;
    find(tx).await?.ok_or_else(|| Error::new(ErrorKind::Internal, "create installation", "it isn't there"))
}

/// The installation, if one was ever made here.
///
/// # Errors
/// `Unavailable`.
pub async fn find<C: ConnectionTrait>(connection: &C) -> Result<Option<Installation>, Error> {
    let row = Entity::find().one(connection).await.explain("find installation")?;
    Ok(row.map(|row| Installation {
        deployment: row.deployment_id.into(),
        epoch: row.epoch,
        accepted_epoch: row.accepted_epoch,
        admin_token_made: row.admin_token_made,
        restored_at: row.restored_at,
        destruction_held_until: row.destruction_held_until,
    }))
}

/// Remembers that the first admin token was made; whether it wasn't before. Whoever gets `true` is the
/// one to make it, in the same transaction.
///
/// # Errors
/// `Unavailable`.
pub async fn mark_admin_token_made<C: ConnectionTrait>(tx: &C) -> Result<bool, Error> {
    let marked = tx.execute_raw(MARK_ADMIN_TOKEN_MADE.with(tx, [])).await.explain("mark admin token made")?;
    Ok(marked.rows_affected() > 0)
}

/// Accepts what the last restore brought: orphans may be destroyed again.
///
/// # Errors
/// `Unavailable`.
pub async fn accept_epoch<C: ConnectionTrait>(tx: &C) -> Result<(), Error> {
    tx.execute_raw(ACCEPT_EPOCH.with(tx, [])).await.explain("accept epoch")?;
    Ok(())
}

/// Begins a restore, unless one that has begun is not accepted yet: then it goes on. Nothing is destroyed on
/// suspicion until it is accepted. The backup that it came from is no longer being made.
///
/// # Errors
/// `Unavailable`.
pub async fn begin_restore<C: ConnectionTrait>(tx: &C, now: DateTime<Utc>) -> Result<(), Error> {
    tx.execute_raw(BEGIN_RESTORE.with(tx, [now.trunc_subsecs(6).into()])).await.explain("begin restore")?;
    Ok(())
}

/// Records that rows may be missing: nothing is destroyed on suspicion until that is accepted.
///
/// # Errors
/// `Unavailable`.
pub async fn advance_epoch<C: ConnectionTrait>(tx: &C) -> Result<(), Error> {
    tx.execute_raw(ADVANCE_EPOCH.with(tx, [])).await.explain("advance epoch")?;
    Ok(())
}

/// Whether a backup keeps everything from being destroyed.
///
/// # Errors
/// `Unavailable`.
pub async fn holds_destruction<C: ConnectionTrait>(connection: &C, now: DateTime<Utc>) -> Result<bool, Error> {
    let row = connection.query_one_raw(HOLDS_DESTRUCTION.with(connection, [now.trunc_subsecs(6).into()])).await;
    Ok(row.explain("look for backup")?.is_some())
}

/// Keeps everything from being destroyed until then; whether it does. It doesn't while a restore is not
/// accepted, or another hold lasts.
///
/// Once this is committed, what a row refers to outlives the row: whoever destroys looks for a hold after the
/// row is gone.
///
/// # Errors
/// `Unavailable`.
pub async fn hold_destruction<C: ConnectionTrait>(
    tx: &C,
    now: DateTime<Utc>,
    until: DateTime<Utc>,
) -> Result<bool, Error> {
    let values = [now, until].map(|time| time.trunc_subsecs(6).into());
    let held = tx.execute_raw(HOLD_DESTRUCTION.with(tx, values)).await.explain("hold destruction")?;
    Ok(held.rows_affected() > 0)
}

/// Lets what is due be destroyed again; returns until when it would have been kept, which may be over.
///
/// # Errors
/// `Unavailable`.
pub async fn release_destruction<C: ConnectionTrait>(tx: &C) -> Result<Option<DateTime<Utc>>, Error> {
    let row = tx.query_one_raw(LOCK.with(tx, [])).await.explain("lock installation")?;
    let until = row.map(|row| Cells::of(&row).take()).transpose().explain("lock installation")?.flatten();
    tx.execute_raw(RELEASE_DESTRUCTION.with(tx, [])).await.explain("release destruction")?;
    Ok(until)
}
