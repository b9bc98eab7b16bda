//! Requests that come in messages: each changes something once, however often its message comes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use bailey_core::access::{Call, Claims, Credentials, Message};
use bailey_core::acl::AclChange;
use bailey_core::ca::{CaQuery, GivenSubAuthority, RevocationReason};
use bailey_core::certificate::{CertificateOrder, KeySource, Subject};
use bailey_core::consumer::{ContainerUse, SecretUse};
use bailey_core::container::{ContainerFilter, ContainerQuery, ContainerType, GivenReference, NewContainer};
use bailey_core::failure::{FailureKind, Parsed};
use bailey_core::ids::{EntityId, MessageId, ProjectId, RequestId, SecretId};
use bailey_core::order::{NewOrder, OrderChange, OrderQuery, OrderStatus, OrderType};
use bailey_core::quota::ProjectQuotas;
use bailey_core::request::*;
use bailey_core::secret::{Metadatum, NewSecret, PageRequest, Payload, SecretFilter, SecretQuery, UserMetadata};
use bailey_core::spec::{ContentType, SecretType, Spec};
use bailey_core::transport_key::{NewTransportKey, TransportKeyQuery};
use bailey_queue::Queue;
use bailey_testkit::memory::{MemoryAuthority, MemoryCa, MemoryShelf, MemoryStore, names};
use bailey_worker::{Authorities, Schedules};
use chrono::{TimeDelta, Utc};
use tokio::runtime::Handle;
use uuid::Uuid;

use crate::harness::Harness;

/// A worker behind a queue, and what was asked of it.
struct Asked {
    harness: Harness,
    shelf: Arc<MemoryShelf>,
    queue: Queue,
    names: BTreeSet<(&'static str, bool)>,
}

fn call(message: Message) -> Call {
    let roles = Some("admin,key-manager:service-admin".to_owned());
    let claims = Claims { project: Some("project".into()), user: None, roles };
    let credentials = Credentials { token: None, claims };
    Call { message: Some(message), ..Call::new(credentials, RequestId::new()) }
}

fn message() -> Message {
    let id = MessageId::from(Uuid::new_v4().into_bytes());
    Message { id, deadline: Utc::now() + TimeDelta::seconds(20) }
}

fn valid<T>(value: T) -> Parsed<T> {
    Parsed::Valid(value)
}

const PAGE: PageRequest = PageRequest { limit: 10, offset: 0 };

impl Asked {
    async fn new(harness: Harness, shelf: Arc<MemoryShelf>) -> Self {
        let ca = Arc::new(MemoryCa::new(Arc::new(MemoryAuthority::new().unwrap()), 0));
        let harness = harness.with_stores().with_authorities(Authorities::new([ca as Arc<_>])).await;
        let queue = Queue::new(&bailey_queue::Config::default(), Handle::current());
        queue.attach(harness.worker.handlers());
        Self { harness, shelf, queue, names: BTreeSet::new() }
    }

    /// What the database has, but for what was condemned: that is what became of a second time.
    fn state(&self) -> String {
        let dump = self.harness.dump();
        let lines = dump.lines().filter(|line| !line.contains("condemned") && !line.contains("restrict"));
        lines.collect::<Vec<_>>().join("\n")
    }

    async fn claims(&self) -> usize {
        let ids = self.harness.dump();
        let marked = ids.lines().skip_while(|line| !line.contains("COPY public.queue_messages")).skip(1);
        let copied = marked.take_while(|line| !line.starts_with("\\.")).count();
        copied + ids.lines().filter(|line| line.starts_with("INSERT INTO queue_messages")).count()
    }

    /// Sends what changes something: two at once, then a third time. One of them does it.
    async fn change<R: Request>(&mut self, request: impl Fn() -> R) -> R::Reply {
        assert!(R::MUTATES, "{}", R::NAME);
        let (message, before) = (message(), self.claims().await);
        let (one, other) =
            tokio::join!(self.queue.call(call(message), request()), self.queue.call(call(message), request()));
        let (done, refused) = match (one, other) {
            (Ok(done), Err(refused)) | (Err(refused), Ok(done)) => (done, refused),
            (Ok(_), Ok(_)) => panic!("{} was done twice", R::NAME),
            (Err(one), Err(other)) => panic!("{} was not done: {one}, {other}", R::NAME),
        };
        let expected = [FailureKind::Unavailable, FailureKind::NotFound, FailureKind::Conflict];
        assert!(expected.contains(&refused.kind), "{}: {refused}", R::NAME);
        assert_eq!(self.claims().await, before + 1, "{}", R::NAME);
        let (state, stored) = (self.state(), self.shelf.stored().len());
        let refused = self.queue.call(call(message), request()).await.map(drop).unwrap_err();
        assert!(expected.contains(&refused.kind), "{}: {refused}", R::NAME);
        assert_eq!(self.state(), state, "{}", R::NAME);
        assert_eq!(self.shelf.stored().len(), stored, "{}: nothing stays in the store", R::NAME);
        self.names.insert((R::NAME, true));
        done
    }

    /// Sends what changes nothing, twice.
    async fn read<R: Request>(&mut self, request: impl Fn() -> R) {
        assert!(!R::MUTATES, "{}", R::NAME);
        let (message, before) = (message(), self.claims().await);
        for _ in 0..2 {
            let answer = self.queue.call(call(message), request()).await;
            let kind = answer.err().map(|failure| failure.kind);
            assert!(matches!(kind, None | Some(FailureKind::NotFound)), "{}: {kind:?}", R::NAME);
        }
        assert_eq!(self.claims().await, before, "{} claims its message", R::NAME);
        self.names.insert((R::NAME, false));
    }
}

fn payload() -> Payload {
    Payload { content_type: ContentType::TextPlain, bytes: b"payload".to_vec().into() }
}

fn new_secret(payload: Option<Payload>) -> CreateSecret {
    let secret = NewSecret {
        name: None,
        secret_type: SecretType::Opaque,
        spec: Spec::default(),
        expires_at: None,
        payload: payload.map(Into::into),
        transport_key_needed: false,
    };
    CreateSecret { secret: valid(secret), idempotency: valid(None) }
}

fn metadatum(value: &str) -> Metadatum {
    Metadatum { key: "key".to_owned(), value: value.to_owned() }
}

async fn secrets(asked: &mut Asked) -> SecretId {
    let id = asked.change(|| new_secret(Some(payload()))).await.id;
    let empty = asked.change(|| new_secret(None)).await.id;
    asked.change(|| PutPayload { id: valid(empty), payload: valid(valid(payload().into())) }).await;
    let metadata = UserMetadata::from([("first".to_owned(), "value".to_owned())]);
    asked.change(|| PutMetadata { id: valid(id), metadata: valid(metadata.clone()) }).await;
    asked.change(|| AddMetadatum { id: valid(id), metadatum: valid(metadatum("a")) }).await;
    asked.change(|| PutMetadatum { id: valid(id), key: "key".to_owned(), metadatum: valid(metadatum("b")) }).await;
    asked.read(|| GetMetadata { id: valid(id) }).await;
    asked.read(|| GetMetadatum { id: valid(id), key: "key".to_owned() }).await;
    asked.change(|| DeleteMetadatum { id: valid(id), key: "key".to_owned() }).await;
    let entity = EntityId::Secret(id);
    let access = AclChange { project_access: Some(false), users: None };
    asked.change(|| PutAcl { entity: valid(entity), acl: valid(access.clone()) }).await;
    asked.change(|| PatchAcl { entity: valid(entity), change: valid(access.clone()) }).await;
    asked.read(|| GetAcl { entity: valid(entity) }).await;
    asked.change(|| DeleteAcl { entity: valid(entity) }).await;
    let usage = SecretUse { service: "s".to_owned(), resource_type: "t".to_owned(), resource_id: "i".to_owned() };
    asked.change(|| AddSecretConsumer { id: valid(id), usage: valid(usage.clone()) }).await;
    asked.read(|| ListSecretConsumers { id: valid(id), page: valid(PAGE) }).await;
    asked.read(|| GetConsumer { entity: valid(entity) }).await;
    asked.change(|| RemoveSecretConsumer { id: valid(id), usage: valid(usage.clone()) }).await;
    asked.read(|| FindSecret { id: valid(id) }).await;
    asked.read(|| GetSecret { id: valid(id), with_consumers: true, with_transport_key: valid(true) }).await;
    asked.read(|| GetPayload { id: valid(id), form: valid(PayloadForm::AsStored) }).await;
    let query = || SecretQuery { filter: SecretFilter::default(), sort: Vec::new(), page: PAGE, acl_only: false };
    asked.read(|| ListSecrets { query: valid(query()), with_consumers: true }).await;
    asked.change(|| DeleteSecret { id: valid(empty), spare_consumed: valid(false) }).await;
    id
}

async fn containers(asked: &mut Asked, secret: SecretId) {
    let new = || NewContainer { name: None, container_type: ContainerType::Generic, secrets: Vec::new() };
    let id = asked.change(|| CreateContainer { container: valid(new()), idempotency: valid(None) }).await;
    let reference = || valid(GivenReference { name: None, secret: Some(secret) });
    asked.change(|| AddContainerSecret { id: valid(id), reference: reference() }).await;
    asked.change(|| RemoveContainerSecret { id: valid(id), reference: reference() }).await;
    let usage = ContainerUse { name: "s".to_owned(), url: "u".to_owned() };
    asked.change(|| AddContainerConsumer { id: valid(id), usage: valid(usage.clone()) }).await;
    asked.read(|| ListContainerConsumers { id: valid(id), page: valid(PAGE) }).await;
    asked.change(|| RemoveContainerConsumer { id: valid(id), usage: valid(usage.clone()) }).await;
    asked.read(|| FindContainer { id: valid(id) }).await;
    asked.read(|| GetContainer { id: valid(id) }).await;
    let query = || ContainerQuery { filter: ContainerFilter::default(), page: PAGE };
    asked.read(|| ListContainers { query: valid(query()) }).await;
    asked.change(|| DeleteContainer { id: valid(id) }).await;
}

async fn orders(asked: &mut Asked) {
    let order = || NewOrder {
        order_type: OrderType::Asymmetric,
        certificate: None,
        meta: r#"{"algorithm": "rsa", "bit_length": 2048, "payload_content_type": "application/octet-stream"}"#.into(),
        expires_at: None,
        passphrase: Some(b"passphrase".to_vec().into()),
    };
    let id = asked.change(|| CreateOrder { order: valid(order()), idempotency: valid(None) }).await;
    asked.read(|| FindOrder { id: valid(id) }).await;
    asked.read(|| GetOrder { id: valid(id) }).await;
    asked.read(|| ListOrders { query: valid(OrderQuery { meta: None, page: PAGE }) }).await;
    asked.read(|| UpdateOrders {}).await;
    asked.change(|| DeleteOrder { id: valid(id) }).await;
}

fn certificate() -> CertificateOrder {
    let spec = Spec { algorithm: Some("ec".into()), bit_length: Some(256), mode: None };
    let subject = Subject { name: Default::default(), alt_names: vec![names().parse().unwrap()] };
    let key = KeySource::Made { spec, subject };
    CertificateOrder { ca: None, profile: None, key, renew_before_hours: None, renews: None }
}

async fn certificates(asked: &mut Asked) {
    let order = || NewOrder {
        order_type: OrderType::Certificate,
        certificate: Some(certificate()),
        meta: "{}".into(),
        expires_at: None,
        passphrase: None,
    };
    let id = asked.change(|| CreateOrder { order: valid(order()), idempotency: valid(None) }).await;
    let change = || OrderChange { meta: "{}".into(), certificate: certificate() };
    asked.change(|| UpdateOrder { id: valid(id), change: valid(change()) }).await;
    let schedules = Schedules::start(&asked.harness.worker);
    let ended = loop {
        let order = asked.queue.call(call(message()), GetOrder { id: valid(id) }).await.unwrap();
        if order.status != OrderStatus::Pending {
            break order;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(ended.status, OrderStatus::Active, "{ended:?}");
    schedules.stop(Duration::from_secs(5)).await;
    asked.change(|| RevokeCertificate { id: valid(id), reason: valid(RevocationReason::Unspecified) }).await;
    let ca = asked.harness.worker.authorities.iter().next().unwrap().descriptor().id;
    asked.read(|| GetRevocationList { ca: valid(ca), generation: valid(1) }).await;
    asked.read(|| AskStatus { ca: valid(ca), question: Vec::new() }).await;
    asked.read(|| FindChallenge { token: "token".to_owned() }).await;
}

async fn authorities(asked: &mut Asked) {
    let ca = asked.harness.worker.authorities.iter().next().unwrap().descriptor().id;
    let query = || valid(CaQuery { plugin: None, plugin_ca_id: None, page: PAGE });
    asked.read(|| FindCas {}).await;
    asked.read(|| FindCa { id: valid(ca) }).await;
    asked.read(|| ListCas { query: query() }).await;
    asked.read(|| ListAllCas { query: query() }).await;
    asked.read(|| GetCa { id: valid(ca) }).await;
    asked.read(|| GetCaCertificate { id: valid(ca) }).await;
    asked.read(|| GetCaChain { id: valid(ca) }).await;
    asked.change(|| ChooseCa { id: valid(ca) }).await;
    asked.change(|| PreferCa { id: valid(ca) }).await;
    asked.change(|| PreferCaGlobally { id: valid(ca) }).await;
    asked.read(|| ListCaProjects { id: valid(ca) }).await;
    asked.read(|| GetPreferredCa {}).await;
    asked.read(|| GetGlobalPreferredCa {}).await;
    asked.change(|| PreferNoCaGlobally {}).await;
    asked.change(|| DismissCa { id: valid(ca) }).await;
    let given = || GivenSubAuthority {
        name: "below".into(),
        subject: "CN=below".parse().unwrap(),
        parent: ca,
        description: None,
    };
    let below = asked.change(|| CreateSubAuthority { authority: valid(given()), idempotency: valid(None) }).await;
    asked.change(|| DeleteSubAuthority { id: valid(below) }).await;
}

async fn others(asked: &mut Asked) {
    asked.read(|| Identify {}).await;
    asked.read(|| CheckHealth {}).await;
    let store = asked.harness.store().descriptor().id;
    asked.read(|| FindStore { id: valid(store) }).await;
    asked.read(|| ListStores {}).await;
    asked.read(|| GetStore { id: valid(store) }).await;
    asked.read(|| GetDefaultStore {}).await;
    asked.change(|| PreferStore { id: valid(store) }).await;
    asked.read(|| GetPreferredStore {}).await;
    asked.change(|| PreferNoStore { id: valid(store) }).await;

    let project = || valid(ProjectId::new("another").unwrap());
    let quotas = ProjectQuotas { secrets: Some(7), ..ProjectQuotas::default() };
    asked.change(|| PutProjectQuotas { project: project(), quotas: valid(quotas) }).await;
    asked.read(|| GetQuotas {}).await;
    asked.read(|| ListProjectQuotas { page: PAGE }).await;
    asked.read(|| GetProjectQuotas { project: project() }).await;
    asked.change(|| DeleteProjectQuotas { project: project() }).await;

    let key = NewTransportKey { plugin_name: "p".to_owned(), text: "t".to_owned() };
    let id = asked.change(|| CreateTransportKey { key: valid(key.clone()) }).await;
    asked.read(|| FindTransportKey { id: valid(id) }).await;
    asked.read(|| GetTransportKey { id: valid(id) }).await;
    let query = || TransportKeyQuery { plugin_name: None, page: PAGE };
    asked.read(|| ListTransportKeys { query: valid(query()) }).await;
    asked.change(|| DeleteTransportKey { id: valid(id) }).await;
}

async fn every_request_is_done_once(mut asked: Asked) {
    let secret = secrets(&mut asked).await;
    containers(&mut asked, secret).await;
    orders(&mut asked).await;
    certificates(&mut asked).await;
    authorities(&mut asked).await;
    others(&mut asked).await;
    let known: BTreeSet<_> = asked.harness.worker.handlers().requests().collect();
    assert_eq!(asked.names, known, "every request is in this test");
}

#[tokio::test]
async fn every_request_is_done_once_on_sqlite() {
    let shelf = Arc::new(MemoryShelf::default());
    let kept = Arc::clone(&shelf);
    let harness = Harness::new(|id, _, _| Arc::new(MemoryStore::of_every_type(id, kept))).await;
    every_request_is_done_once(Asked::new(harness, shelf).await).await;
}

#[tokio::test]
async fn every_request_is_done_once_on_postgres() {
    let shelf = Arc::new(MemoryShelf::default());
    let kept = Arc::clone(&shelf);
    let harness = Harness::on_postgres(|id, _, _| Arc::new(MemoryStore::of_every_type(id, kept))).await;
    every_request_is_done_once(Asked::new(harness, shelf).await).await;
}

#[tokio::test]
async fn messages_are_forgotten_when_no_clock_could_take_them() {
    let shelf = Arc::new(MemoryShelf::default());
    let harness = Harness::new(|id, _, _| Arc::new(MemoryStore::new(id, shelf))).await;
    let shelf = Arc::new(MemoryShelf::default());
    let asked = Asked::new(harness, shelf).await;
    let message = message();
    asked.queue.call(call(message), new_secret(None)).await.unwrap();
    assert_eq!(asked.harness.worker.forget_messages().await.unwrap(), 0);
    assert_eq!(asked.claims().await, 1);

    asked.harness.pass_hours(1);
    let failure = asked.queue.call(call(message), new_secret(None)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert_eq!(asked.harness.worker.forget_messages().await.unwrap(), 1);
    // A worker that slept since it took the message must not do again what is forgotten.
    let failure = asked.queue.call(call(message), new_secret(None)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Unavailable);
    assert_eq!(asked.claims().await, 0);
}
