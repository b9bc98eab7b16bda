//! Payloads that are wrapped to a store's transport key, and the offer of one.

use std::sync::Arc;

use bailey_core::failure::{Failure, Violation};
use bailey_core::ids::{ProjectId, SecretId, StoreId, TransportKeyId};
use bailey_core::secret::{Payload, Secret, SentPayload};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::ContentType;
use bailey_core::store::SecretStore;
use bailey_core::transport_key::{Origin, SESSION_KEY, TransportKey, WrappedPayload, WrappedSessionKey};
use bailey_db::transport_key;

use super::placement::Placed;
use crate::Worker;
use crate::transport::{self, KeyPair};

/// The bytes of a payload as they are to be kept, and the store that its transport key belongs to, if it came wrapped.
pub(crate) struct Received {
    bytes: SecretBytes,
    store: Option<Arc<dyn SecretStore>>,
}

impl Worker {
    /// Unwraps what a client sent to be kept in a project.
    ///
    /// # Errors
    /// `Invalid` for an unknown transport key, one of a store where the project's payloads may not go, or what isn't
    /// wrapped to it; `Unavailable`.
    pub(crate) async fn receive(&self, project: &ProjectId, sent: SentPayload) -> Result<Received, Failure> {
        let WrappedPayload { key, content_type, bytes } = match sent {
            SentPayload::Plain(payload) => return Ok(Received { bytes: payload.bytes, store: None }),
            SentPayload::Wrapped(wrapped) => wrapped,
        };
        let (pair, store) = self.key_pair(key).await?;
        if self.stores.assigned(project).is_some_and(|assigned| assigned.descriptor().id != store.descriptor().id) {
            return Err(invalid("transport_key_id", "is of another secret store than the project's"));
        }
        let bytes = pair
            .unwrap_payload(project, bytes.expose())
            .map_err(|_| invalid("payload", "is not wrapped to this transport key for this project"))?;
        if content_type == ContentType::TextPlain && std::str::from_utf8(bytes.expose()).is_err() {
            return Err(invalid("payload", "is not valid UTF-8 once it is unwrapped"));
        }
        Ok(Received { bytes, store: Some(store) })
    }

    /// As [`place`](Self::place); the store of the transport key goes before the one that the project prefers.
    pub(crate) async fn place_received(&self, secret: &Secret, received: &Received) -> Result<Placed, Failure> {
        match &received.store {
            Some(store) => self.place_checked(store, secret, &received.bytes).await,
            None => self.place(secret, &received.bytes).await,
        }
    }

    /// Unwraps the session key for a secret's payload.
    ///
    /// # Errors
    /// As [`receive`](Self::receive).
    pub(crate) async fn session_key(
        &self,
        secret: SecretId,
        wrapped: &WrappedSessionKey,
    ) -> Result<SecretBytes, Failure> {
        let (pair, _) = self.key_pair(wrapped.key).await?;
        let key = pair.unwrap_session_key(secret, &wrapped.bytes);
        key.ok()
            .filter(|key| key.len() == SESSION_KEY)
            .ok_or_else(|| Failure::invalid("The session key is not wrapped to this transport key for this secret"))
    }

    async fn key_pair(&self, id: TransportKeyId) -> Result<(KeyPair, Arc<dyn SecretStore>), Failure> {
        let found = transport_key::find(self.db.reader(), id).await?;
        let found = found.ok_or_else(|| invalid("transport_key_id", "there is no such transport key"))?;
        let not_ours = || invalid("transport_key_id", "no configured secret store can unwrap what is wrapped to it");
        let origin = found.origin.ok_or_else(not_ours)?;
        let store = self.stores.get(origin.store).map_err(|_| not_ours())?;
        Ok((KeyPair::derive(&self.sealer, id, origin)?, Arc::clone(store)))
    }

    /// The transport key of a store, made if there is none under the active version of the worker key.
    ///
    /// # Errors
    /// `Unavailable`.
    pub(crate) async fn transport_key_of(&self, store: &dyn SecretStore) -> Result<TransportKeyId, Failure> {
        let worker_key = self.sealer.active().await?;
        let (origin, name) = (Origin { store: store.descriptor().id, worker_key }, &store.descriptor().name);
        if let Some(known) = transport_key::find_of(self.db.reader(), origin).await? {
            if known.plugin_name != *name {
                self.rename_transport_keys(origin.store, name.clone()).await?;
            }
            return Ok(known.id);
        }
        let (id, now) = (TransportKeyId::new(), self.clock.now());
        let key = TransportKey {
            id,
            plugin_name: name.clone(),
            text: KeyPair::derive(&self.sealer, id, origin)?.public_pem(),
            origin: Some(origin),
            created_at: now,
            updated_at: now,
        };
        let inserted = self.db.write(move |tx| {
            let key = key.clone();
            Box::pin(async move {
                transport_key::insert(tx, &key).await?;
                transport_key::find_of(tx, origin).await
            })
        });
        let inserted: Option<TransportKey> = inserted.await?;
        inserted.map(|key| key.id).ok_or_else(|| Failure::unavailable("The transport key is being replaced"))
    }

    async fn rename_transport_keys(&self, store: StoreId, name: String) -> Result<(), Failure> {
        let renamed = self.db.write(move |tx| {
            let name = name.clone();
            Box::pin(async move { transport_key::rename(tx, store, &name).await })
        });
        Ok(renamed.await?)
    }
}

/// A payload under the session key that the client sent for it: bytes, whatever they were.
pub(crate) fn encrypted(key: &SecretBytes, secret: SecretId, payload: &SecretBytes) -> Result<Payload, Failure> {
    Ok(Payload { content_type: ContentType::OctetStream, bytes: transport::encrypt(key, secret, payload)? })
}

fn invalid(property: &str, reason: &str) -> Failure {
    Failure::schema("Secret", vec![Violation { property: Some(property.to_owned()), reason: reason.to_owned() }])
}
