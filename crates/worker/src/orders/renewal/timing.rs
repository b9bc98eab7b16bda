//! When a certificate is renewed: as its order says, or earlier if its CA would have it so.

use std::time::Duration;

use bailey_core::ca::{CaErrorKind, CertificateAuthority};
use bailey_core::certificate::CertificateOrder;
use bailey_core::failure::Failure;
use bailey_core::ids::ContainerId;
use bailey_db::renewal::{self, Renewal};
use chrono::{DateTime, TimeDelta, Utc};

use super::{AT_ONCE, SHORTEST_WAIT, validity};
use crate::Worker;

/// How long a CA isn't asked again when to renew something.
const USUAL_SILENCE: TimeDelta = TimeDelta::hours(6);
const SILENCE_AFTER_TROUBLE: TimeDelta = TimeDelta::hours(1);
const LONGEST_SILENCE: TimeDelta = TimeDelta::days(1);

/// When a certificate is renewed.
pub(super) struct Timing {
    pub(super) due_at: DateTime<Utc>,
    /// When to ask its CA again, if that has a say.
    pub(super) ask_at: Option<DateTime<Utc>>,
    /// Whether the CA has answered.
    is_told: bool,
}

impl Worker {
    /// Asks CAs again when to renew what they have issued: one that revokes much at once brings it forward. How often
    /// something is renewed at another time than before.
    pub(crate) async fn ask_when_to_renew(&self) -> Result<u64, Failure> {
        if self.rests() {
            return Ok(0);
        }
        let longest = LONGEST_SILENCE * 2;
        let mut changed = 0;
        for renewal in renewal::to_ask(self.db.reader(), self.clock.now(), longest, AT_ONCE).await? {
            changed += u64::from(self.ask_about(renewal).await?);
        }
        if changed > 0 {
            self.orders.wake();
        }
        Ok(changed)
    }

    async fn ask_about(&self, mut renewal: Renewal) -> Result<bool, Failure> {
        let Some(certificate) = renewal.issued.clone() else { return Ok(false) };
        let ordered: CertificateOrder = serde_json::from_str(&renewal.certificate)
            .map_err(|_| Failure::internal("what a renewal asks for can't be read"))?;
        // Nobody else asks meanwhile, and a CA that doesn't answer isn't asked all the time.
        let meanwhile = self.clock.now() + SILENCE_AFTER_TROUBLE;
        if !self.settle(&renewal, renewal.due_at, meanwhile).await? {
            return Ok(false);
        }
        renewal.ask_at = Some(meanwhile);
        let Some(id) = ordered.ca else { return Ok(false) };
        let Some(reached) = self.reach(&renewal.project, id).await? else { return Ok(false) };
        let Some(hours) = reached.renew_before(&ordered) else { return Ok(false) };
        let about = (renewal.container, certificate.as_slice());
        let timing = self.timing(&*reached.authority, about, hours).await?;
        let ask_at = timing.ask_at.unwrap_or(self.clock.now() + LONGEST_SILENCE);
        if !timing.is_told || !self.settle(&renewal, timing.due_at, ask_at).await? {
            return Ok(false);
        }
        let is_earlier = timing.due_at < renewal.due_at;
        if is_earlier {
            let (container, due_at) = (renewal.container, timing.due_at);
            tracing::info!(%container, %due_at, "the CA would have a certificate renewed earlier");
        }
        Ok(is_earlier)
    }

    async fn settle(&self, renewal: &Renewal, due_at: DateTime<Utc>, ask_at: DateTime<Utc>) -> Result<bool, Failure> {
        let renewal = renewal.clone();
        let settled = self.db.write(move |tx| {
            let renewal = renewal.clone();
            Box::pin(async move { renewal::settle(tx, &renewal, due_at, ask_at).await })
        });
        Ok(settled.await?)
    }

    /// When to renew a certificate: so many hours before its end, or earlier if its CA says so now.
    pub(super) async fn timing(
        &self,
        ca: &dyn CertificateAuthority,
        (container, certificate): (ContainerId, &[u8]),
        before_hours: u32,
    ) -> Result<Timing, Failure> {
        let (begins_at, expires_at) = validity(certificate)?;
        let usual = due_at(begins_at, expires_at, TimeDelta::hours(before_hours.into()));
        let Some(told) = ca.renewal() else { return Ok(Timing { due_at: usual, ask_at: None, is_told: false }) };
        let now = self.clock.now();
        Ok(match told.renewal_window(certificate).await {
            Ok(window) => Timing {
                due_at: usual.min(within(window.start, window.end, container).max(earliest(begins_at, expires_at))),
                ask_at: Some(now + silence(window.ask_again)),
                is_told: true,
            },
            // It may have an opinion some day.
            Err(error) if error.kind == CaErrorKind::Unsupported => {
                Timing { due_at: usual, ask_at: Some(now + LONGEST_SILENCE), is_told: true }
            }
            Err(error) => {
                tracing::warn!(%error, "the CA does not tell when to renew a certificate");
                Timing { due_at: usual, ask_at: Some(now + SILENCE_AFTER_TROUBLE), is_told: false }
            }
        })
    }
}

/// So long before the end, but never in the first half of its life: a certificate that lives shorter than it is to
/// be renewed before its end would be renewed all the time.
fn due_at(begins_at: DateTime<Utc>, expires_at: DateTime<Utc>, before: TimeDelta) -> DateTime<Utc> {
    (expires_at - before).max(begins_at + (expires_at - begins_at) / 2)
}

/// A CA that would have what it has just issued renewed at once would never come to an end.
fn earliest(begins_at: DateTime<Utc>, expires_at: DateTime<Utc>) -> DateTime<Utc> {
    begins_at + ((expires_at - begins_at) / 2).min(TimeDelta::days(1))
}

/// A moment within a window, another one for each container, so that they don't all come at once.
fn within(start: DateTime<Utc>, end: DateTime<Utc>, container: ContainerId) -> DateTime<Utc> {
    let share = container.uuid().as_bytes().last().copied().unwrap_or_default();
    start + (end - start).max(TimeDelta::zero()) / 256 * i32::from(share)
}

/// How long until a CA is asked again: as long as it says, at least a minute and at most a day (RFC 9773, section 4.3.2),
/// and six hours where it says nothing.
fn silence(told: Option<Duration>) -> TimeDelta {
    let told = told.map(|time| TimeDelta::from_std(time).unwrap_or(LONGEST_SILENCE));
    told.unwrap_or(USUAL_SILENCE).clamp(SHORTEST_WAIT, LONGEST_SILENCE)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn at(hours: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_000_000, 0).unwrap() + TimeDelta::hours(hours)
    }

    #[test]
    fn a_certificate_is_due_before_its_end_and_not_in_its_first_half() {
        assert_eq!(due_at(at(0), at(100), TimeDelta::hours(10)), at(90));
        assert_eq!(due_at(at(0), at(100), TimeDelta::hours(50)), at(50));
        assert_eq!(due_at(at(0), at(100), TimeDelta::hours(99)), at(50));
    }

    #[test]
    fn a_ca_is_asked_again_within_bounds() {
        let minutes = |minutes: u64| Some(Duration::from_secs(60 * minutes));
        assert_eq!(silence(None), TimeDelta::hours(6));
        assert_eq!(silence(minutes(0)), TimeDelta::minutes(1));
        assert_eq!(silence(minutes(90)), TimeDelta::minutes(90));
        assert_eq!(silence(minutes(60 * 24 * 7)), TimeDelta::days(1));
    }

    #[test]
    fn not_even_a_ca_has_a_certificate_renewed_at_once() {
        assert_eq!(earliest(at(0), at(2_000)), at(24));
        assert_eq!(earliest(at(0), at(10)), at(5));
    }

    #[test]
    fn a_window_is_used_all_over() {
        let all: Vec<_> = (0..50).map(|_| within(at(0), at(256), ContainerId::new())).collect();
        assert!(all.iter().all(|time| (at(0)..at(256)).contains(time)));
        assert!(all.iter().min() != all.iter().max());
        assert_eq!(within(at(5), at(4), ContainerId::new()), at(5));
    }
}
