//! Threads for calls that block: bounded, started when needed, waited for by nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread;

type Task = Box<dyn FnOnce() + Send>;

/// Runs tasks on threads of its own, at most so many at a time. The others wait in order.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    limit: usize,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<Task>,
    threads: usize,
    idle: usize,
    is_closed: bool,
}

impl Threads {
    pub(crate) fn new(limit: usize) -> Self {
        Self { shared: Arc::default(), limit: limit.max(1) }
    }

    /// Runs `task` as soon as a thread is free. Whoever wants its outcome has it told by the task.
    pub(crate) fn run(&self, task: impl FnOnce() + Send + 'static) -> std::io::Result<()> {
        let mut state = self.shared.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.idle <= state.waiting.len() && state.threads < self.limit {
            let shared = Arc::clone(&self.shared);
            thread::Builder::new().name("pkcs11".to_owned()).spawn(move || shared.work())?;
            state.threads += 1;
        }
        state.waiting.push_back(Box::new(task));
        self.shared.changed.notify_one();
        Ok(())
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn work(&self) {
        while let Some(task) = self.next() {
            task();
        }
    }

    fn next(&self) -> Option<Task> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if state.is_closed {
                return None;
            }
            if let Some(task) = state.waiting.pop_front() {
                return Some(task);
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}
