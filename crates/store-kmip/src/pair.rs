//! Key pairs that the server draws.

use async_trait::async_trait;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::Spec;
use bailey_core::store::{Halves, KeyPairs, Place, StoreError, StoreErrorKind, StoreReference};

use crate::backend::{KmipStore, unsupported};
use crate::client::{Over, single};
use crate::error::{Fault, error};
use crate::marks::Marks;
use crate::message::{AfterFailure, Operation, Request, structure, tag};
use crate::object::{Kind, Outer, Shape, algorithm, is_rsa_pair};
use crate::placing::{Placed, Refused, key_attributes, usage_attribute};
use crate::reference::Reference;
use crate::seal::Salt;

/// What every server of KMIP that makes key pairs makes.
const LISTED: [(&str, i32); 3] = [("rsa", 2_048), ("rsa", 3_072), ("rsa", 4_096)];

impl KmipStore {
    async fn create_pair(&self, places: Halves<&Place>, bits: i32) -> Result<Halves<StoreReference>, Refused> {
        let marks = Halves {
            private: self.drawn(places.private, Kind::Private)?,
            public: self.drawn(places.public, Kind::Public)?,
        };
        let ids = self.make_pair(&marks, bits).await?;
        let settled = self.settle_pair(&ids, &marks, bits).await;
        if settled.is_err() {
            for (id, marks) in [(&ids.private, &marks.private), (&ids.public, &marks.public)] {
                // What is left is an orphan.
                let _ = self.take_back(id, marks).await;
            }
        }
        Ok(settled?)
    }

    fn drawn(&self, place: &Place, kind: Kind) -> Result<Marks, StoreError> {
        let shape = Shape { kind, outer: Outer::Drawn };
        Ok(Marks { store: self.owner.store, place: place.clone(), shape, salt: Salt::draw()?, code: None })
    }

    /// Asks for a pair; its identifiers. On a connection of its own, because nobody knows what became of a question on
    /// an old one that broke: what came of that would be two orphans.
    async fn make_pair(&self, marks: &Halves<Marks>, bits: i32) -> Result<Halves<String>, Refused> {
        let half = |tag, marks: &Marks| {
            let usage = usage_attribute(marks.shape.kind);
            structure(tag, marks.attributes(&self.owner).into_iter().chain(usage).collect())
        };
        let payload = vec![
            structure(tag::COMMON_TEMPLATE_ATTRIBUTE, key_attributes(algorithm::RSA, bits).into()),
            half(tag::PRIVATE_KEY_TEMPLATE_ATTRIBUTE, &marks.private),
            half(tag::PUBLIC_KEY_TEMPLATE_ATTRIBUTE, &marks.public),
        ];
        let operation = Operation::CreateKeyPair;
        let requests = vec![Request { operation, payload }];
        let message = self.client.message(requests, AfterFailure::Stop, self.client.limits()).await?;
        let failed = |fault: Fault| fault.into_error(operation.as_str());
        let outcomes = self.client.ask_once(&message, Over::Fresh).await;
        let mut fields = single(outcomes.map_err(|unanswered| failed(unanswered.fault))?, operation)?;
        Ok(Halves {
            private: fields.take_id_of(tag::PRIVATE_KEY_UNIQUE_IDENTIFIER).map_err(failed)?,
            public: fields.take_id_of(tag::PUBLIC_KEY_UNIQUE_IDENTIFIER).map_err(failed)?,
        })
    }

    async fn settle_pair(
        &self,
        ids: &Halves<String>,
        marks: &Halves<Marks>,
        bits: i32,
    ) -> Result<Halves<StoreReference>, StoreError> {
        let private = self.settle(ids.private.clone(), &marks.private).await?;
        let public = self.settle(ids.public.clone(), &marks.public).await?;
        if !is_rsa_pair(private.value.expose(), public.value.expose(), bits) {
            return Err(unfit("the server's keys are no pair of the size that was asked for"));
        }
        Ok(Halves { private: self.refer(private, &marks.private)?, public: self.refer(public, &marks.public)? })
    }

    fn refer(&self, placed: Placed, marks: &Marks) -> Result<StoreReference, StoreError> {
        let Marks { place, shape, salt, .. } = marks;
        let payload: Option<SecretBytes> = shape.payload(placed.value);
        let payload = payload.ok_or_else(|| unfit("the server's key has no PEM"))?;
        let code = salt.code(&self.owner, place, *shape, payload.expose());
        Ok(Reference { shape: *shape, write: place.write, code, id: placed.id }.to_store())
    }

    /// Destroys an object that was made with these marks, if it is there.
    async fn take_back(&self, id: &str, marks: &Marks) -> Result<(), StoreError> {
        let found = self.client.marks(&[id.to_owned()]).await?.pop().flatten();
        match found {
            Some(found) if found.0.as_ref() == Some(marks) => self.client.destroy(id).await,
            _ => Ok(()),
        }
    }
}

fn unfit(context: &str) -> StoreError {
    error(StoreErrorKind::Unavailable, "create key pair", context)
}

#[async_trait]
impl KeyPairs for KmipStore {
    fn listed(&self) -> &[(&'static str, i32)] {
        &LISTED
    }

    async fn generate_asymmetric(
        &self,
        places: Halves<&Place>,
        spec: &Spec,
    ) -> Result<Halves<StoreReference>, StoreError> {
        let algorithm = spec.algorithm.as_deref().unwrap_or_default();
        let asked =
            |&(listed, bits): &(&str, i32)| algorithm.eq_ignore_ascii_case(listed) && spec.bit_length == Some(bits);
        let Some((_, bits)) = LISTED.into_iter().find(asked) else {
            return Err(unsupported("create key pair", "a key pair that it doesn't list"));
        };
        match self.create_pair(places, bits).await {
            Err(Refused::Content(error)) => Err(StoreError { kind: StoreErrorKind::Unsupported, ..error }),
            made => made.map_err(Refused::into_error),
        }
    }
}
