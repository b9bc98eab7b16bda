//! Orders: take, describe, list, delete. What becomes of them is [`orders`](crate::orders)' work.

mod certificate;

use bailey_core::access::Call;
use bailey_core::certificate::CertificateOrder;
use bailey_core::failure::{Failure, Violation};
use bailey_core::ids::{OrderId, SecretId};
use bailey_core::order::{Charge, NewOrder, Order, OrderStatus};
use bailey_core::quota::Counted;
use bailey_core::request::{CreateOrder, DeleteOrder, GetOrder, ListOrders, OrderPath, UpdateOrders};
use bailey_core::secret::Page;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::SecretType;
use bailey_db::order::{self, Input, Job};

use crate::Worker;
use crate::idempotency::{Asked, Once, claim};
use crate::limits::reserve;
use crate::orders::{PASSPHRASE, Template};
use crate::policy::{Rule, Target};
use crate::session::Session;
use crate::usecase::placement::Placed;

pub use certificate::change;

/// Takes an order: its inputs are placed first, then its row is written. The row is the job.
///
/// # Errors
/// `Invalid` for what the body has wrong; `Mismatch` when its key was used with another body;
/// `QuotaExceeded`, `Unavailable`.
pub async fn create(worker: &Worker, call: Call, request: CreateOrder) -> Result<OrderId, Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::OrdersPost)?;
    let new = request.order.accept().map_err(|failure| certificate::complaint(worker, failure))?;
    let once = match session.asked("orders", request.idempotency).await? {
        Asked::Before(first) => return Ok(first.into()),
        Asked::Anew(once) => once,
    };
    let id = OrderId::new();
    let result = insert(worker, &session, id, new, once).await;
    let target = format!("orders/{}", result.as_ref().unwrap_or(&id));
    let made = session.audited(Rule::OrdersPost, target, result)?;
    worker.orders.wake();
    Ok(made)
}

async fn insert(
    worker: &Worker,
    session: &Session<'_>,
    id: OrderId,
    new: NewOrder,
    once: Option<Once>,
) -> Result<OrderId, Failure> {
    let now = worker.clock.now();
    if new.expires_at.is_some_and(|expires_at| expires_at <= now) {
        let reason = "'expiration' is before current time".to_owned();
        let violation = Violation { property: Some("expiration".into()), reason };
        return Err(Failure::schema("Secret' within 'Order", vec![violation]));
    }
    let charge = new.charge();
    let certificate = match new.certificate {
        Some(asked) => Some(written(&certificate::check(worker, session, asked).await?)?),
        None => None,
    };
    let config = &worker.orders.config;
    let job = Job {
        charge,
        certificate,
        issuance_state: None,
        issued: None,
        request_id: session.request.to_string(),
        attempts: 0,
        last_attempt: config.max_attempts,
        locked_by: None,
        locked_until: None,
        next_attempt_at: now,
        deadline_at: now + config.deadline(),
        order: Order {
            id,
            project: session.caller.project.clone(),
            creator: session.caller.user.clone(),
            order_type: new.order_type,
            meta: new.meta,
            status: OrderStatus::Pending,
            sub_status: None,
            sub_status_message: None,
            error: None,
            secret: None,
            container: None,
            created_at: now,
            updated_at: now,
        },
    };
    let placed = match new.passphrase {
        Some(passphrase) => {
            worker.look_for_room(&job.order.project, &wanted(job.charge)).await?;
            Some(place(worker, &job.order, passphrase).await?)
        }
        None => None,
    };
    let inserted = insert_row(session, job, placed.as_ref(), once).await;
    if let Some(placed) = placed.filter(|_| !inserted.as_ref().is_ok_and(|inserted| *inserted == id)) {
        worker.take_back(&placed).await;
    }
    inserted
}

fn written(certificate: &CertificateOrder) -> Result<String, Failure> {
    serde_json::to_string(certificate).map_err(|error| Failure::internal(error.to_string()))
}

/// An order needs room for itself and for all that it will make.
fn wanted(charge: Charge) -> [(Counted, u64); 3] {
    let [secrets, containers] = charge.counted();
    [(Counted::Orders, 1), secrets, containers]
}

/// Places a passphrase as the payload of the secret that it will be.
async fn place(worker: &Worker, order: &Order, passphrase: SecretBytes) -> Result<Placed, Failure> {
    let template = Template::read(&order.meta)?;
    let secret = template.secret(order, SecretId::new(), SecretType::Passphrase, order.created_at);
    worker.place(&secret, &passphrase).await
}

async fn insert_row(
    session: &Session<'_>,
    job: Job,
    placed: Option<&Placed>,
    once: Option<Once>,
) -> Result<OrderId, Failure> {
    let input = placed.map(|placed| Input { secret: placed.place.secret, placement: placed.placement.clone() });
    let (id, now, defaults) = (job.order.id, job.order.created_at, session.worker.limits.defaults());
    let asked = once.clone();
    let inserted = session.write(move |tx| {
        let (job, input, once) = (job.clone(), input.clone(), asked.clone());
        Box::pin(async move {
            let first = claim(tx, once.as_ref(), id.uuid(), now).await?;
            if first.is_some() {
                return Ok(first);
            }
            reserve(tx, &job.order.project, &defaults, &wanted(job.charge), now).await?;
            order::insert(tx, &job).await?;
            if let Some(input) = &input {
                order::insert_input(tx, &job.order.project, id, PASSPHRASE, input).await?;
            }
            Ok::<_, Failure>(None)
        })
    });
    session.answer(id, once.as_ref(), inserted.await?)
}

/// Tells how far an order is.
///
/// # Errors
/// `NotFound`, also for other projects' orders; `Forbidden`, `Unavailable`.
pub async fn get(worker: &Worker, call: Call, request: GetOrder) -> Result<Order, Failure> {
    let session = worker.session(call).await?;
    find_for(worker, &session, Rule::OrderGet, request.id).await
}

/// Lists the project's orders.
///
/// # Errors
/// `Forbidden`; `Invalid` for a repeated parameter; `Unavailable`.
pub async fn list(worker: &Worker, call: Call, request: ListOrders) -> Result<Page<Order>, Failure> {
    let session = worker.session(call).await?;
    session.authorise(Rule::OrdersGet)?;
    let query = request.query.accept()?;
    Ok(order::list(worker.db.reader(), &session.caller.project, &query).await?)
}

/// Deletes an order, whatever its status. What it has made stays.
///
/// # Errors
/// `NotFound`, `Forbidden`, `Unavailable`.
pub async fn delete(worker: &Worker, call: Call, request: DeleteOrder) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let found = find_for(worker, &session, Rule::OrderDelete, request.id).await?;
    let (project, id, now) = (found.project, found.id, worker.clock.now());
    let result = session.write(move |tx| {
        let project = project.clone();
        Box::pin(async move { if order::delete(tx, &project, id, now).await? { Ok(()) } else { Err(not_found()) } })
    });
    session.audited(Rule::OrderDelete, format!("orders/{id}"), result.await)
}

/// Whether the caller might change orders. There is nothing to change.
///
/// # Errors
/// `Forbidden`, `Unavailable`.
pub async fn update(worker: &Worker, call: Call, _: UpdateOrders) -> Result<(), Failure> {
    worker.session(call).await?.authorise(Rule::OrdersPut)
}

/// An order of the caller's project; those of other projects aren't there.
pub(super) async fn find(worker: &Worker, session: &Session<'_>, id: OrderPath) -> Result<Order, Failure> {
    let found = order::find(worker.db.reader(), &session.caller.project, id.accept()?).await?;
    found.ok_or_else(not_found)
}

pub(super) async fn find_for(
    worker: &Worker,
    session: &Session<'_>,
    rule: Rule,
    id: OrderPath,
) -> Result<Order, Failure> {
    let found = find(worker, session, id).await?;
    let target = Target { project: Some(&found.project), creator: found.creator.as_ref(), ..Target::none() };
    session.check(rule, &target, Some(&format!("orders/{}", found.id)))?;
    Ok(found)
}

fn not_found() -> Failure {
    Failure::not_found("The order was not found")
}
