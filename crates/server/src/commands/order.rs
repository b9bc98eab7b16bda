//! `bailey order`

use anyhow::{Context as _, Result, bail};
use bailey_core::certificate::CertificateOrder;
use bailey_core::ids::{ContainerId, OrderId, ProjectId};
use bailey_core::order::{OrderError, OrderStatus};
use bailey_db::order::{self, Hurried, Job};
use bailey_db::{quota, renewal};
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

use super::admin::Admin;
use crate::cli::OrderCommand;
use crate::output;

/// Orders that are read at once.
const BATCH: u64 = 500;

pub async fn run(admin: &Admin, command: OrderCommand) -> Result<()> {
    match command {
        OrderCommand::List { project, status, format } => list(admin, project.as_ref(), status, format.json).await,
        OrderCommand::Show { id, format } => show(&find(admin, id).await?, format.json),
        OrderCommand::Retry { id } => {
            admin.audited("order retry", Some(format!("orders/{id}")), retry(admin, id)).await?;
            eprintln!("order {id} is due: a running server takes it at once");
            Ok(())
        }
        OrderCommand::Cancel { id } => {
            admin.audited("order cancel", Some(format!("orders/{id}")), cancel(admin, id)).await?;
            eprintln!("order {id} has failed: cancelled");
            Ok(())
        }
    }
}

async fn find(admin: &Admin, id: OrderId) -> Result<Job> {
    order::find_job(admin.databases.db.reader(), id).await?.with_context(|| format!("there is no order {id}"))
}

async fn retry(admin: &Admin, id: OrderId) -> Result<()> {
    let (db, now) = (&admin.databases.db, admin.clock.now());
    let job = find(admin, id).await?;
    let is_due = match job.order.status {
        OrderStatus::Active => bail!("order {id} is done"),
        OrderStatus::Error if job.has_passphrase() => {
            bail!("the passphrase of order {id} was destroyed when it failed: it has to be ordered again")
        }
        OrderStatus::Error => revive(admin, job, now).await?,
        OrderStatus::Pending => db.write(move |tx| Box::pin(order::hurry(tx, id, now))).await? == Hurried::Yes,
    };
    if is_due { Ok(()) } else { bail!("order {id} is being worked on") }
}

/// What a failed order will make counts against the quotas again. One that renews a certificate does so again, in place
/// of the next try.
async fn revive(admin: &Admin, job: Job, now: DateTime<Utc>) -> Result<bool> {
    let renews = renews(&job)?;
    let (attempts, deadline_at) = (admin.config.orders.max_attempts, now + admin.config.orders.deadline());
    let (id, project, quotas) = (job.order.id, job.order.project, admin.config.quotas);
    let wanted = job.charge.counted();
    let revived = admin.databases.db.write(move |tx| {
        let project = project.clone();
        Box::pin(async move {
            if let Some(container) = renews
                && !renewal::take_over(tx, &project, container, id, now).await?
            {
                bail!(
                    "order {id} is not what renews its certificate any more: \
                     another order does, or it was revoked, or its container is gone"
                );
            }
            if !quota::reserve(tx, &project, &quotas, &wanted, now).await? {
                bail!("a quota of project {project} leaves no room for what order {id} makes");
            }
            Ok(order::revive(tx, id, attempts, deadline_at, now).await?)
        })
    });
    revived.await
}

/// The container whose certificate an order renews.
fn renews(job: &Job) -> Result<Option<ContainerId>> {
    let Some(text) = &job.certificate else { return Ok(None) };
    let ordered: CertificateOrder = serde_json::from_str(text).context("what the order asks for can't be read")?;
    Ok(ordered.renews)
}

async fn cancel(admin: &Admin, id: OrderId) -> Result<()> {
    let now = admin.clock.now();
    let error = OrderError { code: "500".to_owned(), reason: "The order was cancelled by an operator".to_owned() };
    let cancelled = admin.databases.db.write(move |tx| {
        let error = error.clone();
        Box::pin(async move { order::cancel(tx, id, &error, now).await })
    });
    if cancelled.await? {
        return Ok(());
    }
    bail!("order {id} is {} already", find(admin, id).await?.order.status)
}

async fn list(admin: &Admin, project: Option<&ProjectId>, status: Option<OrderStatus>, as_json: bool) -> Result<()> {
    let (mut jobs, mut after) = (Vec::<Job>::new(), None);
    loop {
        let batch = order::list_jobs(admin.databases.db.reader(), project, status, after, BATCH).await?;
        let Some(last) = batch.last() else { break };
        after = Some(last.order.id);
        jobs.extend(batch);
    }
    if as_json {
        return Ok(output::json(&jobs.iter().map(as_object).collect::<Vec<_>>())?);
    }
    let rows: Vec<_> = jobs
        .iter()
        .map(|job| {
            let order = &job.order;
            let (id, project, kind) = (order.id.to_string(), order.project.to_string(), order.order_type.to_string());
            let (status, attempts) = (order.status.to_string(), job.attempts.to_string());
            [id, project, kind, status, attempts, time(order.created_at), what_next(job)]
        })
        .collect();
    Ok(output::table(["ID", "PROJECT", "TYPE", "STATUS", "ATTEMPTS", "CREATED", "NEXT"], &rows)?)
}

/// What becomes of an order, or why nothing does.
fn what_next(job: &Job) -> String {
    match (job.order.status, job.locked_until, &job.order.error) {
        (OrderStatus::Pending, Some(until), _) => format!("worked on, leased until {}", time(until)),
        (OrderStatus::Pending, None, _) => format!("due {}", time(job.next_attempt_at)),
        (_, _, Some(error)) => error.reason.clone(),
        (OrderStatus::Active | OrderStatus::Error, ..) => String::new(),
    }
}

fn show(job: &Job, as_json: bool) -> Result<()> {
    if as_json {
        return Ok(output::json(&as_object(job))?);
    }
    Ok(output::fields(&as_object(job))?)
}

fn as_object(job: &Job) -> Value {
    let order = &job.order;
    let meta: Value = serde_json::from_str(&order.meta).unwrap_or_default();
    json!({
        "id": order.id, "project": order.project, "creator": order.creator, "type": order.order_type.as_str(),
        "meta": meta, "status": order.status.as_str(), "sub_status": order.sub_status,
        "sub_status_message": order.sub_status_message,
        "error_status_code": order.error.as_ref().map(|error| &error.code),
        "error_reason": order.error.as_ref().map(|error| &error.reason),
        "secret": order.secret, "container": order.container, "certificate": job.issued, "has_passphrase": job.has_passphrase(),
        "request_id": job.request_id, "attempts": job.attempts, "last_attempt": job.last_attempt,
        "leased_by": job.locked_by, "leased_until": job.locked_until, "next_attempt_at": job.next_attempt_at,
        "deadline_at": job.deadline_at, "created_at": order.created_at, "updated_at": order.updated_at,
    })
}

fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
