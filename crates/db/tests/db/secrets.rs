//! Inserting, finding, placing, moving and deleting.

use bailey_core::ids::{SecretId, WriteId};
use bailey_core::secret::Secret;
use bailey_core::spec::{SecretType, Spec};
use bailey_db::consumer::Used;
use bailey_db::write::{Condemned, WriteState};
use bailey_db::{ErrorKind, Placement, acl, admin, consumer, deletion, metadata, secret, target, write};
use chrono::TimeDelta;

use crate::access::saying;
use crate::consumers::service;
use crate::fixture::{Fixture, at, empty, on_both, project};

on_both!(
    what_is_inserted_is_found_as_it_was,
    a_condemned_write_refuses_its_secret,
    a_payload_is_placed_once,
    an_expired_secret_is_found_but_gets_no_payload,
    a_moved_payload_leaves_the_old_one_to_destroy,
    deleting_removes_everything_and_leaves_the_payload_to_destroy,
    another_project_changes_nothing,
);

async fn what_is_inserted_is_found_as_it_was(f: Fixture) {
    let placement = f.placement();
    let full = Secret {
        name: Some("päron %_\\ 🔑".into()),
        secret_type: SecretType::Symmetric,
        spec: Spec { algorithm: Some("AES".into()), bit_length: Some(256), mode: Some("CBC".into()) },
        content_type: placement.content_type,
        expires_at: Some(at(1_000)),
        updated_at: at(7),
        ..empty("a")
    };
    f.insert(&full, Some(&placement)).await;
    let found = target::find_secret(f.db.reader(), full.id).await.unwrap().unwrap();
    assert_eq!(found.secret, full);
    assert_eq!(found.placement, Some(placement));
    assert_eq!(found.access, None);

    let precise = at(0) + TimeDelta::nanoseconds(789);
    let bare = Secret { creator: None, created_at: precise, ..empty("a") };
    secret::create(&f.db, &bare, None).await.unwrap();
    let found = target::find_secret(f.db.reader(), bare.id).await.unwrap().unwrap();
    assert_eq!(found.secret, Secret { created_at: at(0), ..bare });
    assert_eq!(found.placement, None);

    let untyped = Placement { content_type: None, ..f.placement() };
    let secret = empty("a");
    f.insert(&secret, Some(&untyped)).await;
    let found = target::find_secret(f.db.reader(), secret.id).await.unwrap().unwrap();
    assert_eq!((found.secret, found.placement), (secret, Some(untyped)));

    assert_eq!(target::find_secret(f.db.reader(), SecretId::new()).await.unwrap(), None);
}

async fn a_condemned_write_refuses_its_secret(f: Fixture) {
    let placement = f.placement();
    let condemned = placement.write;
    assert_eq!(f.write(move |tx| Box::pin(write::condemn(tx, condemned))).await, Condemned::Yes);
    let created = secret::create(&f.db, &empty("a"), Some(&placement)).await;
    assert_eq!(created.unwrap_err().kind, ErrorKind::Condemned);
    let secret = empty("a");
    let id = secret.id;
    let late = placement.clone();
    let refused =
        f.db.write(move |tx| {
            let (secret, placement) = (secret.clone(), late.clone());
            Box::pin(async move { secret::insert(tx, &secret, Some(&placement)).await })
        })
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Condemned);
    assert!(refused.is_retryable());
    assert_eq!(target::find_secret(f.db.reader(), id).await.unwrap(), None);

    let (second_step, id) = (empty("a"), placement.write);
    f.insert(&second_step, None).await;
    let owner = second_step.project.clone();
    let refused =
        f.db.write(move |tx| {
            let (owner, placement) = (owner.clone(), placement.clone());
            Box::pin(async move { secret::place(tx, &owner, second_step.id, &placement, at(1)).await })
        })
        .await
        .unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Condemned);
    assert_eq!(f.write(move |tx| Box::pin(write::condemn(tx, id))).await, Condemned::Yes);
    assert_eq!(write::states(f.db.reader(), &[id]).await.unwrap()[&id], WriteState::Condemned);
}

async fn place(f: &Fixture, owner: &str, id: SecretId, now: i64) -> (bool, bailey_db::Placement) {
    let (owner, placement) = (project(owner), f.placement());
    let given = placement.clone();
    let placed = f
        .write(move |tx| {
            let (owner, placement) = (owner.clone(), given.clone());
            Box::pin(async move { secret::place(tx, &owner, id, &placement, at(now)).await })
        })
        .await;
    (placed, placement)
}

async fn a_payload_is_placed_once(f: Fixture) {
    let secret = empty("a");
    f.insert(&secret, None).await;
    let (first, placement) = place(&f, "a", secret.id, 5).await;
    let (second, late) = place(&f, "a", secret.id, 6).await;
    assert_eq!((first, second), (true, false));
    let found = target::find_secret(f.db.reader(), secret.id).await.unwrap().unwrap();
    assert_eq!(found.secret.updated_at, at(5));
    assert_eq!(found.secret.created_at, at(0));
    assert_eq!(found.secret.content_type, placement.content_type);
    assert_eq!(found.placement.as_ref(), Some(&placement));
    let states = write::states(f.db.reader(), &[placement.write, late.write]).await.unwrap();
    assert_eq!(states.get(&placement.write), Some(&WriteState::Live));
    assert_eq!(states.get(&late.write), None);
    assert_eq!(f.write(move |tx| Box::pin(write::condemn(tx, late.write))).await, Condemned::Yes);
    assert_eq!(f.write(move |tx| Box::pin(write::condemn(tx, placement.write))).await, Condemned::Live);
}

async fn an_expired_secret_is_found_but_gets_no_payload(f: Fixture) {
    let secret = Secret { expires_at: Some(at(10)), ..empty("a") };
    f.insert(&secret, None).await;
    assert!(target::find_secret(f.db.reader(), secret.id).await.unwrap().is_some());
    assert!(!place(&f, "a", secret.id, 10).await.0);
    assert!(place(&f, "a", secret.id, 9).await.0);
}

async fn replace(f: &Fixture, owner: &str, id: SecretId, old: WriteId) -> (bool, bailey_db::Placement) {
    let (owner, placement) = (project(owner), f.placement());
    let given = placement.clone();
    let replaced = f
        .write(move |tx| {
            let (owner, placement) = (owner.clone(), given.clone());
            Box::pin(async move { secret::replace(tx, &owner, id, old, &placement).await })
        })
        .await;
    (replaced, placement)
}

async fn a_moved_payload_leaves_the_old_one_to_destroy(f: Fixture) {
    let (secret, old) = f.placed("a").await;
    assert!(!replace(&f, "a", secret.id, WriteId::new()).await.0);
    let (replaced, new) = replace(&f, "a", secret.id, old.write).await;
    assert!(replaced);
    assert!(!replace(&f, "a", secret.id, old.write).await.0);

    let found = target::find_secret(f.db.reader(), secret.id).await.unwrap().unwrap();
    assert_eq!(found.secret, secret);
    assert_eq!(found.placement.as_ref(), Some(&new));
    let states = write::states(f.db.reader(), &[old.write, new.write]).await.unwrap();
    assert_eq!((states[&old.write], states[&new.write]), (WriteState::Dead, WriteState::Live));
    let due = deletion::due(f.db.reader(), at(0), 10).await.unwrap();
    assert_eq!(due.len(), 1);
    assert_eq!((due[0].place.write, &due[0].reference, due[0].key), (old.write, &old.reference, old.key));
}

async fn deleting_removes_everything_and_leaves_the_payload_to_destroy(f: Fixture) {
    let (secret, placement) = f.placed("a").await;
    let id = secret.id;
    f.write(move |tx| {
        Box::pin(async move {
            let labels = [("k".to_owned(), "v".to_owned())].into();
            metadata::replace(tx, &project("a"), id, &labels).await?;
            acl::put(tx, &project("a"), id.into(), &saying(false, &["bob"]), at(1)).await?;
            let used = Used { entity: id, project: project("a") };
            consumer::add(tx, &used, &service("nova"), &project("b"), at(1)).await
        })
    })
    .await;
    assert!(delete(&f, "a", id).await);
    assert!(!delete(&f, "a", id).await);

    assert_eq!(target::find_secret(f.db.reader(), id).await.unwrap(), None);
    assert!(metadata::list(f.db.reader(), &project("a"), id).await.unwrap().is_empty());
    assert!(consumer::of_secrets(f.db.reader(), &[id]).await.unwrap().is_empty());
    let write = placement.write;
    assert_eq!(write::states(f.db.reader(), &[write]).await.unwrap()[&write], WriteState::Dead);
    assert_eq!(deletion::count(f.db.reader()).await.unwrap(), 1);
    assert_eq!(deletion::due(f.db.reader(), at(1), 10).await.unwrap(), []);
    let due = deletion::due(f.db.reader(), at(2), 10).await.unwrap();
    assert_eq!((due[0].place.secret, due[0].store, due[0].attempts), (id, f.store, 0));
    assert_eq!(admin::count_by_reference_key(f.db.reader()).await.unwrap(), [(placement.key, 1)]);

    f.write(move |tx| Box::pin(deletion::postpone(tx, write, at(60)))).await;
    assert_eq!(deletion::due(f.db.reader(), at(59), 10).await.unwrap(), []);
    assert_eq!(deletion::due(f.db.reader(), at(60), 10).await.unwrap()[0].attempts, 1);
    for _ in 0..2 {
        f.write(move |tx| Box::pin(deletion::finish(tx, write))).await;
        assert!(write::states(f.db.reader(), &[write]).await.unwrap().is_empty());
    }
    assert!(admin::is_empty(f.db.reader()).await.unwrap());
}

async fn delete(f: &Fixture, owner: &'static str, id: SecretId) -> bool {
    f.write(move |tx| Box::pin(async move { secret::delete(tx, &project(owner), id, at(2)).await })).await
}

async fn another_project_changes_nothing(f: Fixture) {
    let (secret, placement) = f.placed("a").await;
    let (bare, id) = (empty("a"), secret.id);
    f.insert(&bare, None).await;
    f.write(move |tx| {
        Box::pin(async move { acl::put(tx, &project("a"), id.into(), &saying(false, &[]), at(0)).await })
    })
    .await;
    assert!(!place(&f, "b", bare.id, 1).await.0);
    assert!(!replace(&f, "b", id, placement.write).await.0);
    assert!(!delete(&f, "b", id).await);
    let found = target::find_secret(f.db.reader(), id).await.unwrap().unwrap();
    assert_eq!((found.secret, found.placement), (secret, Some(placement)));
    assert!(found.access.is_some());
    assert_eq!(deletion::count(f.db.reader()).await.unwrap(), 0);
}
