//! CAs below one in memory.

use std::sync::Arc;

use async_trait::async_trait;
use bailey_core::ca::{
    CaDescriptor, CaError, CaErrorKind, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState,
    NewSubAuthority, Revocation, SubAuthorities, SubAuthority,
};
use bailey_core::ids::CaId;

use super::MemoryCa;

#[async_trait]
impl SubAuthorities for MemoryCa {
    async fn create(&self, new: &NewSubAuthority) -> Result<SubAuthority, CaError> {
        let known = self.authority.below.lock().unwrap().get(&new.id).cloned();
        let authority = match known {
            Some(known) => known,
            None => {
                let failed = |error| CaError::new(CaErrorKind::Internal, "make CA", format!("{error:#}"));
                let made = Arc::new(self.authority.make_below(new).map_err(failed)?);
                self.authority.below.lock().unwrap().entry(new.id).or_insert(made).clone()
            }
        };
        Ok(SubAuthority { chain: authority.chain() })
    }

    fn open(&self, id: CaId, name: &str) -> Arc<dyn CertificateAuthority> {
        match self.authority.below.lock().unwrap().get(&id) {
            Some(authority) => Arc::new(Self::named(Arc::clone(authority), self.steps, name)),
            None => Arc::new(Gone(CaDescriptor { id, name: name.to_owned(), ..self.descriptor.clone() })),
        }
    }

    async fn delete(&self, id: CaId) -> Result<(), CaError> {
        self.authority.below.lock().unwrap().remove(&id);
        Ok(())
    }
}

/// A CA below another that was deleted.
struct Gone(CaDescriptor);

fn gone() -> CaError {
    CaError::new(CaErrorKind::NotFound, "open CA", "it was deleted")
}

#[async_trait]
impl CertificateAuthority for Gone {
    fn descriptor(&self) -> &CaDescriptor {
        &self.0
    }

    async fn issue(&self, _: &IssuanceRequest) -> Result<Issuance, CaError> {
        Err(gone())
    }

    async fn poll(&self, _: &IssuanceRequest, _: &IssuanceState) -> Result<Issuance, CaError> {
        Err(gone())
    }

    async fn revoke(&self, _: &Revocation) -> Result<bool, CaError> {
        Err(gone())
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        Err(gone())
    }

    async fn health(&self) -> Result<(), CaError> {
        Err(gone())
    }
}
