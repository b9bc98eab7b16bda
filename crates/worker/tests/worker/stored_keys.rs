//! Certificates for keys that are kept already, in containers that somebody changes meanwhile.

use std::time::Duration;

use bailey_core::certificate::{CertificateOrder, KeySource, StoredKey};
use bailey_core::container::{ContainerType, GivenReference, NewContainer, SecretReference};
use bailey_core::failure::Parsed;
use bailey_core::ids::{ContainerId, OrderId, ProjectId, SecretId};
use bailey_core::request::{AddContainerSecret, CreateContainer, RemoveContainerSecret};
use bailey_db::{Engine, container, order as orders, renewal};
use bailey_testkit::memory::names;
use bailey_worker::Schedules;
use bailey_worker::usecase::{container as usecase, container_secret};
use rcgen::{KeyPair, PublicKeyData as _};

use crate::certificates::{give, made_key, order, product, subject, with_ca};
use crate::harness::{Harness, call};
use crate::moody::with_tracing_ca;
use crate::renewing::{parts_after, renewed};

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

/// A key pair, and the secret with its private half.
async fn key(harness: &Harness) -> (KeyPair, SecretId) {
    let pair = KeyPair::generate().unwrap();
    let secret = harness.create(Some(&pair.serialize_pem())).await.unwrap();
    (pair, secret)
}

fn named(secret: SecretId) -> GivenReference {
    GivenReference { name: Some("private_key".into()), secret: Some(secret) }
}

async fn held_in_new_container(harness: &Harness, secret: SecretId) -> ContainerId {
    let new = NewContainer { name: None, container_type: ContainerType::Generic, secrets: vec![named(secret)] };
    let request = CreateContainer { container: Parsed::Valid(new), idempotency: Parsed::Valid(None) };
    usecase::create(&harness.worker, call(), request).await.unwrap()
}

async fn take_out(harness: &Harness, id: ContainerId, secret: SecretId) {
    let request = RemoveContainerSecret { id: Parsed::Valid(id), reference: Parsed::Valid(named(secret)) };
    container_secret::remove(&harness.worker, call(), request).await.unwrap();
}

/// Has a container hold another private key.
async fn replace(harness: &Harness, id: ContainerId, before: SecretId, after: SecretId) {
    take_out(harness, id, before).await;
    let request = AddContainerSecret { id: Parsed::Valid(id), reference: Parsed::Valid(named(after)) };
    container_secret::add(&harness.worker, call(), request).await.unwrap();
}

fn is_for(certificate: &str, key: &KeyPair) -> bool {
    let (_, pem) = x509_parser::pem::parse_x509_pem(certificate.as_bytes()).unwrap();
    pem.parse_x509().unwrap().public_key().raw == key.subject_public_key_info()
}

/// Has an order name its container alone, as those of before did.
async fn forget_key(harness: &Harness, id: OrderId) {
    let job = orders::find_job(harness.worker.db.reader(), id).await.unwrap().unwrap();
    let text = job.certificate.unwrap();
    let ordered: CertificateOrder = serde_json::from_str(&text).unwrap();
    let KeySource::Stored { key: Some(key), .. } = ordered.key else { panic!("no key in {text}") };
    let key = format!(",\"key\":{}", serde_json::to_string(&key).unwrap());
    assert!(text.contains(&key), "{text}");
    harness.execute(&format!("UPDATE orders SET certificate = REPLACE(certificate, '{key}', '')"));
}

#[tokio::test]
async fn whoever_changes_the_container_changes_no_order_and_no_renewal() {
    for engine in ENGINES {
        let (harness, _) = with_ca(engine, 1).await;
        let harness = harness.with_quick_rotation();
        let ((first, given), (_, other)) = (key(&harness).await, key(&harness).await);
        let source = held_in_new_container(&harness, given).await;
        let ordered = renewed(KeySource::Stored { container: source, subject: subject(&names()), key: None });
        let id = give(&harness, ordered).await.unwrap();
        replace(&harness, source, given, other).await;

        let schedules = Schedules::start(&harness.worker);
        let (made, parts) = product(&harness, id).await;
        assert!(is_for(&parts[0].1, &first));
        assert_eq!(parts[2], ("private_key".into(), first.serialize_pem()));
        let held = container::references(harness.worker.db.reader(), &[made]).await.unwrap().remove(&made).unwrap();
        assert!(held.contains(&SecretReference { name: Some("private_key".into()), secret: given }));

        let mut before = parts;
        take_out(&harness, made, given).await;
        for _ in 0..2 {
            harness.pass_hours(20 * 24 + 1);
            let after = parts_after(&harness, made, &before[0].1).await;
            assert!(is_for(&after[0].1, &first));
            before = after;
        }
        schedules.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_renewal_names_the_key_that_was_made() {
    for (leaves_traces, passphrase) in [(true, None), (true, Some("open")), (false, None), (false, Some("open"))] {
        let (harness, _) = with_tracing_ca(Engine::Sqlite, leaves_traces).await;
        let schedules = Schedules::start(&harness.worker);
        let mut ordered = order(made_key(), passphrase);
        ordered.certificate.as_mut().unwrap().renew_before_hours = Some(1);
        let (made, parts) = product(&harness, give(&harness, ordered).await.unwrap()).await;
        assert_eq!(parts.len(), if passphrase.is_some() { 4 } else { 3 });
        let held = container::references(harness.worker.db.reader(), &[made]).await.unwrap().remove(&made).unwrap();
        let secret = |name| held.iter().find(|part| part.name.as_deref() == Some(name)).map(|part| part.secret);
        let key = StoredKey { private: secret("private_key").unwrap(), passphrase: secret("private_key_passphrase") };
        let project = ProjectId::new("project").unwrap();
        let renewal = renewal::find(harness.worker.db.reader(), &project, made).await.unwrap().unwrap();
        let next: CertificateOrder = serde_json::from_str(&renewal.certificate).unwrap();
        assert!(
            matches!(next.key, KeySource::Stored { container, key: Some(named), .. } if (container, named) == (made, key))
        );
        schedules.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn an_order_of_before_takes_the_key_that_its_container_has() {
    for engine in ENGINES {
        let (harness, _) = with_ca(engine, 0).await;
        let ((_, given), (second, other)) = (key(&harness).await, key(&harness).await);
        let source = held_in_new_container(&harness, given).await;
        let ordered = renewed(KeySource::Stored { container: source, subject: subject(&names()), key: None });
        let id = give(&harness, ordered).await.unwrap();
        forget_key(&harness, id).await;
        replace(&harness, source, given, other).await;
        let schedules = Schedules::start(&harness.worker);
        let (_, parts) = product(&harness, id).await;
        assert!(is_for(&parts[0].1, &second));
        schedules.stop(Duration::from_secs(5)).await;
    }
}
