//! Jobs in a process of their own.

mod process;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex, Semaphore, oneshot};
use tokio::time::timeout;

use super::Runner;
use crate::config::Config;
use crate::error::{Failure, Fault, Operation};
use crate::job::{Answer, Job};
use process::{Gone, Process};

/// From the end of the process to the next; doubles while the next one does no better.
const SHORTEST_REST: Duration = Duration::from_millis(100);
const LONGEST_REST: Duration = Duration::from_secs(10);

/// Has another process run jobs, which it starts with the first one. When a call is past its deadline, that
/// process is killed with all that it was doing, and started again.
pub struct Supervised {
    shared: Arc<Shared>,
}

struct Shared {
    config: Config,
    /// As many jobs as the token has sessions for: none waits in the process, whose time is counted.
    places: Semaphore,
    slot: Mutex<Slot>,
}

struct Slot {
    process: Option<Arc<Process>>,
    /// Not before then is another one started.
    rests_until: Option<Instant>,
    rest: Duration,
}

impl Supervised {
    /// Starts nothing yet.
    #[must_use]
    pub fn new(config: &Config) -> Self {
        let slot = Slot { process: None, rests_until: None, rest: SHORTEST_REST };
        let places = Semaphore::new(config.sessions.max(1));
        Self { shared: Arc::new(Shared { config: config.clone(), places, slot: Mutex::new(slot) }) }
    }
}

#[async_trait]
impl Runner for Supervised {
    async fn run(&self, job: Job) -> Result<Answer, Failure> {
        let (operation, limit) = (job.operation(), self.shared.config.deadline());
        let (reply, answer) = oneshot::channel();
        let shared = Arc::clone(&self.shared);
        // On a task of its own: whoever asks may give up, and the process is to be watched nevertheless.
        tokio::spawn(async move { reply.send(shared.carry(job).await) });
        match timeout(limit, answer).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(Failure::new(operation, Fault::Device, "the call ended without an answer")),
            Err(_) => Err(self.shared.late(operation)),
        }
    }
}

impl Shared {
    async fn carry(&self, job: Job) -> Result<Answer, Failure> {
        let (operation, limit) = (job.operation(), self.config.deadline());
        let Ok(Ok(_place)) = timeout(limit, self.places.acquire()).await else { return Err(self.late(operation)) };
        let process = self.process(operation).await?;
        match timeout(limit, process.ask(job)).await {
            Ok(Ok(outcome)) => {
                if outcome.is_ok() && process.is_first_success() {
                    self.slot.lock().await.rest = SHORTEST_REST;
                }
                outcome
            }
            Ok(Err(Gone(how))) => {
                self.forget(&process).await;
                let context = format!("the process that calls {} ended: {how}", self.config.module.display());
                Err(Failure::new(operation, Fault::Lost, context))
            }
            Err(_) => {
                process.kill();
                self.forget(&process).await;
                Err(self.late(operation))
            }
        }
    }

    fn late(&self, operation: Operation) -> Failure {
        Failure::new(operation, Fault::Late, format!("no answer within {} s", self.config.deadline_seconds))
    }

    /// The process, started if there is none.
    async fn process(&self, operation: Operation) -> Result<Arc<Process>, Failure> {
        let mut slot = self.slot.lock().await;
        if let Some(process) = &slot.process {
            return Ok(Arc::clone(process));
        }
        let module = self.config.module.display();
        if slot.rests_until.is_some_and(|until| Instant::now() < until) {
            let context = format!("the process that calls {module} ended, and is started again in a moment");
            return Err(Failure::new(operation, Fault::Lost, context));
        }
        let process = Process::start(&self.config).await.map_err(|error| {
            let context = format!("the process that calls {module} can't be started: {error}");
            Failure::new(Operation::LoadModule, Fault::Device, context)
        })?;
        Ok(Arc::clone(slot.process.insert(Arc::new(process))))
    }

    /// Has the next job start another process, after a rest.
    async fn forget(&self, process: &Arc<Process>) {
        let mut slot = self.slot.lock().await;
        if slot.process.as_ref().is_some_and(|current| Arc::ptr_eq(current, process)) {
            slot.process = None;
            slot.rests_until = Some(Instant::now() + slot.rest);
            slot.rest = (slot.rest * 2).min(LONGEST_REST);
        }
    }
}
