//! Orders as a worker works on them: step by step, with what is kept between two of them.

use std::time::Duration;

use anyhow::{Result, bail};
use bailey_ca_plugin::ejbca::Config;
use bailey_core::ca::{CaErrorKind, CertificateAuthority as _, Issuance, IssuanceRequest, IssuanceState, Issued};
use bailey_core::clock::Clock;
use bailey_core::ids::IssuanceId;
use bailey_testkit::conformance::certificate_authority::CaFixture as _;
use bailey_testkit::conformance::fresh_project;
use chrono::{SubsecRound as _, TimeDelta, Utc};
use rcgen::{CertificateParams, DnType, KeyPair};

use crate::EjbcaFixture;

/// Most steps until there is an end.
const STEPS: usize = 60;
/// After how many steps another worker goes on.
const SHIFT: usize = 4;
/// How long a worker's lease is, after which another one takes over.
const LEASE: TimeDelta = TimeDelta::seconds(30);
/// How long a worker lives that is killed, here.
const LIFE: Duration = Duration::from_millis(300);

/// How an order ended.
#[derive(Debug)]
pub(crate) enum End {
    Issued(Issued),
    Rejected(String),
    Failed(CaErrorKind),
}

/// An order for a certificate.
pub(crate) struct Order {
    pub(crate) request: IssuanceRequest,
    /// Everything that was kept of it.
    pub(crate) states: Vec<IssuanceState>,
    /// What the client was told while it waited.
    pub(crate) reasons: Vec<String>,
    /// Whether whoever approves does so before Bailey knows that it waits for that.
    pub(crate) is_approved_early: bool,
}

impl Order {
    pub(crate) fn new(fixture: &EjbcaFixture) -> Result<Self> {
        Self::with_key(&fixture.name(), &KeyPair::generate()?)
    }

    pub(crate) fn with_key(name: &str, key: &KeyPair) -> Result<Self> {
        let mut params = CertificateParams::new(vec![name.to_owned()])?;
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        let csr = params.serialize_request(key)?.der().to_vec();
        let requested_at = Utc::now().trunc_subsecs(6);
        let (id, project) = (IssuanceId::new(), fresh_project());
        let request = IssuanceRequest { id, project, profile: None, csr, requested_at, replaces: None };
        Ok(Self { request, states: Vec::new(), reasons: Vec::new(), is_approved_early: false })
    }

    /// Works on it until it ends. Where `is_killed` says so, the worker doesn't survive that step, and another one
    /// takes over when the lease has run out.
    pub(crate) async fn work(
        &mut self,
        fixture: &EjbcaFixture,
        config: &Config,
        is_killed: impl Fn(usize) -> bool,
    ) -> Result<End> {
        let mut late = TimeDelta::zero();
        let begin = |passed: TimeDelta| fixture.open(config, Clock::from_fn(move || Utc::now() + passed));
        let mut ca = begin(late)?;
        for step in 0..STEPS {
            if step % SHIFT == SHIFT - 1 {
                ca = begin(late)?;
            }
            let working = async {
                match self.states.last() {
                    None => ca.issue(&self.request).await,
                    Some(state) => ca.poll(&self.request, state).await,
                }
            };
            let outcome = if is_killed(step) {
                // What was sent stays sent.
                let Ok(outcome) = tokio::time::timeout(LIFE, working).await else {
                    late += LEASE;
                    ca = begin(late)?;
                    continue;
                };
                outcome
            } else {
                working.await
            };
            match outcome {
                Ok(Issuance::Issued(issued)) => return Ok(End::Issued(issued)),
                Ok(Issuance::Rejected(rejection)) => return Ok(End::Rejected(rejection.reason)),
                Ok(Issuance::Pending(pending)) => {
                    tokio::time::sleep(pending.retry_after).await;
                    if self.is_approved_early || pending.waits_for.contains("to approve") {
                        fixture.stand_in.approve();
                    }
                    self.states.push(pending.state);
                    self.reasons.push(pending.waits_for.into_owned());
                }
                Err(error) if error.is_retryable() => {
                    self.reasons.push(error.to_string());
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
                Err(error) => {
                    self.reasons.push(error.to_string());
                    return Ok(End::Failed(error.kind));
                }
            }
        }
        bail!("it doesn't end: {:?}", self.reasons)
    }
}
