//! Payloads: the second step of a two-step secret, and reading.

use bailey_core::access::Call;
use bailey_core::failure::{Failure, FailureKind, Parsed};
use bailey_core::request::{GetPayload, PayloadForm, PutPayload};
use bailey_core::secret::{Payload, Secret, SentPayload};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::ContentType;
use bailey_db::target::{self, SecretTarget};
use bailey_db::{ErrorKind, secret};

use crate::Worker;
use crate::policy::Rule;
use crate::session::{Session, secret_name, secret_not_found};
use crate::usecase::transport;

/// Gives a payload to a secret that has none. Of two at once, one wins.
///
/// # Errors
/// `NotFound`, `Forbidden`; `Conflict` when there is a payload already; what the body has wrong;
/// `Unavailable`.
pub async fn put(worker: &Worker, call: Call, request: PutPayload) -> Result<(), Failure> {
    let session = worker.session(call).await?;
    let target = session.secret(Rule::SecretPut, request.id).await?;
    let payload = request.payload.accept()?;
    let result = attach(&session, &target, payload).await;
    session.audited(Rule::SecretPut, secret_name(&target), result)
}

async fn attach(session: &Session<'_>, target: &SecretTarget, payload: Parsed<SentPayload>) -> Result<(), Failure> {
    let worker = session.worker;
    if target.placement.is_some() {
        return Err(has_payload());
    }
    let payload = payload.accept()?;
    let secret = Secret { content_type: Some(payload.content_type()), ..target.secret.clone() };
    let received = worker.receive(&secret.project, payload).await?;
    let placed = worker.place_received(&secret, &received).await?;
    let (project, id, now) = (target.secret.project.clone(), target.secret.id, worker.clock.now());
    let placement = placed.placement.clone();
    let attached = session
        .write(move |tx| {
            let (project, placement) = (project.clone(), placement.clone());
            Box::pin(async move { secret::place(tx, &project, id, &placement, now).await })
        })
        .await;
    match attached {
        Ok(true) => Ok(()),
        Ok(false) => {
            worker.take_back(&placed).await;
            let row = target::find_secret(worker.db.reader(), id).await?;
            Err(if row.is_some() { has_payload() } else { secret_not_found() })
        }
        Err(error) => {
            if matches!(error.kind, ErrorKind::Retired | ErrorKind::Repeated) {
                worker.take_back(&placed).await;
            }
            Err(error.into())
        }
    }
}

fn has_payload() -> Failure {
    Failure::new(FailureKind::Conflict, "Secret already has data, cannot modify it")
}

/// Hands out a payload.
///
/// # Errors
/// `NotFound` for the secret or its payload, `Forbidden`; `NotAcceptable` for the form asked for;
/// `Corrupt`, with no bytes, when what is stored isn't what was stored; `Unavailable`.
pub async fn get(worker: &Worker, call: Call, request: GetPayload) -> Result<Payload, Failure> {
    let session = worker.session(call).await?;
    let target = session.secret(Rule::SecretDecrypt, request.id).await?;
    let name = secret_name(&target);
    let result = read(worker, target, request.form.accept()).await;
    session.audited(Rule::SecretDecrypt, name, result)
}

async fn read(worker: &Worker, target: SecretTarget, form: Result<PayloadForm, Failure>) -> Result<Payload, Failure> {
    let Some(placement) = &target.placement else {
        return Err(Failure::not_found("The secret has no payload"));
    };
    let wanted = match form? {
        PayloadForm::As(content_type) => content_type,
        // What an order made without a type is had by those who name one.
        PayloadForm::AsStored => placement.content_type.ok_or_else(not_acceptable)?,
        PayloadForm::Wrapped(wrapped) => {
            let id = target.secret.id;
            let key = worker.session_key(id, &wrapped).await?;
            return transport::encrypted(&key, id, &follow(worker, &target).await?);
        }
    };
    let bytes = follow(worker, &target).await?;
    if wanted == ContentType::TextPlain && std::str::from_utf8(bytes.expose()).is_err() {
        return Err(not_acceptable());
    }
    Ok(Payload { content_type: wanted, bytes })
}

fn not_acceptable() -> Failure {
    Failure::new(FailureKind::NotAcceptable, "")
}

/// Reads the bytes a row refers to. When they are gone, the row is read once more: it may have been
/// deleted, re-encrypted or migrated meanwhile. Unchanged, it refers to nothing: corrupt.
async fn follow(worker: &Worker, target: &SecretTarget) -> Result<SecretBytes, Failure> {
    let (project, id) = (&target.secret.project, target.secret.id);
    let corrupt = || Failure::new(FailureKind::Corrupt, format!("secret {id} refers to bytes that are gone"));
    let mut placement = target.placement.clone().ok_or_else(corrupt)?;
    loop {
        if let Some(bytes) = worker.read_placed(project, id, &placement, false).await? {
            return Ok(bytes);
        }
        let row = target::find_secret(worker.db.reader(), id).await?.ok_or_else(secret_not_found)?;
        placement = row.placement.filter(|moved| moved.write != placement.write).ok_or_else(corrupt)?;
    }
}
