//! Orders for certificates, issued by a CA in memory, at once and in steps.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bailey_core::ca::{
    CaDescriptor, CaError, CaErrorKind, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, RenewalWindow,
    Revocation, RevocationReason,
};
use bailey_core::certificate::{CertificateOrder, KeySource, Subject};
use bailey_core::failure::{FailureKind, Parsed};
use bailey_core::ids::{ContainerId, OrderId, ProjectId};
use bailey_core::order::{NewOrder, Order, OrderChange, OrderStatus, OrderType};
use bailey_core::request::{CreateOrder, GetOrder, RevokeCertificate, UpdateOrder};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::Spec;
use bailey_db::{Engine, container, renewal};
use bailey_testkit::memory::{MemoryAuthority, MemoryCa, MemoryShelf, MemoryStore, names};
use bailey_worker::usecase::{order as usecase, revocation};
use bailey_worker::{Authorities, OrdersConfig, Schedules};
use chrono::{TimeDelta, Utc};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

use crate::harness::{Harness, call};

pub async fn with_ca(engine: Engine, steps: u32) -> (Harness, Arc<MemoryAuthority>) {
    let authority = Arc::new(MemoryAuthority::new().unwrap());
    (over_ca(engine, Arc::new(MemoryCa::new(Arc::clone(&authority), steps))).await, authority)
}

pub async fn over_ca(engine: Engine, ca: Arc<dyn CertificateAuthority>) -> Harness {
    let shelf = Arc::new(MemoryShelf::default());
    let store = move |id, _: &Arc<_>, _| Arc::new(MemoryStore::of_every_type(id, shelf)) as Arc<_>;
    let harness = match engine {
        Engine::Sqlite => Harness::new(store).await,
        Engine::Postgres => Harness::on_postgres(store).await,
    };
    let quick = OrdersConfig { poll_seconds: 0.02, longest_wait_seconds: 0.2, ..OrdersConfig::default() };
    harness.with_orders(quick).with_authorities(Authorities::new([ca])).await
}

pub fn subject(name: &str) -> Subject {
    Subject { name: format!("CN={name}").parse().unwrap(), alt_names: vec![name.parse().unwrap()] }
}

pub fn ec() -> Spec {
    Spec { algorithm: Some("ec".into()), bit_length: Some(256), mode: None }
}

pub fn order(key: KeySource, passphrase: Option<&str>) -> NewOrder {
    NewOrder {
        order_type: OrderType::Certificate,
        certificate: Some(CertificateOrder { ca: None, profile: None, key, renew_before_hours: None, renews: None }),
        meta: r#"{"name":"c","expiration":null}"#.into(),
        expires_at: None,
        passphrase: passphrase.map(|text| SecretBytes::new(text.as_bytes().to_vec())),
    }
}

pub fn made_key() -> KeySource {
    KeySource::Made { spec: ec(), subject: subject(&names()) }
}

fn made(passphrase: Option<&str>) -> NewOrder {
    order(made_key(), passphrase)
}

pub async fn give(harness: &Harness, order: NewOrder) -> Result<OrderId, bailey_core::failure::Failure> {
    let request = CreateOrder { order: Parsed::Valid(order), idempotency: Parsed::Valid(None) };
    usecase::create(&harness.worker, call(), request).await
}

pub async fn ended(harness: &Harness, id: OrderId) -> Order {
    let wait = async {
        loop {
            let order = usecase::get(&harness.worker, call(), GetOrder { id: Parsed::Valid(id) }).await.unwrap();
            if order.status != OrderStatus::Pending {
                return order;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap()
}

/// What is in the container of an order that has its product: names with payloads.
pub async fn product(harness: &Harness, id: OrderId) -> (ContainerId, Vec<(String, String)>) {
    let order = ended(harness, id).await;
    assert_eq!(order.status, OrderStatus::Active, "{order:?}");
    parts_of(harness, order.container.unwrap()).await
}

pub async fn parts_of(harness: &Harness, id: ContainerId) -> (ContainerId, Vec<(String, String)>) {
    let held = container::references(harness.worker.db.reader(), &[id]).await.unwrap();
    let mut parts = Vec::new();
    for reference in held.into_values().flatten() {
        parts.push((reference.name.unwrap(), harness.read(reference.secret).await.unwrap()));
    }
    parts.sort();
    (id, parts)
}

fn names_of(parts: &[(String, String)]) -> Vec<&str> {
    parts.iter().map(|(name, _)| name.as_str()).collect()
}

fn assert_is_for(certificate: &str, key: &str) {
    let (_, certificate) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).unwrap();
    let key = KeyPair::from_pem(key).unwrap();
    assert_eq!(certificate.parse_x509().unwrap().public_key().raw, key.subject_public_key_info());
}

#[tokio::test]
async fn a_certificate_comes_with_the_key_that_was_made_for_it() {
    for (engine, steps) in [(Engine::Sqlite, 0), (Engine::Sqlite, 3), (Engine::Postgres, 3)] {
        let (harness, authority) = with_ca(engine, steps).await;
        let schedules = Schedules::start(&harness.worker);
        let id = give(&harness, made(None)).await.unwrap();
        let (_, parts) = product(&harness, id).await;
        assert_eq!(names_of(&parts), ["certificate", "intermediates", "private_key"]);
        assert_is_for(&parts[0].1, &parts[2].1);
        assert_eq!(authority.signed(), 1);
        schedules.stop(Duration::from_secs(5)).await;
        assert!(!harness.dump().contains("PRIVATE KEY"));
    }
}

/// A CA that leaves no traces, and can't be reached the first two times.
struct Untraced {
    descriptor: CaDescriptor,
    inner: MemoryCa,
    shelf: Arc<MemoryShelf>,
    /// What lay in the store each time that it was asked.
    seen: Mutex<Vec<usize>>,
}

#[async_trait]
impl CertificateAuthority for Untraced {
    fn descriptor(&self) -> &CaDescriptor {
        &self.descriptor
    }

    async fn issue(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        let times = {
            let mut seen = self.seen.lock().unwrap();
            seen.push(self.shelf.stored().len());
            seen.len()
        };
        match times {
            1 | 2 => Err(CaError::new(CaErrorKind::Unavailable, "issue", "out of reach")),
            _ => self.inner.issue(request).await,
        }
    }

    async fn poll(&self, request: &IssuanceRequest, state: &IssuanceState) -> Result<Issuance, CaError> {
        self.inner.poll(request, state).await
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, CaError> {
        self.inner.revoke(revocation).await
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        self.inner.chain().await
    }

    async fn health(&self) -> Result<(), CaError> {
        self.inner.health().await
    }
}

#[tokio::test]
async fn a_ca_that_leaves_no_traces_is_asked_before_anything_is_placed() {
    let shelf = Arc::new(MemoryShelf::default());
    let inner = MemoryCa::new(Arc::new(MemoryAuthority::new().unwrap()), 0);
    let descriptor = CaDescriptor { leaves_traces: false, ..inner.descriptor().clone() };
    let ca = Arc::new(Untraced { descriptor, inner, shelf: Arc::clone(&shelf), seen: Mutex::default() });
    let kept = Arc::clone(&shelf);
    let harness = Harness::new(move |id, _, _| Arc::new(MemoryStore::of_every_type(id, kept)) as Arc<_>).await;
    let quick = OrdersConfig { poll_seconds: 0.02, longest_wait_seconds: 0.2, ..OrdersConfig::default() };
    let asked = Arc::clone(&ca) as Arc<dyn CertificateAuthority>;
    let harness = harness.with_orders(quick).with_authorities(Authorities::new([asked])).await;
    let schedules = Schedules::start(&harness.worker);
    let id = give(&harness, made(None)).await.unwrap();
    let (_, parts) = product(&harness, id).await;
    assert_eq!(names_of(&parts), ["certificate", "intermediates", "private_key"]);
    assert_is_for(&parts[0].1, &parts[2].1);
    assert_eq!(*ca.seen.lock().unwrap(), [0, 0, 0]);
    assert_eq!(shelf.stored().len(), 3);
    schedules.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_passphrase_encrypts_the_key_and_opens_it_for_the_request() {
    let (harness, _) = with_ca(Engine::Sqlite, 2).await;
    let schedules = Schedules::start(&harness.worker);
    let id = give(&harness, made(Some("open"))).await.unwrap();
    let (_, parts) = product(&harness, id).await;
    assert_eq!(names_of(&parts), ["certificate", "intermediates", "private_key", "private_key_passphrase"]);
    assert!(parts[2].1.contains("ENCRYPTED PRIVATE KEY"));
    assert_eq!(parts[3].1, "open");
    schedules.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_clients_own_request_gets_a_certificate_without_a_key() {
    let (harness, _) = with_ca(Engine::Sqlite, 0).await;
    let schedules = Schedules::start(&harness.worker);
    let key = KeyPair::generate().unwrap();
    let csr = CertificateParams::new(vec![names()]).unwrap().serialize_request(&key).unwrap().der().to_vec();
    let id = give(&harness, order(KeySource::Request(csr.clone()), None)).await.unwrap();
    let (_, parts) = product(&harness, id).await;
    assert_eq!(names_of(&parts), ["certificate", "intermediates"]);

    let mut forged = csr;
    *forged.last_mut().unwrap() ^= 1;
    let failure = give(&harness, order(KeySource::Request(forged), None)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert_eq!(failure.violations[0].property.as_deref(), Some("request_data"));
    schedules.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_key_that_is_kept_gets_another_certificate() {
    let (harness, _) = with_ca(Engine::Sqlite, 1).await;
    let schedules = Schedules::start(&harness.worker);
    for passphrase in [None, Some("open")] {
        let first = give(&harness, made(passphrase)).await.unwrap();
        let (container, before) = product(&harness, first).await;
        let key = KeySource::Stored { container, subject: subject(&names()), key: None };
        let second = give(&harness, order(key, None)).await.unwrap();
        let (_, after) = product(&harness, second).await;
        assert_eq!(names_of(&before), names_of(&after));
        assert_eq!(before[2], after[2]);
        assert_ne!(before[0], after[0]);
    }
    let key = KeySource::Stored { container: ContainerId::new(), subject: subject("a.example"), key: None };
    let failure = give(&harness, order(key, None)).await.unwrap_err();
    assert_eq!((failure.kind, failure.violations.len()), (FailureKind::Invalid, 1));
    schedules.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn what_the_ca_refuses_ends_as_an_error() {
    for steps in [0, 2] {
        let (harness, authority) = with_ca(Engine::Sqlite, steps).await;
        let schedules = Schedules::start(&harness.worker);
        let foreign = order(KeySource::Made { spec: ec(), subject: subject("host.elsewhere.test") }, None);
        let id = give(&harness, foreign).await.unwrap();
        let order = ended(&harness, id).await;
        assert_eq!((order.status, order.container), (OrderStatus::Error, None));
        let error = order.error.unwrap();
        assert_eq!(error.code, "400");
        assert!(error.reason.contains("only names below example.test"), "{}", error.reason);
        assert_eq!(authority.signed(), 0);
        schedules.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn an_unknown_profile_is_refused_at_once() {
    let (harness, _) = with_ca(Engine::Sqlite, 0).await;
    let mut order = made(None);
    order.certificate.as_mut().unwrap().profile = Some("none".into());
    let failure = give(&harness, order).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
    assert_eq!(failure.violations[0].property.as_deref(), Some("profile"));
}

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

#[tokio::test]
async fn a_pending_order_is_changed_until_somebody_works_on_it() {
    let (harness, _) = with_ca(Engine::Sqlite, 0).await;
    let id = give(&harness, made(None)).await.unwrap();
    let name = names();
    let change = |key| UpdateOrder {
        id: Parsed::Valid(id),
        change: Parsed::Valid(OrderChange {
            meta: r#"{"name":"changed"}"#.into(),
            certificate: CertificateOrder { ca: None, profile: None, key, renew_before_hours: None, renews: None },
        }),
    };
    let other = Spec { bit_length: Some(384), ..ec() };
    let wrong = change(KeySource::Made { spec: other, subject: subject(&name) });
    assert_eq!(usecase::change(&harness.worker, call(), wrong).await.unwrap_err().kind, FailureKind::Invalid);
    let right = || change(KeySource::Made { spec: ec(), subject: subject(&name) });
    assert!(usecase::change(&harness.worker, call(), right()).await.unwrap());

    let schedules = Schedules::start(&harness.worker);
    let (_, parts) = product(&harness, id).await;
    let (_, pem) = x509_parser::pem::parse_x509_pem(parts[0].1.as_bytes()).unwrap();
    assert!(pem.parse_x509().unwrap().subject().to_string().contains(&name));
    assert_eq!(usecase::change(&harness.worker, call(), right()).await.unwrap_err().kind, FailureKind::Invalid);
    schedules.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn without_a_ca_there_are_no_certificates() {
    let shelf = Arc::new(MemoryShelf::default());
    let harness = Harness::new(move |id, _, _| Arc::new(MemoryStore::new(id, shelf))).await;
    let failure = give(&harness, made(None)).await.unwrap_err();
    assert_eq!(failure.schema.as_deref(), Some("Order"));
    assert_eq!(failure.violations[0].property.as_deref(), Some("type"));
}

#[tokio::test]
async fn the_only_ca_is_the_one_that_is_meant() {
    let (harness, authority) = with_ca(Engine::Sqlite, 0).await;
    let id = MemoryCa::new(authority, 0).descriptor().id;
    assert_eq!(harness.worker.authorities.only(&ProjectId::new("project").unwrap()).unwrap().descriptor().id, id);
    let mut named = made(None);
    named.certificate.as_mut().unwrap().ca = Some(bailey_core::ids::CaId::new());
    assert_eq!(give(&harness, named).await.unwrap_err().violations[0].property.as_deref(), Some("ca_id"));
}
