//! The key that a certificate is for: the client's, one that is kept, or one that is made.

use bailey_core::certificate::{KeySource, Subject};
use bailey_core::container::SecretReference;
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{ContainerId, ProjectId, SecretId};
use bailey_core::order::OrderError;
use bailey_core::secret::Secret;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_db::order::{self, Input, Job};
use bailey_db::{container, target};

use super::csr;
use crate::Worker;
use crate::orders::attempt::Trouble;
use crate::orders::{PASSPHRASE, Template};

/// The name of the private key that is made for a certificate among its order's inputs.
pub(crate) const PRIVATE_KEY: &str = "private_key";
/// What a container calls the passphrase of its private key.
pub(crate) const PRIVATE_KEY_PASSPHRASE: &str = "private_key_passphrase";

/// A request, and what of its key belongs into the certificate's container.
pub(super) struct Certified {
    pub(super) csr: Vec<u8>,
    pub(super) references: Vec<SecretReference>,
    /// Inputs of the order that become secrets.
    pub(super) adopted: Vec<(&'static str, Secret)>,
    /// Secrets that have to be there still when the container is.
    pub(super) held: Vec<SecretId>,
}

impl Worker {
    /// The request that goes to the CA.
    pub(super) async fn certified(
        &self,
        job: &Job,
        template: &Template,
        key: &KeySource,
    ) -> Result<Certified, Trouble> {
        match key {
            KeySource::Request(csr) => {
                Ok(Certified { csr: csr.clone(), references: Vec::new(), adopted: Vec::new(), held: Vec::new() })
            }
            KeySource::Stored { container, subject } => self.stored(&job.order.project, *container, subject).await,
            KeySource::Made { spec, subject } => self.made(job, template, spec, subject).await,
        }
    }

    /// Signs with the private key in a container of the project's. That the order's creator may read it was asked
    /// when the order was taken.
    async fn stored(&self, project: &ProjectId, id: ContainerId, subject: &Subject) -> Result<Certified, Trouble> {
        let mut references = container::references(self.db.reader(), &[id]).await?;
        let mut references = references.remove(&id).unwrap_or_default();
        references.retain(|reference| matches!(reference.name.as_deref(), Some(PRIVATE_KEY | PRIVATE_KEY_PASSPHRASE)));
        let secret = |name: &str| {
            references.iter().find(|reference| reference.name.as_deref() == Some(name)).map(|found| found.secret)
        };
        let Some(private) = secret(PRIVATE_KEY) else { return Err(refused("The container has no private key")) };
        let private = self.payload(project, private).await?;
        let passphrase = match secret(PRIVATE_KEY_PASSPHRASE) {
            Some(passphrase) => Some(self.payload(project, passphrase).await?),
            None => None,
        };
        let csr = self.signed(subject, &private, passphrase.as_ref()).await?;
        let held = references.iter().map(|reference| reference.secret).collect();
        Ok(Certified { csr, references, adopted: Vec::new(), held })
    }

    /// The payload of a project's secret that is there.
    async fn payload(&self, project: &ProjectId, id: SecretId) -> Result<SecretBytes, Trouble> {
        const GONE: &str = "The private key of the container, or its passphrase, is gone";
        let now = self.clock.now();
        let found = target::find_secret(self.db.reader(), id).await?.filter(|found| {
            found.secret.project == *project && found.secret.expires_at.is_none_or(|expires_at| expires_at > now)
        });
        let Some(placement) = found.and_then(|found| found.placement) else { return Err(refused(GONE)) };
        let bytes = self.read_placed(project, id, &placement, false).await?;
        // A secret that is being moved has other bytes by the next attempt.
        Ok(bytes.ok_or_else(|| Failure::unavailable("A private key is on its way between two places"))?)
    }

    /// Signs with a key that is made in the first attempt and stays the same in all others.
    async fn made(&self, job: &Job, template: &Template, spec: &Spec, subject: &Subject) -> Result<Certified, Trouble> {
        let passphrase = self.passphrase(job).await?;
        let (id, private) = match self.input(job, PRIVATE_KEY).await? {
            Some(kept) => kept,
            None => self.make_key_pair(job, template, spec, passphrase.as_ref().map(|(_, text)| text)).await?,
        };
        let csr = self.signed(subject, &private, passphrase.as_ref().map(|(_, text)| text)).await?;
        let (order, now) = (&job.order, self.clock.now());
        let mut secret = template.secret(order, id, SecretType::Private, now);
        secret.spec = spec.clone();
        let mut references = vec![SecretReference { name: Some(PRIVATE_KEY.to_owned()), secret: id }];
        let mut adopted = vec![(PRIVATE_KEY, secret)];
        if let Some((id, _)) = passphrase {
            references.push(SecretReference { name: Some(PRIVATE_KEY_PASSPHRASE.to_owned()), secret: id });
            adopted.push((PASSPHRASE, template.secret(order, id, SecretType::Passphrase, now)));
        }
        Ok(Certified { csr, references, adopted, held: Vec::new() })
    }

    /// Makes a key pair and gives the private half to the order, before any CA hears of it.
    async fn make_key_pair(
        &self,
        job: &Job,
        template: &Template,
        spec: &Spec,
        passphrase: Option<&SecretBytes>,
    ) -> Result<(SecretId, SecretBytes), Trouble> {
        let plan = self.generator.asymmetric(spec)?;
        let pair = self.generator.key_pair(plan, passphrase).await?;
        let id = SecretId::new();
        let mut secret = template.secret(&job.order, id, SecretType::Private, self.clock.now());
        secret.spec = spec.clone();
        let placed = self.place(&secret, &pair.private).await?;
        let input = Input { secret: id, placement: placed.placement.clone() };
        let fence = job.fence(self.orders.holder);
        let kept = self.db.write(move |tx| {
            let (fence, input) = (fence.clone(), input.clone());
            Box::pin(async move { order::keep_input(tx, &fence, PRIVATE_KEY, &input).await })
        });
        if let Err(lost) = kept.await {
            self.take_back(&placed).await;
            return Err(lost.into());
        }
        Ok((id, pair.private))
    }
}

fn refused(reason: &str) -> Trouble {
    Trouble::Refused(OrderError { code: "400".to_owned(), reason: reason.to_owned() })
}

impl Worker {
    async fn signed(
        &self,
        subject: &Subject,
        private: &SecretBytes,
        passphrase: Option<&SecretBytes>,
    ) -> Result<Vec<u8>, Trouble> {
        let opened = match passphrase {
            Some(passphrase) => Some(self.generator.decrypted(private, passphrase).await?.map_err(refused)?),
            None => None,
        };
        csr::make(subject, opened.as_ref().unwrap_or(private).expose()).map_err(refused)
    }

    /// An input of an order that may not be there yet, and the secret it is to be.
    pub(in crate::orders) async fn input(
        &self,
        job: &Job,
        name: &'static str,
    ) -> Result<Option<(SecretId, SecretBytes)>, Trouble> {
        let (id, project) = (job.order.id, &job.order.project);
        let mut tried = None;
        loop {
            let Some(Input { secret, placement }) = order::find_input(self.db.reader(), project, id, name).await?
            else {
                return Ok(None);
            };
            if tried == Some(placement.write) {
                return Err(Failure::new(FailureKind::Corrupt, "the bytes of an order's input are gone").into());
            }
            if let Some(bytes) = self.read_placed(project, secret, &placement, false).await? {
                return Ok(Some((secret, bytes)));
            }
            // They were moved, and the row tells where to.
            tried = Some(placement.write);
        }
    }
}
