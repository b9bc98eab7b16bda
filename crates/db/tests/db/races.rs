//! What happens when two want the same thing at once.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bailey_core::secret::{Metadatum, UserMetadata};
use bailey_db::write::{Condemned, WriteState};
use bailey_db::{ErrorKind, deletion, metadata, secret, target, write};

use crate::fixture::{Fixture, at, empty, on_both, project};

on_both!(
    one_of_many_second_steps_wins,
    a_commit_and_a_condemnation_never_both_succeed,
    a_move_and_a_deletion_leave_no_payload_behind,
    a_deleted_secret_keeps_no_metadata,
    replacing_metadata_leaves_one_set,
    many_insert_several_secrets_each_and_nobody_begins_anew,
);

const ROUNDS: usize = 20;

async fn one_of_many_second_steps_wins(f: Fixture) {
    for _ in 0..ROUNDS {
        let secret = empty("a");
        f.insert(&secret, None).await;
        let attempts: Vec<_> = (0..4)
            .map(|_| {
                let (db, placement, id) = (f.db.clone(), f.placement(), secret.id);
                tokio::spawn(async move {
                    let given = placement.clone();
                    let placed = db.write(move |tx| {
                        let placement = given.clone();
                        Box::pin(async move { secret::place(tx, &project("a"), id, &placement, at(1)).await })
                    });
                    placed.await.unwrap().then_some(placement)
                })
            })
            .collect();
        let mut winners = Vec::new();
        for attempt in attempts {
            winners.extend(attempt.await.unwrap());
        }
        let found = target::find_secret(f.db.reader(), secret.id).await.unwrap().unwrap();
        assert_eq!(winners, found.placement.into_iter().collect::<Vec<_>>());
    }
}

async fn a_commit_and_a_condemnation_never_both_succeed(f: Fixture) {
    for _ in 0..ROUNDS {
        let (secret, placement) = (empty("a"), f.placement());
        let (id, contested) = (secret.id, placement.write);
        let db = f.db.clone();
        let commit = tokio::spawn(async move {
            db.write(move |tx| {
                let (secret, placement) = (secret.clone(), placement.clone());
                Box::pin(async move { secret::insert(tx, &secret, Some(&placement)).await })
            })
            .await
        });
        let condemned = f.write(move |tx| Box::pin(write::condemn(tx, contested))).await;
        let committed = commit.await.unwrap();
        let is_there = target::find_secret(f.db.reader(), id).await.unwrap().is_some();
        match committed {
            Ok(()) => assert_eq!((condemned, is_there), (Condemned::Live, true)),
            Err(error) => {
                assert_eq!((error.kind, condemned, is_there), (ErrorKind::Condemned, Condemned::Yes, false));
            }
        }
    }
}

/// Whoever begins anew had a deadlock, which takes PostgreSQL a second to notice.
async fn many_insert_several_secrets_each_and_nobody_begins_anew(f: Fixture) {
    const AT_ONCE: usize = 8;
    let begun = Arc::new(AtomicUsize::new(0));
    let tasks: Vec<_> = (0..AT_ONCE)
        .map(|_| {
            let (db, begun) = (f.db.clone(), Arc::clone(&begun));
            tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    let begun = Arc::clone(&begun);
                    let inserted = db.write(move |tx| {
                        begun.fetch_add(1, Ordering::Relaxed);
                        Box::pin(async move {
                            for _ in 0..4 {
                                secret::insert(tx, &empty("a"), None).await?;
                            }
                            Ok::<_, bailey_db::Error>(())
                        })
                    });
                    inserted.await.unwrap();
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_eq!(begun.load(Ordering::Relaxed), AT_ONCE * ROUNDS);
}

async fn a_move_and_a_deletion_leave_no_payload_behind(f: Fixture) {
    for _ in 0..ROUNDS {
        let (secret, old) = f.placed("a").await;
        let (db, id, new) = (f.db.clone(), secret.id, f.placement());
        let new_write = new.write;
        let moving = tokio::spawn(async move {
            db.write(move |tx| {
                let new = new.clone();
                Box::pin(async move { secret::replace(tx, &project("a"), id, old.write, &new).await })
            })
            .await
        });
        let deleted =
            f.write(move |tx| Box::pin(async move { secret::delete(tx, &project("a"), id, at(1)).await })).await;
        let moved = moving.await.unwrap().unwrap();
        assert!(deleted);
        let states = write::states(f.db.reader(), &[old.write, new_write]).await.unwrap();
        assert_eq!(states.get(&old.write), Some(&WriteState::Dead));
        assert_eq!(states.get(&new_write), moved.then_some(&WriteState::Dead));
        let due = deletion::due(f.db.reader(), at(1), 1_000).await.unwrap();
        let due: Vec<_> = due.iter().filter(|due| due.place.secret == id).map(|due| due.place.write).collect();
        assert_eq!(due.len(), if moved { 2 } else { 1 });
        assert!(due.contains(&old.write));
    }
}

async fn a_deleted_secret_keeps_no_metadata(f: Fixture) {
    for _ in 0..ROUNDS {
        let (secret, _) = f.placed("a").await;
        let (db, id) = (f.db.clone(), secret.id);
        let labelling = tokio::spawn(async move {
            db.write(move |tx| {
                Box::pin(async move {
                    let pair = Metadatum { key: "k".into(), value: "v".into() };
                    metadata::insert(tx, &project("a"), id, &pair).await
                })
            })
            .await
        });
        f.write(move |tx| Box::pin(async move { secret::delete(tx, &project("a"), id, at(1)).await })).await;
        if let Err(error) = labelling.await.unwrap() {
            assert_eq!(error.kind, ErrorKind::NotFound);
        }
    }
    let left = "SELECT 1 FROM secret_metadata";
    let left = sea_orm::Statement::from_string(f.db.schema_connection().get_database_backend(), left);
    assert!(sea_orm::ConnectionTrait::query_one_raw(f.db.reader(), left).await.unwrap().is_none());
}

async fn replacing_metadata_leaves_one_set(f: Fixture) {
    let (secret, _) = f.placed("a").await;
    let sets: Vec<UserMetadata> =
        ["x", "y"].map(|name| (0..3).map(|number| (format!("{name}{number}"), String::new())).collect()).into();
    for _ in 0..ROUNDS {
        let writes: Vec<_> = sets
            .iter()
            .map(|set| {
                let (db, set, id) = (f.db.clone(), set.clone(), secret.id);
                tokio::spawn(async move {
                    db.write(move |tx| {
                        let set = set.clone();
                        Box::pin(async move { metadata::replace(tx, &project("a"), id, &set).await })
                    })
                    .await
                })
            })
            .collect();
        for write in writes {
            write.await.unwrap().unwrap();
        }
        let kept = metadata::list(f.db.reader(), &project("a"), secret.id).await.unwrap();
        assert!(sets.contains(&kept), "{kept:?}");
    }
}
