//! What a CA of Bailey's own must not forget.

use async_trait::async_trait;
use bailey_core::ca::{CaError, CaErrorKind, Generation, Ledger, Revoked};
use bailey_core::ids::CaId;
use bailey_sql::{Cells, Db, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::prelude::DateTimeUtc;
use sea_orm::{ConnectionTrait, DbErr, QueryResult};

/// The ledger of every CA of Bailey's own, in the metadata database.
pub struct CaLedger(pub Db);

#[async_trait]
impl Ledger for CaLedger {
    async fn generations(&self, ca: CaId) -> Result<Vec<Generation>, CaError> {
        generations(self.0.reader(), ca).await.map_err(unavailable)
    }

    async fn begin(&self, ca: CaId, generation: &Generation) -> Result<(), CaError> {
        let generation = generation.clone();
        let begin = self.0.write(move |tx| {
            let generation = generation.clone();
            Box::pin(async move { begin(tx, ca, &generation).await })
        });
        begin.await.map_err(unavailable)
    }

    async fn forget(&self, ca: CaId) -> Result<(), CaError> {
        let forget = self.0.write(move |tx| {
            Box::pin(async move {
                tx.execute_raw(FORGET.with(tx, [ca.uuid().into()])).await.explain("forget certificates of CA")?;
                Ok::<_, Error>(())
            })
        });
        forget.await.map_err(unavailable)
    }

    async fn revoke(&self, ca: CaId, generation: u32, revoked: &Revoked) -> Result<bool, CaError> {
        let revoked = revoked.clone();
        let revoke = self.0.write(move |tx| {
            let revoked = revoked.clone();
            Box::pin(async move { revoke(tx, ca, generation, &revoked).await })
        });
        revoke.await.map_err(unavailable)
    }

    async fn revoked(&self, ca: CaId, generation: u32, serial: &[u8]) -> Result<Option<Revoked>, CaError> {
        revocation(self.0.reader(), ca, generation, serial).await.map_err(unavailable)
    }

    async fn next_list(&self, ca: CaId, generation: u32, since: DateTime<Utc>) -> Result<(u64, Vec<Revoked>), CaError> {
        let next = self.0.write(move |tx| Box::pin(next_list(tx, ca, generation, since)));
        next.await.map_err(unavailable)
    }
}

fn unavailable(error: Error) -> CaError {
    CaError::new(CaErrorKind::Unavailable, "ask ledger", "").with_source(error)
}

/// As the databases have it.
fn whole(generation: u32) -> i32 {
    i32::try_from(generation).unwrap_or(i32::MAX)
}

const LIST: &str = "list certificates of CA";
const GENERATIONS: Sql =
    Sql::both("SELECT generation, der, created_at FROM ca_certificates WHERE ca_id = $1 ORDER BY generation, position");
const BEGIN: Sql = Sql::both(
    "INSERT INTO ca_certificates (ca_id, generation, position, der, created_at) VALUES ($1, $2, $3, $4, $5) \
     ON CONFLICT DO NOTHING",
);
const FORGET: Sql = Sql::both("DELETE FROM ca_certificates WHERE ca_id = $1");

async fn generations<C: ConnectionTrait>(connection: &C, ca: CaId) -> Result<Vec<Generation>, Error> {
    let rows = connection.query_all_raw(GENERATIONS.with(connection, [ca.uuid().into()])).await;
    let mut all: Vec<Generation> = Vec::new();
    for row in rows.explain(LIST)? {
        let mut cells = Cells::of(&row);
        let number = u32::try_from(cells.take::<i32>().explain(LIST)?).unwrap_or_default();
        let der = cells.take().explain(LIST)?;
        if let Some(last) = all.last_mut().filter(|last| last.number == number) {
            last.chain.push(der);
        } else {
            let created_at = cells.take::<DateTimeUtc>().explain(LIST)?;
            all.push(Generation { number, chain: vec![der], created_at });
        }
    }
    Ok(all)
}

/// Whoever inserts the first certificate of a chain inserts the rest of it.
async fn begin<C: ConnectionTrait>(tx: &C, ca: CaId, generation: &Generation) -> Result<(), Error> {
    for (position, der) in (0_i32..).zip(&generation.chain) {
        let (number, created_at) = (whole(generation.number), generation.created_at.trunc_subsecs(6));
        let values = [ca.uuid().into(), number.into(), position.into(), der.clone().into(), created_at.into()];
        let inserted = tx.execute_raw(BEGIN.with(tx, values)).await.explain("begin generation of CA")?;
        if inserted.rows_affected() == 0 {
            break;
        }
    }
    Ok(())
}

const REVOKE: Sql = Sql::both(
    "INSERT INTO ca_revocations (ca_id, generation, serial, reason, revoked_at, expires_at) \
     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING",
);
const REVOCATION: Sql = Sql::both(
    "SELECT serial, reason, revoked_at, expires_at FROM ca_revocations \
     WHERE ca_id = $1 AND generation = $2 AND serial = $3",
);

async fn revoke<C: ConnectionTrait>(tx: &C, ca: CaId, generation: u32, revoked: &Revoked) -> Result<bool, Error> {
    let values = [
        ca.uuid().into(),
        whole(generation).into(),
        revoked.serial.clone().into(),
        revoked.reason.as_str().into(),
        revoked.revoked_at.trunc_subsecs(6).into(),
        revoked.expires_at.trunc_subsecs(6).into(),
    ];
    let entered = tx.execute_raw(REVOKE.with(tx, values)).await.explain("revoke certificate")?;
    Ok(entered.rows_affected() > 0)
}

async fn revocation<C: ConnectionTrait>(
    connection: &C,
    ca: CaId,
    generation: u32,
    serial: &[u8],
) -> Result<Option<Revoked>, Error> {
    let values = [ca.uuid().into(), whole(generation).into(), serial.into()];
    let row = connection.query_one_raw(REVOCATION.with(connection, values)).await.explain("find revocation")?;
    row.as_ref().map(read).transpose().explain("find revocation")
}

const NEXT_LIST: Sql = Sql::both(
    "INSERT INTO ca_lists (ca_id, generation, number) VALUES ($1, $2, 1) \
     ON CONFLICT (ca_id, generation) DO UPDATE SET number = ca_lists.number + 1 RETURNING number",
);
const REVOKED: Sql = Sql::both(
    "SELECT serial, reason, revoked_at, expires_at FROM ca_revocations \
     WHERE ca_id = $1 AND generation = $2 AND expires_at > $3 ORDER BY serial",
);

/// The number is drawn first: whoever draws the next one waits for this transaction, and sees at least as much.
async fn next_list<C: ConnectionTrait>(
    tx: &C,
    ca: CaId,
    generation: u32,
    since: DateTime<Utc>,
) -> Result<(u64, Vec<Revoked>), Error> {
    let whose = [ca.uuid().into(), whole(generation).into()];
    let row = tx.query_one_raw(NEXT_LIST.with(tx, whose.clone())).await.explain("number CRL")?;
    let number: i64 = row.map_or(Ok(0), |row| Cells::of(&row).take()).explain("number CRL")?;
    let values = whose.into_iter().chain([since.trunc_subsecs(6).into()]);
    let rows = tx.query_all_raw(REVOKED.with(tx, values)).await.explain("list revocations")?;
    let revoked = rows.iter().map(read).collect::<Result<_, _>>().explain("list revocations")?;
    Ok((u64::try_from(number).unwrap_or_default(), revoked))
}

fn read(row: &QueryResult) -> Result<Revoked, DbErr> {
    let mut cells = Cells::of(row);
    Ok(Revoked {
        serial: cells.take()?,
        reason: cells.parse()?,
        revoked_at: cells.take::<DateTimeUtc>()?,
        expires_at: cells.take::<DateTimeUtc>()?,
    })
}
