//! Certificates: the key and the request first, then the CA step by step, each kept before the next.

mod csr;
mod key;

use std::time::Duration;

use bailey_core::ca::{CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, Issued, Pending};
use bailey_core::certificate::CertificateOrder;
use bailey_core::container::{Container, ContainerType, SecretReference};
use bailey_core::failure::Failure;
use bailey_core::ids::{ContainerId, SecretId};
use bailey_core::order::OrderError;
use bailey_core::secret::Secret;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_db::order::{self, Job};
use futures_util::future::join_all;

use super::Template;
use super::attempt::{Lease, Trouble, shorten};
use super::product::Product;
use super::renewal::{KEPT, next_order, validity};
use crate::Worker;
use crate::error::ca_failure;
use crate::pem;
use crate::usecase::placement::Placed;
use key::PRIVATE_KEY;

pub(crate) use csr::check as check_request;
pub(crate) use key::key_among;

/// What a container calls a certificate, and those between it and the root.
pub(crate) const CERTIFICATE: &str = "certificate";
pub(super) const INTERMEDIATES: &str = "intermediates";

/// Steps that a CA may take one after the other in one attempt; a plugin that never waits is a fault.
const STEPS: usize = 64;

/// What an order says, as it was written down when it was taken.
///
/// # Errors
/// `Internal` when it is nothing that was.
pub(crate) fn ordered(job: &Job) -> Result<CertificateOrder, Failure> {
    let unreadable = || Failure::internal("what a certificate order asks for can't be read");
    serde_json::from_str(job.certificate.as_deref().ok_or_else(unreadable)?).map_err(|_| unreadable())
}

/// A payload to be placed, and what its container calls it.
struct Part {
    name: &'static str,
    secret: Secret,
    payload: SecretBytes,
}

impl Worker {
    /// Has a certificate issued and places it. `placed` has what was placed, also after a failure.
    pub(super) async fn make_certificate(
        &self,
        job: &Job,
        template: &Template,
        lease: &Lease,
        placed: &mut Vec<Placed>,
    ) -> Result<Product, Trouble> {
        let ordered = ordered(job)?;
        let CertificateOrder { ca, profile, key, renews, .. } = ordered.clone();
        let ca = ca.ok_or_else(|| Failure::internal("a certificate order names no CA"))?;
        let reached = self.reach(&job.order.project, ca).await?.ok_or_else(gone)?;
        if !reached.is_served {
            return Err(refused("The certificate authority doesn't serve the project any more"));
        }
        let (ca, renew_before) = (&*reached.authority, reached.renew_before(&ordered));
        let certified = self.certified(job, template, &key, ca.descriptor().leaves_traces).await?;
        let replaces = match renews {
            Some(container) => self.replaced(&job.order, container).await?,
            None => None,
        };
        let request = IssuanceRequest {
            id: job.order.id.uuid().into(),
            project: job.order.project.clone(),
            profile,
            csr: certified.csr,
            requested_at: job.order.created_at,
            replaces,
        };
        let issued = self.have_issued(job, ca, &request, lease).await?;

        let mut parts = self.certificate_parts(job, template, &issued, renew_before.is_some())?;
        parts.extend(certified.made.map(|(secret, key)| Part { name: PRIVATE_KEY, secret, payload: key }));
        lease.check()?;
        let mut product = Product { adopted: certified.adopted, ..Product::default() };
        let mut references = self.place_parts(parts, &mut product, placed).await?;
        let key = key_among(&[&references[..], &certified.references].concat());
        product.held = certified.held;
        let container = match renews {
            Some(container) => {
                product.notice = self.notice_of(job, container, &issued.certificate, &references)?;
                product.renewed = Some((container, references));
                container
            }
            None => {
                references.extend(certified.references);
                let container = self.certificate_container(job, template, references);
                let id = container.id;
                product.container = Some(container);
                id
            }
        };
        if let Some(hours) = renew_before {
            let next = next_order(&ordered, container, key);
            product.renewal = self.next_renewal(job, &next, ca, (container, &issued.certificate), hours).await?;
        }
        Ok(product)
    }

    /// The payloads that a CA's answer is kept as.
    fn certificate_parts(
        &self,
        job: &Job,
        template: &Template,
        issued: &Issued,
        is_renewed: bool,
    ) -> Result<Vec<Part>, Trouble> {
        let now = self.clock.now();
        // The next one takes its place, and nobody would delete it.
        let expires_at = if is_renewed { Some(validity(&issued.certificate)?.1 + KEPT) } else { None };
        let part = |name, certificates: &[Vec<u8>]| {
            let mut secret = template.secret(&job.order, SecretId::new(), SecretType::Certificate, now);
            // What the order says of a key it doesn't say of the certificate.
            secret.spec = Spec::default();
            secret.expires_at = secret.expires_at.or(expires_at);
            Part { name, secret, payload: SecretBytes::new(pem::certificates(certificates).into_bytes()) }
        };
        let mut parts = vec![part(CERTIFICATE, std::slice::from_ref(&issued.certificate))];
        if !issued.intermediates.is_empty() {
            parts.push(part(INTERMEDIATES, &issued.intermediates));
        }
        Ok(parts)
    }

    /// Places payloads at once. `placed` has what was placed, also after a failure.
    async fn place_parts(
        &self,
        parts: Vec<Part>,
        product: &mut Product,
        placed: &mut Vec<Placed>,
    ) -> Result<Vec<SecretReference>, Trouble> {
        let (mut references, mut failure) = (Vec::new(), None);
        let all = join_all(parts.iter().map(|part| self.place(&part.secret, &part.payload))).await;
        for (Part { name, secret, .. }, result) in parts.into_iter().zip(all) {
            match result {
                Ok(part) => {
                    references.push(SecretReference { name: Some(name.to_owned()), secret: secret.id });
                    product.secrets.push((secret, part.placement.clone()));
                    placed.push(part);
                }
                Err(failed) => failure = Some(failed),
            }
        }
        failure.map_or(Ok(references), |failure| Err(failure.into()))
    }

    fn certificate_container(&self, job: &Job, template: &Template, secrets: Vec<SecretReference>) -> Container {
        let now = self.clock.now();
        Container {
            id: ContainerId::new(),
            project: job.order.project.clone(),
            creator: job.order.creator.clone(),
            name: template.name.clone(),
            container_type: ContainerType::Certificate,
            created_at: now,
            updated_at: now,
            secrets,
            consumers: Vec::new(),
        }
    }

    /// Goes on with the CA's work from where it stood, until there is a certificate or something to wait for.
    async fn have_issued(
        &self,
        job: &Job,
        ca: &dyn CertificateAuthority,
        request: &IssuanceRequest,
        lease: &Lease,
    ) -> Result<Issued, Trouble> {
        let mut state = job.issuance_state.clone().map(IssuanceState);
        for _ in 0..STEPS {
            lease.check()?;
            let outcome = match &state {
                None => ca.issue(request).await,
                Some(state) => ca.poll(request, state).await,
            };
            match outcome.map_err(|error| ca_failure(&error))? {
                Issuance::Issued(issued) => return Ok(issued),
                Issuance::Rejected(rejection) => {
                    let reason = shorten(format!("The certificate authority refused: {}", rejection.reason));
                    return Err(Trouble::Refused(OrderError { code: "400".to_owned(), reason }));
                }
                Issuance::Pending(pending) if pending.state.0.len() > IssuanceState::LONGEST => {
                    return Err(Failure::internal("a CA's state is too long").into());
                }
                Issuance::Pending(pending) if pending.retry_after > Duration::ZERO => {
                    return Err(Trouble::Waits(pending));
                }
                Issuance::Pending(Pending { state: next, .. }) => {
                    let (fence, text) = (job.fence(self.orders.holder), next.0.clone());
                    let kept = self.db.write(move |tx| {
                        let (fence, text) = (fence.clone(), text.clone());
                        Box::pin(async move { order::keep_state(tx, &fence, &text).await })
                    });
                    kept.await?;
                    state = Some(next);
                }
            }
        }
        Err(Failure::internal("a CA takes step after step without an end").into())
    }
}

/// What becomes of an order whose CA its project has deleted.
fn gone() -> Trouble {
    refused("The certificate authority was deleted")
}

pub(super) fn refused(reason: &str) -> Trouble {
    Trouble::Refused(OrderError { code: "400".to_owned(), reason: reason.to_owned() })
}
