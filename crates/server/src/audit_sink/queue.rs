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
/// Between two tries to write the same events.
const RETRY: Duration = Duration::from_millis(200);

/// Events in the order they came, and the thread that writes them. None is ever dropped: an event that can't
/// be written is tried until it can, and those behind it wait.
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
    changed: Condvar,
}

#[derive(Default)]
struct Queue {
    /// The first ones are being written.
    waiting: VecDeque<Waiting>,
    /// How many have been.
    written: u64,
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
        let shared = Arc::new(Shared { queue: Mutex::default(), changed: Condvar::new() });
        let (tell, written) = watch::channel(0);
        // Shown from the beginning, so that the first failure shows as a rise.
        metrics::counter!("bailey_audit_failures_total").increment(0);
        metrics::counter!("bailey_audit_refusals_total").increment(0);
        let writer = Writer { shared: Arc::clone(&shared), output, tell };
        thread::Builder::new()
            .name("audit".into())
            .spawn(move || writer.run())
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
        self.shared.changed.notify_one();
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

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    fn is_stalled(&self, deadline: Duration) -> bool {
        self.waiting.front().is_some_and(|first| first.since.elapsed() >= deadline)
    }
}

struct Writer {
    shared: Arc<Shared>,
    output: Output,
    tell: watch::Sender<u64>,
}

impl Writer {
    fn run(mut self) {
        while let Some((lines, count)) = self.next()
            && self.write(&lines)
        {
            self.finish(count);
        }
    }

    /// The next lines, and how many they are; waits until there are some. `None` when there will be no more.
    fn next(&mut self) -> Option<(Vec<u8>, usize)> {
        let shared = Arc::clone(&self.shared);
        let queue = shared.lock();
        let is_idle = |queue: &mut Queue| queue.waiting.is_empty() && !queue.is_over && !queue.wants_reopening;
        let mut queue = shared.changed.wait_while(queue, is_idle).unwrap_or_else(PoisonError::into_inner);
        if std::mem::take(&mut queue.wants_reopening) {
            drop(queue);
            self.reopen();
            return self.next();
        }
        let count = queue.waiting.len().min(TOGETHER);
        let lines = queue.waiting.iter().take(count).flat_map(|waiting| waiting.line.iter().copied()).collect();
        (count > 0).then_some((lines, count))
    }

    /// Writes them, however often that takes; false if nobody needs it any more.
    fn write(&mut self, mut lines: &[u8]) -> bool {
        let mut is_trouble_told = false;
        while let Err(error) = self.output.write(&mut lines) {
            metrics::counter!("bailey_audit_failures_total").increment(1);
            if !std::mem::replace(&mut is_trouble_told, true) {
                tracing::error!(%error, "audit events can't be written: nothing is done for clients until they can");
            }
            thread::sleep(RETRY);
            let (is_over, wants_reopening) = {
                let mut queue = self.shared.lock();
                (queue.is_over, std::mem::take(&mut queue.wants_reopening))
            };
            if is_over {
                return false;
            }
            if wants_reopening {
                self.reopen();
            }
        }
        if is_trouble_told {
            tracing::info!("audit events are written again");
        }
        true
    }

    fn finish(&self, count: usize) {
        let mut queue = self.shared.lock();
        queue.waiting.drain(..count);
        queue.written += count as u64;
        metrics::gauge!("bailey_audit_waiting").set(queue.waiting.len() as f64);
        self.tell.send_replace(queue.written);
    }

    fn reopen(&mut self) {
        if let Err(error) = self.output.reopen() {
            tracing::error!(error = format!("{error:#}"), "audit events go on going to the old file");
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::fs;
    use std::io::{BufRead as _, BufReader};

    use chrono::Utc;

    use super::super::operator_event;
    use super::*;

    const DEADLINE: Duration = Duration::from_millis(100);

    fn event(action: &str) -> AuditEvent {
        operator_event(Utc::now(), action, None, None)
    }

    fn action(line: &str) -> String {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["action"].as_str().unwrap().to_owned()
    }

    /// Takes events until it is no longer ready; returns how many.
    fn fill(sink: &QueuedSink) -> usize {
        (0..).take_while(|number| sink.is_ready() && sink.write(&event(&number.to_string())).is_ok()).count()
    }

    #[tokio::test]
    async fn what_is_settled_is_in_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let (path, moved) = (folder.path().join("audit.log"), folder.path().join("audit.log.1"));
        let sink = QueuedSink::start(Output::file(&path).unwrap(), 10, Duration::from_secs(10)).unwrap();
        let actions = |path| fs::read_to_string(path).unwrap().lines().map(action).collect::<Vec<_>>();
        sink.write(&event("first\n")).unwrap();
        sink.settle().await.unwrap();
        assert_eq!(actions(&path), ["first\n"]);

        fs::rename(&path, &moved).unwrap();
        sink.reopen();
        sink.write(&event("second")).unwrap();
        sink.settle().await.unwrap();
        assert_eq!((actions(&moved), actions(&path)), (vec!["first\n".to_owned()], vec!["second".to_owned()]));
    }

    #[tokio::test]
    async fn a_pipe_that_nobody_reads_holds_up_nobody_and_loses_nothing() {
        let (reader, writer) = io::pipe().unwrap();
        let sink = QueuedSink::start(Output::stream(writer).unwrap(), 1000, DEADLINE).unwrap();
        let begin = Instant::now();
        let mut taken = fill(&sink);
        assert!(taken >= 1000 && begin.elapsed() < Duration::from_secs(5), "{taken} in {:?}", begin.elapsed());
        let failure = sink.settle().await.unwrap_err();
        assert_eq!(failure.kind(), io::ErrorKind::TimedOut);
        let begin = Instant::now();
        assert!(sink.settle().await.is_err() && begin.elapsed() < DEADLINE, "at once: it is known to be stalled");
        sink.write(&event(&taken.to_string())).unwrap();
        taken += 1;

        let reading = thread::spawn(move || {
            let lines = BufReader::new(reader).lines().take(taken);
            lines.map(|line| action(&line.unwrap()).parse().unwrap()).collect::<Vec<usize>>()
        });
        assert_eq!(reading.join().unwrap(), (0..taken).collect::<Vec<_>>());
        sink.settle().await.unwrap();
        assert!(sink.is_ready());
    }

    #[tokio::test]
    async fn one_event_that_waits_too_long_closes_the_door() {
        let (reader, writer) = io::pipe().unwrap();
        let sink = QueuedSink::start(Output::stream(writer).unwrap(), 1 << 20, DEADLINE).unwrap();
        let begin = Instant::now();
        while sink.is_ready() {
            sink.write(&event("more")).unwrap();
            tokio::task::yield_now().await;
            assert!(begin.elapsed() < Duration::from_secs(20));
        }
        drop(reader);
        assert!(sink.settle().await.is_err(), "what can't be written at all is tried again and again");
    }

    #[tokio::test]
    async fn a_full_disk_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audit.log");
        std::os::unix::fs::symlink("/dev/full", &path).unwrap();
        let sink = QueuedSink::start(Output::file(&path).unwrap(), 10, DEADLINE).unwrap();
        sink.write(&event("late")).unwrap();
        assert!(sink.settle().await.is_err());
        assert!(!sink.is_ready());
        fs::remove_file(&path).unwrap();
        sink.reopen();
        let begin = Instant::now();
        while sink.settle().await.is_err() {
            assert!(begin.elapsed() < Duration::from_secs(20));
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        assert_eq!(action(fs::read_to_string(&path).unwrap().trim_end()), "late");
    }
}
