//! Jobs on threads of this process.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Runner;
use crate::config::Config;
use crate::connection::{Call, Connection};
use crate::error::{Failure, Fault, Operation};
use crate::job::{Answer, Job};
use crate::pool::{Refused, Threads};

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
        let (operation, deadline) = (job.operation(), self.shared.connection.config().deadline());
        let (reply, answer) = oneshot::channel();
        // On a task of its own: whoever asks may give up, and the call is to be watched nevertheless.
        tokio::spawn(watch(Arc::clone(&self.shared), job, reply));
        match timeout(deadline, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failure::new(operation, Fault::Device, "the call ended without an answer")),
            Err(_) => Err(late(self.shared.connection.config(), operation)),
        }
    }
}

type Reply = oneshot::Sender<Result<Answer, Failure>>;

/// Has a job done, and gives its thread up when it takes longer than it may.
async fn watch(shared: Arc<Shared>, job: Job, reply: Reply) {
    let (operation, limit) = (job.operation(), shared.connection.config().deadline());
    let (begin, begun) = oneshot::channel();
    let (end, ended) = oneshot::channel::<()>();
    let reply = Arc::new(Mutex::new(Some(reply)));
    let answer = {
        let reply = Arc::clone(&reply);
        move |outcome| {
            let reply = reply.lock().unwrap_or_else(PoisonError::into_inner).take();
            // Whoever asked may have given up.
            let _received = reply.map(|reply| reply.send(outcome));
        }
    };
    let refuse = answer.clone();
    let (worker, call) = (Arc::clone(&shared), Arc::new(Call::default()));
    let watched = Arc::clone(&call);
    let task = move || {
        let deadline = Instant::now() + limit;
        if begin.send(()).is_ok() {
            answer(worker.connection.run(&job, &call, deadline));
        }
        drop(end);
    };
    let ticket = match shared.threads.run(task) {
        Ok(ticket) => ticket,
        Err(refused) => return refuse(Err(not_taken(shared.connection.config(), operation, refused))),
    };
    if timeout(limit, begun).await.is_err() && shared.threads.cancel(&ticket) {
        return;
    }
    if timeout(limit, ended).await.is_err() {
        watched.give_up();
        shared.threads.write_off(&ticket);
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
