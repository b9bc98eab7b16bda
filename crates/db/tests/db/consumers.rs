//! Consumers of secrets and containers.

use bailey_core::consumer::{ContainerConsumer, ContainerUse, SecretConsumer, SecretUse};
use bailey_core::ids::{ContainerId, SecretId};
use bailey_core::secret::PageRequest;
use bailey_db::consumer::{self, Consumed, Removal, Used};
use bailey_db::{Error, ErrorKind, container, secret, target};

use crate::fixture::{Fixture, at, on_both, project};

on_both!(
    a_consumer_is_registered_once,
    consumers_need_what_they_use,
    a_registration_is_ended_by_its_project_or_the_owner,
    consumers_of_a_secret_are_listed_by_creation,
    consumers_of_a_container_are_listed_by_name,
    consumers_go_with_what_they_use,
    one_of_many_registrations_counts,
    a_consumer_or_the_deletion_it_forbids,
);

const ROUNDS: usize = 20;

const PAGE: PageRequest = PageRequest { limit: 10, offset: 0 };

/// What a service uses a secret for.
pub fn service(name: &str) -> SecretUse {
    SecretUse { service: name.into(), resource_type: "server".into(), resource_id: "1".into() }
}

fn named(name: &str, url: &str) -> ContainerUse {
    ContainerUse { name: name.into(), url: url.into() }
}

fn used<E>(entity: E) -> Used<E> {
    Used { entity, project: project("a") }
}

async fn add<E: Consumed>(
    f: &Fixture,
    used: &Used<E>,
    usage: &E::Use,
    by: &'static str,
    seconds: i64,
) -> Result<bool, Error> {
    let (used, usage) = (used.clone(), usage.clone());
    let added = f.db.write(move |tx| {
        let (used, usage) = (used.clone(), usage.clone());
        Box::pin(async move { consumer::add(tx, &used, &usage, &project(by), at(seconds)).await })
    });
    added.await
}

async fn remove<E: Consumed>(f: &Fixture, used: &Used<E>, usage: &E::Use, by: &'static str) -> Removal {
    let (used, usage) = (used.clone(), usage.clone());
    f.write(move |tx| {
        let (used, usage) = (used.clone(), usage.clone());
        Box::pin(async move { consumer::remove(tx, &used, &usage, &project(by)).await })
    })
    .await
}

async fn total<E: Consumed>(f: &Fixture, used: &Used<E>) -> u64 {
    consumer::list(f.db.reader(), used, PAGE).await.unwrap().total
}

async fn secret(f: &Fixture) -> Used<SecretId> {
    used(f.placed("a").await.0.id)
}

async fn container(f: &Fixture) -> Used<ContainerId> {
    used(f.container("a").await.id)
}

async fn a_consumer_is_registered_once(f: Fixture) {
    let (secret, nova) = (secret(&f).await, service("nova"));
    let updated = || async {
        let found = target::find_secret(f.db.reader(), secret.entity).await.unwrap().unwrap();
        (found.secret.updated_at - at(0)).num_seconds()
    };
    assert!(!consumer::exist(f.db.reader(), &project("a"), secret.entity).await.unwrap());
    assert!(add(&f, &secret, &nova, "other", 3).await.unwrap());
    assert!(!add(&f, &secret, &nova, "other", 5).await.unwrap());
    assert!(!add(&f, &secret, &nova, "third", 7).await.unwrap());
    assert_eq!(updated().await, 3);
    let consumers = consumer::of_secrets(f.db.reader(), &[secret.entity]).await.unwrap();
    let SecretUse { service, resource_type, resource_id } = nova;
    let registered = SecretConsumer {
        project: project("other"),
        service,
        resource_type,
        resource_id,
        created_at: at(3),
        updated_at: at(3),
    };
    assert_eq!(consumers[&secret.entity], [registered]);
    assert!(consumer::exist(f.db.reader(), &project("a"), secret.entity).await.unwrap());
    assert!(!consumer::exist(f.db.reader(), &project("b"), secret.entity).await.unwrap());

    let container = container(&f).await;
    assert!(add(&f, &container, &named("nova", "u"), "other", 3).await.unwrap());
    assert!(!add(&f, &container, &named("nova", "u"), "third", 5).await.unwrap());
    assert!(add(&f, &container, &named("nova", "v"), "third", 6).await.unwrap());
    let found = target::find_container(f.db.reader(), container.entity).await.unwrap().unwrap();
    assert_eq!(found.container.updated_at, at(6));
}

async fn consumers_need_what_they_use(f: Fixture) {
    let (secret, container) = (secret(&f).await, container(&f).await);
    for missing in [Used { project: project("b"), ..secret.clone() }, used(SecretId::new())] {
        assert_eq!(add(&f, &missing, &service("nova"), "a", 1).await.unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(remove(&f, &missing, &service("nova"), "a").await, Removal::Missing);
    }
    for missing in [Used { project: project("b"), ..container.clone() }, used(ContainerId::new())] {
        assert_eq!(add(&f, &missing, &named("nova", "u"), "a", 1).await.unwrap_err().kind, ErrorKind::NotFound);
        assert_eq!(remove(&f, &missing, &named("nova", "u"), "a").await, Removal::Missing);
    }
    assert_eq!((total(&f, &secret).await, total(&f, &container).await), (0, 0));
}

async fn a_registration_is_ended_by_its_project_or_the_owner(f: Fixture) {
    async fn check<E: Consumed>(f: &Fixture, used: Used<E>, usage: E::Use, another: E::Use) {
        for by in ["a", "other"] {
            assert!(add(f, &used, &usage, "other", 1).await.unwrap());
            assert_eq!(remove(f, &used, &another, by).await, Removal::Missing);
            assert_eq!(remove(f, &used, &usage, "third").await, Removal::NotTheirs);
            assert_eq!(remove(f, &used, &usage, by).await, Removal::Removed);
            assert_eq!(remove(f, &used, &usage, by).await, Removal::Missing);
        }
        // Who registers it anew is whose it is.
        assert!(add(f, &used, &usage, "third", 1).await.unwrap());
        assert_eq!(remove(f, &used, &usage, "other").await, Removal::NotTheirs);
        assert_eq!(total(f, &used).await, 1);
    }
    check(&f, secret(&f).await, service("nova"), SecretUse { resource_id: "2".into(), ..service("nova") }).await;
    check(&f, container(&f).await, named("nova", "u"), named("nova", "v")).await;
}

async fn consumers_of_a_secret_are_listed_by_creation(f: Fixture) {
    let (first, second) = (secret(&f).await, secret(&f).await);
    for (name, seconds) in [("late", 9), ("early", 3), ("between", 5)] {
        add(&f, &first, &service(name), "other", seconds).await.unwrap();
    }
    let all = ["early", "between", "late"];
    for offset in 0..4 {
        let page = PageRequest { limit: 2, offset };
        let listed = consumer::list(f.db.reader(), &first, page).await.unwrap();
        let names: Vec<_> = listed.items.iter().map(|consumer| consumer.service.as_str()).collect();
        let expected: Vec<_> = all.iter().copied().skip(usize::try_from(offset).unwrap()).take(2).collect();
        assert_eq!((names, listed.total), (expected, 3));
    }
    let together = consumer::of_secrets(f.db.reader(), &[first.entity, second.entity]).await.unwrap();
    assert_eq!(together.len(), 1);
    assert!(together[&first.entity].iter().map(|consumer| consumer.service.as_str()).eq(all));
    assert_eq!(total(&f, &Used { project: project("b"), ..first }).await, 0);
}

async fn consumers_of_a_container_are_listed_by_name(f: Fixture) {
    let container = container(&f).await;
    for (name, url) in [("b", "2"), ("a", "9"), ("B", "1"), ("b", "1")] {
        add(&f, &container, &named(name, url), "other", 1).await.unwrap();
    }
    let listed = consumer::list(f.db.reader(), &container, PAGE).await.unwrap();
    let pairs = |consumers: &[ContainerConsumer]| {
        consumers.iter().map(|consumer| format!("{}{}", consumer.name, consumer.url)).collect::<Vec<_>>()
    };
    assert_eq!((pairs(&listed.items), listed.total), (["B1", "a9", "b1", "b2"].map(str::to_owned).into(), 4));
    let together = consumer::of_containers(f.db.reader(), &[container.entity]).await.unwrap();
    assert_eq!(together[&container.entity], listed.items);
    assert_eq!(total(&f, &Used { project: project("b"), ..container }).await, 0);
}

async fn consumers_go_with_what_they_use(f: Fixture) {
    let (secret, container) = (secret(&f).await, container(&f).await);
    add(&f, &secret, &service("nova"), "a", 1).await.unwrap();
    add(&f, &container, &named("nova", "u"), "a", 1).await.unwrap();
    let (secret_id, container_id) = (secret.entity, container.entity);
    f.write(move |tx| {
        Box::pin(async move {
            assert!(secret::delete(tx, &project("a"), secret_id, at(2)).await?);
            container::delete(tx, &project("a"), container_id).await
        })
    })
    .await;
    assert!(consumer::of_secrets(f.db.reader(), &[secret_id]).await.unwrap().is_empty());
    assert!(consumer::of_containers(f.db.reader(), &[container_id]).await.unwrap().is_empty());
}

async fn one_of_many_registrations_counts(f: Fixture) {
    let (secret, container) = (secret(&f).await, container(&f).await);
    for round in 0..ROUNDS {
        let (nova, url) = (service(&round.to_string()), named("nova", &round.to_string()));
        let of_secret = tokio::join!(
            add(&f, &secret, &nova, "a", 1),
            add(&f, &secret, &nova, "b", 1),
            add(&f, &secret, &nova, "c", 1)
        );
        let of_container = tokio::join!(
            add(&f, &container, &url, "a", 1),
            add(&f, &container, &url, "b", 1),
            add(&f, &container, &url, "c", 1)
        );
        for (one, two, three) in [of_secret, of_container] {
            assert_eq!([one, two, three].into_iter().filter(|added| *added.as_ref().unwrap()).count(), 1);
        }
    }
    let rounds = u64::try_from(ROUNDS).unwrap();
    assert_eq!((total(&f, &secret).await, total(&f, &container).await), (rounds, rounds));
}

/// As microversion 1.2 deletes: it looks for consumers before.
async fn a_consumer_or_the_deletion_it_forbids(f: Fixture) {
    for _ in 0..ROUNDS {
        let secret = secret(&f).await;
        let id = secret.entity;
        let deletion = f.write(move |tx| {
            Box::pin(async move {
                secret::lock(tx, &project("a"), id).await?;
                if consumer::exist(tx, &project("a"), id).await? {
                    return Ok(false);
                }
                secret::delete(tx, &project("a"), id, at(2)).await
            })
        });
        let nova = service("nova");
        let (added, deleted) = tokio::join!(add(&f, &secret, &nova, "other", 1), deletion);
        match added {
            Ok(added) => assert_eq!((added, deleted), (true, false)),
            Err(error) => assert_eq!((error.kind, deleted), (ErrorKind::NotFound, true)),
        }
        assert_eq!(target::find_secret(f.db.reader(), id).await.unwrap().is_some(), !deleted);
    }
}
