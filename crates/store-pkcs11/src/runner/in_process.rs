//! Jobs on threads of this process.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::Runner;
use crate::config::Config;
use crate::error::{Failure, Fault, Operation};
use crate::job::{Answer, Job};
use crate::module::Module;
use crate::pin::RefusedPin;
use crate::pool::Threads;
use crate::session::{OpenToken, lock};

/// Runs jobs on a token whose library is loaded into this process.
pub struct InProcess {
    connection: Arc<Connection>,
    threads: Threads,
}

/// The token, while it is open.
struct Connection {
    config: Config,
    open: Mutex<Option<Arc<OpenToken>>>,
    refused: Mutex<Option<RefusedPin>>,
}

impl InProcess {
    /// Opens nothing yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let connection = Connection { config: config.clone(), open: Mutex::default(), refused: Mutex::default() };
        Self { connection: Arc::new(connection), threads: Threads::new(config.sessions) }
    }
}

#[async_trait]
impl Runner for InProcess {
    async fn run(&self, job: Job) -> Result<Answer, Failure> {
        let operation = job.operation();
        let (reply, answer) = oneshot::channel();
        let connection = Arc::clone(&self.connection);
        let started = self.threads.run(move || {
            // Whoever asked may have given up while this waited for a thread.
            if !reply.is_closed() {
                let _received = reply.send(connection.run(&job));
            }
        });
        started.map_err(|error| Failure::new(operation, Fault::Device, format!("no thread: {error}")))?;
        match timeout(self.connection.config.deadline(), answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failure::new(operation, Fault::Device, "the call ended without an answer")),
            Err(_) => Err(late(&self.connection.config, operation)),
        }
    }
}

fn late(config: &Config, operation: Operation) -> Failure {
    Failure::new(operation, Fault::Late, format!("no answer within {} s", config.deadline_seconds))
}

impl Connection {
    fn run(&self, job: &Job) -> Result<Answer, Failure> {
        let token = self.token()?;
        let outcome = job.run(&token);
        if outcome.as_ref().is_err_and(Failure::suspects_token) {
            self.abandon(&token);
        }
        outcome
    }

    /// The open token; one task opens it, the others wait.
    fn token(&self) -> Result<Arc<OpenToken>, Failure> {
        let mut open = lock(&self.open);
        if let Some(token) = open.as_ref() {
            return Ok(Arc::clone(token));
        }
        let module = Module::load(&self.config.module)?;
        let token = Arc::new(OpenToken::open(&self.config, &module, &self.refused)?);
        *open = Some(Arc::clone(&token));
        Ok(token)
    }

    /// Has the next job open the token anew.
    fn abandon(&self, token: &Arc<OpenToken>) {
        let mut open = lock(&self.open);
        if open.as_ref().is_some_and(|open| Arc::ptr_eq(open, token)) {
            *open = None;
        }
    }
}
