//! Renewals that nobody comes between.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::ca::{CertificateAuthority as _, RenewalWindow, RevocationReason};
use bailey_core::certificate::KeySource;
use bailey_core::failure::Parsed;
use bailey_core::ids::{ContainerId, OrderId, ProjectId};
use bailey_core::order::NewOrder;
use bailey_core::request::RevokeCertificate;
use bailey_db::{Engine, container, renewal};
use bailey_testkit::memory::{MemoryAuthority, MemoryCa, names};
use bailey_worker::Schedules;
use bailey_worker::usecase::revocation;
use chrono::{TimeDelta, Utc};
use rcgen::{CertificateParams, KeyPair};

use crate::certificates::{ec, give, made, made_key, names_of, order, parts_of, product, subject, with_ca};
use crate::harness::{Harness, call};

/// A certificate that is renewed ten days before its end, which comes after thirty.
pub fn renewed(key: KeySource) -> NewOrder {
    let mut order = order(key, None);
    order.certificate.as_mut().unwrap().renew_before_hours = Some(10 * 24);
    order
}

/// What is in a container, once its certificate is another than `before`.
pub async fn parts_after(harness: &Harness, id: ContainerId, before: &str) -> Vec<(String, String)> {
    let wait = async {
        loop {
            let (_, parts) = parts_of(harness, id).await;
            if parts[0].1 != before {
                return parts;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap()
}

#[tokio::test]
async fn a_certificate_is_renewed_in_its_container_before_it_ends() {
    let csr = CertificateParams::new(vec![names()]).unwrap();
    let csr = csr.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec();
    for (engine, key, expected) in [
        (Engine::Sqlite, made_key(), &["certificate", "intermediates", "private_key"][..]),
        (Engine::Postgres, made_key(), &["certificate", "intermediates", "private_key"]),
        (Engine::Sqlite, KeySource::Request(csr), &["certificate", "intermediates"]),
    ] {
        let (harness, authority) = with_ca(engine, 1).await;
        let harness = harness.with_quick_rotation();
        let schedules = Schedules::start(&harness.worker);
        let id = give(&harness, renewed(key)).await.unwrap();
        let (container, before) = product(&harness, id).await;
        for _ in 0..2 {
            let signed = authority.signed();
            harness.pass_hours(19 * 24);
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(authority.signed(), signed, "renewed too early");
            let (_, old) = parts_of(&harness, container).await;
            harness.pass_hours(25);
            let after = parts_after(&harness, container, &old[0].1).await;
            assert_eq!(names_of(&after), expected);
            assert_eq!(after.get(2), before.get(2), "another key");
            // Once is enough, until it is due again.
            tokio::time::sleep(Duration::from_millis(300)).await;
            assert_eq!(authority.signed(), signed + 1);
        }
        schedules.stop(Duration::from_secs(5)).await;
    }
}

/// Ordered without a word about renewal, and with one: the first is renewed as the CA says, the second isn't.
#[tokio::test]
async fn a_ca_says_when_to_renew_what_no_order_says() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (harness, authority) = with_ca(engine, 0).await;
        let mut harness = harness.with_quick_rotation();
        renewing(&mut harness, &authority, 10 * 24);
        let schedules = Schedules::start(&harness.worker);
        let mut never = made(None);
        never.certificate.as_mut().unwrap().renew_before_hours = Some(0);
        let (id, never) = (give(&harness, made(None)).await.unwrap(), give(&harness, never).await.unwrap());
        let ((container, before), _) = (product(&harness, id).await, product(&harness, never).await);
        let standing = || async { renewal::standing(harness.worker.db.reader(), Utc::now()).await.unwrap() };
        assert_eq!(standing().await.certificates, 1);
        harness.pass_hours(20 * 24 + 1);
        let after = parts_after(&harness, container, &before[0].1).await;
        assert_eq!((after.get(2), authority.signed()), (before.get(2), 3));
        schedules.stop(Duration::from_secs(5)).await;

        // What the CA says no more ends with the next certificate.
        renewing(&mut harness, &authority, 0);
        let schedules = Schedules::start(&harness.worker);
        harness.pass_hours(20 * 24 + 1);
        parts_after(&harness, container, &after[0].1).await;
        assert_eq!(renewal::standing(harness.worker.db.reader(), Utc::now()).await.unwrap(), Default::default());
        schedules.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn what_is_revoked_is_not_renewed() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (harness, authority) = with_ca(engine, 0).await;
        let harness = harness.with_quick_rotation();
        let schedules = Schedules::start(&harness.worker);
        let [id, other] =
            [give(&harness, renewed(made_key())).await.unwrap(), give(&harness, renewed(made_key())).await.unwrap()];
        let ((revoked, before), (container, kept)) = (product(&harness, id).await, product(&harness, other).await);
        let reason = Parsed::Valid(RevocationReason::KeyCompromise);
        let request = RevokeCertificate { id: Parsed::Valid(id), reason };
        revocation::revoke(&harness.worker, call(), request).await.unwrap();
        harness.pass_hours(21 * 24);
        parts_after(&harness, container, &kept[0].1).await;
        assert_eq!((parts_of(&harness, revoked).await.1, authority.signed()), (before, 3));
        schedules.stop(Duration::from_secs(5)).await;
    }
}

/// Has what `authority` issues renewed so many hours before its end.
fn renewing(harness: &mut Harness, authority: &Arc<MemoryAuthority>, hours: u32) {
    let worker = Arc::get_mut(&mut harness.worker).unwrap();
    let id = MemoryCa::new(Arc::clone(authority), 0).descriptor().id;
    worker.authorities = std::mem::take(&mut worker.authorities).renewed(id, hours);
}

/// A window that begins so many hours from now.
fn window(harness: &Harness, hours: i64) -> RenewalWindow {
    let start = harness.worker.clock.now() + TimeDelta::hours(hours);
    RenewalWindow { start, end: start + TimeDelta::seconds(1), ask_again: Some(Duration::from_secs(3_600)) }
}

/// Whether something is due so many hours from now.
async fn is_due(harness: &Harness, hours: i64) -> bool {
    let then = harness.worker.clock.now() + TimeDelta::hours(hours);
    !renewal::due(harness.worker.db.reader(), then, 10).await.unwrap().is_empty()
}

#[tokio::test]
async fn a_ca_that_would_have_a_certificate_renewed_earlier_is_heard() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (harness, authority) = with_ca(engine, 1).await;
        let harness = harness.with_quick_rotation();
        let schedules = Schedules::start(&harness.worker);
        authority.suggest(Some(window(&harness, 5 * 24)));
        let order = renewed(KeySource::Made { spec: ec(), subject: subject(&names()) });
        let (container, first) = product(&harness, give(&harness, order).await.unwrap()).await;
        assert!(!is_due(&harness, 5 * 24 - 1).await && is_due(&harness, 5 * 24 + 1).await);

        // It says nothing more. What it said counts; the next certificate is renewed as it was ordered.
        authority.suggest(None);
        harness.pass_hours(5 * 24 + 1);
        let second = parts_after(&harness, container, &first[0].1).await;
        let (_, before) = x509_parser::pem::parse_x509_pem(first[0].1.as_bytes()).unwrap();
        assert_eq!(authority.replaced(), [before.contents]);
        assert!(!is_due(&harness, 20 * 24 - 1).await && is_due(&harness, 20 * 24 + 1).await);

        // It is asked again, and wants it now, as one does that has to revoke.
        let asked = authority.asked();
        authority.suggest(Some(window(&harness, -1)));
        harness.pass_hours(25);
        parts_after(&harness, container, &second[0].1).await;
        assert!(authority.asked() > asked);
        // It goes on saying so, and isn't obeyed without an end.
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(authority.signed(), 3);
        schedules.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_renewal_that_fails_is_tried_again_and_one_without_a_container_is_not() {
    let (harness, authority) = with_ca(Engine::Sqlite, 1).await;
    let harness = harness.with_quick_rotation();
    let schedules = Schedules::start(&harness.worker);
    let id = give(&harness, renewed(KeySource::Made { spec: ec(), subject: subject(&names()) })).await.unwrap();
    let (held, before) = product(&harness, id).await;
    // Somebody deletes the order that renews it, before anybody works on it.
    schedules.stop(Duration::from_secs(5)).await;
    harness.pass_hours(20 * 24 + 1);
    let due = renewal::due(harness.worker.db.reader(), harness.worker.clock.now(), 10).await.unwrap();
    assert_eq!(due.len(), 1);
    let lost = due[0].clone();
    assert!(
        harness
            .worker
            .db
            .write(move |tx| {
                let lost = lost.clone();
                Box::pin(async move { renewal::start(tx, &lost, OrderId::new()).await })
            })
            .await
            .unwrap()
    );

    let schedules = Schedules::start(&harness.worker);
    let failing = async {
        loop {
            let now = harness.worker.clock.now();
            let standing = renewal::standing(harness.worker.db.reader(), now).await.unwrap();
            if standing.failing == 1 {
                return standing;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let standing = tokio::time::timeout(Duration::from_secs(10), failing).await.unwrap();
    assert_eq!((standing.certificates, standing.overdue, authority.signed()), (1, 0, 1));
    harness.pass_hours(24);
    parts_after(&harness, held, &before[0].1).await;
    let standing = renewal::standing(harness.worker.db.reader(), harness.worker.clock.now()).await.unwrap();
    assert_eq!((standing.certificates, standing.failing, authority.signed()), (1, 0, 2));

    let project = ProjectId::new("project").unwrap();
    harness
        .worker
        .db
        .write(move |tx| {
            let project = project.clone();
            Box::pin(async move { container::delete(tx, &project, held).await })
        })
        .await
        .unwrap();
    let standing = renewal::standing(harness.worker.db.reader(), harness.worker.clock.now()).await.unwrap();
    assert_eq!(standing, renewal::Standing::default());
    schedules.stop(Duration::from_secs(5)).await;
}
