//! Certificates: what is checked of an order for one before it is taken, and while it may still be changed.

use std::sync::Arc;

use bailey_core::access::Call;
use bailey_core::ca::CertificateAuthority;
use bailey_core::certificate::{CertificateOrder, KeySource, StoredKey};
use bailey_core::failure::{Failure, FailureKind, Parsed, Violation};
use bailey_core::ids::ContainerId;
use bailey_core::order::{OrderStatus, OrderType};
use bailey_core::request::UpdateOrder;
use bailey_db::{ca, container, order};

use super::{find, not_found, written};
use crate::Worker;
use crate::orders::{check_request, key_among, ordered};
use crate::policy::Rule;
use crate::session::Session;
use crate::usecase::ca::visible;

const META: &str = "Certificate' within 'Order";

/// The order as it is kept: with its CA, every part of it checked against what is there.
///
/// # Errors
/// `Invalid` for what can't be done; `Forbidden` for a key that the caller may not use; `Unavailable`.
pub(super) async fn check(
    worker: &Worker,
    session: &Session<'_>,
    mut new: CertificateOrder,
) -> Result<CertificateOrder, Failure> {
    if !worker.offers_certificates() {
        return Err(not_offered());
    }
    let ca = choose(worker, session, &new).await?;
    if ca.descriptor().profile(new.profile.as_deref()).is_none() {
        return Err(wrong("profile", "must be one of the CA's"));
    }
    match &mut new.key {
        KeySource::Request(csr) => check_request(csr).map_err(|reason| wrong("request_data", reason))?,
        KeySource::Stored { container, key, .. } => *key = Some(kept_key(worker, session, *container).await?),
        KeySource::Made { spec, .. } => {
            worker.generator.asymmetric(spec).map_err(|refusal| wrong("algorithm", refusal.reason))?;
        }
    }
    new.ca = Some(ca.descriptor().id);
    // The worker alone orders renewals.
    new.renews = None;
    Ok(new)
}

/// What a body has wrong: where there are no certificates, its type rather than what it says of one.
pub(super) fn complaint(worker: &Worker, failure: Failure) -> Failure {
    let is_of_certificate = failure.schema.as_deref() == Some(META);
    if is_of_certificate && !worker.offers_certificates() { not_offered() } else { failure }
}

/// As Barbican answers, which knows these types alone.
fn not_offered() -> Failure {
    let reason = "must be one of key, asymmetric".to_owned();
    Failure::schema("Order", vec![Violation { property: Some("type".to_owned()), reason }])
}

/// The CA that is named, else the one that the project prefers, else the one that all prefer, else the only one. Where
/// a project has chosen CAs, it must be one of those, or one of its own. One that doesn't serve the project isn't there.
async fn choose(
    worker: &Worker,
    session: &Session<'_>,
    new: &CertificateOrder,
) -> Result<Arc<dyn CertificateAuthority>, Failure> {
    let absent = || wrong("ca_id", "must be the id of a CA that is there");
    let (reader, project) = (worker.db.reader(), &session.caller.project);
    let choice = ca::choice(reader, project).await?;
    let by_all = choice.preferred_by_all.filter(|id| worker.authorities.serves(*id, project));
    let named = new.ca.or(choice.preferred).or(by_all);
    let only = || worker.authorities.only(project).map(|only| only.descriptor().id);
    let id = named.or_else(only).ok_or_else(absent)?;
    if worker.authorities.find(id).is_none() {
        visible(session, id).await?.ok_or_else(absent)?;
    } else if !worker.authorities.serves(id, project) {
        return Err(absent());
    } else if choice.has_chosen_any && !ca::has_chosen(reader, project, id).await? {
        return Err(wrong("ca_id", "must be one of the CAs that were added to the project"));
    }
    worker.serving(project, id).await?.ok_or_else(absent)
}

/// The private key in a container, for a caller who may have it sign something: whoever may read it.
async fn kept_key(worker: &Worker, session: &Session<'_>, id: ContainerId) -> Result<StoredKey, Failure> {
    const NEEDED: &str = "must be the href of a container of the project's with a private key";
    let absent = |failure: Failure| match failure.kind {
        FailureKind::NotFound => wrong("container_ref", NEEDED),
        _ => failure,
    };
    let target = session.container(Rule::ContainerGet, Parsed::Valid(id)).await.map_err(absent)?;
    let references = container::references(worker.db.reader(), &[id]).await?.remove(&id).unwrap_or_default();
    let key = key_among(&references).filter(|_| target.container.project == session.caller.project);
    let key = key.ok_or_else(|| wrong("container_ref", NEEDED))?;
    // Whether a passphrase opens a key tells of the passphrase.
    for secret in [Some(key.private), key.passphrase].into_iter().flatten() {
        session.secret(Rule::SecretDecrypt, Parsed::Valid(secret)).await.map_err(absent)?;
    }
    Ok(key)
}

fn wrong(property: &str, reason: impl Into<String>) -> Failure {
    Failure::schema(META, vec![Violation { property: Some(property.to_owned()), reason: reason.into() }])
}

/// Changes what a pending certificate order asks for; `false` where orders can't be changed at all.
///
/// # Errors
/// `NotFound`; `Forbidden`; `Invalid` for what the body has wrong and for orders that aren't pending certificate
/// orders; `Conflict` when the CA was asked already; `Unavailable`.
pub async fn change(worker: &Worker, call: Call, request: UpdateOrder) -> Result<bool, Failure> {
    let session = worker.session(call).await?;
    let found = find(worker, &session, request.id).await?;
    if !worker.offers_certificates() {
        return Ok(false);
    }
    session.authorise(Rule::OrdersPut)?;
    let change = request.change.accept()?;
    if found.order_type != OrderType::Certificate || found.status != OrderStatus::Pending {
        return Err(Failure::invalid("Only pending orders of type certificate can be changed"));
    }
    let certificate = check(worker, &session, change.certificate).await?;
    let job = order::find_job(worker.db.reader(), found.id).await?.ok_or_else(not_found)?;
    let before = ordered(&job)?;
    if before.renews.is_some() {
        return Err(Failure::invalid("An order that renews a certificate can't be changed"));
    }
    check_same_key(&before.key, &certificate.key)?;
    let text = written(&certificate)?;
    let (project, id, now, meta) = (found.project, found.id, worker.clock.now(), change.meta);
    let changed = session.write(move |tx| {
        let (project, text, meta) = (project.clone(), text.clone(), meta.clone());
        Box::pin(async move {
            if order::change(tx, &project, id, (&meta, &text), now).await? {
                return Ok(());
            }
            let reason = "The order is being worked on, or its certificate was asked for already";
            Err(Failure::new(FailureKind::Conflict, reason))
        })
    });
    session.audited(Rule::OrdersPut, format!("orders/{id}"), changed.await)?;
    worker.orders.wake();
    Ok(true)
}

/// What is charged, and what is made already, stays as it was.
fn check_same_key(before: &KeySource, after: &KeySource) -> Result<(), Failure> {
    match (before, after) {
        (KeySource::Made { spec: before, .. }, KeySource::Made { spec: after, .. }) if before != after => {
            Err(wrong("algorithm", "must stay as it was, with bit_length: the key may be made already"))
        }
        _ if before.request_type() != after.request_type() => Err(wrong("request_type", "must stay as it was")),
        _ => Ok(()),
    }
}
