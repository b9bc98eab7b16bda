//! Proofs that names are one's own: put where the CA looks for them, and taken away again.

use std::sync::Arc;
use std::time::Duration;

use bailey_core::ca::{CaError, Challenges};
use bailey_core::clock::Clock;
use chrono::TimeDelta;

use super::config::{ChallengeKind, Config, DnsKind};
use super::dns::{Records, Rfc2136, Webhook};
use super::jws::{AccountKey, record};
use super::wire::{Authorization, Challenge};

/// For how long an answer stands if nobody takes it away.
const LIFE: TimeDelta = TimeDelta::days(1);

/// Where proofs are put.
pub(super) struct Proofs {
    /// Which sorts are used, in order of preference.
    kinds: Vec<ChallengeKind>,
    challenges: Arc<dyn Challenges>,
    records: Option<Box<dyn Records>>,
    clock: Clock,
}

impl Proofs {
    /// # Errors
    /// What is wrong with the configuration, with its key.
    pub(super) fn new(
        config: &Config,
        challenges: Arc<dyn Challenges>,
        clock: Clock,
    ) -> Result<Self, (&'static str, String)> {
        let records: Option<Box<dyn Records>> = match config.dns {
            DnsKind::None => None,
            DnsKind::Rfc2136 => Some(Box::new(Rfc2136::new(config)?)),
            DnsKind::Webhook => Some(Box::new(Webhook::new(config)?)),
        };
        let can = |kind: &ChallengeKind| *kind != ChallengeKind::Dns01 || records.is_some();
        let kinds = config.challenges.iter().copied().filter(can).collect();
        Ok(Self { kinds, challenges, records, clock })
    }

    /// How a name is to be proved; none if it can't be.
    pub(super) fn choose<'a>(&self, authorization: &'a Authorization) -> Option<(ChallengeKind, &'a Challenge)> {
        self.kinds.iter().find_map(|kind| {
            let found = authorization.challenges.iter().find(|challenge| challenge.kind == kind.as_str());
            let is_possible = *kind == ChallengeKind::Http01
                || self.records.as_ref().is_some_and(|records| records.covers(authorization.host()));
            found.filter(|_| is_possible).map(|challenge| (*kind, challenge))
        })
    }

    /// Puts a proof where the CA will look. Idempotent.
    pub(super) async fn place(
        &self,
        key: &AccountKey,
        (kind, challenge): (ChallengeKind, &Challenge),
        host: &str,
    ) -> Result<(), CaError> {
        let answer = key.authorization(&challenge.token);
        match (kind, &self.records) {
            (ChallengeKind::Http01, _) => {
                self.challenges.place(&challenge.token, &answer, self.clock.now() + LIFE).await
            }
            (ChallengeKind::Dns01, Some(records)) => records.add(&name(host), &record(&answer)).await,
            (ChallengeKind::Dns01, None) => Ok(()),
        }
    }

    /// How long it takes until a proof of this sort is seen everywhere.
    pub(super) fn wait(&self, kind: ChallengeKind) -> Duration {
        match (kind, &self.records) {
            (ChallengeKind::Dns01, Some(records)) => records.wait(),
            _ => Duration::ZERO,
        }
    }

    /// Takes away what may still stand for a name. What stays does no harm: nobody else's order has its token.
    pub(super) async fn clear(&self, key: &AccountKey, authorization: &Authorization) {
        for challenge in &authorization.challenges {
            let cleared = match (challenge.kind.as_str(), &self.records) {
                ("http-01", _) => self.challenges.remove(&challenge.token).await,
                ("dns-01", Some(records)) if records.covers(authorization.host()) => {
                    let value = record(&key.authorization(&challenge.token));
                    records.remove(&name(authorization.host()), &value).await
                }
                _ => Ok(()),
            };
            if let Err(error) = cleared {
                tracing::warn!(name = authorization.name(), %error, "what proved a name to the CA stays behind");
            }
        }
    }
}

fn name(host: &str) -> String {
    format!("_acme-challenge.{host}")
}
