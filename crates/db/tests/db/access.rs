//! ACLs of secrets and containers.

use bailey_core::acl::AclChange;
use bailey_core::ids::{ContainerId, EntityId, SecretId, UserId};
use bailey_db::target::Access;
use bailey_db::{Error, ErrorKind, acl, container, secret, target};

use crate::fixture::{Fixture, at, on_both, project, user};

on_both!(
    an_acl_comes_with_its_entity,
    what_a_change_leaves_out_stays,
    an_acl_needs_its_entity,
    an_acl_goes_with_its_entity,
    very_many_users_fit,
    changes_of_different_parts_all_stay,
    a_replacement_is_never_mixed_with_another,
    a_deleted_entity_keeps_no_acl,
);

const ROUNDS: usize = 20;

/// What an ACL is to say.
pub fn saying(project_access: impl Into<Option<bool>>, users: &[&str]) -> AclChange {
    AclChange { project_access: project_access.into(), users: Some(users.iter().map(|name| user(name)).collect()) }
}

async fn put(f: &Fixture, owner: &'static str, entity: EntityId, change: AclChange, seconds: i64) -> Result<(), Error> {
    let put = f.db.write(move |tx| {
        let change = change.clone();
        Box::pin(async move { acl::put(tx, &project(owner), entity, &change, at(seconds)).await })
    });
    put.await
}

async fn remove(f: &Fixture, owner: &'static str, entity: EntityId) {
    f.write(move |tx| Box::pin(async move { acl::delete(tx, &project(owner), entity).await })).await;
}

/// What the policy will see of it.
async fn access(f: &Fixture, entity: EntityId) -> Option<Access> {
    match entity {
        EntityId::Secret(id) => target::find_secret(f.db.reader(), id).await.unwrap().unwrap().access,
        EntityId::Container(id) => target::find_container(f.db.reader(), id).await.unwrap().unwrap().access,
    }
}

/// When it changed last, by its own account, in seconds.
async fn updated(f: &Fixture, entity: EntityId) -> i64 {
    let updated_at = match entity {
        EntityId::Secret(id) => target::find_secret(f.db.reader(), id).await.unwrap().unwrap().secret.updated_at,
        EntityId::Container(id) => {
            target::find_container(f.db.reader(), id).await.unwrap().unwrap().container.updated_at
        }
    };
    (updated_at - at(0)).num_seconds()
}

/// A secret and a container of project `a`.
async fn entities(f: &Fixture) -> [EntityId; 2] {
    let (secret, _) = f.placed("a").await;
    [secret.id.into(), f.container("a").await.id.into()]
}

fn sorted(mut users: Vec<UserId>) -> Vec<UserId> {
    users.sort();
    users
}

async fn an_acl_comes_with_its_entity(f: Fixture) {
    for entity in entities(&f).await {
        assert_eq!((access(&f, entity).await, updated(&f, entity).await), (None, 0));
        for (open, users, expected) in [
            (false, vec!["bob", "al\"ice \\ ü", "bob"], vec!["al\"ice \\ ü", "bob"]),
            (true, vec!["carol"], vec!["carol"]),
            (false, vec![], vec![]),
        ] {
            put(&f, "a", entity, saying(open, &users), 1).await.unwrap();
            let Access { project_access, readers } = access(&f, entity).await.unwrap();
            let expected: Vec<_> = expected.into_iter().map(user).collect();
            assert_eq!((project_access, sorted(readers)), (open, expected.clone()));
            let stored = acl::find(f.db.reader(), &project("a"), entity).await.unwrap().unwrap();
            assert_eq!((stored.project_access, sorted(stored.users)), (open, expected));
        }
        assert_eq!(acl::find(f.db.reader(), &project("b"), entity).await.unwrap(), None);
    }
}

async fn what_a_change_leaves_out_stays(f: Fixture) {
    let [users, flag, nothing] = [
        saying(None, &["bob"]),
        AclChange { project_access: Some(false), users: None },
        AclChange { project_access: None, users: None },
    ];
    for entity in entities(&f).await {
        for (seconds, change, expected) in [
            (1, users.clone(), (true, vec![user("bob")])),
            (2, flag.clone(), (false, vec![user("bob")])),
            (3, nothing.clone(), (false, vec![user("bob")])),
            (4, saying(None, &[]), (false, vec![])),
        ] {
            put(&f, "a", entity, change, seconds).await.unwrap();
            let stored = acl::find(f.db.reader(), &project("a"), entity).await.unwrap().unwrap();
            assert_eq!((stored.project_access, stored.users), expected);
            assert_eq!((stored.created_at, stored.updated_at), (at(1), at(seconds)));
            assert_eq!(updated(&f, entity).await, seconds);
        }
    }
}

async fn an_acl_needs_its_entity(f: Fixture) {
    let [secret, container] = entities(&f).await;
    for (owner, entity) in [
        ("b", secret),
        ("b", container),
        ("a", SecretId::new().into()),
        ("a", ContainerId::new().into()),
        ("a", SecretId::from(container.uuid()).into()),
    ] {
        assert_eq!(put(&f, owner, entity, saying(true, &[]), 1).await.unwrap_err().kind, ErrorKind::NotFound);
    }
    assert_eq!((access(&f, secret).await, access(&f, container).await), (None, None));
}

async fn an_acl_goes_with_its_entity(f: Fixture) {
    let [secret, container] = entities(&f).await;
    for entity in [secret, container] {
        put(&f, "a", entity, saying(false, &["bob"]), 1).await.unwrap();
        remove(&f, "b", entity).await;
        assert!(access(&f, entity).await.is_some());
        for _ in 0..2 {
            remove(&f, "a", entity).await;
            assert_eq!((access(&f, entity).await, updated(&f, entity).await), (None, 1));
        }
        put(&f, "a", entity, saying(false, &[]), 2).await.unwrap();
        assert_eq!(access(&f, entity).await, Some(Access { project_access: false, readers: vec![] }));
        assert!(delete(&f, entity).await);
    }
    assert_eq!((rows(&f, "acls").await, rows(&f, "acl_users").await), (0, 0));
}

async fn very_many_users_fit(f: Fixture) {
    let names: Vec<String> = (0..20_000).map(|number| number.to_string()).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    for entity in entities(&f).await {
        put(&f, "a", entity, saying(true, &names), 1).await.unwrap();
        assert_eq!(access(&f, entity).await.unwrap().readers.len(), names.len());
    }
}

async fn changes_of_different_parts_all_stay(f: Fixture) {
    for entity in entities(&f).await {
        for round in 0..ROUNDS {
            remove(&f, "a", entity).await;
            let flag = AclChange { project_access: Some(false), users: None };
            let (one, other) =
                tokio::join!(put(&f, "a", entity, flag, 1), put(&f, "a", entity, saying(None, &["bob"]), 1));
            one.and(other).unwrap();
            let both = Access { project_access: false, readers: vec![user("bob")] };
            assert_eq!(access(&f, entity).await, Some(both), "round {round}");
        }
    }
}

async fn a_replacement_is_never_mixed_with_another(f: Fixture) {
    for entity in entities(&f).await {
        for _ in 0..ROUNDS {
            let (left, right) = (saying(true, &["a", "b", "c"]), saying(false, &["d", "e", "f"]));
            let (one, other) =
                tokio::join!(put(&f, "a", entity, left.clone(), 1), put(&f, "a", entity, right.clone(), 1));
            one.and(other).unwrap();
            let Access { project_access, readers } = access(&f, entity).await.unwrap();
            let found = AclChange { project_access: Some(project_access), users: Some(sorted(readers)) };
            assert!([left, right].contains(&found), "{found:?}");
        }
    }
}

async fn a_deleted_entity_keeps_no_acl(f: Fixture) {
    for _ in 0..ROUNDS {
        for entity in entities(&f).await {
            let (put, deleted) = tokio::join!(put(&f, "a", entity, saying(false, &["bob"]), 1), delete(&f, entity));
            assert!(deleted);
            if let Err(error) = put {
                assert_eq!(error.kind, ErrorKind::NotFound);
            }
        }
    }
    assert_eq!((rows(&f, "acls").await, rows(&f, "acl_users").await), (0, 0));
}

async fn delete(f: &Fixture, entity: EntityId) -> bool {
    f.write(move |tx| {
        Box::pin(async move {
            match entity {
                EntityId::Secret(id) => secret::delete(tx, &project("a"), id, at(9)).await,
                EntityId::Container(id) => container::delete(tx, &project("a"), id).await,
            }
        })
    })
    .await
}

async fn rows(f: &Fixture, table: &str) -> i64 {
    let backend = f.db.schema_connection().get_database_backend();
    let count = sea_orm::Statement::from_string(backend, format!("SELECT COUNT(*) FROM {table}"));
    let row = sea_orm::ConnectionTrait::query_one_raw(f.db.reader(), count).await.unwrap().unwrap();
    row.try_get_by_index(0).unwrap()
}
