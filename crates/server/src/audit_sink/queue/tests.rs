#![allow(clippy::unwrap_used)]

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::os::fd::AsRawFd as _;

use chrono::Utc;
use nix::fcntl::{FcntlArg, SealFlag, fcntl};
use nix::sys::memfd::{MFdFlags, memfd_create};

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

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_write_at_once_and_each_is_written_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let sink = QueuedSink::start(Output::file(&path).unwrap(), 1000, Duration::from_secs(10)).unwrap();
    let writers = (0..8).map(|writer| {
        let sink = Arc::clone(&sink);
        tokio::spawn(async move {
            for count in 0..500 {
                sink.write(&event(&format!("{writer} {count}"))).unwrap();
                sink.settle().await.unwrap();
            }
        })
    });
    for writer in writers.collect::<Vec<_>>() {
        writer.await.unwrap();
    }
    let mut next = [0; 8];
    for line in fs::read_to_string(&path).unwrap().lines() {
        let action = action(line);
        let (writer, count) = action.split_once(' ').unwrap();
        let next = &mut next[writer.parse::<usize>().unwrap()];
        assert_eq!(count.parse::<usize>().unwrap(), *next);
        *next += 1;
    }
    assert_eq!(next, [500; 8]);
}

#[tokio::test]
async fn a_file_that_takes_nothing_is_waited_for() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("audit.log");
    let sealed = memfd_create("audit", MFdFlags::MFD_ALLOW_SEALING).unwrap();
    fcntl(&sealed, FcntlArg::F_ADD_SEALS(SealFlag::F_SEAL_WRITE)).unwrap();
    std::os::unix::fs::symlink(format!("/proc/self/fd/{}", sealed.as_raw_fd()), &path).unwrap();
    let output = Output::file(&path).unwrap();
    assert!(output.is_plain_file());
    let sink = QueuedSink::start(output, 10, DEADLINE).unwrap();
    sink.write(&event("first")).unwrap();
    assert!(sink.settle().await.is_err());
    sink.write(&event("second")).unwrap();
    fs::remove_file(&path).unwrap();
    sink.reopen();
    let begin = Instant::now();
    while sink.settle().await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let text = fs::read_to_string(&path).unwrap();
    assert_eq!(text.lines().map(action).collect::<Vec<_>>(), ["first", "second"]);
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
