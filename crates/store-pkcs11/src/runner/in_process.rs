//! Jobs on threads of this process.

use std::sync::Arc;
use std::thread;

use async_trait::async_trait;
use tokio::runtime::Handle;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, timeout_at};

use super::Runner;
use crate::config::Config;
use crate::connection::{Call, Connection};
use crate::error::{Failure, Fault, Operation};
use crate::job::{Answer, Job};
use crate::pool::{Refused, Threads, Ticket};

/// Runs jobs on a token whose library is loaded into this process.
///
/// A call past its deadline is given up with its thread and its session, and another thread takes its place, up
/// to a bound: then the library isn't called any more until one of those calls returns.
pub struct InProcess {
    shared: Arc<Shared>,
}

struct Shared {
    connection: Connection,
    threads: Threads,
}

impl InProcess {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let threads = Threads::new(config.sessions, config.lost_calls);
        Self { shared: Arc::new(Shared { connection: Connection::new(config), threads }) }
    }
}

#[async_trait]
impl Runner for InProcess {
    async fn run(&self, job: Job) -> Result<Answer, Failure> {
        let (config, operation) = (self.shared.connection.config(), job.operation());
        let (reply, answer) = oneshot::channel();
        let mut begun = Begun::new(&self.shared, job, reply)?;
        match timeout_at(begun.answer_by, answer).await {
            Ok(outcome) => {
                begun.is_answered = true;
                outcome
                    .unwrap_or_else(|_| Err(Failure::new(operation, Fault::Device, "the call ended without an answer")))
            }
            Err(_) => Err(late(config, operation)),
        }
    }
}

type Reply = oneshot::Sender<Result<Answer, Failure>>;

/// A call on a thread, or in the line for one.
///
/// Whoever asked may give up, or have waited long enough, before its answer is there. It is watched nevertheless,
/// by a task that only such a call costs.
struct Begun {
    shared: Arc<Shared>,
    ticket: Ticket,
    call: Arc<Call>,
    /// When a thread took it; closed when it is over.
    taken_at: watch::Receiver<Option<Instant>>,
    answer_by: Instant,
    is_answered: bool,
}

impl Begun {
    fn new(shared: &Arc<Shared>, job: Job, reply: Reply) -> Result<Self, Failure> {
        let config = shared.connection.config();
        let (operation, limit) = (job.operation(), config.deadline());
        let (tell, taken_at) = watch::channel(None);
        let (worker, call) = (Arc::clone(shared), Arc::new(Call::default()));
        let watched = Arc::clone(&call);
        let task = move || {
            let now = Instant::now();
            tell.send_replace(Some(now));
            // Whoever asked may have given up.
            let _received = reply.send(worker.connection.run(&job, &call, (now + limit).into_std()));
            drop(tell);
        };
        let answer_by = Instant::now() + limit;
        let ticket = shared.threads.run(task).map_err(|refused| not_taken(config, operation, refused))?;
        Ok(Self { shared: Arc::clone(shared), ticket, call: watched, taken_at, answer_by, is_answered: false })
    }

    /// Takes a call back that stays in the line, and gives its thread up when it takes longer than it may.
    fn watch(&self) -> impl Future<Output = ()> + Send + 'static {
        let (shared, ticket, call) = (Arc::clone(&self.shared), self.ticket.clone(), Arc::clone(&self.call));
        let (mut taken_at, answer_by) = (self.taken_at.clone(), self.answer_by);
        async move {
            if timeout_at(answer_by, taken_at.wait_for(Option::is_some)).await.is_err()
                && shared.threads.cancel(&ticket)
            {
                return;
            }
            let taken = taken_at.borrow().unwrap_or_else(Instant::now);
            let over = async { while taken_at.changed().await.is_ok() {} };
            if timeout_at(taken + shared.connection.config().deadline(), over).await.is_err() {
                call.give_up();
                shared.threads.write_off(&ticket);
            }
        }
    }
}

impl Drop for Begun {
    fn drop(&mut self) {
        if !self.is_answered
            && let Ok(runtime) = Handle::try_current()
        {
            runtime.spawn(self.watch());
        }
    }
}

fn late(config: &Config, operation: Operation) -> Failure {
    Failure::new(operation, Fault::Late, format!("no answer within {} s", config.deadline_seconds))
}

fn not_taken(config: &Config, operation: Operation, refused: Refused) -> Failure {
    match refused {
        Refused::Lost(lost) => {
            let context = format!(
                "{lost} calls of {} never returned, and no more are made: put the token right, and if they still don't \
                 return, restart bailey; with isolation = \"process\" no restart is needed",
                config.module.display()
            );
            Failure::new(operation, Fault::Unusable, context)
        }
        Refused::NoThread(error) => Failure::new(operation, Fault::Device, format!("no thread: {error}")),
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        let Some(token) = self.connection.close() else { return };
        // Closing sessions may hang, and whoever drops this must not. Without a thread they stay open, until
        // the process ends.
        let _closing = thread::Builder::new().name("pkcs11-close".to_owned()).spawn(move || drop(token));
    }
}
