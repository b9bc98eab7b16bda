//! Renewals that somebody comes between: who revokes, who retries, and a CA that refuses.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::ca::RevocationReason;
use bailey_core::failure::Parsed;
use bailey_core::ids::{ContainerId, OrderId, ProjectId};
use bailey_core::order::{Order, OrderQuery, OrderStatus};
use bailey_core::quota::Quotas;
use bailey_core::request::{GetRevocationList, ListOrders, RevokeCertificate};
use bailey_core::secret::PageRequest;
use bailey_db::renewal::{self, Renewal, Standing};
use bailey_db::{Engine, order};
use bailey_worker::usecase::{order as usecase, revocation};
use bailey_worker::{Limits, OrdersConfig, Schedules};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use crate::certificates::{ended, give, made_key, parts_of, product};
use crate::harness::{Harness, call};
use crate::moody::{Mood, with_moody_ca};
use crate::renewing::{parts_after, renewed};

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

fn project() -> ProjectId {
    ProjectId::new("project").unwrap()
}

/// The project's orders, oldest first.
async fn orders(harness: &Harness) -> Vec<Order> {
    let query = OrderQuery { meta: None, page: PageRequest { limit: 100, offset: 0 } };
    let request = ListOrders { query: Parsed::Valid(query) };
    let page = usecase::list(&harness.worker, call(), request).await.unwrap();
    assert_eq!(u64::try_from(page.items.len()).unwrap(), page.total, "what counts in the quota");
    page.items
}

async fn revoke(harness: &Harness, id: OrderId) {
    let reason = Parsed::Valid(RevocationReason::Superseded);
    let request = RevokeCertificate { id: Parsed::Valid(id), reason };
    revocation::revoke(&harness.worker, call(), request).await.unwrap();
}

fn serial(pem: &str) -> Vec<u8> {
    let (_, pem) = x509_parser::pem::parse_x509_pem(pem.as_bytes()).unwrap();
    pem.parse_x509().unwrap().raw_serial().to_vec()
}

/// The serial numbers on the CA's list.
async fn revoked(harness: &Harness) -> Vec<Vec<u8>> {
    let ca = harness.worker.authorities.only(&project()).unwrap().descriptor().id;
    let request = GetRevocationList { ca: Parsed::Valid(ca), generation: Parsed::Valid(1) };
    let list = revocation::list(&harness.worker, call(), request).await.unwrap();
    let (_, list) = CertificateRevocationList::from_der(&list).unwrap();
    let mut serials: Vec<_> = list.iter_revoked_certificates().map(|entry| entry.raw_serial().to_vec()).collect();
    serials.sort();
    serials
}

fn sorted(mut serials: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    serials.sort();
    serials
}

async fn standing(harness: &Harness) -> Standing {
    renewal::standing(harness.worker.db.reader(), harness.worker.clock.now()).await.unwrap()
}

async fn renewal_of(harness: &Harness, container: ContainerId) -> Option<Renewal> {
    renewal::find(harness.worker.db.reader(), &project(), container).await.unwrap()
}

async fn until<F: AsyncFnMut() -> bool>(mut is_so: F) {
    let wait = async {
        while !is_so().await {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap();
}

/// A certificate that is renewed, and its container.
async fn first(harness: &Harness) -> (OrderId, ContainerId, Vec<(String, String)>) {
    let id = give(harness, renewed(made_key())).await.unwrap();
    let (container, parts) = product(harness, id).await;
    (id, container, parts)
}

#[tokio::test]
async fn each_order_has_its_own_certificate_revoked() {
    for engine in ENGINES {
        let (harness, ca) = with_moody_ca(engine).await;
        let schedules = Schedules::start(&harness.worker);
        let (id, container, first) = first(&harness).await;
        harness.pass_hours(20 * 24 + 1);
        let second = parts_after(&harness, container, &first[0].1).await;
        revoke(&harness, id).await;
        assert_eq!(revoked(&harness).await, [serial(&first[0].1)]);

        // That one wasn't in the container any more: what is there goes on being renewed.
        assert_eq!(standing(&harness).await.certificates, 1);
        harness.pass_hours(20 * 24 + 1);
        let third = parts_after(&harness, container, &second[0].1).await;
        let orders = orders(&harness).await;
        assert_eq!(orders.len(), 3);
        revoke(&harness, orders[2].id).await;
        assert_eq!(revoked(&harness).await, sorted(vec![serial(&first[0].1), serial(&third[0].1)]));
        assert_eq!(standing(&harness).await, Standing::default());
        harness.pass_hours(20 * 24 + 1);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(ca.signed(), 3);
        schedules.stop(Duration::from_secs(5)).await;
    }
}

/// Orders of before name no certificate of their own.
#[tokio::test]
async fn an_order_without_a_certificate_of_its_own_stands_for_the_container_s() {
    let (harness, _) = with_moody_ca(Engine::Sqlite).await;
    let schedules = Schedules::start(&harness.worker);
    let (id, container, first) = first(&harness).await;
    harness.pass_hours(20 * 24 + 1);
    let second = parts_after(&harness, container, &first[0].1).await;
    harness.execute("UPDATE orders SET issued_id = NULL");
    revoke(&harness, id).await;
    assert_eq!(revoked(&harness).await, [serial(&second[0].1)]);
    assert_eq!(standing(&harness).await, Standing::default());
    schedules.stop(Duration::from_secs(5)).await;
}

/// Before the CA is asked, and after it has answered.
#[tokio::test]
async fn a_renewal_under_way_of_what_is_revoked_ends_without_a_certificate() {
    for (engine, has_answered) in ENGINES.into_iter().flat_map(|engine| [(engine, false), (engine, true)]) {
        let (harness, ca) = with_moody_ca(engine).await;
        let schedules = Schedules::start(&harness.worker);
        let (id, container, before) = first(&harness).await;
        ca.will([if has_answered { Mood::Hold } else { Mood::Wait(Duration::from_millis(300)) }]);
        harness.pass_hours(20 * 24 + 1);
        let pending = || async { renewal_of(&harness, container).await.and_then(|renewal| renewal.order) };
        until(async || pending().await.is_some()).await;
        let renewing = pending().await.unwrap();
        if has_answered {
            ca.reached().await;
        }
        revoke(&harness, id).await;
        ca.let_go();

        let order = ended(&harness, renewing).await;
        assert_eq!((order.status, order.container), (OrderStatus::Error, None));
        let error = order.error.unwrap();
        assert!(error.code == "400" && error.reason.contains("was revoked"), "{error:?}");
        assert_eq!(ca.signed(), if has_answered { 2 } else { 1 });
        assert_eq!(parts_of(&harness, container).await.1, before);
        harness.pass_hours(24);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!((standing(&harness).await, orders(&harness).await.len()), (Standing::default(), 2));
        schedules.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn orders_that_failed_to_renew_do_not_gather() {
    for engine in ENGINES {
        let (mut harness, ca) = with_moody_ca(engine).await;
        // Room for the first one and one more.
        let quotas = Quotas { orders: 2, ..Quotas::default() };
        Arc::get_mut(&mut harness.worker).unwrap().limits = Limits::new(quotas);
        let schedules = Schedules::start(&harness.worker);
        let (id, container, before) = first(&harness).await;
        ca.will([Mood::Reject, Mood::Reject]);
        harness.pass_hours(20 * 24 + 1);
        let mut failed = Vec::new();
        for failures in 1..=2 {
            until(async || renewal_of(&harness, container).await.unwrap().failures == failures).await;
            failed.extend(renewal_of(&harness, container).await.unwrap().failed);
            let [kept, last] = orders(&harness).await.try_into().unwrap();
            assert_eq!((kept.id, last.id, last.status), (id, failed[failed.len() - 1], OrderStatus::Error));
            harness.pass_hours(24);
        }
        assert_ne!(failed[0], failed[1]);
        parts_after(&harness, container, &before[0].1).await;
        let [kept, done] = orders(&harness).await.try_into().unwrap();
        assert_eq!((kept.id, done.status), (id, OrderStatus::Active));
        assert!(!failed.contains(&done.id));
        let renewal = renewal_of(&harness, container).await.unwrap();
        assert_eq!((renewal.failures, renewal.failed, renewal.order), (0, None, None));
        schedules.stop(Duration::from_secs(5)).await;
    }
}

/// What `bailey order retry` does.
async fn retry(harness: &Harness, container: ContainerId, id: OrderId) -> bool {
    let (now, project) = (harness.worker.clock.now(), project());
    let retried = harness.worker.db.write(move |tx| {
        let project = project.clone();
        Box::pin(async move {
            if !renewal::take_over(tx, &project, container, id, now).await? {
                return Ok::<_, bailey_db::Error>(false);
            }
            let until = now + OrdersConfig::default().deadline();
            order::revive(tx, id, 10, until, now).await
        })
    });
    retried.await.unwrap()
}

#[tokio::test]
async fn a_renewal_that_is_retried_goes_before_the_next_try() {
    for engine in ENGINES {
        let (harness, ca) = with_moody_ca(engine).await;
        let schedules = Schedules::start(&harness.worker);
        let (_, container, before) = first(&harness).await;
        ca.will([Mood::Reject, Mood::Hold]);
        harness.pass_hours(20 * 24 + 1);
        until(async || renewal_of(&harness, container).await.unwrap().failures == 1).await;
        let failed = renewal_of(&harness, container).await.unwrap().failed.unwrap();
        assert!(retry(&harness, container, failed).await);
        ca.reached().await;
        harness.pass_hours(24);
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(orders(&harness).await.len(), 2, "another order renews beside it");
        ca.let_go();
        parts_after(&harness, container, &before[0].1).await;
        assert_eq!((ended(&harness, failed).await.status, ca.signed()), (OrderStatus::Active, 2));
        assert_eq!(standing(&harness).await.failing, 0);
        assert!(!retry(&harness, container, failed).await, "it is renewed");
        schedules.stop(Duration::from_secs(5)).await;
    }
}

/// A CA that is polled for long has its fault forgiven as one that is asked once.
#[tokio::test]
async fn how_often_a_ca_was_polled_counts_for_nothing_when_it_fails() {
    const FORGIVEN: usize = 9;
    let (harness, ca) = with_moody_ca(Engine::Sqlite).await;
    let schedules = Schedules::start(&harness.worker);
    let wait = Mood::Wait(Duration::from_millis(20));
    ca.will(std::iter::repeat_n(wait, 15).chain(std::iter::repeat_n(Mood::Fail, FORGIVEN)));
    let id = give(&harness, renewed(made_key())).await.unwrap();
    product(&harness, id).await;
    let job = order::find_job(harness.worker.db.reader(), id).await.unwrap().unwrap();
    assert_eq!(usize::try_from(job.attempts).unwrap(), 15 + FORGIVEN + 1);

    // One more is too many, however seldom it was polled.
    ca.will(std::iter::repeat_n(Mood::Fail, FORGIVEN + 1));
    let id = give(&harness, renewed(made_key())).await.unwrap();
    assert_eq!(ended(&harness, id).await.error.unwrap().code, "500");
    schedules.stop(Duration::from_secs(5)).await;
}
