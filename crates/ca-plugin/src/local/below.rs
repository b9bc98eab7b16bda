//! CAs below a local one: each has keys of its own beside its parent's, and issues what its parent grants.

use std::sync::Arc;

use async_trait::async_trait;
use bailey_core::ca::{
    CaError, CaErrorKind, CertificateAuthority, Generation, NewSubAuthority, Revocation, RevocationReason,
    SubAuthorities, SubAuthority,
};
use bailey_core::ids::CaId;

use super::{LocalCa, NewAuthority};

impl LocalCa {
    fn below(&self, id: CaId, name: &str) -> Self {
        let descriptor = bailey_core::ca::CaDescriptor { id, name: name.to_owned(), ..self.descriptor.clone() };
        let (config, profiles, parts) = (self.config.clone(), self.profiles.clone(), self.parts.clone());
        Self { descriptor, config, profiles, parts, prefix: format!("{id}/"), known: Default::default() }
    }

    /// Revokes the certificate of a CA below.
    async fn end(&self, below: &Generation) -> Result<(), CaError> {
        let certificate = below.chain.first().cloned().unwrap_or_default();
        let revocation = Revocation { certificate, reason: RevocationReason::CessationOfOperation };
        match self.revoke(&revocation).await {
            // Whose list would tell of it is gone: that is no reason to keep the key.
            Err(error) if error.kind == CaErrorKind::NotFound => Ok(()),
            revoked => revoked.map(drop),
        }
    }
}

#[async_trait]
impl SubAuthorities for LocalCa {
    async fn create(&self, new: &NewSubAuthority) -> Result<SubAuthority, CaError> {
        let refused = |what: String| CaError::new(CaErrorKind::Unsupported, "make CA", what);
        let authority = NewAuthority {
            subject: new.subject.parse().map_err(|error| refused(format!("{}: {error}", new.subject)))?,
            key_type: self.config.key_type,
            path_length: 0,
            valid_days: self.config.valid_days,
            begins_at: new.requested_at,
        };
        let below = self.below(new.id, &new.name);
        below.init(&authority, Some(self)).await?;
        Ok(SubAuthority { chain: below.chain().await? })
    }

    fn open(&self, id: CaId, name: &str) -> Arc<dyn CertificateAuthority> {
        Arc::new(self.below(id, name))
    }

    async fn delete(&self, id: CaId) -> Result<(), CaError> {
        let below = self.below(id, "");
        let generations = self.parts.ledger.generations(id).await?;
        // While it is known what to revoke: nobody tells any more what the CA below has revoked once its key is gone.
        for generation in &generations {
            self.end(generation).await?;
        }
        for generation in generations {
            self.parts.signing.destroy(&below.key_name(generation.number)).await?;
        }
        self.parts.keys.forget(&below.serials_name()).await?;
        self.parts.ledger.forget(id).await
    }
}
