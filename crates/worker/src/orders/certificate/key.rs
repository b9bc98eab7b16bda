//! The key that a certificate is for: the client's, one that is kept, or one that is made.

use bailey_core::certificate::{KeySource, StoredKey, Subject};
use bailey_core::container::SecretReference;
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{ContainerId, ProjectId, SecretId};
use bailey_core::secret::Secret;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_db::order::{self, Input, Job};
use bailey_db::{container, target};

use super::{csr, refused};
use crate::Worker;
use crate::orders::attempt::Trouble;
use crate::orders::{PASSPHRASE, Template};

/// The name of the private key that is made for a certificate among its order's inputs.
pub(super) const PRIVATE_KEY: &str = "private_key";
/// What a container calls the passphrase of its private key.
const PRIVATE_KEY_PASSPHRASE: &str = "private_key_passphrase";

/// A request, and what of its key belongs into the certificate's container.
#[derive(Default)]
pub(super) struct Certified {
    pub(super) csr: Vec<u8>,
    pub(super) references: Vec<SecretReference>,
    /// The private key, where it was made just now and lies nowhere yet.
    pub(super) made: Option<(Secret, SecretBytes)>,
    /// Inputs of the order that become secrets.
    pub(super) adopted: Vec<(&'static str, Secret)>,
    /// Secrets that have to be there still when the container is.
    pub(super) held: Vec<SecretId>,
}

impl Certified {
    /// Has an input of the order become a secret, which the container knows under a name of its own.
    fn adopt(&mut self, name: &str, input: &'static str, secret: Secret) {
        self.references.push(SecretReference { name: Some(name.to_owned()), secret: secret.id });
        self.adopted.push((input, secret));
    }
}

/// The private key among what is in a container.
pub(crate) fn key_among(references: &[SecretReference]) -> Option<StoredKey> {
    let secret = |name| references.iter().find(|found| found.name.as_deref() == Some(name)).map(|found| found.secret);
    Some(StoredKey { private: secret(PRIVATE_KEY)?, passphrase: secret(PRIVATE_KEY_PASSPHRASE) })
}

impl Worker {
    /// The request that goes to a CA, which leaves traces or doesn't.
    pub(super) async fn certified(
        &self,
        job: &Job,
        template: &Template,
        key: &KeySource,
        leaves_traces: bool,
    ) -> Result<Certified, Trouble> {
        match key {
            KeySource::Request(csr) => Ok(Certified { csr: csr.clone(), ..Certified::default() }),
            KeySource::Stored { container, subject, key } => {
                let key = match key {
                    Some(key) => *key,
                    None => self.key_in(*container).await?,
                };
                self.stored(&job.order.project, key, subject).await
            }
            KeySource::Made { spec, subject } => self.made(job, template, (spec, subject), leaves_traces).await,
        }
    }

    /// Signs with a private key that is kept. That the order's creator may read it was asked when the order was taken.
    async fn stored(&self, project: &ProjectId, key: StoredKey, subject: &Subject) -> Result<Certified, Trouble> {
        let private = self.payload(project, key.private).await?;
        let passphrase = match key.passphrase {
            Some(passphrase) => Some(self.payload(project, passphrase).await?),
            None => None,
        };
        let csr = self.signed(subject, &private, passphrase.as_ref()).await?;
        let named = [(PRIVATE_KEY, Some(key.private)), (PRIVATE_KEY_PASSPHRASE, key.passphrase)];
        let references: Vec<_> = named
            .into_iter()
            .filter_map(|(name, secret)| Some(SecretReference { name: Some(name.to_owned()), secret: secret? }))
            .collect();
        let held = references.iter().map(|reference| reference.secret).collect();
        Ok(Certified { csr, references, held, ..Certified::default() })
    }

    /// The private key that is in a container now.
    async fn key_in(&self, id: ContainerId) -> Result<StoredKey, Trouble> {
        let references = container::references(self.db.reader(), &[id]).await?.remove(&id).unwrap_or_default();
        key_among(&references).ok_or_else(|| refused("The container has no private key"))
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

    /// Signs with a key that is made. Where the CA leaves traces it is made once, and kept among the order's inputs
    /// before the CA hears of it; else each attempt may make its own, and place it with its certificate.
    async fn made(
        &self,
        job: &Job,
        template: &Template,
        (spec, subject): (&Spec, &Subject),
        leaves_traces: bool,
    ) -> Result<Certified, Trouble> {
        let passphrase = self.passphrase(job).await?;
        let text = passphrase.as_ref().map(|(_, text)| text);
        let now = self.clock.now();
        let secret = |id, kind| template.secret(&job.order, id, kind, now);
        let private = |id| Secret { spec: spec.clone(), ..secret(id, SecretType::Private) };
        let mut certified = Certified::default();
        // Before the first attempt there is none to look for.
        let kept = if job.attempts > 1 { self.input(job, PRIVATE_KEY).await? } else { None };
        let (key, made) = if let Some((id, key)) = kept {
            certified.adopt(PRIVATE_KEY, PRIVATE_KEY, private(id));
            (key, None)
        } else {
            let plan = self.generator.asymmetric(spec)?;
            let (secret, key) = (private(SecretId::new()), self.generator.key_pair(plan, text).await?.private);
            if leaves_traces {
                self.keep_key(job, &secret, &key).await?;
                certified.adopt(PRIVATE_KEY, PRIVATE_KEY, secret);
                (key, None)
            } else {
                (key, Some(secret))
            }
        };
        certified.csr = self.signed(subject, &key, text).await?;
        certified.made = made.map(|secret| (secret, key));
        if let Some((id, _)) = passphrase {
            certified.adopt(PRIVATE_KEY_PASSPHRASE, PASSPHRASE, secret(id, SecretType::Passphrase));
        }
        Ok(certified)
    }

    /// Gives a private key to the order, before any CA hears of it.
    async fn keep_key(&self, job: &Job, secret: &Secret, key: &SecretBytes) -> Result<(), Trouble> {
        let placed = self.place(secret, key).await?;
        let input = Input { secret: secret.id, placement: placed.placement.clone() };
        let fence = job.fence(self.orders.holder);
        let kept = self.db.write(move |tx| {
            let (fence, input) = (fence.clone(), input.clone());
            Box::pin(async move { order::keep_input(tx, &fence, PRIVATE_KEY, &input).await })
        });
        if let Err(lost) = kept.await {
            self.take_back(&placed).await;
            return Err(lost.into());
        }
        Ok(())
    }

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
