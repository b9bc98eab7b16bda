//! A few threads for work that takes long, below the others' priority.
//!
//! tokio's blocking threads won't do: they are as many as wanted, they take the cores from requests,
//! and what was given up is done all the same.

use std::collections::VecDeque;
use std::panic::{self, AssertUnwindSafe};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use bailey_core::failure::Failure;
use tokio::sync::oneshot;

#[cfg(test)]
mod tests;

/// How far the threads step back. The others of the process are at 0: while they have work, these get
/// a tenth of a core, and all of it while they haven't.
const NICENESS: i32 = 10;

/// Runs work in the order in which it came, at most `threads` at a time.
pub struct Pool {
    threads: usize,
    waiting: usize,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Box<dyn Job>>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

/// Work, and who waits for it.
trait Job: Send {
    fn is_given_up(&self) -> bool;
    fn run(self: Box<Self>);
}

struct Work<T, F> {
    work: F,
    reply: oneshot::Sender<T>,
}

impl<T: Send, F: FnOnce() -> T + Send> Job for Work<T, F> {
    fn is_given_up(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(self: Box<Self>) {
        let Self { work, reply } = *self;
        // Whoever asked may have left meanwhile.
        let _ = reply.send(work());
    }
}

impl Pool {
    /// Starts no thread yet.
    pub fn new(threads: usize, waiting: usize) -> Self {
        Self { threads, waiting, shared: Arc::default() }
    }

    /// Runs `work` on one of the threads. Work whose future was dropped before its turn is not done.
    ///
    /// # Errors
    /// `Unavailable` when too much waits already or no thread can be had; `Internal` if `work` panics.
    pub async fn run<T, F>(&self, work: F) -> Result<T, Failure>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (reply, done) = oneshot::channel();
        self.submit(Box::new(Work { work, reply }))?;
        done.await.map_err(|_| Failure::internal("key generation panicked"))
    }

    fn submit(&self, job: Box<dyn Job>) -> Result<(), Failure> {
        let mut state = self.shared.lock();
        let is_full = |state: &State| state.idle <= state.jobs.len() && state.threads >= self.threads;
        if is_full(&state) && state.jobs.len() >= self.waiting {
            state.jobs.retain(|job| !job.is_given_up());
            if state.jobs.len() >= self.waiting {
                return Err(Failure::unavailable("Too many key pairs are waiting to be made"));
            }
        }
        if state.idle <= state.jobs.len() && state.threads < self.threads {
            let shared = Arc::clone(&self.shared);
            match thread::Builder::new().name("generate".into()).spawn(move || shared.work()) {
                Ok(_) => state.threads += 1,
                Err(error) if state.threads == 0 => {
                    let failure = Failure::unavailable("No key pair can be made now");
                    return Err(failure.with_detail(format!("start a thread: {error}")));
                }
                // The threads that there are do it later.
                Err(error) => tracing::warn!(%error, "a thread for key generation can't be started"),
            }
        }
        state.jobs.push_back(job);
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for Pool {
    /// Nobody is left to wait for what hasn't begun.
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self) {
        step_back();
        while let Some(job) = self.next() {
            // A panic drops the reply, which tells whoever waits; the thread goes on.
            let _ = panic::catch_unwind(AssertUnwindSafe(|| job.run()));
        }
    }

    fn next(&self) -> Option<Box<dyn Job>> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            match state.jobs.pop_front() {
                Some(job) if job.is_given_up() => {}
                Some(job) => return Some(job),
                None => {
                    state.idle += 1;
                    state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
                    state.idle -= 1;
                }
            }
        }
    }
}

/// On Linux a thread has a priority of its own; elsewhere this would slow the whole process down.
fn step_back() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, NICENESS) {
        tracing::warn!(%error, "key generation runs at the same priority as requests");
    }
}
