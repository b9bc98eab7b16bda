//! Containers, what is in them, and who wants the same of them at once.

use bailey_core::acl::AclChange;
use bailey_core::container::{Container, ContainerFilter, ContainerQuery, ContainerType, SecretReference};
use bailey_core::ids::{ContainerId, EntityId, SecretId};
use bailey_core::secret::{PageRequest, Secret};
use bailey_db::container::{self, Added};
use bailey_db::{Error, ErrorKind, Sight, acl, secret, target};
use sea_orm::{ConnectionTrait, Statement};

use crate::fixture::{Fixture, at, empty, on_both, project, user};

on_both!(
    a_container_is_found_as_it_was_inserted,
    references_keep_names_and_order,
    secrets_are_held_only_if_all_are_there,
    lists_are_filtered_and_counted,
    a_deleted_container_leaves_nothing,
    only_its_project_changes_a_container,
    of_two_twins_one_is_added,
    a_deleted_secret_is_in_no_new_container,
    a_deleted_container_gains_nothing,
);

const ROUNDS: usize = 20;

fn generic(owner: &str, secrets: &[(Option<&str>, SecretId)]) -> Container {
    Container {
        id: ContainerId::new(),
        project: project(owner),
        creator: Some(user("ann")),
        name: None,
        container_type: ContainerType::Generic,
        created_at: at(0),
        updated_at: at(0),
        secrets: secrets.iter().map(|(name, secret)| named(*name, *secret)).collect(),
        consumers: Vec::new(),
    }
}

fn named(name: Option<&str>, secret: SecretId) -> SecretReference {
    SecretReference { name: name.map(str::to_owned), secret }
}

async fn try_insert(f: &Fixture, container: &Container) -> Result<(), Error> {
    let container = container.clone();
    let inserted = f.db.write(move |tx| {
        let container = container.clone();
        Box::pin(async move { container::insert(tx, &container).await })
    });
    inserted.await
}

/// A container of secrets, both inserted.
async fn filled(f: &Fixture, names: &[Option<&str>]) -> Container {
    let mut secrets = Vec::new();
    for name in names {
        let secret = empty("a");
        f.insert(&secret, None).await;
        secrets.push((*name, secret.id));
    }
    let container = generic("a", &secrets);
    try_insert(f, &container).await.unwrap();
    container
}

async fn held(f: &Fixture, id: ContainerId) -> Vec<SecretReference> {
    container::references(f.db.reader(), &[id]).await.unwrap().remove(&id).unwrap_or_default()
}

/// Whether anything at all is in a table.
async fn is_empty(f: &Fixture, table: &str) -> bool {
    let backend = f.db.schema_connection().get_database_backend();
    let question = Statement::from_string(backend, format!("SELECT 1 FROM {table} LIMIT 1"));
    f.db.reader().query_one_raw(question).await.unwrap().is_none()
}

async fn a_container_is_found_as_it_was_inserted(f: Fixture) {
    for container in [
        generic("a", &[]),
        Container {
            name: Some("ünï".into()),
            creator: None,
            container_type: ContainerType::Certificate,
            updated_at: at(7),
            ..generic("b", &[])
        },
    ] {
        try_insert(&f, &container).await.unwrap();
        let found = target::find_container(f.db.reader(), container.id).await.unwrap().unwrap();
        assert_eq!((found.container, found.access), (container, None));
    }
    assert_eq!(target::find_container(f.db.reader(), ContainerId::new()).await.unwrap(), None);
    let dangling = generic("a", &[(None, SecretId::new())]);
    assert_eq!(try_insert(&f, &dangling).await.unwrap_err().kind, ErrorKind::InUse);
    assert_eq!(target::find_container(f.db.reader(), dangling.id).await.unwrap(), None);
}

async fn references_keep_names_and_order(f: Fixture) {
    let first = filled(&f, &[Some("z"), None, Some(""), Some("a")]).await;
    let second = filled(&f, &[]).await;
    let found = container::references(f.db.reader(), &[first.id, second.id]).await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!(found[&first.id], first.secrets);

    let (id, secret) = (first.id, first.secrets[0].secret);
    for (name, expected) in [
        (None, Added::Yes),
        (None, Added::Twin),
        (Some("z"), Added::Twin),
        (Some("Z"), Added::Yes),
        (Some(""), Added::Yes),
    ] {
        assert_eq!(add(&f, id, named(name, secret)).await.unwrap(), expected, "{name:?}");
    }
    for (name, expected) in [(None, true), (None, false), (Some("Z"), true), (Some("no"), false), (Some("z"), true)] {
        assert_eq!(remove(&f, "a", id, named(name, secret)).await, expected, "{name:?}");
    }
    assert_eq!(add(&f, id, named(None, secret)).await.unwrap(), Added::Yes);
    let rest = [&first.secrets[1..], &[named(Some(""), secret), named(None, secret)]].concat();
    assert_eq!(held(&f, id).await, rest);
}

async fn add(f: &Fixture, id: ContainerId, reference: SecretReference) -> Result<Added, Error> {
    let added = f.db.write(move |tx| {
        let reference = reference.clone();
        Box::pin(async move { container::add_reference(tx, &project("a"), id, &reference).await })
    });
    added.await
}

async fn remove(f: &Fixture, owner: &'static str, id: ContainerId, reference: SecretReference) -> bool {
    f.write(move |tx| {
        let reference = reference.clone();
        Box::pin(async move { container::remove_reference(tx, &project(owner), id, &reference).await })
    })
    .await
}

async fn secrets_are_held_only_if_all_are_there(f: Fixture) {
    let (lasting, expired) = (empty("a"), Secret { expires_at: Some(at(5)), ..empty("a") });
    let foreign = empty("b");
    for secret in [&lasting, &expired, &foreign] {
        f.insert(secret, None).await;
    }
    for (ids, seconds, expected) in [
        (vec![], 0, true),
        (vec![lasting.id, expired.id], 4, true),
        (vec![lasting.id, expired.id], 5, false),
        (vec![lasting.id, foreign.id], 0, false),
        (vec![lasting.id, SecretId::new()], 0, false),
    ] {
        let wanted = ids.clone();
        let held = f.write(move |tx| {
            let ids = wanted.clone();
            Box::pin(async move { secret::hold(tx, &project("a"), &ids, at(seconds)).await })
        });
        assert_eq!(held.await, expected, "{ids:?} {seconds}");
    }
}

async fn lists_are_filtered_and_counted(f: Fixture) {
    let rows = [("alpha", ContainerType::Rsa), ("Alpha", ContainerType::Generic), ("a%", ContainerType::Rsa)];
    for (index, (name, container_type)) in (0..).zip(rows) {
        let created_at = at(10 - index);
        try_insert(&f, &Container { name: Some(name.into()), container_type, created_at, ..generic("a", &[]) })
            .await
            .unwrap();
    }
    try_insert(&f, &generic("b", &[])).await.unwrap();
    let some = |text: &str| Some(text.to_owned());
    for (name, container_type, limit, offset, expected, total) in [
        (None, None, 10, 0, vec!["a%", "Alpha", "alpha"], 3),
        (None, None, 1, 1, vec!["Alpha"], 3),
        (None, None, 10, 3, vec![], 3),
        (some("a%"), None, 10, 0, vec!["a%", "alpha"], 2),
        (some("_lpha"), some("rsa"), 10, 0, vec!["alpha"], 1),
        (None, some("rsa"), 1, 1, vec!["alpha"], 2),
        (None, some("bogus"), 10, 0, vec![], 0),
    ] {
        let filter = ContainerFilter { name, container_type };
        let query = ContainerQuery { filter, page: PageRequest { limit, offset } };
        let page = container::list(f.db.reader(), &project("a"), &query, Sight::All).await.unwrap();
        let names: Vec<&str> = page.items.iter().filter_map(|container| container.name.as_deref()).collect();
        assert_eq!((names, page.total), (expected, total), "{query:?}");
    }
}

async fn delete(f: &Fixture, owner: &'static str, id: ContainerId) -> bool {
    f.write(move |tx| Box::pin(async move { container::delete(tx, &project(owner), id).await })).await
}

async fn a_deleted_container_leaves_nothing(f: Fixture) {
    let container = filled(&f, &[Some("x"), None]).await;
    let id = container.id;
    f.write(move |tx| {
        let private = AclChange { project_access: Some(false), users: Some(vec![user("bob")]) };
        Box::pin(async move { acl::put(tx, &project("a"), EntityId::Container(id), &private, at(1)).await })
    })
    .await;
    let found = target::find_container(f.db.reader(), id).await.unwrap().unwrap();
    assert_eq!(found.access.map(|access| (access.project_access, access.readers)), Some((false, vec![user("bob")])));

    assert!(delete(&f, "a", id).await);
    assert!(!delete(&f, "a", id).await);
    assert_eq!(target::find_container(f.db.reader(), id).await.unwrap(), None);
    for table in ["containers", "container_secrets", "container_consumers", "acls", "acl_users"] {
        assert!(is_empty(&f, table).await, "{table}");
    }
    let everything = ContainerQuery { filter: ContainerFilter::default(), page: PageRequest { limit: 9, offset: 0 } };
    assert_eq!(container::list(f.db.reader(), &project("a"), &everything, Sight::All).await.unwrap().total, 0);
    for reference in container.secrets {
        assert!(target::find_secret(f.db.reader(), reference.secret).await.unwrap().is_some());
    }
}

async fn only_its_project_changes_a_container(f: Fixture) {
    let container = filled(&f, &[Some("x")]).await;
    let (id, reference) = (container.id, container.secrets[0].clone());
    assert!(!delete(&f, "b", id).await);
    assert!(!remove(&f, "b", id, reference.clone()).await);
    let other = named(Some("y"), reference.secret);
    let added = f.write(move |tx| {
        let other = other.clone();
        Box::pin(async move { container::add_reference(tx, &project("b"), id, &other).await })
    });
    assert_eq!(added.await, Added::NoContainer);
    assert_eq!(held(&f, id).await, [reference]);
}

async fn of_two_twins_one_is_added(f: Fixture) {
    for round in 0..ROUNDS {
        let container = filled(&f, &[Some("x")]).await;
        let name = (round % 2 == 0).then_some("twin");
        let reference = named(name, container.secrets[0].secret);
        let twins = (add(&f, container.id, reference.clone()), add(&f, container.id, reference));
        let (one, other) = tokio::join!(twins.0, twins.1);
        let mut outcomes = [one.unwrap(), other.unwrap()];
        outcomes.sort_unstable_by_key(|added| *added == Added::Twin);
        assert_eq!(outcomes, [Added::Yes, Added::Twin]);
        assert_eq!(held(&f, container.id).await.len(), 2);
    }
}

async fn a_deleted_secret_is_in_no_new_container(f: Fixture) {
    for _ in 0..ROUNDS {
        let (doomed, other) = (empty("a"), empty("a"));
        f.insert(&doomed, None).await;
        f.insert(&other, None).await;
        let container = generic("a", &[(Some("o"), other.id), (Some("d"), doomed.id)]);
        let (id, db) = (container.id, f.db.clone());
        let creating = tokio::spawn(async move {
            db.write(move |tx| {
                let container = container.clone();
                Box::pin(async move {
                    let secrets = [container.secrets[0].secret, container.secrets[1].secret];
                    let are_there = secret::hold(tx, &project("a"), &secrets, at(1)).await?;
                    if are_there {
                        container::insert(tx, &container).await?;
                    }
                    Ok::<_, Error>(are_there)
                })
            })
            .await
        });
        let doomed = doomed.id;
        let deleted =
            f.write(move |tx| Box::pin(async move { secret::delete(tx, &project("a"), doomed, at(1)).await })).await;
        let created = creating.await.unwrap().unwrap();
        assert!(deleted);
        let left = held(&f, id).await;
        assert_eq!(left, if created { vec![named(Some("o"), other.id)] } else { Vec::new() });
        assert_eq!(target::find_container(f.db.reader(), id).await.unwrap().is_some(), created);
    }
}

async fn a_deleted_container_gains_nothing(f: Fixture) {
    for _ in 0..ROUNDS {
        let container = filled(&f, &[Some("x")]).await;
        let reference = named(Some("late"), container.secrets[0].secret);
        let (added, deleted) = tokio::join!(add(&f, container.id, reference), delete(&f, "a", container.id));
        assert!(deleted);
        assert!(matches!(added.unwrap(), Added::Yes | Added::NoContainer));
    }
    for table in ["containers", "container_secrets"] {
        assert!(is_empty(&f, table).await, "{table}");
    }
}
