//! Renewals: which order renews a certificate, and what becomes of the one that failed to.

use bailey_core::container::{Container, ContainerType, SecretReference};
use bailey_core::ids::{ContainerId, OrderId, SecretId, WorkerId};
use bailey_core::order::OrderStatus;
use bailey_db::order::{self, Job, Made};
use bailey_db::renewal::{self, Renewal};
use bailey_db::{Error, ErrorKind, container, quota};
use chrono::{DateTime, Utc};

use crate::fixture::{Fixture, at, on_both, project, user};
use crate::orders::{claimed, delete, fail, find as find_order, inserted, job};

on_both!(
    only_the_order_that_renews_a_certificate_says_what_comes_next,
    what_is_revoked_ends_unless_another_took_its_place,
    of_a_revocation_and_a_renewal_at_once_the_first_counts,
    the_order_that_failed_is_remembered_until_the_next_begins,
    whoever_retries_takes_over_or_comes_too_late,
    only_what_has_failed_is_deleted_as_that,
    an_order_names_its_certificate,
);

const DUE: i64 = 100;

/// A container with a certificate that is renewed.
async fn renewed(f: &Fixture) -> (Renewal, SecretReference) {
    let (secret, _) = f.placed("a").await;
    let reference = SecretReference { name: Some("certificate".into()), secret: secret.id };
    let container = Container {
        id: ContainerId::new(),
        project: project("a"),
        creator: Some(user("ann")),
        name: None,
        container_type: ContainerType::Certificate,
        created_at: at(0),
        updated_at: at(0),
        secrets: vec![reference.clone()],
        consumers: Vec::new(),
    };
    let renewal = Renewal {
        container: container.id,
        project: project("a"),
        creator: Some(user("ann")),
        meta: "{}".into(),
        certificate: "{}".into(),
        expires_at: at(1_000),
        due_at: at(DUE),
        order: None,
        failures: 0,
        issued: Some(vec![1]),
        ask_at: None,
        failed: None,
    };
    let first = renewal.clone();
    f.write(move |tx| {
        let (container, first) = (container.clone(), first.clone());
        Box::pin(async move {
            container::insert(tx, &container).await?;
            renewal::insert(tx, &first).await
        })
    })
    .await;
    (renewal, reference)
}

async fn find(f: &Fixture, renewal: &Renewal) -> Option<Renewal> {
    renewal::find(f.db.reader(), &project("a"), renewal.container).await.unwrap()
}

async fn start(f: &Fixture, renewal: &Renewal, order: OrderId) -> bool {
    let renewal = renewal.clone();
    f.write(move |tx| {
        let renewal = renewal.clone();
        Box::pin(async move { renewal::start(tx, &renewal, order).await })
    })
    .await
}

async fn update(f: &Fixture, renewal: &Renewal, order: OrderId) -> bool {
    let renewal = renewal.clone();
    f.write(move |tx| {
        let renewal = renewal.clone();
        Box::pin(async move { renewal::update(tx, &renewal, order).await })
    })
    .await
}

async fn finish(f: &Fixture, id: ContainerId, order: OrderId) -> bool {
    f.write(move |tx| Box::pin(async move { renewal::finish(tx, &project("a"), id, order).await })).await
}

async fn put_off(f: &Fixture, renewal: &Renewal, until: DateTime<Utc>) -> bool {
    let renewal = renewal.clone();
    f.write(move |tx| {
        let renewal = renewal.clone();
        Box::pin(async move { renewal::put_off(tx, &renewal, until).await })
    })
    .await
}

async fn take_over(f: &Fixture, owner: &'static str, id: ContainerId, order: OrderId, now: DateTime<Utc>) -> bool {
    f.write(move |tx| Box::pin(async move { renewal::take_over(tx, &project(owner), id, order, now).await })).await
}

async fn end(f: &Fixture, id: ContainerId, certificate: &SecretReference) {
    let certificate = certificate.clone();
    f.write(move |tx| {
        let certificate = certificate.clone();
        Box::pin(async move { renewal::end(tx, &project("a"), id, &certificate).await })
    })
    .await;
}

async fn only_the_order_that_renews_a_certificate_says_what_comes_next(f: Fixture) {
    let (renewal, _) = renewed(&f).await;
    let (order, other) = (OrderId::new(), OrderId::new());
    let next = Renewal { due_at: at(700), expires_at: at(2_000), issued: Some(vec![2]), ..renewal.clone() };
    assert!(!update(&f, &next, order).await, "nobody renews it");
    assert!(start(&f, &renewal, order).await);
    assert!(!update(&f, &next, other).await && !finish(&f, renewal.container, other).await);
    assert_eq!(find(&f, &renewal).await.unwrap().order, Some(order));
    assert!(update(&f, &next, order).await);
    assert_eq!(find(&f, &renewal).await, Some(next.clone()));
    assert!(!update(&f, &next, order).await, "it did already");

    assert!(start(&f, &next, other).await);
    assert!(finish(&f, renewal.container, other).await);
    assert_eq!(find(&f, &renewal).await, None);
    assert!(!update(&f, &next, other).await && !finish(&f, renewal.container, other).await);
}

async fn what_is_revoked_ends_unless_another_took_its_place(f: Fixture) {
    let (renewal, certificate) = renewed(&f).await;
    assert!(start(&f, &renewal, OrderId::new()).await);
    let of_before = SecretReference { secret: SecretId::new(), ..certificate.clone() };
    end(&f, renewal.container, &of_before).await;
    assert!(find(&f, &renewal).await.is_some());
    for _ in 0..2 {
        end(&f, renewal.container, &certificate).await;
        assert_eq!(find(&f, &renewal).await, None);
    }

    // A container that somebody has taken the certificate out of has no other one.
    let (renewal, certificate) = renewed(&f).await;
    let (id, taken) = (renewal.container, certificate.clone());
    f.write(move |tx| {
        let taken = taken.clone();
        Box::pin(async move { container::remove_reference(tx, &project("a"), id, &taken).await })
    })
    .await;
    end(&f, renewal.container, &certificate).await;
    assert_eq!(find(&f, &renewal).await, None);
}

async fn of_a_revocation_and_a_renewal_at_once_the_first_counts(f: Fixture) {
    for _ in 0..20 {
        let (renewal, certificate) = renewed(&f).await;
        let (order, (other, _)) = (OrderId::new(), f.placed("a").await);
        assert!(start(&f, &renewal, order).await);
        let (db, next) = (f.db.clone(), Renewal { due_at: at(700), ..renewal.clone() });
        let renew = tokio::spawn(async move {
            let renewed = db.write(move |tx| {
                let next = next.clone();
                let reference = SecretReference { name: Some("certificate".into()), secret: other.id };
                Box::pin(async move {
                    let owner = project("a");
                    container::renew(tx, &owner, next.container, &["certificate"], &[reference], at(3)).await?;
                    let is_wanted = renewal::update(tx, &next, order).await?;
                    if is_wanted { Ok(()) } else { Err(Error::new(ErrorKind::NotFound, "renew", "")) }
                })
            });
            renewed.await.is_ok()
        });
        end(&f, renewal.container, &certificate).await;
        let is_renewed = renew.await.unwrap();
        assert_eq!(find(&f, &renewal).await.is_some(), is_renewed);
        let held = container::references(f.db.reader(), &[renewal.container]).await.unwrap();
        let expected = if is_renewed { other.id } else { certificate.secret };
        assert_eq!(held[&renewal.container].iter().map(|part| part.secret).collect::<Vec<_>>(), [expected]);
    }
}

async fn the_order_that_failed_is_remembered_until_the_next_begins(f: Fixture) {
    let (renewal, _) = renewed(&f).await;
    let (order, next) = (OrderId::new(), OrderId::new());
    assert!(start(&f, &renewal, order).await);
    let begun = find(&f, &renewal).await.unwrap();
    assert!(put_off(&f, &begun, at(200)).await);
    let failed = find(&f, &renewal).await.unwrap();
    assert_eq!((failed.order, failed.failed, failed.failures, failed.due_at), (None, Some(order), 1, at(200)));

    // Put off again, for want of quota: no order has begun.
    assert!(put_off(&f, &failed, at(300)).await);
    let failed = find(&f, &renewal).await.unwrap();
    assert_eq!((failed.order, failed.failed, failed.failures), (None, Some(order), 2));
    assert!(start(&f, &failed, next).await);
    let begun = find(&f, &renewal).await.unwrap();
    assert_eq!((begun.order, begun.failed), (Some(next), None));
}

async fn whoever_retries_takes_over_or_comes_too_late(f: Fixture) {
    let (renewal, _) = renewed(&f).await;
    let id = renewal.container;
    let (order, next) = (OrderId::new(), OrderId::new());
    assert!(!take_over(&f, "a", id, order, at(101)).await, "it was never its");
    assert!(start(&f, &renewal, order).await);

    // It failed, and who looks for what failed comes after the retry.
    let found = find(&f, &renewal).await.unwrap();
    assert!(!take_over(&f, "b", id, order, at(101)).await);
    assert!(take_over(&f, "a", id, order, at(101)).await);
    assert!(!put_off(&f, &found, at(200)).await);

    // It comes first.
    let found = find(&f, &renewal).await.unwrap();
    assert!(put_off(&f, &found, at(200)).await);
    let due = find(&f, &renewal).await.unwrap();
    assert!(take_over(&f, "a", id, order, at(102)).await);
    assert!(!start(&f, &due, next).await, "two orders renew it");
    let taken = find(&f, &renewal).await.unwrap();
    assert_eq!((taken.order, taken.failed, taken.failures), (Some(order), None, 1));

    // The next order has begun.
    assert!(put_off(&f, &taken, at(300)).await);
    let due = find(&f, &renewal).await.unwrap();
    assert!(start(&f, &due, next).await);
    assert!(!take_over(&f, "a", id, order, at(103)).await, "two orders renew it");
    assert_eq!(find(&f, &renewal).await.unwrap().order, Some(next));
}

async fn delete_failed(f: &Fixture, owner: &'static str, id: OrderId) -> bool {
    f.write(move |tx| Box::pin(async move { order::delete_failed(tx, &project(owner), id, at(3)).await })).await
}

async fn only_what_has_failed_is_deleted_as_that(f: Fixture) {
    let holder = WorkerId::new();
    let id = inserted(&f, "a").await.order.id;
    assert!(!delete_failed(&f, "a", id).await, "it is pending");
    let claimed = claimed(&f, holder, at(1)).await;
    assert!(!delete_failed(&f, "a", id).await, "somebody works on it");
    fail(&f, &claimed.fence(holder)).await.unwrap();
    assert!(!delete_failed(&f, "b", id).await);
    assert!(has_no_room(&f).await);
    assert!(delete_failed(&f, "a", id).await);
    assert!(find_order(&f, id).await.is_none() && !has_no_room(&f).await);
    assert!(!delete_failed(&f, "a", id).await && !delete(&f, id).await);

    let made = active(&f, Made::default()).await;
    assert!(!delete_failed(&f, "a", made.order.id).await, "it made something");
}

/// Whether an order more than none is too many.
async fn has_no_room(f: &Fixture) -> bool {
    use bailey_core::quota::{Counted, Quotas};
    let one = Quotas { secrets: -1, orders: 1, containers: -1, consumers: -1, cas: -1 };
    !quota::has_room(f.db.reader(), &project("a"), &one, &[(Counted::Orders, 1)], at(3)).await.unwrap()
}

async fn active(f: &Fixture, made: Made) -> Job {
    let holder = WorkerId::new();
    let given = job("a");
    crate::orders::insert(f, &given).await;
    let fence = claimed(f, holder, at(1)).await.fence(holder);
    let finished = f.db.write(move |tx| {
        let fence = fence.clone();
        Box::pin(async move { order::finish(tx, &fence, made, at(2)).await })
    });
    finished.await.unwrap();
    find_order(f, given.order.id).await.unwrap()
}

async fn an_order_names_its_certificate(f: Fixture) {
    let made = Made { secret: None, container: Some(ContainerId::new()), issued: Some(SecretId::new()) };
    let job = active(&f, made).await;
    assert_eq!((job.order.status, job.order.container, job.issued), (OrderStatus::Active, made.container, made.issued));
    assert_eq!(active(&f, Made::default()).await.issued, None);
}
