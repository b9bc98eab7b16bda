//! Writing to PostgreSQL: a transaction for each closure, run again when the server asks for it.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::time::Duration;

use sea_orm::{DatabaseConnection, TransactionTrait};

use crate::connection::{Tx, within};
use crate::error::{Error, Explain, describe, is_transient};
use crate::measure::{Call, Measure};
use crate::transaction::{BoxFuture, run};

const ATTEMPTS: u32 = 6;

/// How one attempt ended.
enum Attempt<T, E> {
    /// With what the closure said.
    Done(Result<T, E>),
    /// The database didn't begin the transaction, or it is not known whether it committed it.
    Refused(Error),
    /// The server rolled back because of others' transactions (SQLSTATE 40001 or 40P01).
    Again(Error),
}

/// Runs the closure in a transaction, again if the server rolled it back for reasons that pass.
pub(crate) async fn write<F, T, E>(
    pool: &DatabaseConnection,
    timeout: Duration,
    measure: &Measure,
    mut closure: F,
) -> Result<T, E>
where
    F: for<'t> FnMut(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    let mut attempts = 0;
    loop {
        attempts += 1;
        match attempt(pool, timeout, &mut closure).await {
            Attempt::Done(result) => return result,
            Attempt::Refused(error) => {
                measure.failures(Call::Write).increment(1);
                return Err(error.into());
            }
            Attempt::Again(error) if attempts == ATTEMPTS => {
                measure.failures(Call::Write).increment(1);
                return Err(error.into());
            }
            Attempt::Again(_) => tokio::time::sleep(pause(attempts)).await,
        }
    }
}

async fn attempt<F, T, E>(pool: &DatabaseConnection, timeout: Duration, closure: &mut F) -> Attempt<T, E>
where
    F: for<'t> FnMut(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    let tx = match within(timeout, pool.begin()).await.explain("begin transaction") {
        Ok(tx) => Tx::new(tx, timeout),
        Err(error) => return Attempt::Refused(error),
    };
    match run(closure, &tx).await {
        Ok(value) => match within(timeout, tx.into_inner().commit()).await {
            Ok(()) => Attempt::Done(Ok(value)),
            // With these codes the server says that it rolled back. Any other end of a COMMIT may be a
            // success whose news were lost: running the closure again could do its work twice.
            Err(error) if is_transient(&error) => Attempt::Again(describe(&error, "commit transaction")),
            Err(error) => Attempt::Refused(describe(&error, "commit transaction")),
        },
        Err(error) => {
            let transient = tx.failure().filter(|error| is_transient(error)).cloned();
            // A rollback that fails leaves nothing behind either: the pool drops the connection.
            let _ = within(timeout, tx.into_inner().rollback()).await;
            match transient {
                Some(error) => Attempt::Again(describe(&error, "run transaction")),
                None => Attempt::Done(Err(error)),
            }
        }
    }
}

/// Between 0 and 5 ms after the first attempt, twice that after each further one.
fn pause(attempts: u32) -> Duration {
    let random = RandomState::new().build_hasher().finish() % 1_000;
    Duration::from_micros((5 * random) << (attempts - 1))
}
