//! Requests that have one effect however often they are sent: the first answer, found again.

use std::sync::Arc;

use bailey_core::encoding::Context;
use bailey_core::failure::{Failure, FailureKind, Parsed};
use bailey_core::idempotency::{IdempotencyKey, KEPT};
use bailey_core::ids::MasterKeyId;
use bailey_core::sensitive::SecretBytes;
use bailey_db::idempotency::{self, First, Owner};
use bailey_db::{Error, Tx, message};
use chrono::{DateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use uuid::Uuid;

use crate::Worker;
use crate::session::Session;

/// What is to be done about a request that may be a repetition.
pub(crate) enum Asked {
    /// It was answered before; this is what was made.
    Before(Uuid),
    /// It is to be done; with a key, so that it is done once.
    Anew(Option<Once>),
}

/// A request with a key.
#[derive(Clone)]
pub(crate) struct Once {
    owner: Owner,
    body: Arc<SecretBytes>,
    fingerprint: Vec<u8>,
    fingerprint_key: MasterKeyId,
}

impl Session<'_> {
    /// Looks for the first answer to a request. Its body has been accepted, so that this comes before
    /// everything that may have changed since the first time.
    ///
    /// # Errors
    /// `Invalid` for a malformed key; `Mismatch` when it was used with another body; `Unavailable`.
    pub(crate) async fn asked(
        &self,
        route: &'static str,
        key: Parsed<Option<IdempotencyKey>>,
    ) -> Result<Asked, Failure> {
        let Some(IdempotencyKey { key, body }) = key.accept()? else { return Ok(Asked::Anew(None)) };
        let (project, user) = (self.caller.project.clone(), self.caller.user.clone());
        let (owner, since) = (Owner { project, user, route, key }, self.worker.clock.now() - KEPT);
        if let Some(first) = idempotency::find(self.worker.db.reader(), &owner, since).await? {
            return self.worker.same(&owner, &body, &first).map(Asked::Before);
        }
        let fingerprint_key = self.worker.sealer.active().await?;
        let fingerprint = self.worker.fingerprint(fingerprint_key, &owner, &body)?.finalize().into_bytes().to_vec();
        Ok(Asked::Anew(Some(Once { owner, body: Arc::new(body), fingerprint, fingerprint_key })))
    }

    /// What the answer refers to: `mine`, unless another request came `first` with the same key.
    ///
    /// # Errors
    /// `Mismatch` when that one had another body; `Unavailable`.
    pub(crate) fn answer<T: From<Uuid>>(
        &self,
        mine: T,
        once: Option<&Once>,
        first: Option<First>,
    ) -> Result<T, Failure> {
        match (once, first) {
            (Some(once), Some(first)) => self.worker.same(&once.owner, &once.body, &first).map(T::from),
            _ => Ok(mine),
        }
    }
}

/// Makes `mine` what the first answer refers to, in the transaction that makes it; what another request
/// made, if that one came first. Then nothing else is to be done.
///
/// # Errors
/// As [`idempotency::claim`].
pub(crate) async fn claim(
    tx: &Tx,
    once: Option<&Once>,
    mine: Uuid,
    now: DateTime<Utc>,
) -> Result<Option<First>, Error> {
    let Some(Once { owner, fingerprint, fingerprint_key, .. }) = once else { return Ok(None) };
    let mine = First { fingerprint: fingerprint.clone(), fingerprint_key: *fingerprint_key, resource: mine };
    idempotency::claim(tx, owner, &mine, now, now - KEPT).await
}

impl Worker {
    /// Forgets the answers that are old enough; how many it were.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn forget_answers(&self) -> Result<u64, Failure> {
        let until = self.clock.now() - KEPT;
        let mut forgotten = 0;
        loop {
            let purged = self.db.write(move |tx| Box::pin(idempotency::purge(tx, until, BATCH))).await?;
            forgotten += purged;
            if purged < BATCH {
                return Ok(forgotten);
            }
        }
    }

    /// Forgets the messages that no worker would take any more; how many it were.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn forget_messages(&self) -> Result<u64, Failure> {
        let now = self.clock.now();
        let mut forgotten = 0;
        loop {
            let purged = self.db.write(move |tx| Box::pin(message::purge(tx, now, BATCH))).await?;
            forgotten += purged;
            if purged < BATCH {
                return Ok(forgotten);
            }
        }
    }

    /// What the first request made, if it asked for the same.
    fn same(&self, owner: &Owner, body: &SecretBytes, first: &First) -> Result<Uuid, Failure> {
        let fingerprint = self.fingerprint(first.fingerprint_key, owner, body)?;
        let different = |_| Failure::new(FailureKind::Mismatch, "The idempotency key was used with another body");
        fingerprint.verify_slice(&first.fingerprint).map(|()| first.resource).map_err(different)
    }

    /// A hash of a body could be guessed at, so this one takes a key; `docs/formats.md` has the format.
    fn fingerprint(&self, key: MasterKeyId, owner: &Owner, body: &SecretBytes) -> Result<Hmac<Sha256>, Failure> {
        let context = Context::new("bailey idempotency", 1)
            .field(owner.project.as_str().as_bytes())
            .field(owner.user.as_ref().map_or("", |user| user.as_str()).as_bytes())
            .field(owner.route.as_bytes())
            .field(owner.key.as_bytes())
            .field(body.expose());
        let derivation = Context::new("bailey idempotency key", 1).uuid(key.uuid());
        let held = self.sealer.key(key)?;
        let derived = SecretBytes::new(mac(&held, &derivation)?.finalize().into_bytes().to_vec());
        mac(&derived, &context)
    }
}

/// Answers or messages forgotten at a time.
const BATCH: u64 = 1_000;

fn mac(key: &SecretBytes, context: &Context) -> Result<Hmac<Sha256>, Failure> {
    // HMAC takes a key of any length (RFC 2104, section 2).
    let mac = Hmac::<Sha256>::new_from_slice(key.expose());
    let mac = mac.map_err(|_| Failure::internal("a fingerprint could not be made"))?;
    Ok(mac.chain_update(context.as_bytes()))
}
