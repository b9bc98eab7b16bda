//! Orders from a worker's side: what a death, a lost lease or an outage between two lines leaves behind.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::clock::Clock;
use bailey_core::failure::{FailureKind, Parsed};
use bailey_core::ids::{OrderId, SecretId, StoreId, WorkerId};
use bailey_core::order::{NewOrder, Order, OrderStatus, OrderType};
use bailey_core::request::{CreateOrder, DeleteOrder, GetOrder};
use bailey_core::sensitive::SecretBytes;
use bailey_db::order::{self, Job};
use bailey_db::{Engine, container, target};
use bailey_testkit::memory::MemoryVault;
use bailey_worker::usecase::order as usecase;
use bailey_worker::{OrdersConfig, Schedules};

use crate::gate::Gate;
use crate::harness::{Harness, call};

/// Short times, so that nobody waits long for what is due later.
fn quick() -> OrdersConfig {
    OrdersConfig { poll_seconds: 0.02, lease_seconds: 0.4, longest_wait_seconds: 0.2, ..OrdersConfig::default() }
}

async fn gated(config: OrdersConfig) -> (Harness, Arc<Gate>) {
    gated_on(Engine::Sqlite, config).await
}

async fn gated_on(engine: Engine, config: OrdersConfig) -> (Harness, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let store = |id: StoreId, _: &Arc<MemoryVault>, _: Clock| gate.store(id);
    let harness = match engine {
        Engine::Sqlite => Harness::new(store).await,
        Engine::Postgres => Harness::on_postgres(store).await,
    };
    (harness.with_orders(config), gate)
}

fn key() -> NewOrder {
    NewOrder {
        order_type: OrderType::Key,
        certificate: None,
        meta: r#"{"algorithm":"aes","bit_length":256,"expiration":null,"name":"k"}"#.into(),
        expires_at: None,
        passphrase: None,
    }
}

fn pair() -> NewOrder {
    NewOrder {
        order_type: OrderType::Asymmetric,
        certificate: None,
        meta: r#"{"algorithm":"ec","bit_length":256,"expiration":null,"name":"p"}"#.into(),
        expires_at: None,
        passphrase: Some(SecretBytes::new(b"open".to_vec())),
    }
}

fn request(order: NewOrder) -> CreateOrder {
    CreateOrder { order: Parsed::Valid(order), idempotency: Parsed::Valid(None) }
}

async fn give(harness: &Harness, order: NewOrder) -> OrderId {
    usecase::create(&harness.worker, call(), request(order)).await.unwrap()
}

async fn get(harness: &Harness, id: OrderId) -> Order {
    usecase::get(&harness.worker, call(), GetOrder { id: Parsed::Valid(id) }).await.unwrap()
}

async fn job(harness: &Harness, id: OrderId) -> Job {
    order::find_job(harness.worker.db.reader(), id).await.unwrap().unwrap()
}

/// The order once it has ended.
async fn ended(harness: &Harness, id: OrderId) -> Order {
    let wait = async {
        loop {
            let order = get(harness, id).await;
            if order.status != OrderStatus::Pending {
                return order;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.unwrap()
}

/// The secrets of a pair with a passphrase: they are there, with their container, and read back.
async fn assert_complete(harness: &Harness, order: &Order) {
    assert_eq!(order.status, OrderStatus::Active, "{order:?}");
    let project = &order.project;
    let held = container::references(harness.worker.db.reader(), &[order.container.unwrap()]).await.unwrap();
    let mut names = Vec::new();
    for reference in held.into_values().flatten() {
        let text = harness.read(reference.secret).await.unwrap();
        let name = reference.name.unwrap();
        match name.as_str() {
            "private_key" => assert!(text.contains("ENCRYPTED PRIVATE KEY")),
            "public_key" => assert!(text.contains("PUBLIC KEY")),
            _ => assert_eq!(text, "open"),
        }
        let found = target::find_secret(harness.worker.db.reader(), reference.secret).await.unwrap().unwrap();
        assert_eq!(&found.secret.project, project);
        names.push(name);
    }
    assert_eq!(names, ["private_key", "public_key", "private_key_passphrase"]);
}

/// Nothing is stored that no row refers to, and no row refers to nothing.
async fn assert_settled(harness: &Harness, gate: &Gate, rows: usize) {
    harness.worker.destroy_deleted().await.unwrap();
    let audit = harness.worker.audit_store(harness.store(), Duration::ZERO, false).await.unwrap();
    assert_eq!((audit.orphans.len(), audit.unreadable.len()), (0, 0), "{audit:?}");
    assert_eq!((gate.stored(), audit.referred), (rows, rows as u64));
}

#[tokio::test]
async fn orders_are_worked_on_and_audited() {
    for engine in [Engine::Sqlite, Engine::Postgres] {
        assert_worked_on(engine).await;
    }
}

async fn assert_worked_on(engine: Engine) {
    let (harness, gate) = gated_on(engine, quick()).await;
    let schedules = Schedules::start(&harness.worker);
    let (one, two) = (give(&harness, key()).await, give(&harness, pair()).await);
    let made = ended(&harness, one).await;
    assert!(harness.read_bytes(made.secret.unwrap()).await.unwrap().len() == 32);
    assert_complete(&harness, &ended(&harness, two).await).await;
    assert_settled(&harness, &gate, 4).await;
    schedules.stop(Duration::from_secs(5)).await;
    let events = harness.events.0.lock().unwrap();
    let processed: Vec<_> = events.iter().filter(|event| event.action == "order:process").collect();
    assert_eq!(processed.len(), 2);
    assert_eq!(processed[0].user.as_deref(), Some("user"));
}

/// Whoever dies after its n-th placement leaves orphans; whoever comes next does it all again.
#[tokio::test]
async fn a_death_after_any_step_leaves_one_product_and_orphans_only() {
    for (engine, step) in [(Engine::Sqlite, 1), (Engine::Sqlite, 2), (Engine::Postgres, 1), (Engine::Postgres, 2)] {
        let (harness, gate) = gated_on(engine, quick()).await;
        let id = give(&harness, pair()).await;
        // The passphrase is read first.
        gate.hold(1 + step);
        let dying = Schedules::start(&harness.worker);
        gate.reached().await;
        // Dropped, not stopped: nothing is given back, nothing is recorded.
        drop(dying);
        assert_eq!(get(&harness, id).await.status, OrderStatus::Pending);
        let held = job(&harness, id).await;
        assert!(held.locked_by.is_some(), "{held:?}");

        let schedules = Schedules::start(&harness.worker);
        assert_complete(&harness, &ended(&harness, id).await).await;
        schedules.stop(Duration::from_secs(5)).await;
        assert_eq!(gate.stored(), 3 + step as usize);
        harness.pass_hours(3);
        harness.worker.sweep(harness.store(), None).await.unwrap();
        assert_settled(&harness, &gate, 3).await;
    }
}

#[tokio::test]
async fn an_attempt_that_lost_its_lease_changes_nothing_and_takes_back_what_it_placed() {
    let (harness, gate) = gated(OrdersConfig { lease_seconds: 30.0, ..quick() }).await;
    let id = give(&harness, pair()).await;
    gate.hold(2);
    let schedules = Schedules::start(&harness.worker);
    gate.reached().await;
    // Another process takes it, as if this one had stood still, and holds it for good.
    let (other, now) = (WorkerId::new(), harness.worker.clock.now());
    let (leases, holder) = (harness.worker.orders.config.leases(), job(&harness, id).await.locked_by.unwrap());
    let taken = harness.worker.db.write(move |tx| {
        Box::pin(async move {
            order::release(tx, holder).await?;
            order::claim(tx, other, leases, now, 1).await
        })
    });
    let taken: Result<Vec<Job>, bailey_db::Error> = taken.await;
    let taken = taken.unwrap().remove(0);
    gate.let_go();
    let wait = async {
        while gate.stored() != 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.expect("only the passphrase is left");
    schedules.stop(Duration::from_secs(5)).await;
    let held = job(&harness, id).await;
    assert_eq!((held.attempts, held.locked_by, held.order.status), (taken.attempts, Some(other), OrderStatus::Pending));
    assert_settled(&harness, &gate, 1).await;
}

#[tokio::test]
async fn an_order_deleted_while_it_is_worked_on_leaves_nothing() {
    let (harness, gate) = gated(quick()).await;
    let id = give(&harness, pair()).await;
    gate.hold(3);
    let schedules = Schedules::start(&harness.worker);
    gate.reached().await;
    usecase::delete(&harness.worker, call(), DeleteOrder { id: Parsed::Valid(id) }).await.unwrap();
    gate.let_go();
    let wait = async {
        while gate.stored() > 1 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    schedules.stop(Duration::from_secs(5)).await;
    let gone = usecase::get(&harness.worker, call(), GetOrder { id: Parsed::Valid(id) }).await.unwrap_err();
    assert_eq!(gone.kind, FailureKind::NotFound);
    assert_settled(&harness, &gate, 0).await;
}

#[tokio::test]
async fn an_outage_of_the_store_only_delays() {
    let (harness, gate) = gated(quick()).await;
    let id = give(&harness, pair()).await;
    gate.set_down(true);
    let schedules = Schedules::start(&harness.worker);
    let wait = async {
        while get(&harness, id).await.sub_status.is_none() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    let waiting = get(&harness, id).await;
    assert_eq!((waiting.status, waiting.sub_status.as_deref()), (OrderStatus::Pending, Some("WAITING")));
    assert!(waiting.sub_status_message.unwrap().contains("The secret store is unavailable"));
    // A store that is down takes no new passphrase, and nothing of the order is there then.
    let refused = usecase::create(&harness.worker, call(), request(pair())).await;
    assert_eq!(refused.unwrap_err().kind, FailureKind::Unavailable);

    gate.set_down(false);
    assert_complete(&harness, &ended(&harness, id).await).await;
    schedules.stop(Duration::from_secs(5)).await;
    assert_settled(&harness, &gate, 3).await;
}

#[tokio::test]
async fn an_order_that_is_tried_in_vain_for_too_long_or_too_often_fails_and_loses_its_passphrase() {
    let often = OrdersConfig { max_attempts: 2, ..quick() };
    let long = OrdersConfig { deadline_seconds: 0.001, ..quick() };
    for (config, reason) in [(often, "too often"), (long, "in time")] {
        let (harness, gate) = gated(config).await;
        let id = give(&harness, pair()).await;
        gate.set_down(true);
        let schedules = Schedules::start(&harness.worker);
        let error = ended(&harness, id).await.error.unwrap();
        assert_eq!(error.code, "500");
        assert!(error.reason.contains(reason), "{}", error.reason);
        schedules.stop(Duration::from_secs(5)).await;
        gate.set_down(false);
        harness.pass_hours(1);
        assert_settled(&harness, &gate, 0).await;
    }
}

#[tokio::test]
async fn what_nobody_can_make_fails_at_once_with_the_reason() {
    let (harness, gate) = gated(quick()).await;
    let schedules = Schedules::start(&harness.worker);
    let wrong = NewOrder { meta: r#"{"algorithm":"aes","bit_length":8}"#.into(), ..key() };
    // The generator would; the store can't.
    let too_much = NewOrder { meta: r#"{"algorithm":"hmacsha512","bit_length":512}"#.into(), ..key() };
    for (order, code) in [(wrong, "500"), (too_much, "400")] {
        let id = give(&harness, order).await;
        let ended = ended(&harness, id).await;
        assert_eq!((ended.status, ended.error.unwrap().code.as_str()), (OrderStatus::Error, code));
        assert_eq!(job(&harness, id).await.attempts, 1);
    }
    schedules.stop(Duration::from_secs(5)).await;
    assert_settled(&harness, &gate, 0).await;
}

#[tokio::test]
async fn clocks_that_jump_neither_stall_nor_double_anything() {
    let (harness, gate) = gated(quick()).await;
    let schedules = Schedules::start(&harness.worker);
    let mut ids = Vec::new();
    for hours in [1, -1, -1, 1, 0] {
        for _ in 0..4 {
            ids.push(give(&harness, key()).await);
        }
        harness.pass_hours(hours);
    }
    let mut secrets: Vec<SecretId> = Vec::new();
    for id in ids {
        secrets.push(ended(&harness, id).await.secret.unwrap());
    }
    schedules.stop(Duration::from_secs(5)).await;
    secrets.sort_unstable();
    secrets.dedup();
    assert_eq!(secrets.len(), 20);
    assert_settled(&harness, &gate, 20).await;
}

/// A pair of an algorithm and, perhaps, with a passphrase.
fn pair_of(algorithm: &str, passphrase: Option<SecretBytes>) -> NewOrder {
    let meta = format!(r#"{{"algorithm":"{algorithm}","bit_length":256,"expiration":null,"name":"p"}}"#);
    NewOrder { meta, passphrase, ..pair() }
}

#[tokio::test]
async fn a_store_that_makes_key_pairs_is_asked_for_what_it_lists() {
    let (harness, gate) = gated(quick()).await;
    let schedules = Schedules::start(&harness.worker);
    let mut rows = 0;
    for (new, asked) in [
        (pair_of("EC", None), 1),
        (pair_of("ed25519", None), 1),
        (pair(), 1),
        (pair_of("ec", Some(SecretBytes::new(Vec::new()))), 1),
        (pair_of("ec", None), 2),
    ] {
        let id = give(&harness, new).await;
        let order = ended(&harness, id).await;
        assert_eq!((order.status, gate.pairs_asked()), (OrderStatus::Active, asked), "{order:?}");
        let held = container::references(harness.worker.db.reader(), &[order.container.unwrap()]).await.unwrap();
        for reference in held.into_values().flatten() {
            let text = harness.read(reference.secret).await.unwrap();
            match reference.name.as_deref() {
                Some("private_key") => assert!(text.contains("PRIVATE KEY-----"), "{text}"),
                Some("public_key") => assert!(text.starts_with("-----BEGIN PUBLIC KEY-----"), "{text}"),
                _ => {}
            }
            rows += 1;
        }
    }
    gate.make_no_pairs();
    let id = give(&harness, pair_of("ec", None)).await;
    let order = ended(&harness, id).await;
    assert_eq!((order.status, gate.pairs_asked()), (OrderStatus::Active, 3), "{order:?}");
    schedules.stop(Duration::from_secs(5)).await;
    assert_settled(&harness, &gate, rows + 2).await;
}

#[tokio::test]
async fn a_key_pair_of_the_stores_that_nobody_waits_for_is_an_orphan_at_most() {
    let (harness, gate) = gated(quick()).await;
    gate.hold(1);
    let schedules = Schedules::start(&harness.worker);
    let id = give(&harness, pair_of("ec", None)).await;
    gate.reached().await;
    let delete = DeleteOrder { id: Parsed::Valid(id) };
    usecase::delete(&harness.worker, call(), delete).await.unwrap();
    gate.let_go();
    schedules.stop(Duration::from_secs(5)).await;
    assert_settled(&harness, &gate, 0).await;
}
