//! Orders: claims, fences and ends.

use std::collections::HashSet;

use bailey_core::ids::{OrderId, WorkerId, WriteId};
use bailey_core::order::{Charge, Order, OrderError, OrderQuery, OrderStatus, OrderType};
use bailey_core::secret::{PageRequest, Secret};
use bailey_db::order::{self, Backlog, Fence, Hurried, Job, Leases, Lost, Made};
use bailey_db::write::{Condemned, WriteState};
use bailey_db::{ErrorKind, Placement, secret, target, write};
use chrono::{DateTime, TimeDelta, Utc};

use crate::fixture::{Fixture, at, empty, on_both, project, user};

on_both!(
    an_order_is_claimed_once,
    a_lease_that_ran_out_is_another_s,
    whoever_lost_the_lease_changes_nothing,
    only_what_is_due_is_claimed,
    clocks_that_jump_stall_nothing,
    clocks_that_differ_a_little_steal_nothing,
    leases_are_given_back_and_voided,
    a_product_is_there_with_its_order_or_not_at_all,
    operators_revive_hurry_and_cancel,
    lists_are_the_project_s_by_creation,
    a_backlog_counts_what_waits,
);

const LEASES: Leases = Leases { longest: TimeDelta::seconds(40), longest_wait: TimeDelta::seconds(60) };
pub const NAME: &str = "passphrase";

pub fn job(owner: &str) -> Job {
    Job {
        order: Order {
            id: OrderId::new(),
            project: project(owner),
            creator: Some(user("ann")),
            order_type: OrderType::Asymmetric,
            meta: r#"{"algorithm":"rsa","name":"n_1"}"#.into(),
            status: OrderStatus::Pending,
            sub_status: None,
            sub_status_message: None,
            error: None,
            secret: None,
            container: None,
            created_at: at(0),
            updated_at: at(0),
        },
        charge: Charge { secrets: 3, containers: 1 },
        certificate: None,
        issuance_state: None,
        issued: None,
        request_id: "req-1".into(),
        attempts: 0,
        last_attempt: 5,
        locked_by: None,
        locked_until: None,
        next_attempt_at: at(0),
        deadline_at: at(1_000),
    }
}

pub async fn insert(f: &Fixture, job: &Job) {
    let job = job.clone();
    f.write(move |tx| {
        let job = job.clone();
        Box::pin(async move { order::insert(tx, &job).await })
    })
    .await;
}

pub async fn inserted(f: &Fixture, owner: &str) -> Job {
    let job = job(owner);
    insert(f, &job).await;
    job
}

pub async fn claim(f: &Fixture, holder: WorkerId, now: DateTime<Utc>) -> Vec<Job> {
    f.write(move |tx| Box::pin(order::claim(tx, holder, LEASES, now, 10))).await
}

/// Claims the only order there is.
pub async fn claimed(f: &Fixture, holder: WorkerId, now: DateTime<Utc>) -> Job {
    let [job] = claim(f, holder, now).await.try_into().unwrap();
    job
}

async fn renew(f: &Fixture, fence: &Fence, now: DateTime<Utc>) -> bool {
    let fence = fence.clone();
    f.write(move |tx| {
        let fence = fence.clone();
        Box::pin(async move { order::renew(tx, &fence, LEASES, now).await })
    })
    .await
}

async fn postpone(f: &Fixture, fence: &Fence, next: DateTime<Utc>) -> bool {
    let fence = fence.clone();
    f.write(move |tx| {
        let fence = fence.clone();
        Box::pin(async move { order::postpone(tx, &fence, next, ("WAITING", "why"), at(1)).await })
    })
    .await
}

pub async fn fail(f: &Fixture, fence: &Fence) -> Result<(), Lost> {
    let fence = fence.clone();
    f.db.write(move |tx| {
        let fence = fence.clone();
        Box::pin(async move {
            let error = OrderError { code: "500".into(), reason: "why".into() };
            order::fail(tx, &fence, &error, at(2)).await
        })
    })
    .await
}

/// Ends an order with one secret, and with its input as another.
pub async fn finish(
    f: &Fixture,
    fence: &Fence,
    made: &[(Secret, Placement)],
    adopted: Option<&Secret>,
) -> Result<(), Lost> {
    let (fence, made, adopted) = (fence.clone(), made.to_vec(), adopted.cloned());
    f.db.write(move |tx| {
        let (fence, made, adopted) = (fence.clone(), made.clone(), adopted.clone());
        Box::pin(async move {
            let secret = made.first().map(|(secret, _)| secret.id);
            order::finish(tx, &fence, Made { secret, ..Made::default() }, at(2)).await?;
            for (secret, placement) in &made {
                secret::insert(tx, secret, Some(placement)).await?;
            }
            if let Some(adopted) = &adopted {
                order::adopt_input(tx, &fence, NAME, adopted).await?;
            }
            Ok(())
        })
    })
    .await
}

pub async fn find(f: &Fixture, id: OrderId) -> Option<Job> {
    order::find_job(f.db.reader(), id).await.unwrap()
}

pub async fn delete(f: &Fixture, id: OrderId) -> bool {
    f.write(move |tx| Box::pin(async move { order::delete(tx, &project("a"), id, at(3)).await })).await
}

pub async fn state(f: &Fixture, write: WriteId) -> Option<WriteState> {
    write::states(f.db.reader(), &[write]).await.unwrap().get(&write).copied()
}

pub async fn backlog(f: &Fixture, now: DateTime<Utc>) -> Backlog {
    order::backlog(f.db.reader(), LEASES, now).await.unwrap()
}

async fn an_order_is_claimed_once(f: Fixture) {
    for _ in 0..40 {
        inserted(&f, "a").await;
    }
    let claims: Vec<_> = (0..8)
        .map(|_| {
            let (db, holder) = (f.db.clone(), WorkerId::new());
            tokio::spawn(async move {
                let mut got = Vec::new();
                for _ in 0..20 {
                    let claim = db.write(move |tx| Box::pin(order::claim(tx, holder, LEASES, at(1), 3)));
                    got.extend(claim.await.unwrap().into_iter().map(|job: Job| (job.order.id, job.attempts)));
                }
                got
            })
        })
        .collect();
    let mut all = Vec::new();
    for claim in claims {
        all.extend(claim.await.unwrap());
    }
    assert_eq!(all.len(), 40);
    assert!(all.iter().all(|(_, attempts)| *attempts == 1));
    assert_eq!(all.into_iter().map(|(id, _)| id).collect::<HashSet<_>>().len(), 40);
}

async fn a_lease_that_ran_out_is_another_s(f: Fixture) {
    let (first, second) = (WorkerId::new(), WorkerId::new());
    let given = inserted(&f, "a").await;
    let job = claimed(&f, first, at(1)).await;
    let expected = Job { attempts: 1, locked_by: Some(first), locked_until: Some(at(31)), ..given };
    assert_eq!(job, expected);
    assert!(claim(&f, second, at(30)).await.is_empty());
    assert!(renew(&f, &job.fence(first), at(30)).await);
    assert!(claim(&f, second, at(50)).await.is_empty());
    let taken = claimed(&f, second, at(61)).await;
    assert_eq!((taken.attempts, taken.locked_by), (2, Some(second)));
    assert!(!renew(&f, &job.fence(first), at(62)).await);
    assert!(renew(&f, &taken.fence(second), at(62)).await);
}

async fn whoever_lost_the_lease_changes_nothing(f: Fixture) {
    let holder = WorkerId::new();
    inserted(&f, "a").await;
    let stale = claimed(&f, holder, at(1)).await.fence(holder);
    // The same process may have claimed it again.
    let current = claimed(&f, holder, at(100)).await;
    let (made, placement) = (empty("a"), f.placement());
    let write = placement.write;
    assert!(!renew(&f, &stale, at(101)).await);
    assert!(!postpone(&f, &stale, at(500)).await);
    assert_eq!(fail(&f, &stale).await, Err(Lost::Lease));
    assert_eq!(finish(&f, &stale, &[(made.clone(), placement.clone())], None).await, Err(Lost::Lease));
    let foreign = Fence { project: project("b"), ..current.fence(holder) };
    assert_eq!(fail(&f, &foreign).await, Err(Lost::Lease));
    assert_eq!(find(&f, current.order.id).await, Some(current.clone()));
    assert_eq!(state(&f, write).await, None, "nothing refers to it, so it can be condemned");
    assert!(target::find_secret(f.db.reader(), made.id).await.unwrap().is_none());

    finish(&f, &current.fence(holder), &[(made, placement)], None).await.unwrap();
    assert_eq!(fail(&f, &current.fence(holder)).await, Err(Lost::Lease), "it has ended");
}

async fn only_what_is_due_is_claimed(f: Fixture) {
    let holder = WorkerId::new();
    let (early, late) = (job("a"), Job { next_attempt_at: at(50), ..job("a") });
    insert(&f, &late).await;
    insert(&f, &early).await;
    let any_due = async |now| order::any_due(f.db.reader(), LEASES, now).await.unwrap();
    assert!(any_due(at(1)).await);
    let got = claimed(&f, holder, at(1)).await;
    assert_eq!(got.order.id, early.order.id);
    assert!(!any_due(at(2)).await);
    assert!(postpone(&f, &got.fence(holder), at(20)).await);
    assert!(!any_due(at(19)).await);
    let found = find(&f, early.order.id).await.unwrap();
    let told = (found.order.sub_status.as_deref(), found.order.sub_status_message.as_deref());
    assert_eq!((told, found.locked_by), ((Some("WAITING"), Some("why")), None));
    let order: Vec<_> = claim(&f, holder, at(51)).await.into_iter().map(|job| job.order.id).collect();
    assert_eq!(order.len(), 2);
    assert_eq!(order.into_iter().collect::<HashSet<_>>(), [early.order.id, late.order.id].into());
}

async fn clocks_that_jump_stall_nothing(f: Fixture) {
    let hour = 3_600;
    let (first, second) = (WorkerId::new(), WorkerId::new());
    inserted(&f, "a").await;
    let job = claimed(&f, first, at(hour)).await;
    // An hour back: the lease seems to run for longer than any can.
    let taken = claimed(&f, second, at(0)).await;
    assert!(!renew(&f, &job.fence(first), at(1)).await);
    assert!(postpone(&f, &taken.fence(second), at(hour)).await);
    // The next attempt seems further away than any can be.
    assert_eq!(backlog(&f, at(1)).await.stuck, 1);
    let again = claimed(&f, second, at(1)).await;
    assert!(postpone(&f, &again.fence(second), at(60)).await);
    assert!(claim(&f, second, at(2)).await.is_empty());
    // An hour ahead.
    let last = claimed(&f, first, at(hour)).await;
    assert_eq!(last.attempts, 4);
    finish(&f, &last.fence(first), &[(empty("a"), f.placement())], None).await.unwrap();
    assert!(claim(&f, second, at(3 * hour)).await.is_empty());
}

async fn clocks_that_differ_a_little_steal_nothing(f: Fixture) {
    inserted(&f, "a").await;
    let holder = WorkerId::new();
    claimed(&f, holder, at(5)).await;
    for behind in 0..5 {
        assert!(claim(&f, WorkerId::new(), at(behind)).await.is_empty(), "{behind}");
    }
}

async fn leases_are_given_back_and_voided(f: Fixture) {
    let (leaving, staying) = (WorkerId::new(), WorkerId::new());
    inserted(&f, "a").await;
    let left = claimed(&f, leaving, at(1)).await;
    inserted(&f, "a").await;
    let kept = claimed(&f, staying, at(1)).await;
    assert_eq!(f.write(move |tx| Box::pin(order::release(tx, leaving))).await, 1);
    assert!(!renew(&f, &left.fence(leaving), at(2)).await);
    assert!(renew(&f, &kept.fence(staying), at(2)).await);
    assert_eq!(claimed(&f, staying, at(2)).await.order.id, left.order.id);
    assert_eq!(f.write(|tx| Box::pin(order::void_leases(tx))).await, 2);
    assert_eq!(claim(&f, leaving, at(3)).await.len(), 2);
}

async fn a_product_is_there_with_its_order_or_not_at_all(f: Fixture) {
    let holder = WorkerId::new();
    inserted(&f, "a").await;
    let job = claimed(&f, holder, at(1)).await;
    let (good, bad) = ((empty("a"), f.placement()), (empty("a"), f.placement()));
    let condemned = bad.1.write;
    assert_eq!(f.write(move |tx| Box::pin(write::condemn(tx, condemned))).await, Condemned::Yes);
    let refused = finish(&f, &job.fence(holder), &[good.clone(), bad], None).await.unwrap_err();
    assert!(matches!(refused, Lost::Db(error) if error.kind == ErrorKind::Condemned));
    assert_eq!(find(&f, job.order.id).await, Some(job.clone()));
    assert!(target::find_secret(f.db.reader(), good.0.id).await.unwrap().is_none());

    finish(&f, &job.fence(holder), std::slice::from_ref(&good), None).await.unwrap();
    let ended = find(&f, job.order.id).await.unwrap();
    assert_eq!((ended.order.status, ended.order.secret), (OrderStatus::Active, Some(good.0.id)));
    assert_eq!(ended.order.sub_status.as_deref(), Some("Unknown"));
    assert_eq!((ended.locked_by, ended.locked_until), (None, None));
}

async fn operators_revive_hurry_and_cancel(f: Fixture) {
    let holder = WorkerId::new();
    let id = inserted(&f, "a").await.order.id;
    let hurry = async |now| f.write(move |tx| Box::pin(order::hurry(tx, id, now))).await;
    let revive = async |now| f.write(move |tx| Box::pin(order::revive(tx, id, 7, at(9_000), now))).await;
    assert!(!revive(at(1)).await, "it has not failed");
    let first = claimed(&f, holder, at(1)).await;
    assert_eq!(hurry(at(2)).await, Hurried::No);
    assert!(postpone(&f, &first.fence(holder), at(50)).await);
    assert_eq!(hurry(at(3)).await, Hurried::Yes);
    let second = claimed(&f, holder, at(4)).await;
    fail(&f, &second.fence(holder)).await.unwrap();
    let failed = find(&f, id).await.unwrap();
    assert_eq!(failed.order.error, Some(OrderError { code: "500".into(), reason: "why".into() }));
    assert_eq!(failed.order.sub_status, None);

    assert!(revive(at(5)).await);
    let revived = find(&f, id).await.unwrap();
    assert_eq!((revived.order.status, revived.order.error), (OrderStatus::Pending, None));
    assert_eq!((revived.attempts, revived.last_attempt, revived.deadline_at), (2, 9, at(9_000)));
    let third = claimed(&f, holder, at(6)).await;
    assert_eq!(fail(&f, &second.fence(holder)).await, Err(Lost::Lease), "that was before it was revived");
    finish(&f, &third.fence(holder), &[(empty("a"), f.placement())], None).await.unwrap();
    let error = OrderError { code: "500".into(), reason: "late".into() };
    let cancelled = f.write(move |tx| {
        let error = error.clone();
        Box::pin(async move { order::cancel(tx, id, &error, at(7)).await })
    });
    assert!(!cancelled.await);
}

async fn lists_are_the_project_s_by_creation(f: Fixture) {
    let mut ids = Vec::new();
    for number in 0..5 {
        let mut given = job("a");
        given.order.created_at = at(10 - number);
        given.order.updated_at = at(10 - number);
        given.order.meta = format!(r#"{{"name":"n{number}"}}"#);
        insert(&f, &given).await;
        ids.insert(0, given.order.id);
    }
    inserted(&f, "b").await;
    let list = async |meta: Option<&str>, limit, offset| {
        let query = OrderQuery { meta: meta.map(Into::into), page: PageRequest { limit, offset } };
        let page = order::list(f.db.reader(), &project("a"), &query).await.unwrap();
        (page.items.into_iter().map(|order| order.id).collect::<Vec<_>>(), page.total)
    };
    assert_eq!(list(None, 10, 0).await, (ids.clone(), 5));
    assert_eq!(list(None, 2, 2).await, (ids[2..4].to_vec(), 5));
    assert_eq!(list(Some("n3"), 10, 0).await, (vec![ids[1]], 1));
    assert_eq!(list(Some("N3"), 10, 0).await, (vec![], 0));
    assert_eq!(list(Some("\"n_\""), 10, 1).await, (ids[1..].to_vec(), 5));
    assert_eq!(list(Some("\\"), 10, 0).await, (vec![], 0));
    let all = order::list_jobs(f.db.reader(), None, Some(OrderStatus::Pending), None, 4).await.unwrap();
    let rest = order::list_jobs(f.db.reader(), None, None, all.last().map(|job| job.order.id), 4).await.unwrap();
    assert_eq!((all.len(), rest.len()), (4, 2));
    let others = order::list_jobs(f.db.reader(), Some(&project("b")), None, None, 10).await.unwrap();
    assert_eq!(others.len(), 1);
    assert!(order::list_jobs(f.db.reader(), None, Some(OrderStatus::Error), None, 10).await.unwrap().is_empty());
}

async fn a_backlog_counts_what_waits(f: Fixture) {
    assert_eq!(backlog(&f, at(1)).await, Backlog::default());
    let holder = WorkerId::new();
    inserted(&f, "a").await;
    insert(&f, &Job { next_attempt_at: at(-5), ..job("a") }).await;
    insert(&f, &Job { next_attempt_at: at(55), ..job("a") }).await;
    assert_eq!(backlog(&f, at(1)).await, Backlog { pending: 3, stuck: 0, due_since: Some(at(-5)) });
    let jobs = claim(&f, holder, at(1)).await;
    assert_eq!(backlog(&f, at(2)).await, Backlog { pending: 3, stuck: 0, due_since: None });
    let longest_due = jobs.iter().find(|job| job.next_attempt_at == at(-5)).unwrap();
    fail(&f, &longest_due.fence(holder)).await.unwrap();
    assert_eq!(backlog(&f, at(2)).await.pending, 2);
    // A lease that ran out leaves its order due.
    assert_eq!(backlog(&f, at(32)).await, Backlog { pending: 2, stuck: 0, due_since: Some(at(0)) });
    assert_eq!(backlog(&f, at(-60)).await.stuck, 1);
}
