//! The CA's own certificates, as EJBCA tells them.

use std::sync::{Arc, Mutex, PoisonError};

use bailey_core::ca::{CaError, CaErrorKind};

use super::client::Client;
use super::request::{certificate, is_issued_by};

/// A CA with what leads to its root.
pub(super) struct Authority {
    /// Its subject as EJBCA writes it, which paths name it by.
    pub(super) subject_dn: String,
    /// Its certificate, then its issuer's, up to the root; DER.
    pub(super) chain: Vec<Vec<u8>>,
}

impl Authority {
    /// Asks EJBCA.
    pub(super) async fn fetch(client: &Client, name: &str) -> Result<Self, CaError> {
        const OPERATION: &str = "fetch chain";
        let listed = client.authorities().await.map_err(|trouble| trouble.during(OPERATION))?;
        let own = listed.into_iter().find(|listed| listed.name == name).ok_or_else(|| {
            CaError::new(CaErrorKind::Internal, OPERATION, format!("EJBCA shows Bailey no CA named {name}"))
        })?;
        let chain = client.chain(&own.subject_dn).await.map_err(|trouble| trouble.during(OPERATION))?;
        if !is_chain(&chain) {
            return Err(CaError::new(CaErrorKind::Corrupt, OPERATION, "one of its certificates is not the next one's"));
        }
        Ok(Self { subject_dn: own.subject_dn, chain })
    }

    /// Whether it issued a certificate.
    pub(super) fn has_issued(&self, der: &[u8]) -> bool {
        let own = self.chain.first().and_then(|own| certificate(own));
        certificate(der).zip(own).is_some_and(|(issued, own)| is_issued_by(&issued, &own))
    }

    /// Its certificates without the root.
    pub(super) fn intermediates(&self) -> Vec<Vec<u8>> {
        let is_root = |der: &Vec<u8>| certificate(der).is_some_and(|read| read.issuer() == read.subject());
        self.chain.iter().filter(|der| !is_root(der)).cloned().collect()
    }
}

/// Whether there is a certificate, and each is issued by the next.
fn is_chain(chain: &[Vec<u8>]) -> bool {
    let mut links = chain.iter().zip(chain.iter().skip(1));
    let is_link = |(one, next): (&Vec<u8>, &Vec<u8>)| {
        certificate(one).zip(certificate(next)).is_some_and(|(one, next)| is_issued_by(&one, &next))
    };
    chain.first().is_some_and(|own| certificate(own).is_some()) && links.all(is_link)
}

/// What was fetched last.
#[derive(Default)]
pub(super) struct Known(Mutex<Option<Arc<Authority>>>);

impl Known {
    /// What is known already, or else what EJBCA says.
    pub(super) async fn get(&self, client: &Client, name: &str) -> Result<Arc<Authority>, CaError> {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        match known {
            Some(known) => Ok(known),
            None => self.fetch(client, name).await,
        }
    }

    /// What EJBCA says now.
    pub(super) async fn fetch(&self, client: &Client, name: &str) -> Result<Arc<Authority>, CaError> {
        let fetched = Arc::new(Authority::fetch(client, name).await?);
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&fetched));
        Ok(fetched)
    }
}
