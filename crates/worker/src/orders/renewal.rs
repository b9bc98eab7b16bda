//! Certificates that are renewed: each time by an order of its own, which puts the next one into the same container.

mod timing;

use bailey_core::ca::CertificateAuthority;
use bailey_core::certificate::{CertificateOrder, KeySource, StoredKey};
use bailey_core::container::SecretReference;
use bailey_core::failure::{Failure, FailureKind};
use bailey_core::ids::{ContainerId, OrderId};
use bailey_core::order::{Charge, Order, OrderStatus, OrderType};
use bailey_core::quota::Counted;
use bailey_db::order::{self, Job};
use bailey_db::renewal::{self, Renewal};
use chrono::{DateTime, TimeDelta, Utc};

use super::Template;
use super::attempt::Trouble;
use super::certificate::{CERTIFICATE, INTERMEDIATES, refused};
use crate::limits::reserve;
use crate::notices::Renewed;
use crate::{CertificateOffer, Worker};
use timing::Timing;

/// How many renewals one pass looks after.
const AT_ONCE: u64 = 100;
/// How long a secret with a certificate is kept beyond the certificate's end, where the certificate is renewed.
pub(super) const KEPT: TimeDelta = TimeDelta::days(30);
/// A renewal that failed is tried again after an eighth of the time that is left, within these.
const SHORTEST_WAIT: TimeDelta = TimeDelta::minutes(1);
const LONGEST_WAIT: TimeDelta = TimeDelta::hours(12);

impl Worker {
    /// Orders what is due to be renewed; how many.
    pub(crate) async fn renew_certificates(&self) -> Result<u64, Failure> {
        for failed in renewal::ended(self.db.reader(), AT_ONCE).await? {
            let container = failed.container;
            if self.put_off(failed).await? {
                tracing::warn!(%container, "a certificate could not be renewed; it is tried again");
            }
        }
        let (mut begun, now) = (0, self.clock.now());
        let due = if self.rests() { Vec::new() } else { renewal::due(self.db.reader(), now, AT_ONCE).await? };
        for due in due {
            match self.begin_renewal(&due).await {
                Ok(is_begun) => begun += u64::from(is_begun),
                // There may be room later.
                Err(failure) if failure.kind == FailureKind::QuotaExceeded => {
                    tracing::warn!(container = %due.container, "a certificate is not renewed for want of quota");
                    self.put_off(due).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
        if begun > 0 {
            self.orders.wake();
        }
        self.tell_renewals().await?;
        Ok(begun)
    }

    /// Whether nothing is renewed: nobody answers a CA's `http-01` then.
    fn rests(&self) -> bool {
        self.api.certificates == CertificateOffer::Off
    }

    async fn tell_renewals(&self) -> Result<(), Failure> {
        let now = self.clock.now();
        let standing = renewal::standing(self.db.reader(), now).await?;
        let left = standing.first_end.map_or(f64::INFINITY, |end| (end - now).as_seconds_f64());
        metrics::gauge!("bailey_renewals").set(standing.certificates as f64);
        metrics::gauge!("bailey_renewals_overdue").set(standing.overdue as f64);
        metrics::gauge!("bailey_renewals_failing").set(standing.failing as f64);
        metrics::gauge!("bailey_renewals_failing_end_seconds").set(left);
        Ok(())
    }

    async fn put_off(&self, renewal: Renewal) -> Result<bool, Failure> {
        let until = next_try(self.clock.now(), renewal.expires_at);
        let put_off = self.db.write(move |tx| {
            let renewal = renewal.clone();
            Box::pin(async move { renewal::put_off(tx, &renewal, until).await })
        });
        Ok(put_off.await?)
    }

    /// Orders one, in place of the order that failed before it, unless somebody else has; whether it did.
    async fn begin_renewal(&self, due: &Renewal) -> Result<bool, Failure> {
        let (job, due, defaults) = (self.renewing(due), due.clone(), self.limits.defaults());
        let begun = self.db.write(move |tx| {
            let (job, due) = (job.clone(), due.clone());
            Box::pin(async move {
                if !renewal::start(tx, &due, job.order.id).await? {
                    return Ok(false);
                }
                if let Some(failed) = due.failed {
                    order::delete_failed(tx, &due.project, failed, job.order.created_at).await?;
                }
                let [secrets, containers] = job.charge.counted();
                let wanted = [(Counted::Orders, 1), secrets, containers];
                reserve(tx, &due.project, &defaults, &wanted, job.order.created_at).await?;
                order::insert(tx, &job).await?;
                Ok::<_, Failure>(true)
            })
        });
        begun.await
    }

    fn renewing(&self, due: &Renewal) -> Job {
        let (id, now, config) = (OrderId::new(), self.clock.now(), &self.orders.config);
        Job {
            // A certificate and intermediates; the container is there.
            charge: Charge { secrets: 2, containers: 0 },
            certificate: Some(due.certificate.clone()),
            issuance_state: None,
            issued: None,
            request_id: format!("req-{id}"),
            attempts: 0,
            last_attempt: config.max_attempts,
            locked_by: None,
            locked_until: None,
            next_attempt_at: now,
            deadline_at: now + config.deadline(),
            order: Order {
                id,
                project: due.project.clone(),
                creator: due.creator.clone(),
                order_type: OrderType::Certificate,
                meta: due.meta.clone(),
                status: OrderStatus::Pending,
                sub_status: None,
                sub_status_message: None,
                error: None,
                secret: None,
                container: None,
                created_at: now,
                updated_at: now,
            },
        }
    }

    /// The certificate that an order takes the place of, as far as that is known.
    pub(super) async fn replaced(&self, order: &Order, container: ContainerId) -> Result<Option<Vec<u8>>, Trouble> {
        let renewal = renewal::find(self.db.reader(), &order.project, container).await?;
        let renewal = renewal.filter(|renewal| renewal.order == Some(order.id)).ok_or_else(renewed_no_more)?;
        Ok(renewal.issued)
    }

    /// What the webhook is told of a certificate that was renewed, if there is one.
    pub(super) fn notice_of(
        &self,
        job: &Job,
        container: ContainerId,
        certificate: &[u8],
        secrets: &[SecretReference],
    ) -> Result<Option<Renewed>, Failure> {
        let Some(webhook) = &self.webhook else { return Ok(None) };
        let (begins_at, ends_at) = validity(certificate)?;
        let named = |name| {
            let found = secrets.iter().find(|reference| reference.name.as_deref() == Some(name));
            found.map(|reference| (name, reference.secret))
        };
        Ok(Some(Renewed {
            project: job.order.project.clone(),
            container,
            order: job.order.id,
            secrets: [CERTIFICATE, INTERMEDIATES].into_iter().filter_map(named).collect(),
            serial: serial(certificate).unwrap_or_default(),
            begins_at,
            ends_at,
            base: webhook.base().to_owned(),
        }))
    }

    /// When the certificate in a container is to be renewed by the order `next`, if it is: as its order says, or earlier
    /// if the CA says so.
    pub(super) async fn next_renewal(
        &self,
        job: &Job,
        next: &CertificateOrder,
        ca: &dyn CertificateAuthority,
        (container, certificate): (ContainerId, &[u8]),
        before_hours: u32,
    ) -> Result<Option<Renewal>, Failure> {
        let (_, expires_at) = validity(certificate)?;
        let Timing { due_at, ask_at, .. } = self.timing(ca, (container, certificate), before_hours).await?;
        if Template::read(&job.order.meta)?.expires_at.is_some_and(|ends_at| ends_at <= due_at) {
            return Ok(None);
        }
        let wanted = serde_json::to_string(next).map_err(|error| Failure::internal(error.to_string()))?;
        Ok(Some(Renewal {
            container,
            project: job.order.project.clone(),
            creator: job.order.creator.clone(),
            meta: job.order.meta.clone(),
            certificate: wanted,
            expires_at,
            due_at,
            order: None,
            failures: 0,
            issued: Some(certificate.to_vec()),
            ask_at,
            failed: None,
        }))
    }
}

/// The serial number of a certificate, in hexadecimal.
fn serial(certificate: &[u8]) -> Option<String> {
    use std::fmt::Write as _;

    let (_, read) = x509_parser::parse_x509_certificate(certificate).ok()?;
    Some(read.serial.to_bytes_be().iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    }))
}

/// What becomes of an order whose certificate would come too late.
pub(super) fn renewed_no_more() -> Trouble {
    refused("The certificate is not renewed by this order any more: it was revoked, or its container is gone")
}

/// The order for the next certificate: for the same key, which is kept by now, or for the same request.
pub(super) fn next_order(
    ordered: &CertificateOrder,
    container: ContainerId,
    key: Option<StoredKey>,
) -> CertificateOrder {
    let key = match &ordered.key {
        KeySource::Request(csr) => KeySource::Request(csr.clone()),
        KeySource::Stored { subject, .. } | KeySource::Made { subject, .. } => {
            KeySource::Stored { container, subject: subject.clone(), key }
        }
    };
    CertificateOrder { key, renews: Some(container), ..ordered.clone() }
}

/// When a certificate is good.
pub(super) fn validity(certificate: &[u8]) -> Result<(DateTime<Utc>, DateTime<Utc>), Failure> {
    let unreadable = || Failure::internal("a certificate that was issued can't be read");
    let (_, read) = x509_parser::parse_x509_certificate(certificate).map_err(|_| unreadable())?;
    let time = |time: x509_parser::time::ASN1Time| DateTime::from_timestamp(time.timestamp(), 0);
    let validity = read.validity();
    time(validity.not_before).zip(time(validity.not_after)).ok_or_else(unreadable)
}

fn next_try(now: DateTime<Utc>, expires_at: DateTime<Utc>) -> DateTime<Utc> {
    // What has ended already is nobody's hurry any more.
    if expires_at <= now {
        return now + LONGEST_WAIT;
    }
    now + ((expires_at - now) / 8).clamp(SHORTEST_WAIT, LONGEST_WAIT)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000, 0).unwrap() + TimeDelta::hours(hours)
    }

    #[test]
    fn the_next_try_comes_well_before_the_end() {
        assert_eq!(next_try(at(0), at(8)), at(1));
        assert_eq!(next_try(at(0), at(8_000)), at(12));
        assert_eq!(next_try(at(0), at(0) + TimeDelta::seconds(8)), at(0) + SHORTEST_WAIT);
        assert_eq!(next_try(at(0), at(-1)), at(12));
    }
}
