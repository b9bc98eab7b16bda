//! Audit events of a server, which nothing may wait for but the answer that they belong to.

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use async_trait::async_trait;
use bailey_core::audit::{AuditEvent, AuditSink};
use tokio::sync::watch;

use super::line;
use super::output::Output;

/// How many events are written at once, and those who wait for them are told.
const TOGETHER: usize = 64;
/// How often one who has an event to write goes on with those that came meanwhile.
const TURNS: usize = 4;
/// Between two tries to write the same events.
const RETRY: Duration = Duration::from_millis(200);

/// Events in the order they came. None is ever dropped: an event that can't be written is tried until it can, and
/// those behind it wait.
///
/// Who has an event writes it into a file itself, with those that others have meanwhile: one call that costs less
/// than waking somebody else. What doesn't succeed at once is a thread's, as is everything for a pipe, which may be held
/// up at its other end.
///
/// Its bound is at the door: once too many wait, or one for too long, it [isn't ready](AuditSink::is_ready)
/// for further requests. What those under way still have to say is taken all the same.
pub struct QueuedSink {
    shared: Arc<Shared>,
    written: watch::Receiver<u64>,
    bound: usize,
    deadline: Duration,
}

struct Shared {
    queue: Mutex<Queue>,
    /// Something is the thread's to do.
    changed: Condvar,
    tell: watch::Sender<u64>,
}

struct Queue {
    /// The first ones are being written.
    waiting: VecDeque<Waiting>,
    /// How many have been.
    written: u64,
    /// Whoever writes has it.
    output: Option<Output>,
    /// Whether what waits is the thread's to write.
    is_handed_over: bool,
    wants_reopening: bool,
    is_over: bool,
}

struct Waiting {
    line: Box<[u8]>,
    since: Instant,
}

impl QueuedSink {
    /// Starts the thread.
    pub(super) fn start(output: Output, bound: u32, deadline: Duration) -> Result<Arc<Self>> {
        // Shown from the beginning, so that the first failure shows as a rise.
        metrics::counter!("bailey_audit_failures_total").increment(0);
        metrics::counter!("bailey_audit_refusals_total").increment(0);
        let (tell, written) = watch::channel(0);
        let queue = Queue {
            waiting: VecDeque::new(),
            written: 0,
            output: Some(output),
            is_handed_over: false,
            wants_reopening: false,
            is_over: false,
        };
        let shared = Arc::new(Shared { queue: Mutex::new(queue), changed: Condvar::new(), tell });
        let writer = Arc::clone(&shared);
        thread::Builder::new()
            .name("audit".into())
            .spawn(move || while writer.serve() {})
            .context("no thread for audit events")?;
        Ok(Arc::new(Self { shared, written, bound: bound as usize, deadline }))
    }

    /// Has a file opened anew before the next event is written: it was moved away, to be archived.
    pub fn reopen(&self) {
        self.shared.lock().wants_reopening = true;
        self.shared.changed.notify_one();
    }

    /// Leaves in the log what could not be written before the process ends.
    pub fn tell_unwritten(&self) {
        for event in &self.shared.lock().waiting {
            let event = String::from_utf8_lossy(&event.line);
            tracing::error!(event = event.trim_end(), "an audit event was not written before the end");
        }
    }
}

#[async_trait]
impl AuditSink for QueuedSink {
    fn write(&self, event: &AuditEvent) -> io::Result<()> {
        let line = line(event)?.into();
        let mut queue = self.shared.lock();
        queue.waiting.push_back(Waiting { line, since: Instant::now() });
        metrics::gauge!("bailey_audit_waiting").set(queue.waiting.len() as f64);
        if queue.is_the_threads() {
            self.shared.changed.notify_one();
        } else if let Some(output) = queue.output.take() {
            drop(queue);
            self.shared.write_at_once(output);
        }
        // Otherwise whoever has the output comes to this event, too.
        Ok(())
    }

    fn is_ready(&self) -> bool {
        let queue = self.shared.lock();
        queue.waiting.len() < self.bound && !queue.is_stalled(self.deadline)
    }

    async fn settle(&self) -> io::Result<()> {
        let target = {
            let queue = self.shared.lock();
            if queue.is_stalled(self.deadline) {
                return Err(io::ErrorKind::TimedOut.into());
            }
            queue.written + queue.waiting.len() as u64
        };
        let mut written = self.written.clone();
        let done = written.wait_for(|written| *written >= target);
        match tokio::time::timeout(self.deadline, done).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => Err(io::Error::other("nobody writes audit events any more")),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }
}

impl Drop for QueuedSink {
    fn drop(&mut self) {
        self.shared.lock().is_over = true;
        self.shared.changed.notify_one();
    }
}

impl Queue {
    fn is_stalled(&self, deadline: Duration) -> bool {
        self.waiting.front().is_some_and(|first| first.since.elapsed() >= deadline)
    }

    fn is_the_threads(&self) -> bool {
        self.is_handed_over
            || self.wants_reopening
            || self.output.as_ref().is_some_and(|output| !output.is_plain_file())
    }

    /// Whether the thread has something to do.
    fn calls(&self) -> bool {
        let has_work = self.wants_reopening || (self.is_the_threads() && !self.waiting.is_empty());
        self.output.is_some() && (has_work || self.is_over)
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Writes what waits; leaves to the thread what fails or goes on for too long.
    fn write_at_once(&self, mut output: Output) {
        let mut queue = self.lock();
        for _ in 0..TURNS {
            let result;
            (queue, result) = self.write_some(queue, &mut output);
            if result.is_err() || queue.waiting.is_empty() {
                break;
            }
        }
        queue.output = Some(output);
        queue.is_handed_over = !queue.waiting.is_empty();
        if queue.calls() {
            self.changed.notify_one();
        }
    }

    /// Waits until there is something for the thread, and does it; false at the end.
    fn serve(&self) -> bool {
        let queue = self.changed.wait_while(self.lock(), |queue| !queue.calls());
        let mut queue = queue.unwrap_or_else(PoisonError::into_inner);
        let Some(mut output) = queue.output.take() else { return true };
        let mut is_trouble_told = false;
        loop {
            if std::mem::take(&mut queue.wants_reopening) {
                drop(queue);
                if let Err(error) = output.reopen() {
                    tracing::error!(error = format!("{error:#}"), "audit events go on going to the old file");
                }
                queue = self.lock();
            }
            if queue.waiting.is_empty() {
                break;
            }
            let result;
            (queue, result) = self.write_some(queue, &mut output);
            if let Err(error) = result {
                metrics::counter!("bailey_audit_failures_total").increment(1);
                if !std::mem::replace(&mut is_trouble_told, true) {
                    tracing::error!(%error, "audit events can't be written: nothing is done for clients until they can");
                }
                drop(queue);
                thread::sleep(RETRY);
                queue = self.lock();
                if queue.is_over {
                    // Nobody needs it any more.
                    return false;
                }
            }
        }
        if is_trouble_told {
            tracing::info!("audit events are written again");
        }
        queue.output = Some(output);
        queue.is_handed_over = false;
        !queue.is_over
    }

    /// Tries once to write the next events, and takes from the queue what is written of them.
    fn write_some<'a>(
        &'a self,
        queue: MutexGuard<'a, Queue>,
        output: &mut Output,
    ) -> (MutexGuard<'a, Queue>, io::Result<()>) {
        let next = queue.waiting.iter().take(TOGETHER);
        let lines: Vec<u8> = next.flat_map(|waiting| waiting.line.iter().copied()).collect();
        drop(queue);
        let mut left = &lines[..];
        let result = output.write(&mut left);
        let count = lines[..lines.len() - left.len()].iter().filter(|byte| **byte == b'\n').count();
        let mut queue = self.lock();
        queue.waiting.drain(..count);
        queue.written += count as u64;
        metrics::gauge!("bailey_audit_waiting").set(queue.waiting.len() as f64);
        self.tell.send_replace(queue.written);
        (queue, result)
    }
}

#[cfg(test)]
mod tests;
