//! The configured certificate authorities.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use bailey_core::ca::{CaOrigin, CertificateAuthority};
use bailey_core::certificate::CertificateOrder;
use bailey_core::failure::Failure;
use bailey_core::ids::{CaId, ProjectId};
use bailey_db::ca;

use crate::published::Published;
use crate::{CertificateOffer, Worker};

/// The certificate authorities of this process, in the order of the configuration; perhaps none.
pub struct Authorities {
    all: Vec<Arc<dyn CertificateAuthority>>,
    /// How many hours before they end certificates are renewed whose orders don't say; for CAs where that is said.
    renew_before_hours: HashMap<CaId, u32>,
    /// Whom alone they serve; for CAs that don't serve everybody.
    kept_to: HashMap<CaId, HashSet<ProjectId>>,
    pub(crate) published: Published,
}

impl Default for Authorities {
    fn default() -> Self {
        Self::new([])
    }
}

impl Authorities {
    /// These.
    #[must_use]
    pub fn new(authorities: impl IntoIterator<Item = Arc<dyn CertificateAuthority>>) -> Self {
        let all = authorities.into_iter().collect();
        Self { all, renew_before_hours: HashMap::new(), kept_to: HashMap::new(), published: Published::default() }
    }

    /// With certificates of one of them, and of those below it, renewed so many hours before they end where their
    /// orders don't say.
    #[must_use]
    pub fn renewed(mut self, ca: CaId, before_hours: u32) -> Self {
        self.renew_before_hours.insert(ca, before_hours);
        self
    }

    /// With one of them, and those below it, serving these projects alone; without any, everybody.
    #[must_use]
    pub fn kept_to(mut self, ca: CaId, projects: impl IntoIterator<Item = ProjectId>) -> Self {
        let projects: HashSet<_> = projects.into_iter().collect();
        if !projects.is_empty() {
            self.kept_to.insert(ca, projects);
        }
        self
    }

    /// Whether a project may have certificates of a configured CA.
    #[must_use]
    pub fn serves(&self, ca: CaId, project: &ProjectId) -> bool {
        self.find(ca).is_some() && self.kept_to.get(&ca).is_none_or(|projects| projects.contains(project))
    }

    /// Whether there are none: then certificates are nothing that anybody offers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// The one with this id, if it is configured.
    #[must_use]
    pub fn find(&self, id: CaId) -> Option<&Arc<dyn CertificateAuthority>> {
        self.all.iter().find(|authority| authority.descriptor().id == id)
    }

    /// The one to turn to where nobody said which: the only one that issues to a project's orders, if there is only one.
    #[must_use]
    pub fn only(&self, project: &ProjectId) -> Option<&Arc<dyn CertificateAuthority>> {
        let mut issuing = self.all.iter().filter(|authority| {
            let told = authority.descriptor();
            !told.profiles.is_empty() && self.serves(told.id, project)
        });
        issuing.next().filter(|_| issuing.next().is_none())
    }

    /// Every one.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn CertificateAuthority>> {
        self.all.iter()
    }
}

/// A CA as what issues.
pub(crate) struct Reached {
    pub(crate) authority: Arc<dyn CertificateAuthority>,
    /// Whether it may issue to the project; it may have before.
    pub(crate) is_served: bool,
    renew_before_hours: u32,
}

impl Reached {
    /// How many hours before it ends a certificate is renewed, if it is.
    pub(crate) fn renew_before(&self, ordered: &CertificateOrder) -> Option<u32> {
        Some(ordered.renew_before_hours.unwrap_or(self.renew_before_hours)).filter(|hours| *hours > 0)
    }
}

impl Worker {
    /// Whether certificates are offered: there is a CA, and nobody has switched them off.
    pub(crate) fn offers_certificates(&self) -> bool {
        self.api.certificates != CertificateOffer::Off && !self.authorities.is_empty()
    }

    /// A CA that may issue to the project: a configured one that serves it, or one that the project has below such.
    ///
    /// # Errors
    /// As [`authority`](Self::authority).
    pub(crate) async fn serving(
        &self,
        project: &ProjectId,
        id: CaId,
    ) -> Result<Option<Arc<dyn CertificateAuthority>>, Failure> {
        let reached = self.reach(project, id).await?.filter(|reached| reached.is_served);
        Ok(reached.map(|reached| reached.authority))
    }

    /// A CA whomever it serves: a configured one, or one that the project has below another; `None` if it is gone.
    ///
    /// # Errors
    /// `Unavailable`, also when it isn't configured any more: its orders are not lost, only waiting.
    pub(crate) async fn authority(
        &self,
        project: &ProjectId,
        id: CaId,
    ) -> Result<Option<Arc<dyn CertificateAuthority>>, Failure> {
        Ok(self.reach(project, id).await?.map(|reached| reached.authority))
    }

    /// A CA with what the one that is configured above it, if it isn't itself, says of renewals.
    ///
    /// # Errors
    /// As [`authority`](Self::authority).
    pub(crate) async fn reach(&self, project: &ProjectId, id: CaId) -> Result<Option<Reached>, Failure> {
        let missing =
            || Failure::unavailable("The certificate authority is not configured").with_detail(id.to_string());
        let mut path = Vec::new();
        let mut next = id;
        let mut authority = loop {
            if let Some(configured) = self.authorities.find(next) {
                break Arc::clone(configured);
            }
            let place = self.authorities.published.place(next);
            let Some(found) = ca::find(self.db.reader(), project, next).await? else { return Ok(None) };
            let CaOrigin::Project { parent, .. } = found.origin else { return Err(missing()) };
            path.push((place, found.id, found.name));
            next = parent;
        };
        for (place, id, name) in path.into_iter().rev() {
            let above = authority.sub_authorities().ok_or_else(missing)?;
            let below = self.authorities.published.open(place, || above.open(id, &name));
            authority = below;
        }
        let renew_before_hours = self.authorities.renew_before_hours.get(&next).copied().unwrap_or_default();
        let is_served = self.authorities.serves(next, project);
        Ok(Some(Reached { authority, is_served, renew_before_hours }))
    }
}
