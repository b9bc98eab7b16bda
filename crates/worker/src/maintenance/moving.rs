//! Moves one payload, within a store or into another, while clients read, change and delete it.

use std::sync::Arc;

use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::WriteId;
use bailey_core::secret::Secret;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::SecretType;
use bailey_core::store::{Place, SecretStore};
use bailey_db::{Placement, order, secret, target};

use crate::Worker;
use crate::orders::Template;
use crate::usecase::placement::{Placed, check_supported};

/// What came of moving a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Moved {
    /// It is elsewhere now.
    Yes,
    /// Nothing refers to these bytes any more, or nothing ever did: they are left alone.
    Gone,
}

/// A payload that a row refers to, of a secret or of what an order's input is to become.
pub(super) struct Referred {
    pub(super) secret: Secret,
    pub(super) placement: Placement,
}

impl Worker {
    /// Copies a payload under a new write id into `to`, verifies the copy, then has the row refer to it. What is
    /// left if this dies at any line is an orphan, or a deletion that is due.
    ///
    /// # Errors
    /// `NotSupported`, `TooLarge` if `to` doesn't keep such a payload; `Corrupt` if it can't be read; `Unavailable`.
    /// The row refers to what it did before.
    pub(super) async fn move_payload(&self, place: &Place, to: &Arc<dyn SecretStore>) -> Result<Moved, Failure> {
        let Some(found) = self.referred(place).await? else { return Ok(Moved::Gone) };
        check_supported(to.as_ref(), found.secret.secret_type, 0)?;
        let Some(bytes) = self.read_referred(&found).await? else { return Ok(Moved::Gone) };
        let placed = self.place_checked(to, &found.secret, &bytes).await?;
        let replaced = self.verify_and_replace(&found, &bytes, &placed).await;
        if matches!(replaced, Ok(true)) {
            self.destroy_placed(place, &found.placement).await;
            return Ok(Moved::Yes);
        }
        self.take_back(&placed).await;
        replaced.map(|_| Moved::Gone)
    }

    /// Whatever refers to these bytes.
    pub(super) async fn referred(&self, place: &Place) -> Result<Option<Referred>, Failure> {
        let reader = self.db.reader();
        if let Some(row) = target::find_secret(reader, place.secret).await?
            && let Some(placement) = row.placement.filter(|placement| placement.write == place.write)
        {
            return Ok(Some(Referred { secret: row.secret, placement }));
        }
        let Some((id, placement)) = order::find_input_at(reader, place).await? else { return Ok(None) };
        let Some(order) = order::find(reader, &place.project, id).await? else { return Ok(None) };
        let template = Template::read(&order.meta)?;
        let secret = template.secret(&order, place.secret, SecretType::Passphrase, order.created_at);
        Ok(Some(Referred { secret, placement }))
    }

    /// The payload itself, past all caches; `None` if nothing refers to it any more.
    pub(super) async fn read_referred(&self, found: &Referred) -> Result<Option<SecretBytes>, Failure> {
        let Referred { secret, placement } = found;
        let failure = match self.read_placed(&secret.project, secret.id, placement, true).await {
            Ok(Some(bytes)) => return Ok(Some(bytes)),
            Ok(None) => Failure::new(FailureKind::Corrupt, "the bytes are gone"),
            Err(failure) => failure,
        };
        // Deleted meanwhile, it may be gone half or in full.
        let is_corrupt = failure.kind == FailureKind::Corrupt;
        if is_corrupt && self.referred(&place_of(secret, placement.write)).await?.is_none() {
            return Ok(None);
        }
        Err(failure)
    }

    /// False if the row doesn't refer to the original any more.
    async fn verify_and_replace(
        &self,
        found: &Referred,
        bytes: &SecretBytes,
        placed: &Placed,
    ) -> Result<bool, Failure> {
        let (project, id) = (found.secret.project.clone(), found.secret.id);
        // Whoever was paused for long may have had it swept.
        let swept = || Failure::unavailable("The copy is gone again");
        let copy = self.read_placed(&project, id, &placed.placement, true).await?.ok_or_else(swept)?;
        if copy.expose() != bytes.expose() {
            return Err(Failure::new(FailureKind::Corrupt, "the copy differs from its original and is discarded"));
        }
        let (write, placement) = (found.placement.write, placed.placement.clone());
        let replace = self.db.write(move |tx| {
            let (project, placement) = (project.clone(), placement.clone());
            Box::pin(async move { secret::replace(tx, &project, id, write, &placement).await })
        });
        Ok(replace.await?)
    }
}

fn place_of(secret: &Secret, write: WriteId) -> Place {
    Place { project: secret.project.clone(), secret: secret.id, write }
}
