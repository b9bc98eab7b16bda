//! Orders for certificates, issued by a CA in memory, at once and in steps.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::ca::CertificateAuthority;
use bailey_core::certificate::{CertificateOrder, KeySource, Subject};
use bailey_core::failure::{FailureKind, Parsed};
use bailey_core::ids::{ContainerId, OrderId, ProjectId};
use bailey_core::order::{NewOrder, Order, OrderChange, OrderStatus, OrderType};
use bailey_core::request::{CreateOrder, GetOrder, UpdateOrder};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::Spec;
use bailey_db::{Engine, container};
use bailey_testkit::memory::{MemoryAuthority, MemoryCa, MemoryShelf, MemoryStore, names};
use bailey_worker::usecase::order as usecase;
use bailey_worker::{Authorities, OrdersConfig, Schedules};
use rcgen::{CertificateParams, KeyPair, PublicKeyData as _};

use crate::harness::{Harness, call};
use crate::moody::{Mood, with_tracing_ca};

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

pub fn made(passphrase: Option<&str>) -> NewOrder {
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

pub fn names_of(parts: &[(String, String)]) -> Vec<&str> {
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

#[tokio::test]
async fn a_ca_that_leaves_no_traces_is_asked_before_anything_is_placed() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        let (harness, ca) = with_tracing_ca(engine, false).await;
        ca.will([Mood::Fail, Mood::Hold]);
        let schedules = Schedules::start(&harness.worker);
        let id = give(&harness, made(None)).await.unwrap();
        ca.reached().await;
        let project = ProjectId::new("project").unwrap();
        let kept = bailey_db::order::find_input(harness.worker.db.reader(), &project, id, "private_key").await.unwrap();
        assert_eq!(kept, None);
        ca.let_go();
        let (_, parts) = product(&harness, id).await;
        assert_eq!(names_of(&parts), ["certificate", "intermediates", "private_key"]);
        assert_is_for(&parts[0].1, &parts[2].1);
        assert_eq!(ca.signed(), 1);
        schedules.stop(Duration::from_secs(5)).await;
    }
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
