//! Threads for calls that block: bounded, started when needed, written off when they don't come back, and
//! waited for by nobody.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

type Task = Box<dyn FnOnce() + Send>;

/// Runs tasks on threads of its own, at most so many at a time. The others wait in order.
///
/// They are plain threads: tokio waits for its blocking ones when it ends, and one that hangs in a library
/// would keep the process from ending.
pub(crate) struct Threads {
    shared: Arc<Shared>,
}

struct Shared {
    limit: usize,
    lost_limit: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: VecDeque<(Ticket, Task)>,
    /// Threads that can be counted on.
    threads: usize,
    idle: usize,
    /// Threads that were written off and haven't come back.
    lost: usize,
    is_closed: bool,
}

/// A task's place: in the line, on a thread, or on one that was written off.
#[derive(Clone)]
pub(crate) struct Ticket(Arc<Mutex<Stage>>);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Waiting,
    Running,
    Lost,
    Over,
}

/// Why a task was not taken.
#[derive(Debug)]
pub(crate) enum Refused {
    /// So many threads were written off that no more are risked.
    Lost(usize),
    /// The system gives no thread.
    NoThread(std::io::Error),
}

impl Threads {
    /// For `limit` tasks at a time, until `lost_limit` threads were written off.
    pub(crate) fn new(limit: usize, lost_limit: usize) -> Self {
        let (limit, lost_limit) = (limit.max(1), lost_limit.max(1));
        Self { shared: Arc::new(Shared { limit, lost_limit, state: Mutex::default(), changed: Condvar::new() }) }
    }

    /// Runs `task` as soon as a thread is free. Whoever wants its outcome has it told by the task.
    pub(crate) fn run(&self, task: impl FnOnce() + Send + 'static) -> Result<Ticket, Refused> {
        let mut state = self.shared.lock();
        if state.lost >= self.shared.lost_limit {
            return Err(Refused::Lost(state.lost));
        }
        let ticket = Ticket(Arc::new(Mutex::new(Stage::Waiting)));
        state.waiting.push_back((ticket.clone(), Box::new(task)));
        if let Err(error) = self.shared.staff(&mut state) {
            state.waiting.pop_back();
            return Err(Refused::NoThread(error));
        }
        self.shared.changed.notify_one();
        Ok(ticket)
    }

    /// Takes a task back that is still in the line; whether it was.
    pub(crate) fn cancel(&self, ticket: &Ticket) -> bool {
        let mut state = self.shared.lock();
        let is_waiting = ticket.get() == Stage::Waiting;
        state.waiting.retain(|(waiting, _)| !Arc::ptr_eq(&waiting.0, &ticket.0));
        is_waiting
    }

    /// Doesn't count on a task's thread any more; another takes its place. When the thread comes back after
    /// all, it ends.
    pub(crate) fn write_off(&self, ticket: &Ticket) {
        let mut state = self.shared.lock();
        if ticket.get() == Stage::Running {
            ticket.set(Stage::Lost);
            state.threads -= 1;
            state.lost += 1;
            // Without a thread, those in the line end by their deadlines.
            let _staffed = self.shared.staff(&mut state);
        }
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.lock().is_closed = true;
        self.shared.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a thread if somebody waits for one.
    fn staff(self: &Arc<Self>, state: &mut State) -> std::io::Result<()> {
        if state.waiting.len() > state.idle && state.threads < self.limit && state.lost < self.lost_limit {
            let shared = Arc::clone(self);
            thread::Builder::new().name("pkcs11".to_owned()).spawn(move || shared.work())?;
            state.threads += 1;
        }
        Ok(())
    }

    fn work(&self) {
        while let Some((ticket, task)) = self.next() {
            task();
            let mut state = self.lock();
            let was = ticket.get();
            ticket.set(Stage::Over);
            if was == Stage::Lost {
                state.lost -= 1;
                return;
            }
        }
    }

    fn next(&self) -> Option<(Ticket, Task)> {
        let mut state = self.lock();
        loop {
            if state.is_closed {
                return None;
            }
            if let Some((ticket, task)) = state.waiting.pop_front() {
                ticket.set(Stage::Running);
                return Some((ticket, task));
            }
            state.idle += 1;
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
            state.idle -= 1;
        }
    }
}

impl Ticket {
    /// Stages change under the lock of the threads' state only.
    fn get(&self) -> Stage {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, stage: Stage) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = stage;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::sync::mpsc;
    use std::time::Duration;

    use super::*;

    const PATIENCE: Duration = Duration::from_secs(10);

    /// A task that tells when it begins and ends when it is told to.
    fn hang(threads: &Threads) -> (Ticket, mpsc::Sender<()>) {
        let (begin, begun) = mpsc::channel();
        let (end, ended) = mpsc::channel();
        let task = move || {
            begin.send(()).unwrap();
            let _ended = ended.recv();
        };
        let ticket = threads.run(task).unwrap();
        begun.recv_timeout(PATIENCE).unwrap();
        (ticket, end)
    }

    fn answers(threads: &Threads) -> bool {
        let (reply, answer) = mpsc::channel();
        threads.run(move || reply.send(()).unwrap()).is_ok() && answer.recv_timeout(PATIENCE).is_ok()
    }

    #[test]
    fn another_thread_takes_the_place_of_one_that_is_written_off() {
        let threads = Threads::new(1, 2);
        let (first, end_first) = hang(&threads);
        let (reply, answer) = mpsc::channel();
        threads.run(move || reply.send(()).unwrap()).unwrap();
        assert!(answer.recv_timeout(Duration::from_millis(50)).is_err(), "the one thread is busy");
        threads.write_off(&first);
        answer.recv_timeout(PATIENCE).unwrap();

        let (second, end_second) = hang(&threads);
        threads.write_off(&second);
        assert!(matches!(threads.run(|| {}), Err(Refused::Lost(2))));

        drop(end_second);
        let deadline = std::time::Instant::now() + PATIENCE;
        while threads.shared.lock().lost > 1 {
            assert!(std::time::Instant::now() < deadline, "its place isn't freed");
            thread::yield_now();
        }
        assert!(answers(&threads));
        drop(end_first);
    }

    #[test]
    fn writing_off_twice_or_too_late_changes_nothing() {
        let threads = Threads::new(1, 8);
        let (ticket, end) = hang(&threads);
        threads.write_off(&ticket);
        threads.write_off(&ticket);
        assert_eq!(threads.shared.lock().lost, 1);
        drop(end);
        assert!(answers(&threads));
        let done = threads.run(|| {}).unwrap();
        assert!(answers(&threads));
        threads.write_off(&done);
        assert!(threads.shared.lock().lost <= 1);
    }

    #[test]
    fn what_is_taken_back_is_not_done() {
        let threads = Threads::new(1, 1);
        let (running, end) = hang(&threads);
        let (reply, answer) = mpsc::channel::<()>();
        let waiting = threads.run(move || reply.send(()).unwrap()).unwrap();
        assert!(threads.cancel(&waiting));
        assert!(!threads.cancel(&running));
        assert!(answer.recv_timeout(PATIENCE).is_err_and(|error| error == mpsc::RecvTimeoutError::Disconnected));
        drop(end);
    }
}
