#![allow(clippy::unwrap_used, clippy::panic)]

use std::sync::mpsc;
use std::time::Duration;

use bailey_core::failure::FailureKind;

use super::*;

/// Occupies every thread of a pool until it is opened.
struct Gate {
    open: Vec<mpsc::Sender<()>>,
    done: Vec<tokio::task::JoinHandle<Result<(), Failure>>>,
}

impl Gate {
    async fn close(pool: &Arc<Pool>, threads: usize) -> Self {
        let mut gate = Self { open: Vec::new(), done: Vec::new() };
        for _ in 0..threads {
            let (open, opened) = mpsc::channel::<()>();
            let (begin, begun) = oneshot::channel();
            let pool = Arc::clone(pool);
            gate.done.push(tokio::spawn(async move {
                pool.run(move || {
                    begin.send(()).unwrap();
                    opened.recv().unwrap();
                })
                .await
            }));
            begun.await.unwrap();
            gate.open.push(open);
        }
        gate
    }

    async fn open(self) {
        for open in self.open {
            open.send(()).unwrap();
        }
        for done in self.done {
            done.await.unwrap().unwrap();
        }
    }
}

fn pool(threads: usize, waiting: usize) -> Arc<Pool> {
    Arc::new(Pool::new(threads, waiting))
}

/// Submits work that tells its number when it is done.
fn number(pool: &Arc<Pool>, number: u32, log: &mpsc::Sender<u32>) -> tokio::task::JoinHandle<Result<u32, Failure>> {
    let (pool, log) = (Arc::clone(pool), log.clone());
    let work = move || {
        log.send(number).unwrap();
        number
    };
    tokio::spawn(async move { pool.run(work).await })
}

async fn until_waiting(pool: &Pool, jobs: usize) {
    while pool.shared.lock().jobs.len() != jobs {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn work_is_done_in_order_when_a_thread_is_free() {
    let (pool, (log, logged)) = (pool(1, 8), mpsc::channel());
    let gate = Gate::close(&pool, 1).await;
    let mut jobs = Vec::new();
    for each in 0..5 {
        jobs.push(number(&pool, each, &log));
        until_waiting(&pool, jobs.len()).await;
    }
    assert!(logged.try_recv().is_err(), "work was done while the only thread was busy");
    gate.open().await;
    for (each, job) in (0..).zip(jobs) {
        assert_eq!(job.await.unwrap(), Ok(each));
    }
    assert_eq!(logged.try_iter().collect::<Vec<_>>(), [0, 1, 2, 3, 4]);
}

#[tokio::test]
async fn as_many_threads_work_as_there_may_be_and_no_more() {
    let pool = pool(3, 8);
    let gate = Gate::close(&pool, 3).await;
    let (log, logged) = mpsc::channel();
    let job = number(&pool, 1, &log);
    until_waiting(&pool, 1).await;
    assert!(logged.try_recv().is_err());
    assert_eq!(pool.shared.lock().threads, 3);
    gate.open().await;
    assert_eq!(job.await.unwrap(), Ok(1));
    assert_eq!(pool.shared.lock().threads, 3);
}

#[tokio::test]
async fn what_was_given_up_is_not_done_and_takes_no_place() {
    let (pool, (log, logged)) = (pool(1, 2), mpsc::channel());
    let gate = Gate::close(&pool, 1).await;
    let (given_up, kept) = (number(&pool, 1, &log), number(&pool, 2, &log));
    until_waiting(&pool, 2).await;
    let full = pool.run(|| ()).await.unwrap_err();
    assert_eq!((full.kind, full.retry_after), (FailureKind::Unavailable, Some(Duration::from_secs(1))));
    given_up.abort();
    given_up.await.unwrap_err();
    let next = number(&pool, 3, &log);
    tokio::task::yield_now().await;
    gate.open().await;
    assert_eq!((kept.await.unwrap(), next.await.unwrap()), (Ok(2), Ok(3)));
    assert_eq!(logged.try_iter().collect::<Vec<_>>(), [2, 3]);
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_thread_goes_on() {
    let pool = pool(1, 2);
    let failure = pool.run(|| panic!("on purpose")).await.map(|(): ()| ()).unwrap_err();
    assert_eq!(failure.kind, FailureKind::Internal);
    assert_eq!(pool.run(|| 7).await, Ok(7));
    assert_eq!(pool.shared.lock().threads, 1);
}

#[tokio::test]
#[cfg(target_os = "linux")]
async fn the_threads_step_back_and_only_they() {
    let niceness = || rustix::process::getpriority_process(None).unwrap();
    let before = niceness();
    let inside = pool(1, 1).run(niceness).await.unwrap();
    assert_eq!(inside, NICENESS.max(before));
    assert_eq!(niceness(), before);
}

#[tokio::test]
async fn threads_end_with_their_pool() {
    let pool = pool(2, 2);
    Gate::close(&pool, 2).await.open().await;
    let shared = Arc::downgrade(&pool.shared);
    drop(pool);
    while shared.strong_count() > 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}
