//! What is remembered of requests that may be repeated, and for how long.

use std::sync::Arc;

use crate::harness::Harness;
use bailey_core::failure::FailureKind;
use bailey_testkit::memory::{MemoryShelf, MemoryStore};

async fn harness() -> (Harness, Arc<MemoryShelf>) {
    let shelf = Arc::new(MemoryShelf::default());
    let kept = Arc::clone(&shelf);
    (Harness::new(|id, _, _| Arc::new(MemoryStore::new(id, kept))).await, shelf)
}

#[tokio::test]
async fn an_answer_is_kept_for_a_day() {
    let (harness, shelf) = harness().await;
    let first = harness.create_once("key", "body", Some("payload")).await.unwrap();
    for hours in [0, 12, 11] {
        harness.pass_hours(hours);
        assert_eq!(harness.create_once("key", "body", Some("payload")).await.unwrap(), first);
        let mismatch = harness.create_once("key", "another body", None).await.unwrap_err();
        assert_eq!(mismatch.kind, FailureKind::Mismatch);
    }
    assert_eq!(harness.worker.forget_answers().await.unwrap(), 0);

    // Then the key is as good as new, whether or not the answer has been forgotten yet.
    harness.pass_hours(2);
    let second = harness.create_once("key", "another body", Some("payload")).await.unwrap();
    assert_ne!(second, first);
    assert_eq!(harness.create_once("key", "another body", None).await.unwrap(), second);
    assert_eq!(shelf.stored().len(), 2);
    harness.pass_hours(25);
    assert_eq!(harness.worker.forget_answers().await.unwrap(), 1);
    assert_eq!(harness.worker.forget_answers().await.unwrap(), 0);
    assert_ne!(harness.create_once("key", "another body", None).await.unwrap(), second);
}

#[tokio::test]
async fn twins_leave_one_secret_and_one_payload() {
    let (harness, shelf) = harness().await;
    let harness = Arc::new(harness);
    let twins: Vec<_> = (0..8)
        .map(|_| {
            let harness = Arc::clone(&harness);
            tokio::spawn(async move { harness.create_once("key", "body", Some("payload")).await })
        })
        .collect();
    let mut made = Vec::new();
    for twin in twins {
        made.push(twin.await.unwrap().unwrap());
    }
    made.dedup();
    assert_eq!((made.len(), shelf.stored().len()), (1, 1));
    assert_eq!(harness.read(made[0]).await.unwrap(), "payload");
}
