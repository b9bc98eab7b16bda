//! One process that calls a library, from its start to its end.

use std::collections::HashMap;
use std::io::Result;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{Notify, oneshot};

use crate::config::Config;
use crate::error::Failure;
use crate::job::{Answer, Job};
use crate::runner::CHILD;
use crate::runner::frame::{self, Reply, Request};
use crate::session::lock;

/// This program, also after its file was replaced.
const PROGRAM: &str = "/proc/self/exe";

type Outcome = std::result::Result<Answer, Failure>;

/// The process ended before it answered; how.
#[derive(Debug)]
pub(super) struct Gone(pub(super) String);

/// A process that runs.
pub(super) struct Process {
    ids: AtomicU64,
    has_succeeded: AtomicBool,
    requests: tokio::sync::Mutex<ChildStdin>,
    shared: Arc<Shared>,
}

/// What those who ask and the task that hears the answers share.
struct Shared {
    state: Mutex<State>,
    kill: Notify,
}

enum State {
    /// Who waits for which answer.
    Running(HashMap<u64, oneshot::Sender<Outcome>>),
    /// How it ended.
    Ended(String),
}

impl Process {
    /// Starts this program again as [`CHILD`], and hands it the configuration: over stdin, since arguments and
    /// environment can be read by others.
    pub(super) async fn start(config: &Config) -> Result<Self> {
        let mut command = Command::new(PROGRAM);
        command.arg(CHILD).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
        // Not to be interrupted from the keyboard: this process has calls to finish then.
        let mut child = command.process_group(0).spawn()?;
        let (Some(mut requests), Some(replies)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(std::io::Error::other("no pipes"));
        };
        requests.write_all(&frame::encode(config)?).await?;
        let shared = Arc::new(Shared { state: Mutex::new(State::Running(HashMap::new())), kill: Notify::new() });
        tokio::spawn(Arc::clone(&shared).hear(child, replies));
        let requests = tokio::sync::Mutex::new(requests);
        Ok(Self { ids: AtomicU64::new(0), has_succeeded: AtomicBool::new(false), requests, shared })
    }

    /// Has a job done. Whoever stops waiting for it must kill the process: half a request may have been written.
    pub(super) async fn ask(&self, job: Job) -> std::result::Result<Outcome, Gone> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed);
        let (reply, answer) = oneshot::channel();
        match &mut *lock(&self.shared.state) {
            State::Running(waiting) => waiting.insert(id, reply),
            State::Ended(how) => return Err(Gone(how.clone())),
        };
        let frame = frame::encode(&Request { id, job }).map_err(|error| Gone(error.to_string()))?;
        // What can't be written has nobody to read it: the answer is how it ended.
        let _written = self.requests.lock().await.write_all(&frame).await;
        answer.await.map_err(|_| self.shared.gone())
    }

    pub(super) fn kill(&self) {
        self.shared.kill.notify_one();
    }

    /// Whether this is the first time that it is asked after a success.
    pub(super) fn is_first_success(&self) -> bool {
        !self.has_succeeded.swap(true, Ordering::Relaxed)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Shared {
    /// Hands answers to whoever waits for them, until the process ends or is to be killed.
    async fn hear(self: Arc<Self>, mut child: Child, mut replies: ChildStdout) {
        let heard = async {
            while let Ok(Reply { id, outcome }) = frame::receive(&mut replies).await {
                if let State::Running(waiting) = &mut *lock(&self.state)
                    && let Some(reply) = waiting.remove(&id)
                {
                    // Whoever asked may have given up.
                    let _received = reply.send(outcome);
                }
            }
        };
        let was_killed = tokio::select! {
            () = heard => false,
            () = self.kill.notified() => true,
        };
        // Whatever it sent last wasn't an answer: it is of no use any more.
        let _killed = child.start_kill();
        let how = match child.wait().await {
            _ if was_killed => "a call took longer than it may, and it was killed".to_owned(),
            Ok(status) => status.to_string(),
            Err(error) => error.to_string(),
        };
        *lock(&self.state) = State::Ended(how);
    }

    fn gone(&self) -> Gone {
        match &*lock(&self.state) {
            State::Running(_) => Gone("it doesn't answer".to_owned()),
            State::Ended(how) => Gone(how.clone()),
        }
    }
}
