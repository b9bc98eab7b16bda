//! The configured certificate authorities.

use std::sync::Arc;

use bailey_core::ca::CertificateAuthority;
use bailey_core::failure::Failure;
use bailey_core::ids::CaId;

/// The certificate authorities of this process, in the order of the configuration; perhaps none.
#[derive(Default)]
pub struct Authorities(Vec<Arc<dyn CertificateAuthority>>);

impl Authorities {
    /// These.
    #[must_use]
    pub fn new(authorities: impl IntoIterator<Item = Arc<dyn CertificateAuthority>>) -> Self {
        Self(authorities.into_iter().collect())
    }

    /// Whether there are none: then certificates are nothing that anybody offers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The one with this id, if it is configured.
    #[must_use]
    pub fn find(&self, id: CaId) -> Option<&Arc<dyn CertificateAuthority>> {
        self.0.iter().find(|authority| authority.descriptor().id == id)
    }

    /// The one that was recorded with an order.
    ///
    /// # Errors
    /// `Unavailable` when it isn't configured any more: its orders are not lost, only waiting.
    pub fn get(&self, id: CaId) -> Result<&Arc<dyn CertificateAuthority>, Failure> {
        let missing =
            || Failure::unavailable("The certificate authority is not configured").with_detail(id.to_string());
        self.find(id).ok_or_else(missing)
    }

    /// The one to turn to where nobody said which: the only one, if there is only one.
    #[must_use]
    pub fn only(&self) -> Option<&Arc<dyn CertificateAuthority>> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// Every one.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn CertificateAuthority>> {
        self.0.iter()
    }
}
