//! Certificate authorities: what projects see, choose, prefer and have made.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::access::{Call, Claims, Credentials};
use bailey_core::ca::{CaQuery, CertificateAuthority as _, GivenSubAuthority};
use bailey_core::certificate::{CertificateOrder, KeySource, Subject};
use bailey_core::failure::{Failure, FailureKind, Parsed};
use bailey_core::idempotency::IdempotencyKey;
use bailey_core::ids::{CaId, OrderId, RequestId};
use bailey_core::order::{NewOrder, OrderStatus, OrderType};
use bailey_core::quota::{ProjectQuotas, Quotas};
use bailey_core::request::*;
use bailey_core::secret::PageRequest;
use bailey_core::spec::Spec;
use bailey_db::{Engine, quota};
use bailey_testkit::memory::{MemoryAuthority, MemoryCa, MemoryShelf, MemoryStore, names};
use bailey_worker::usecase::{ca, ca_choice, order, sub_authority};
use bailey_worker::{Authorities, OrdersConfig, Schedules};
use chrono::Utc;

use crate::harness::Harness;

/// Two configured CAs.
struct World {
    harness: Harness,
    authorities: [Arc<MemoryAuthority>; 2],
    first: CaId,
    second: CaId,
}

impl World {
    async fn on(engine: Engine) -> Self {
        let shelf = Arc::new(MemoryShelf::default());
        let store = move |id, _: &Arc<_>, _| Arc::new(MemoryStore::of_every_type(id, shelf)) as Arc<_>;
        let harness = match engine {
            Engine::Sqlite => Harness::new(store).await,
            Engine::Postgres => Harness::on_postgres(store).await,
        };
        let authorities = [(); 2].map(|()| Arc::new(MemoryAuthority::new().unwrap()));
        let named = |at: usize, name| Arc::new(MemoryCa::named(Arc::clone(&authorities[at]), 0, name));
        let cas = [named(0, "first"), named(1, "second")];
        let [first, second] = cas.each_ref().map(|ca| ca.descriptor().id);
        let quick = OrdersConfig { poll_seconds: 0.02, longest_wait_seconds: 0.2, ..OrdersConfig::default() };
        let cas = Authorities::new(cas.map(|ca| ca as Arc<_>));
        let harness = harness.with_orders(quick).with_authorities(cas).await;
        Self { harness, authorities, first, second }
    }

    async fn list(&self, project: &str) -> Vec<CaId> {
        ca::list(&self.harness.worker, of(project), ListCas { query: all() }).await.unwrap().items
    }

    async fn list_all(&self, project: &str) -> Vec<CaId> {
        ca::list_all(&self.harness.worker, of(project), ListAllCas { query: all() }).await.unwrap().items
    }

    async fn preferred(&self, project: &str) -> Option<CaId> {
        ca_choice::get_preferred(&self.harness.worker, of(project), GetPreferredCa {}).await.ok()
    }

    async fn choose(&self, project: &str, id: CaId) -> Result<(), FailureKind> {
        let request = ChooseCa { id: Parsed::Valid(id) };
        ca_choice::choose(&self.harness.worker, of(project), request).await.map_err(kind)
    }

    async fn dismiss(&self, project: &str, id: CaId) -> Result<(), FailureKind> {
        let request = DismissCa { id: Parsed::Valid(id) };
        ca_choice::dismiss(&self.harness.worker, of(project), request).await.map_err(kind)
    }

    async fn prefer(&self, project: &str, id: CaId) -> Result<(), FailureKind> {
        let request = PreferCa { id: Parsed::Valid(id) };
        ca_choice::prefer(&self.harness.worker, of(project), request).await.map_err(kind)
    }

    async fn prefer_globally(&self, id: CaId) -> Result<(), FailureKind> {
        let request = PreferCaGlobally { id: Parsed::Valid(id) };
        ca_choice::prefer_globally(&self.harness.worker, service(), request).await.map_err(kind)
    }

    async fn make(&self, project: &str, parent: CaId) -> Result<CaId, Failure> {
        self.make_once(project, parent, None).await
    }

    async fn make_once(&self, project: &str, parent: CaId, key: Option<&str>) -> Result<CaId, Failure> {
        let subject = "CN=Below,O=Bailey".parse().unwrap();
        let given = GivenSubAuthority { name: "below".into(), subject, parent, description: Some("d".into()) };
        let key = key.map(|key| IdempotencyKey { key: key.to_owned(), body: b"body".to_vec().into() });
        let request = CreateSubAuthority { authority: Parsed::Valid(given), idempotency: Parsed::Valid(key) };
        sub_authority::create(&self.harness.worker, of(project), request).await
    }

    async fn delete(&self, project: &str, id: CaId) -> Result<(), FailureKind> {
        let request = DeleteSubAuthority { id: Parsed::Valid(id) };
        sub_authority::delete(&self.harness.worker, of(project), request).await.map_err(kind)
    }

    async fn order(&self, project: &str, ca: Option<CaId>) -> Result<OrderId, Failure> {
        let subject = Subject { name: "CN=n".parse().unwrap(), alt_names: vec![names().parse().unwrap()] };
        let spec = Spec { algorithm: Some("ec".into()), bit_length: Some(256), mode: None };
        let key = KeySource::Made { spec, subject };
        let order = NewOrder {
            order_type: OrderType::Certificate,
            certificate: Some(CertificateOrder { ca, profile: None, key, renew_before_hours: None, renews: None }),
            meta: "{}".into(),
            expires_at: None,
            passphrase: None,
        };
        let request = CreateOrder { order: Parsed::Valid(order), idempotency: Parsed::Valid(None) };
        order::create(&self.harness.worker, of(project), request).await
    }

    /// How an order ends.
    async fn end(&self, project: &str, id: OrderId) -> (OrderStatus, Option<String>) {
        let wait = async {
            loop {
                let request = GetOrder { id: Parsed::Valid(id) };
                let order = order::get(&self.harness.worker, of(project), request).await.unwrap();
                if order.status != OrderStatus::Pending {
                    return (order.status, order.error.map(|error| error.reason));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), wait).await.unwrap()
    }

    async fn limit(&self, project: &'static str, cas: i64) {
        let change = ProjectQuotas { cas: Some(cas), ..ProjectQuotas::default() };
        let limited = self.harness.worker.db.write(move |tx| {
            let project = project.parse().unwrap();
            Box::pin(async move { quota::merge(tx, &project, &Quotas::default(), &change, Utc::now()).await })
        });
        limited.await.unwrap();
    }

    fn events(&self) -> Vec<(String, Option<String>)> {
        let events = self.harness.events.0.lock().unwrap();
        events.iter().map(|event| (event.action.to_string(), event.target.clone())).collect()
    }
}

fn kind(failure: Failure) -> FailureKind {
    failure.kind
}

fn with_roles(project: &str, roles: &str) -> Call {
    let claims = Claims { project: Some(project.into()), roles: Some(roles.into()), ..Claims::default() };
    Call::new(Credentials { token: None, claims }, RequestId::new())
}

fn of(project: &str) -> Call {
    with_roles(project, "admin")
}

fn service() -> Call {
    with_roles("elsewhere", "key-manager:service-admin")
}

fn all() -> Parsed<CaQuery> {
    Parsed::Valid(CaQuery { plugin: None, plugin_ca_id: None, page: PageRequest { limit: 100, offset: 0 } })
}

const ENGINES: [Engine; 2] = [Engine::Sqlite, Engine::Postgres];

#[tokio::test]
async fn a_project_prefers_one_of_what_it_has_chosen() {
    for engine in ENGINES {
        let world = World::on(engine).await;
        let (first, second) = (world.first, world.second);
        let both = vec![first, second];
        assert_eq!((world.list("p").await, world.list_all("p").await), (both.clone(), both.clone()));
        assert_eq!(world.preferred("p").await, None);
        assert_eq!(world.prefer("p", second).await, Err(FailureKind::Invalid), "it is not chosen");
        assert_eq!(world.dismiss("p", second).await, Err(FailureKind::NotFound));

        for id in [second, second, first] {
            assert_eq!(world.choose("p", id).await, Ok(()));
            assert_eq!(world.preferred("p").await, Some(second), "the first one");
        }
        assert_eq!(world.dismiss("p", second).await, Err(FailureKind::Conflict), "it is preferred");
        assert_eq!(world.prefer("p", first).await, Ok(()));
        assert_eq!(world.dismiss("p", second).await, Ok(()));
        assert_eq!((world.list("p").await, world.list_all("p").await), (vec![first], both.clone()));
        assert_eq!(world.list("q").await, both, "another project chooses for itself");
        let request = ListCaProjects { id: Parsed::Valid(first) };
        let projects = ca::list_projects(&world.harness.worker, service(), request).await.unwrap();
        assert_eq!(projects, ["p".parse().unwrap()]);

        assert_eq!(world.dismiss("p", first).await, Ok(()), "the last one");
        assert_eq!((world.list("p").await, world.preferred("p").await), (both, None));
        assert_eq!(world.choose("p", CaId::new()).await, Err(FailureKind::NotFound));
        let changed = ("certificate_authority:add_to_project".to_owned(), Some(format!("cas/{first}")));
        assert!(world.events().contains(&changed));
    }
}

#[tokio::test]
async fn what_all_prefer_counts_where_nothing_is_preferred() {
    let world = World::on(Engine::Sqlite).await;
    let (worker, first, second) = (&world.harness.worker, world.first, world.second);
    let global = || ca_choice::get_global_preferred(worker, service(), GetGlobalPreferredCa {});
    assert_eq!(global().await.map_err(kind), Err(FailureKind::NotFound));
    assert_eq!(world.order("p", None).await.unwrap_err().violations[0].property.as_deref(), Some("ca_id"));
    assert_eq!(world.prefer_globally(second).await, Ok(()));
    assert_eq!((global().await, world.preferred("p").await), (Ok(second), Some(second)));
    let schedules = Schedules::start(worker);
    let signed = || world.authorities.each_ref().map(|authority| authority.signed());
    let id = world.order("p", None).await.unwrap();
    assert_eq!(world.end("p", id).await.0, OrderStatus::Active);
    assert_eq!(signed(), [0, 1]);

    world.choose("p", first).await.unwrap();
    assert_eq!(world.preferred("p").await, Some(first));
    let id = world.order("p", None).await.unwrap();
    assert_eq!(world.end("p", id).await.0, OrderStatus::Active);
    assert_eq!(signed(), [1, 1]);
    let refused = world.order("p", Some(second)).await.unwrap_err();
    assert_eq!((refused.kind, refused.violations[0].property.as_deref()), (FailureKind::Invalid, Some("ca_id")));
    schedules.stop(Duration::from_secs(5)).await;

    for _ in 0..2 {
        ca_choice::prefer_none_globally(worker, service(), PreferNoCaGlobally {}).await.unwrap();
    }
    assert_eq!((global().await.map_err(kind), world.preferred("q").await), (Err(FailureKind::NotFound), None));
}

#[tokio::test]
async fn a_ca_below_another_is_its_project_s_alone() {
    for engine in ENGINES {
        let world = World::on(engine).await;
        let worker = &world.harness.worker;
        let below = world.make("p", world.first).await.unwrap();
        let lowest = world.make("p", below).await.unwrap();
        assert_eq!(world.list("p").await, [world.first, world.second, below, lowest]);
        assert_eq!(world.list("q").await, [world.first, world.second]);

        let id = || Parsed::Valid(lowest);
        let described = ca::get(worker, of("p"), GetCa { id: id() }).await.unwrap();
        assert_eq!((described.ca.name.as_str(), described.ca.description.as_deref()), ("below", Some("d")));
        assert_eq!(described.profiles[0].name, "server");
        assert!(described.expires_at.is_some());
        let chain = ca::get_chain(worker, of("p"), GetCaChain { id: id() }).await.unwrap();
        assert_eq!(chain.matches("BEGIN CERTIFICATE").count(), 4);
        let certificate = ca::get_certificate(worker, of("p"), GetCaCertificate { id: id() }).await.unwrap();
        assert!(chain.starts_with(&certificate) && described.certificate == Some(certificate));
        let (_, pem) = x509_parser::pem::parse_x509_pem(chain.as_bytes()).unwrap();
        assert_eq!(pem.parse_x509().unwrap().subject().to_string(), "O=Bailey, CN=Below");

        let hidden = ca::get(worker, of("q"), GetCa { id: id() }).await.map(drop).map_err(kind);
        assert_eq!(hidden, Err(FailureKind::NotFound));
        assert_eq!(world.choose("q", lowest).await, Err(FailureKind::NotFound));
        assert_eq!(world.delete("q", lowest).await, Err(FailureKind::NotFound));
        let refused = world.make("q", lowest).await.unwrap_err();
        assert_eq!(refused.violations[0].property.as_deref(), Some("parent_ca_ref"));
        assert_eq!(world.order("q", Some(lowest)).await.unwrap_err().kind, FailureKind::Invalid);
        assert_eq!(world.prefer_globally(lowest).await, Err(FailureKind::NotFound), "of no other project's");
        let request = PreferCaGlobally { id: id() };
        let both = with_roles("p", "key-manager:service-admin");
        let global = ca_choice::prefer_globally(worker, both, request).await.map_err(kind);
        assert_eq!(global, Err(FailureKind::Invalid));

        let schedules = Schedules::start(worker);
        let order = world.order("p", Some(lowest)).await.unwrap();
        assert_eq!(world.end("p", order).await, (OrderStatus::Active, None));
        schedules.stop(Duration::from_secs(5)).await;
    }
}

#[tokio::test]
async fn a_ca_below_another_is_deleted_with_its_key() {
    let world = World::on(Engine::Sqlite).await;
    let below = world.make("p", world.first).await.unwrap();
    let lowest = world.make("p", below).await.unwrap();
    world.choose("p", lowest).await.unwrap();
    world.choose("p", world.first).await.unwrap();
    assert_eq!(world.delete("p", world.first).await, Err(FailureKind::Forbidden));
    assert_eq!(world.delete("p", below).await, Err(FailureKind::Conflict), "another is below it");
    assert_eq!(world.delete("p", lowest).await, Err(FailureKind::Conflict), "it is preferred");
    let waiting = world.order("p", Some(lowest)).await.unwrap();
    world.prefer("p", world.first).await.unwrap();
    for id in [lowest, below] {
        assert_eq!(world.delete("p", id).await, Ok(()));
        assert_eq!(world.delete("p", id).await, Err(FailureKind::NotFound));
    }
    assert_eq!(world.list("p").await, [world.first]);
    assert_eq!(world.authorities[0].below(), 0);

    let schedules = Schedules::start(&world.harness.worker);
    let (status, reason) = world.end("p", waiting).await;
    assert_eq!((status, reason.as_deref()), (OrderStatus::Error, Some("The certificate authority was deleted")));
    schedules.stop(Duration::from_secs(5)).await;
}

#[tokio::test]
async fn a_purged_project_s_cas_go_with_their_keys() {
    let world = World::on(Engine::Sqlite).await;
    let (worker, p) = (&world.harness.worker, "p".parse().unwrap());
    let below = world.make("p", world.first).await.unwrap();
    world.make("p", below).await.unwrap();
    let spared = world.make("q", world.first).await.unwrap();
    world.choose("p", below).await.unwrap();
    worker.close_project(&p).await.unwrap();
    assert_eq!(world.make("p", world.first).await.map(drop).map_err(kind), Err(FailureKind::QuotaExceeded));
    let early = worker.forget_project(&p).await.unwrap_err();
    assert!(early.to_string().contains("there is something in it again"), "{early}");
    worker.remove_authorities(&p).await.unwrap();
    worker.forget_project(&p).await.unwrap();
    assert_eq!((world.list("p").await, world.preferred("p").await), (vec![world.first, world.second], None));
    assert_eq!(world.authorities[0].below(), 1);
    assert_eq!(world.list("q").await, [world.first, world.second, spared]);
}

#[tokio::test]
async fn cas_count_against_their_quota() {
    for engine in ENGINES {
        let world = Arc::new(World::on(engine).await);
        world.limit("p", 2).await;
        let twins = (0..6).map(|_| {
            let world = Arc::clone(&world);
            tokio::spawn(async move { world.make("p", world.first).await.map_err(kind) })
        });
        let mut made = Vec::new();
        for twin in twins.collect::<Vec<_>>() {
            match twin.await.unwrap() {
                Ok(id) => made.push(id),
                Err(kind) => assert_eq!(kind, FailureKind::QuotaExceeded),
            }
        }
        assert_eq!(made.len(), 2);
        assert_eq!(world.authorities[0].below(), 2, "the keys of the others are gone again");
        assert_eq!(world.make("q", world.first).await.map(drop).map_err(kind), Ok(()));
        assert_eq!(world.delete("p", made[0]).await, Ok(()));
        assert_eq!(world.make("p", world.first).await.map(drop).map_err(kind), Ok(()));
    }
}

#[tokio::test]
async fn a_repeated_request_makes_one_ca() {
    let world = World::on(Engine::Sqlite).await;
    let made = world.make_once("p", world.first, Some("key")).await.unwrap();
    assert_eq!(world.make_once("p", world.first, Some("key")).await.unwrap(), made);
    assert_eq!(world.authorities[0].below(), 1);
    assert_ne!(world.make_once("q", world.first, Some("key")).await.unwrap(), made);
}

#[tokio::test]
async fn concurrent_changes_leave_a_project_with_a_preference() {
    for engine in ENGINES {
        let world = Arc::new(World::on(engine).await);
        for _ in 0..10 {
            let changes = [world.first, world.second].map(|id| {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    world.choose("p", id).await.unwrap();
                    let _ = world.dismiss("p", id).await;
                    world.choose("p", id).await.unwrap();
                    world.prefer("p", id).await.unwrap();
                    let _ = world.dismiss("p", id).await;
                })
            });
            for change in changes {
                change.await.unwrap();
            }
            let (chosen, preferred) = (world.list("p").await, world.preferred("p").await);
            match chosen.len() {
                // None is chosen, or both are.
                2 => assert!(preferred.is_none_or(|id| chosen.contains(&id))),
                _ => assert_eq!(preferred, Some(chosen[0])),
            }
        }
    }
}

#[tokio::test]
async fn where_they_are_switched_off_there_are_no_cas() {
    let World { harness, first, .. } = World::on(Engine::Sqlite).await;
    let harness = harness.without_certificates();
    let id = || Parsed::Valid(first);
    // Nobody's role matters: to today's Barbican, too, there is no such path.
    for roles in ["admin", "none"] {
        let call = || with_roles("p", roles);
        let worker = &harness.worker;
        let answers = [
            ca::find_any(worker, call(), FindCas {}).await,
            ca::find(worker, call(), FindCa { id: id() }).await,
            ca::list(worker, call(), ListCas { query: all() }).await.map(drop),
            ca::list_all(worker, call(), ListAllCas { query: all() }).await.map(drop),
            ca::get(worker, call(), GetCa { id: id() }).await.map(drop),
            ca_choice::get_preferred(worker, call(), GetPreferredCa {}).await.map(drop),
            ca_choice::get_global_preferred(worker, call(), GetGlobalPreferredCa {}).await.map(drop),
            ca_choice::prefer_none_globally(worker, call(), PreferNoCaGlobally {}).await,
            ca_choice::choose(worker, call(), ChooseCa { id: id() }).await,
            ca_choice::dismiss(worker, call(), DismissCa { id: id() }).await,
            sub_authority::delete(worker, call(), DeleteSubAuthority { id: id() }).await,
        ];
        for answer in answers {
            assert_eq!(answer.map_err(kind), Err(FailureKind::NotFound));
        }
    }
    let world = World {
        harness,
        authorities: [(); 2].map(|()| Arc::new(MemoryAuthority::new().unwrap())),
        first,
        second: first,
    };
    let refused = world.order("p", Some(first)).await.unwrap_err();
    assert_eq!((refused.schema.as_deref(), refused.violations[0].property.as_deref()), (Some("Order"), Some("type")));
}

#[tokio::test]
async fn lists_are_paged_and_filtered() {
    let world = World::on(Engine::Sqlite).await;
    let below = world.make("p", world.first).await.unwrap();
    let worker = &world.harness.worker;
    let ask = |plugin: Option<&str>, plugin_ca_id: Option<&str>, offset| {
        let page = PageRequest { limit: 2, offset };
        let query = CaQuery { plugin: plugin.map(str::to_owned), plugin_ca_id: plugin_ca_id.map(str::to_owned), page };
        ca::list(worker, of("p"), ListCas { query: Parsed::Valid(query) })
    };
    let first = ask(None, None, 0).await.unwrap();
    assert_eq!((first.items, first.total), (vec![world.first, world.second], 3));
    let last = ask(None, None, 2).await.unwrap();
    assert_eq!((last.items, last.total), (vec![below], 3));
    assert_eq!(ask(Some("memory"), None, 0).await.unwrap().total, 3);
    assert_eq!(ask(Some("local"), None, 0).await.unwrap().total, 0);
    assert_eq!(ask(None, Some(&below.to_string()), 0).await.unwrap().items, [below]);
    let all = ca::list_all(worker, with_roles("p", "creator"), ListAllCas { query: all() }).await;
    assert_eq!(all.map(drop).map_err(kind), Err(FailureKind::Forbidden));
}
