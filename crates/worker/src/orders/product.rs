//! What an order makes: placed first, then there at once.

use std::sync::Arc;

use bailey_core::container::{Container, ContainerType, SecretReference};
use bailey_core::ids::{ContainerId, SecretId};
use bailey_core::order::OrderType;
use bailey_core::secret::Secret;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::Halves;
use bailey_db::order::{self, Fence, Job, Made};
use bailey_db::renewal::{self, Renewal};
use bailey_db::{Placement, Tx, consumer, container, secret};
use chrono::{DateTime, Utc};

use super::attempt::{Lease, Trouble};
use super::certificate::{CERTIFICATE, INTERMEDIATES, refused};
use super::renewal::renewed_no_more;
use super::{PASSPHRASE, Template};
use crate::Worker;
use crate::generate::KeyPairPlan;
use crate::notices::Renewed;
use crate::usecase::placement::Placed;

/// All that the last transaction of an order inserts.
#[derive(Clone, Default)]
pub(super) struct Product {
    /// Secrets whose payloads were placed for this.
    pub(super) secrets: Vec<(Secret, Placement)>,
    /// Secrets that inputs of the order become the payloads of, by the inputs' names.
    pub(super) adopted: Vec<(&'static str, Secret)>,
    /// Secrets of before that the container refers to.
    pub(super) held: Vec<SecretId>,
    pub(super) container: Option<Container>,
    /// What takes the place of the certificate in a container that is there.
    pub(super) renewed: Option<(ContainerId, Vec<SecretReference>)>,
    /// When the certificate is to be renewed, if it is.
    pub(super) renewal: Option<Renewal>,
    /// What is told of a renewed certificate, if anything is.
    pub(super) notice: Option<Renewed>,
}

/// What a renewed certificate brings, and takes the place of.
const RENEWED: [&str; 2] = [CERTIFICATE, INTERMEDIATES];

impl Product {
    /// Inserts it and ends the order, in a transaction.
    async fn insert(&self, tx: &Tx, fence: &Fence, now: DateTime<Utc>) -> Result<(), Trouble> {
        // First, because whoever has lost the lease need not wait for anything else.
        order::finish(tx, fence, self.made(), now).await?;
        for (made, placement) in &self.secrets {
            secret::insert(tx, made, Some(placement)).await?;
        }
        for (name, adopted) in &self.adopted {
            order::adopt_input(tx, fence, name, adopted).await?;
        }
        if !secret::hold(tx, &fence.project, &self.held, now).await? {
            return Err(refused("The private key, or its passphrase, is gone"));
        }
        if let Some(made) = &self.container {
            container::insert(tx, made).await?;
        }
        match (&self.renewed, &self.renewal) {
            (Some((id, references)), next) => {
                let is_there = container::renew(tx, &fence.project, *id, &RENEWED, references, now).await?;
                let is_wanted = match next {
                    Some(next) => renewal::update(tx, next, fence.order).await?,
                    // This was the last one.
                    None => renewal::finish(tx, &fence.project, *id, fence.order).await?,
                };
                if !(is_there && is_wanted) {
                    return Err(renewed_no_more());
                }
            }
            (None, Some(first)) => renewal::insert(tx, first).await?,
            (None, None) => {}
        }
        if let Some(notice) = &self.notice {
            let consumers = consumer::of_containers(tx, &[notice.container]).await?;
            let consumers = consumers.get(&notice.container).map_or(&[][..], Vec::as_slice);
            notice.note(tx, consumers, now).await?;
        }
        Ok(())
    }

    fn made(&self) -> Made {
        let made = self.container.as_ref().map(|container| (container.id, &container.secrets));
        let renewed = self.renewed.as_ref().map(|(id, references)| (*id, references));
        let Some((id, references)) = made.or(renewed) else {
            return Made { secret: self.secrets.first().map(|(secret, _)| secret.id), ..Made::default() };
        };
        let certificate = references.iter().find(|reference| reference.name.as_deref() == Some(CERTIFICATE));
        Made { secret: None, container: Some(id), issued: certificate.map(|reference| reference.secret) }
    }
}

impl Worker {
    /// Makes what an order asks for and places it. `placed` has what was placed, also after a failure.
    pub(super) async fn make(&self, job: &Job, lease: &Lease, placed: &mut Vec<Placed>) -> Result<Product, Trouble> {
        let template = Template::read(&job.order.meta)?;
        match job.order.order_type {
            OrderType::Key => self.make_key(job, &template, lease, placed).await,
            OrderType::Asymmetric => self.make_pair(job, &template, lease, placed).await,
            OrderType::Certificate => self.make_certificate(job, &template, lease, placed).await,
        }
    }

    async fn make_key(
        &self,
        job: &Job,
        template: &Template,
        lease: &Lease,
        placed: &mut Vec<Placed>,
    ) -> Result<Product, Trouble> {
        let spec = self.generator.symmetric(&template.spec)?;
        let store = self.store_of(&job.order.project).await?;
        let secret = template.secret(&job.order, SecretId::new(), SecretType::Symmetric, self.clock.now());
        lease.check()?;
        let key = self.generate_in(store, &secret, &spec).await?;
        let secrets = vec![(secret, key.placement.clone())];
        placed.push(key);
        Ok(Product { secrets, ..Product::default() })
    }

    async fn make_pair(
        &self,
        job: &Job,
        template: &Template,
        lease: &Lease,
        placed: &mut Vec<Placed>,
    ) -> Result<Product, Trouble> {
        let plan = self.generator.asymmetric(&template.spec)?;
        let input = self.passphrase(job).await?;
        let (order, now) = (&job.order, self.clock.now());
        let half = |secret_type| template.secret(order, SecretId::new(), secret_type, now);
        let halves = Halves { private: half(SecretType::Private), public: half(SecretType::Public) };
        let passphrase = input.as_ref().map(|(_, passphrase)| passphrase);
        self.place_pair(plan, &halves, passphrase, lease, placed).await?;
        let placements = placed.iter().map(|placed| placed.placement.clone());
        let secrets: Vec<_> = [halves.private, halves.public].into_iter().zip(placements).collect();

        let passphrase = input.map(|(id, _)| template.secret(order, id, SecretType::Passphrase, now));
        let named = [("private_key", secrets.first()), ("public_key", secrets.get(1))];
        let made = named.into_iter().filter_map(|(name, secret)| Some((name, secret?.0.id)));
        let given = passphrase.iter().map(|secret| ("private_key_passphrase", secret.id));
        let container = Container {
            id: ContainerId::new(),
            project: order.project.clone(),
            creator: order.creator.clone(),
            name: template.name.clone(),
            container_type: container_type(plan.algorithm()),
            created_at: now,
            updated_at: now,
            secrets: made
                .chain(given)
                .map(|(name, secret)| SecretReference { name: Some(name.to_owned()), secret })
                .collect(),
            consumers: Vec::new(),
        };
        let adopted = passphrase.into_iter().map(|secret| (PASSPHRASE, secret)).collect();
        Ok(Product { secrets, adopted, container: Some(container), ..Product::default() })
    }

    /// Makes a key pair and places its private half, then its public one: in the store, if that makes such pairs, else
    /// here. No store makes one that a passphrase encrypts.
    async fn place_pair(
        &self,
        plan: KeyPairPlan,
        halves: &Halves<Secret>,
        passphrase: Option<&SecretBytes>,
        lease: &Lease,
        placed: &mut Vec<Placed>,
    ) -> Result<(), Trouble> {
        if passphrase.is_none() {
            let store = self.store_of(&halves.private.project).await?;
            let bit_length = halves.private.spec.bit_length;
            let spec = Spec { algorithm: Some(plan.algorithm().to_owned()), bit_length, mode: None };
            lease.check()?;
            if let Some(Halves { private, public }) = self.generate_pair_in(store, halves, &spec).await? {
                placed.extend([private, public]);
                return Ok(());
            }
        }
        let pair = self.generator.key_pair(plan, passphrase).await?;
        for (half, bytes) in [(&halves.private, pair.private), (&halves.public, pair.public)] {
            lease.check()?;
            placed.push(self.place(half, &bytes).await?);
        }
        Ok(())
    }

    /// The passphrase that a key pair was ordered with, and the secret it is to be.
    pub(super) async fn passphrase(&self, job: &Job) -> Result<Option<(SecretId, SecretBytes)>, Trouble> {
        if !job.has_passphrase() {
            return Ok(None);
        }
        // It goes with the order: who cancelled or deleted that took it along.
        self.input(job, PASSPHRASE).await?.ok_or(Trouble::Lost).map(Some)
    }

    /// Makes a product and its order's end visible together.
    pub(super) async fn finish(&self, product: Product, fence: &Fence) -> Result<(), Trouble> {
        let (product, fence, now) = (Arc::new(product), fence.clone(), self.clock.now());
        self.db
            .write(move |tx| {
                let (product, fence) = (Arc::clone(&product), fence.clone());
                Box::pin(async move { product.insert(tx, &fence, now).await })
            })
            .await
    }
}

/// Key pairs that Barbican doesn't make have no type of their own: python-barbicanclient fails on every list
/// with a type that it doesn't know.
fn container_type(algorithm: &str) -> ContainerType {
    algorithm.parse().unwrap_or(ContainerType::Generic)
}
