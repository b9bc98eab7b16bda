//! Writing to SQLite: one task with one connection commits what waits, together.

use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::Duration;

use metrics::{Counter, Histogram};
use sea_orm::{DatabaseConnection, SqliteTransactionMode, TransactionOptions, TransactionTrait};
use tokio::sync::{Notify, mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::Instant;

use crate::connection::Tx;
use crate::error::{Error, ErrorKind, Explain};
use crate::measure::{Call as Asked, Measure};
use crate::transaction::{BoxFuture, run};

/// Most closures in one transaction.
const BATCH: usize = 64;
/// Most closures that wait for the writer; more wait for their place in this queue.
const QUEUE: usize = 1024;

/// The way to the writer task.
pub(crate) struct Writer {
    queue: mpsc::Sender<Box<dyn Job>>,
    closing: std::sync::Arc<Notify>,
    task: Mutex<Option<JoinHandle<()>>>,
    timeout: Duration,
}

impl Writer {
    /// Starts the writer task; `pool` has one connection that nobody else uses for writing.
    pub(crate) fn start(pool: DatabaseConnection, timeout: Duration, measure: &Measure) -> Self {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let closing = std::sync::Arc::new(Notify::new());
        let counts = Counts { sizes: measure.batch_sizes(), failures: measure.failures(Asked::Write).clone() };
        let task = tokio::spawn(serve(pool, jobs, closing.clone(), timeout, counts));
        Self { queue, closing, task: Mutex::new(Some(task)), timeout }
    }

    /// How many closures wait for their batch.
    pub(crate) fn queued(&self) -> usize {
        self.queue.max_capacity() - self.queue.capacity()
    }

    /// Runs the closure in the next batch and answers once that is committed.
    pub(crate) async fn write<F, T, E>(&self, closure: F) -> Result<T, E>
    where
        F: for<'t> FnMut(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send + 'static,
        T: Send + 'static,
        E: From<Error> + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let deadline = Instant::now() + self.timeout;
        let job = Box::new(Call { closure, deadline, result: None, reply });
        if self.queue.send_timeout(job, self.timeout).await.is_err() {
            return Err(unavailable("the writer takes no more").into());
        }
        answer.await.unwrap_or_else(|_| Err(unavailable("the writer is gone").into()))
    }

    /// Lets the writer finish what waits, then stops it.
    pub(crate) async fn close(&self) {
        self.closing.notify_one();
        let task = self.task.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(task) = task {
            let _ = task.await;
        }
    }
}

fn unavailable(detail: &'static str) -> Error {
    Error::new(ErrorKind::Unavailable, "write", detail)
}

/// A closure on its way through the writer, whatever its types.
trait Job: Send {
    /// Whether nobody waits for it any more, or it has waited too long to begin.
    fn is_stale(&self) -> bool;

    /// Runs the closure; whether it succeeded.
    fn run<'a>(&'a mut self, tx: &'a Tx) -> BoxFuture<'a, bool>;

    /// Answers, now that the batch has been committed, or has failed.
    fn answer(self: Box<Self>, batch: Result<(), Error>);
}

struct Call<F, T, E> {
    closure: F,
    deadline: Instant,
    result: Option<Result<T, E>>,
    reply: oneshot::Sender<Result<T, E>>,
}

impl<F, T, E> Job for Call<F, T, E>
where
    F: for<'t> FnMut(&'t Tx) -> BoxFuture<'t, Result<T, E>> + Send,
    T: Send,
    E: From<Error> + Send,
{
    fn is_stale(&self) -> bool {
        self.reply.is_closed() || self.deadline < Instant::now()
    }

    fn run<'a>(&'a mut self, tx: &'a Tx) -> BoxFuture<'a, bool> {
        Box::pin(async move {
            let result = run(&mut self.closure, tx).await;
            self.result.insert(result).is_ok()
        })
    }

    fn answer(self: Box<Self>, batch: Result<(), Error>) {
        let result = match batch {
            Ok(()) => self.result.unwrap_or_else(|| Err(unavailable("the database is busy").into())),
            // Even a closure that failed by itself may have failed because of a row that is gone now.
            Err(error) => Err(error.into()),
        };
        let _ = self.reply.send(result);
    }
}

/// What is told of batches.
struct Counts {
    sizes: Histogram,
    failures: Counter,
}

async fn serve(
    pool: DatabaseConnection,
    mut jobs: mpsc::Receiver<Box<dyn Job>>,
    closing: std::sync::Arc<Notify>,
    timeout: Duration,
    counts: Counts,
) {
    let mut batch = Vec::with_capacity(BATCH);
    loop {
        tokio::select! {
            taken = jobs.recv_many(&mut batch, BATCH) => if taken == 0 { break },
            () = closing.notified() => jobs.close(),
        }
        // A full disk, a broken disk, a file in use: it is nobody's own fault, and may pass.
        let result = commit(&pool, &mut batch, timeout).await;
        let result = result.map_err(|error| Error { kind: ErrorKind::Unavailable, ..error });
        counts.sizes.record(batch.len() as f64);
        counts.failures.increment(u64::from(result.is_err()));
        for job in batch.drain(..) {
            job.answer(result.clone());
        }
        // Whoever was just answered often has more to write: let it join this batch, not the one after.
        tokio::task::yield_now().await;
    }
}

/// Runs each job under its own savepoint and commits them together. After an error nothing of the
/// batch is there.
async fn commit(pool: &DatabaseConnection, batch: &mut [Box<dyn Job>], timeout: Duration) -> Result<(), Error> {
    if batch.iter().all(|job| job.is_stale()) {
        return Ok(());
    }
    let immediate =
        TransactionOptions { sqlite_transaction_mode: Some(SqliteTransactionMode::Immediate), ..Default::default() };
    let transaction = pool.begin_with_options(immediate).await.explain("begin transaction")?;
    for job in batch.iter_mut().filter(|job| !job.is_stale()) {
        let savepoint = Tx::new(transaction.begin().await.explain("begin savepoint")?, timeout);
        if job.run(&savepoint).await {
            savepoint.into_inner().commit().await.explain("release savepoint")?;
        } else {
            savepoint.into_inner().rollback().await.explain("roll back savepoint")?;
        }
    }
    transaction.commit().await.explain("commit transaction")
}
