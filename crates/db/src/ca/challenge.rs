//! Answers to the challenges of CAs, which every process that serves them finds here.

use async_trait::async_trait;
use bailey_core::ca::{CaError, CaErrorKind, Challenges};
use bailey_core::clock::Clock;
use bailey_sql::{Cells, Db, Error, Explain, Sql};
use chrono::{DateTime, SubsecRound, Utc};
use sea_orm::ConnectionTrait;

const FIND: Sql = Sql::both("SELECT answer FROM ca_challenges WHERE token = $1 AND expires_at > $2");
const PLACE: Sql = Sql::both(
    "INSERT INTO ca_challenges (token, answer, expires_at) VALUES ($1, $2, $3) \
     ON CONFLICT (token) DO UPDATE SET answer = excluded.answer, expires_at = excluded.expires_at",
);
const REMOVE: Sql = Sql::both("DELETE FROM ca_challenges WHERE token = $1");
const EXPIRE: Sql = Sql::both("DELETE FROM ca_challenges WHERE expires_at <= $1");

/// The answers in the metadata database.
pub struct CaChallenges {
    /// The metadata database.
    pub db: Db,
    /// The time.
    pub clock: Clock,
}

#[async_trait]
impl Challenges for CaChallenges {
    async fn place(&self, token: &str, answer: &str, until: DateTime<Utc>) -> Result<(), CaError> {
        let (token, answer, now) = (token.to_owned(), answer.to_owned(), self.clock.now());
        let place = self.db.write(move |tx| {
            let values = [token.clone().into(), answer.clone().into(), until.trunc_subsecs(6).into()];
            Box::pin(async move {
                // What nobody took away goes with the next one that comes.
                tx.execute_raw(EXPIRE.with(tx, [now.into()])).await.explain("expire challenges")?;
                tx.execute_raw(PLACE.with(tx, values)).await.explain("place challenge")?;
                Ok::<_, Error>(())
            })
        });
        place.await.map_err(unavailable)
    }

    async fn remove(&self, token: &str) -> Result<(), CaError> {
        let token = token.to_owned();
        let remove = self.db.write(move |tx| {
            let token = token.clone();
            Box::pin(async move {
                tx.execute_raw(REMOVE.with(tx, [token.into()])).await.explain("remove challenge")?;
                Ok::<_, Error>(())
            })
        });
        remove.await.map_err(unavailable)
    }

    async fn find(&self, token: &str) -> Result<Option<String>, CaError> {
        find_challenge(self.db.reader(), token, self.clock.now()).await.map_err(unavailable)
    }
}

/// What a token is answered with.
///
/// # Errors
/// `Unavailable`.
pub async fn find_challenge<C: ConnectionTrait>(
    connection: &C,
    token: &str,
    now: DateTime<Utc>,
) -> Result<Option<String>, Error> {
    let row = connection.query_one_raw(FIND.with(connection, [token.into(), now.trunc_subsecs(6).into()])).await;
    let row = row.explain("find challenge")?;
    row.map(|row| Cells::of(&row).take()).transpose().explain("find challenge")
}

fn unavailable(error: Error) -> CaError {
    CaError::new(CaErrorKind::Unavailable, "keep challenge", "").with_source(error)
}
