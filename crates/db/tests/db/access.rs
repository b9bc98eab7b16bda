//! ACLs and consumers.

use bailey_core::consumer::SecretConsumer;
use bailey_core::ids::SecretId;
use bailey_db::target::Access;
use bailey_db::{ErrorKind, acl, consumer, target};

use crate::fixture::{Fixture, at, on_both, project, user};

on_both!(an_acl_comes_with_its_secret, an_acl_needs_its_secret, consumers_are_listed_by_creation);

async fn an_acl_comes_with_its_secret(f: Fixture) {
    let (secret, _) = f.placed("a").await;
    for (open, users, expected) in [
        (false, vec!["bob", "al\"ice \\ ü", "bob"], vec!["al\"ice \\ ü", "bob"]),
        (true, vec!["carol"], vec!["carol"]),
        (false, vec![], vec![]),
    ] {
        let users: Vec<_> = users.into_iter().map(user).collect();
        f.write(move |tx| {
            let users = users.clone();
            Box::pin(async move { acl::put(tx, secret.id, open, &users, at(1)).await })
        })
        .await;
        let access = target::find_secret(f.db.reader(), secret.id).await.unwrap().unwrap().access.unwrap();
        let Access { project_access, mut readers } = access;
        readers.sort();
        assert_eq!(project_access, open);
        assert_eq!(readers, expected.into_iter().map(user).collect::<Vec<_>>());
    }
}

async fn an_acl_needs_its_secret(f: Fixture) {
    let nobody = f.db.write(|tx| Box::pin(acl::put(tx, SecretId::new(), true, &[], at(1)))).await;
    assert_eq!(nobody.unwrap_err().kind, ErrorKind::NotFound);
}

async fn consumers_are_listed_by_creation(f: Fixture) {
    let (first, _) = f.placed("a").await;
    let (second, _) = f.placed("a").await;
    assert!(!consumer::exist(f.db.reader(), &project("a"), first.id).await.unwrap());
    for (service, seconds) in [("late", 9), ("early", 3)] {
        f.write(move |tx| Box::pin(async move { consumer::insert(tx, first.id, &named(service, seconds)).await }))
            .await;
    }
    let twice =
        f.db.write(move |tx| Box::pin(async move { consumer::insert(tx, first.id, &named("late", 9)).await })).await;
    assert_eq!(twice.unwrap_err().kind, ErrorKind::Conflict);
    let missing = SecretId::new();
    let nowhere =
        f.db.write(move |tx| Box::pin(async move { consumer::insert(tx, missing, &named("x", 0)).await })).await;
    assert_eq!(nowhere.unwrap_err().kind, ErrorKind::InUse);

    let consumers = consumer::of_secrets(f.db.reader(), &[first.id, second.id]).await.unwrap();
    assert_eq!(consumers.len(), 1);
    assert_eq!(consumers[&first.id], [named("early", 3), named("late", 9)]);
    assert!(consumer::exist(f.db.reader(), &project("a"), first.id).await.unwrap());
    assert!(!consumer::exist(f.db.reader(), &project("b"), first.id).await.unwrap());
    assert!(!consumer::exist(f.db.reader(), &project("a"), second.id).await.unwrap());
}

fn named(service: &str, seconds: i64) -> SecretConsumer {
    SecretConsumer {
        project: project("other"),
        service: service.into(),
        resource_type: "server".into(),
        resource_id: "1".into(),
        created_at: at(seconds),
        updated_at: at(seconds),
    }
}
