//! Revoking certificates, and telling everybody which ones are revoked.

use std::sync::Arc;

use bailey_core::access::Call;
use bailey_core::ca::{CaError, CaErrorKind, CertificateAuthority, Revocation, StatusAnswer};
use bailey_core::container::SecretReference;
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{CaId, ContainerId};
use bailey_core::order::{Order, OrderStatus, OrderType};
use bailey_core::request::{AskStatus, GetRevocationList, RevokeCertificate};
use bailey_db::{ca, container, order, renewal, target};
use x509_parser::pem::parse_x509_pem;

use crate::Worker;
use crate::error::ca_failure;
use crate::orders::{CERTIFICATE, ordered};
use crate::policy::Rule;
use crate::usecase::order::find_for;

/// Has the certificate that an order made revoked. Idempotent; of several reasons the first stands.
///
/// Only the order proves that the certificate was issued for the project: anybody may keep anybody's certificate.
///
/// # Errors
/// `NotFound`, also when the order has made no certificate, or it is gone; `Forbidden`; `Invalid` for what the body
/// has wrong; `NotSupported` by CAs that revoke nothing; `Unavailable`.
pub async fn revoke(worker: &Worker, call: Call, request: RevokeCertificate) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let found = find_for(worker, &session, Rule::OrderDelete, request.id).await?;
    if !worker.offers_certificates() {
        return Err(nothing());
    }
    let reason = request.reason.accept()?;
    let result = async {
        let Issued { ca, container, reference, certificate } = issued(worker, &found).await?;
        let authority = authority(worker, ca).await?.ok_or_else(gone)?;
        // Before the CA hears of it: a worker that dies in between has its caller ask again, in another message.
        let project = found.project.clone();
        let renewed_no_more = session.write(move |tx| {
            let (project, reference) = (project.clone(), reference.clone());
            Box::pin(async move { Ok::<_, Failure>(renewal::end(tx, &project, container, &reference).await?) })
        });
        renewed_no_more.await?;
        let revoked = authority.revoke(&Revocation { certificate, reason }).await;
        if !matches!(revoked, Ok(false)) {
            worker.authorities.published.revoked(ca).await;
        }
        revoked.map(drop).map_err(|error| match error.kind {
            CaErrorKind::Unsupported => {
                Failure::new(FailureKind::NotSupported, "The certificate authority revokes nothing")
            }
            _ => ca_failure(&error),
        })
    };
    let result = result.await;
    session.audited(Rule::OrderDelete, format!("orders/{}/revoke", found.id), result)
}

/// A certificate that an order made.
struct Issued {
    ca: CaId,
    container: ContainerId,
    /// The secret with it, as the container refers to it, or did before it was renewed.
    reference: SecretReference,
    /// DER.
    certificate: Vec<u8>,
}

async fn issued(worker: &Worker, found: &Order) -> Result<Issued, Failure> {
    if found.order_type != OrderType::Certificate || found.status != OrderStatus::Active {
        return Err(nothing());
    }
    let reader = worker.db.reader();
    let job = order::find_job(reader, found.id).await?.ok_or_else(nothing)?;
    let ca = ordered(&job)?.ca.ok_or_else(nothing)?;
    let container = found.container.ok_or_else(nothing)?;
    let reference = match job.issued {
        Some(secret) => SecretReference { name: Some(CERTIFICATE.to_owned()), secret },
        None => held(worker, container).await?.ok_or_else(nothing)?,
    };
    let target = target::find_secret(reader, reference.secret).await?;
    let target = target.filter(|target| target.secret.project == found.project);
    let placement = target.and_then(|target| target.placement).ok_or_else(nothing)?;
    let payload = worker.read_placed(&found.project, reference.secret, &placement, false).await?.ok_or_else(nothing)?;
    let (_, pem) = parse_x509_pem(payload.expose()).map_err(|_| nothing())?;
    Ok(Issued { ca, container, reference, certificate: pem.contents })
}

/// The certificate that a container has now: what orders stand for that ended before theirs was written down.
async fn held(worker: &Worker, id: ContainerId) -> Result<Option<SecretReference>, Failure> {
    let references = container::references(worker.db.reader(), &[id]).await?.remove(&id).unwrap_or_default();
    Ok(references.into_iter().find(|reference| reference.name.as_deref() == Some(CERTIFICATE)))
}

/// A CA by its id alone, configured or a project's: what it tells of revocations is for everybody.
async fn authority(worker: &Worker, id: CaId) -> Result<Option<Arc<dyn CertificateAuthority>>, Failure> {
    if let Some(found) = worker.authorities.find(id) {
        return Ok(Some(Arc::clone(found)));
    }
    let published = &worker.authorities.published;
    let place = published.place(id);
    if let Some(opened) = published.opened(&place) {
        return Ok(Some(opened));
    }
    let Some((parent, name)) = ca::find_below(worker.db.reader(), id).await? else { return Ok(None) };
    let above = worker.authorities.find(parent).and_then(|above| above.sub_authorities());
    Ok(above.map(|above| published.open(place, || above.open(id, &name))))
}

/// A CA's list of what it has revoked. Needs no credentials.
///
/// # Errors
/// `NotFound` if there is no such CA, or generation of it, or it has no lists, and when CAs are not offered;
/// `Unavailable`.
pub async fn list(worker: &Worker, _: Call, request: GetRevocationList) -> Result<Vec<u8>, Failure> {
    if !worker.offers_certificates() {
        return Err(unknown());
    }
    let (id, generation) = (request.ca.accept()?, request.generation.accept()?);
    let authority = authority(worker, id).await?.ok_or_else(unknown)?;
    let list = worker.authorities.published.list(authority.as_ref(), generation).await;
    let failed = |error: Arc<CaError>| match error.kind {
        CaErrorKind::NotFound => unknown(),
        _ => ca_failure(&error),
    };
    list.map(|list| list.to_vec()).map_err(failed)
}

/// A CA's answer on single certificates. Needs no credentials.
///
/// # Errors
/// `NotFound` if there is no such CA, or it doesn't answer, and when CAs are not offered; `Unavailable`.
pub async fn status(worker: &Worker, _: Call, request: AskStatus) -> Result<StatusAnswer, Failure> {
    if !worker.offers_certificates() {
        return Err(unknown());
    }
    let authority = authority(worker, request.ca.accept()?).await?.ok_or_else(unknown)?;
    let answer = worker.authorities.published.answer(authority.as_ref(), &request.question).await?;
    answer.ok_or_else(unknown)
}

fn nothing() -> Failure {
    Failure::not_found("The order has made no certificate, or it is gone")
}

fn gone() -> Failure {
    Failure::unavailable("The certificate authority is not configured")
}

fn unknown() -> Failure {
    Failure::not_found("There is no such certificate authority")
}
