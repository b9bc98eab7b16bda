//! What orders were given to work with: it becomes a payload, or it is destroyed.

use bailey_core::ids::{MasterKeyId, OrderId, SecretId, StoreId, WorkerId, WriteId};
use bailey_core::order::{OrderError, OrderQuery};
use bailey_core::secret::{PageRequest, Secret};
use bailey_core::store::Place;
use bailey_db::order::{self, Input, Job, Lost};
use bailey_db::write::{Condemned, WriteState};
use bailey_db::{ErrorKind, Placement, admin, deletion, reference_key, secret, target, write};

use crate::fixture::{Fixture, at, empty, on_both, project};
use crate::orders::{NAME, backlog, claimed, delete, fail, find, finish, inserted, job, state};

on_both!(
    an_input_becomes_a_secret_s_payload,
    an_input_goes_with_an_order_that_ends_without_it,
    an_input_counts_as_referred_to,
    an_input_is_moved_as_a_payload_is,
    an_input_under_a_key_that_was_given_up_is_refused,
    a_deleted_order_is_finished_by_nobody,
);

async fn input_of(f: &Fixture, job: &Job) -> Input {
    let placement = Placement { content_type: None, ..f.placement() };
    let input = Input { secret: SecretId::new(), placement };
    let (id, given) = (job.order.id, input.clone());
    f.write(move |tx| {
        let given = given.clone();
        Box::pin(async move { order::insert_input(tx, &project("a"), id, NAME, &given).await })
    })
    .await;
    input
}

async fn an_input_becomes_a_secret_s_payload(f: Fixture) {
    let holder = WorkerId::new();
    let job = inserted(&f, "a").await;
    let input = input_of(&f, &job).await;
    let (id, placed) = (job.order.id, input.placement.write);
    let found = order::find_input(f.db.reader(), &project("a"), id, NAME).await.unwrap();
    assert_eq!(found.as_ref(), Some(&input));
    assert_eq!(order::find_input(f.db.reader(), &project("b"), id, NAME).await.unwrap(), None);
    let claimed = claimed(&f, holder, at(1)).await;
    let adopted = Secret { id: input.secret, ..empty("a") };
    finish(&f, &claimed.fence(holder), &[], Some(&adopted)).await.unwrap();
    let found = target::find_secret(f.db.reader(), input.secret).await.unwrap().unwrap();
    assert_eq!(found.placement, Some(input.placement));
    assert_eq!(order::find_input(f.db.reader(), &project("a"), id, NAME).await.unwrap(), None);
    assert_eq!(state(&f, placed).await, Some(WriteState::Live));
    assert!(
        f.write(move |tx| Box::pin(async move { secret::delete(tx, &project("a"), input.secret, at(3)).await })).await
    );
    assert_eq!(state(&f, placed).await, Some(WriteState::Dead));
}

async fn an_input_goes_with_an_order_that_ends_without_it(f: Fixture) {
    let holder = WorkerId::new();
    for end in 0..3 {
        let job = inserted(&f, "a").await;
        let (id, write) = (job.order.id, input_of(&f, &job).await.placement.write);
        let claimed = claimed(&f, holder, at(1)).await;
        match end {
            0 => fail(&f, &claimed.fence(holder)).await.unwrap(),
            1 => assert!(delete(&f, id).await),
            _ => {
                let error = OrderError { code: "500".into(), reason: "cancelled".into() };
                let cancelled = f.write(move |tx| {
                    let error = error.clone();
                    Box::pin(async move { order::cancel(tx, id, &error, at(2)).await })
                });
                assert!(cancelled.await);
            }
        }
        assert_eq!(state(&f, write).await, Some(WriteState::Dead));
        assert_eq!(order::find_input(f.db.reader(), &project("a"), id, NAME).await.unwrap(), None);
        let due = deletion::due(f.db.reader(), at(10), 10).await.unwrap();
        assert!(due.iter().any(|due| due.place.write == write));
        assert_eq!(finish(&f, &claimed.fence(holder), &[], None).await, Err(Lost::Lease));
        f.write(move |tx| Box::pin(deletion::finish(tx, write))).await;
        assert_eq!(state(&f, write).await, None);
    }
}

async fn an_input_counts_as_referred_to(f: Fixture) {
    let job = inserted(&f, "a").await;
    let input = input_of(&f, &job).await;
    let place = Place { project: project("a"), secret: input.secret, write: input.placement.write };
    let live = admin::live_placements(f.db.reader(), f.store, None, None, 10).await.unwrap();
    assert_eq!(live, [(place.clone(), input.placement.clone())]);
    let found = order::find_input_at(f.db.reader(), &place).await.unwrap();
    assert_eq!(found, Some((job.order.id, input.placement.clone())));
    for elsewhere in [
        Place { write: WriteId::new(), ..place.clone() },
        Place { secret: SecretId::new(), ..place.clone() },
        Place { project: project("b"), ..place.clone() },
    ] {
        assert_eq!(order::find_input_at(f.db.reader(), &elsewhere).await.unwrap(), None);
    }
    let write = input.placement.write;
    assert_eq!(f.write(move |tx| Box::pin(write::condemn(tx, write))).await, Condemned::Live);
    assert!(!admin::is_empty(f.db.reader()).await.unwrap());
    // Sealed anew while the order waits, it is adopted as it is then.
    let (old, new) = (input.placement.key, MasterKeyId::new());
    let resealed = f.write(move |tx| {
        let place = place.clone();
        Box::pin(async move { secret::reseal(tx, &place, old, &[9], new).await })
    });
    assert!(resealed.await);
    let holder = WorkerId::new();
    let claimed = claimed(&f, holder, at(1)).await;
    let adopted = Secret { id: input.secret, ..empty("a") };
    finish(&f, &claimed.fence(holder), &[], Some(&adopted)).await.unwrap();
    let found = target::find_secret(f.db.reader(), input.secret).await.unwrap().unwrap().placement.unwrap();
    assert_eq!((found.reference, found.key), (vec![9], new));
}

async fn an_input_is_moved_as_a_payload_is(f: Fixture) {
    let holder = WorkerId::new();
    let job = inserted(&f, "a").await;
    let input = input_of(&f, &job).await;
    let (id, old) = (input.secret, input.placement);
    let moved_to = async |owner: &'static str, new: &Placement| {
        let (old, new) = (old.write, new.clone());
        f.write(move |tx| {
            let new = new.clone();
            Box::pin(async move { secret::replace(tx, &project(owner), id, old, &new).await })
        })
        .await
    };
    let new = Placement { content_type: None, store: StoreId::new(), ..f.placement() };
    assert!(!moved_to("b", &new).await);
    assert!(moved_to("a", &new).await);
    assert!(!moved_to("a", &Placement { content_type: None, ..f.placement() }).await, "it isn't there any more");
    assert_eq!(
        (state(&f, old.write).await, state(&f, new.write).await),
        (Some(WriteState::Dead), Some(WriteState::Live))
    );
    let due = deletion::due(f.db.reader(), at(1), 10).await.unwrap();
    assert_eq!(due.iter().map(|due| (due.place.write, due.store)).collect::<Vec<_>>(), [(old.write, old.store)]);
    for (owner, store, count) in
        [(None, old.store, 1), (Some("a"), old.store, 1), (Some("b"), old.store, 0), (None, new.store, 0)]
    {
        let owner = owner.map(project);
        assert_eq!(deletion::count_in(f.db.reader(), store, owner.as_ref()).await.unwrap(), count);
    }

    let claimed = claimed(&f, holder, at(1)).await;
    finish(&f, &claimed.fence(holder), &[], Some(&Secret { id, ..empty("a") })).await.unwrap();
    let found = target::find_secret(f.db.reader(), id).await.unwrap().unwrap();
    assert_eq!(found.placement, Some(new));
}

async fn an_input_under_a_key_that_was_given_up_is_refused(f: Fixture) {
    let placement = f.placement();
    let key = placement.key;
    f.write(move |tx| Box::pin(reference_key::retire(tx, key))).await;
    let refused = f.db.write(move |tx| {
        let input = Input { secret: SecretId::new(), placement: placement.clone() };
        Box::pin(async move {
            let job = job("a");
            order::insert(tx, &job).await?;
            order::insert_input(tx, &project("a"), job.order.id, NAME, &input).await
        })
    });
    let refused: bailey_db::Error = refused.await.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Retired);
    assert_eq!(backlog(&f, at(1)).await.pending, 0);
}

async fn a_deleted_order_is_finished_by_nobody(f: Fixture) {
    let holder = WorkerId::new();
    for _ in 0..20 {
        let job = inserted(&f, "a").await;
        let input = input_of(&f, &job).await;
        let (id, fence) = (job.order.id, claimed(&f, holder, at(1)).await.fence(holder));
        let adopted = Secret { id: input.secret, ..empty("a") };
        let made = [(empty("a"), f.placement())];
        let (finished, deleted) = tokio::join!(finish(&f, &fence, &made, Some(&adopted)), delete(&f, id));
        assert!(deleted);
        let product = target::find_secret(f.db.reader(), input.secret).await.unwrap();
        match finished {
            Ok(()) => assert_eq!(product.unwrap().placement, Some(input.placement)),
            Err(lost) => {
                assert_eq!((lost, product), (Lost::Lease, None));
                assert_eq!(state(&f, input.placement.write).await, Some(WriteState::Dead));
                assert_eq!(state(&f, made[0].1.write).await, None);
            }
        }
        assert_eq!(find(&f, id).await, None);
    }
    assert!(!delete(&f, OrderId::new()).await);
    let page = PageRequest { limit: 10, offset: 0 };
    let listed = order::list(f.db.reader(), &project("a"), &OrderQuery { meta: None, page }).await.unwrap();
    assert_eq!((listed.items.len(), listed.total), (0, 0));
}
