//! A CA in EJBCA, by its REST interface.
//!
//! EJBCA enrols an end entity as often as it is asked to, with another certificate each time. So that an order gets
//! one, its end entity's name has the order's id in it, each enrolment follows a search by that name, and where an
//! enrolment's answer was lost, the next one waits until EJBCA must be done with it.

mod authority;
mod client;
mod config;
mod error;
mod identity;
mod name;
mod request;
mod rest;
mod state;

use std::borrow::Cow;
use std::time::Duration;

use async_trait::async_trait;
use aws_lc_rs::hmac;
use bailey_core::ca::{
    CaDescriptor, CaError, CaErrorKind, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, Issued,
    Pending, ProfileDescriptor, Revocation,
};
use bailey_core::clock::Clock;
use bailey_core::ids::CaId;
use bailey_core::sensitive::SecretText;
use chrono::TimeDelta;

pub use config::{Config, ProfileConfig};

use authority::Known;
use client::Client;
use config::seconds;
use error::Trouble;
use name::{NamingRule, Parts};
use request::{Read, certificate};
use rest::{Enrolled, Enrolment};
use state::State;

use crate::intentions::Intentions;

/// A CA in EJBCA. It keeps nothing: what it needs to know again, EJBCA is asked.
pub struct EjbcaCa {
    descriptor: CaDescriptor,
    config: Config,
    client: Client,
    rule: NamingRule,
    code_key: hmac::Key,
    authority: Known,
    /// To enrol.
    intentions: Intentions,
    clock: Clock,
}

/// A request with what EJBCA has to be told beside it.
struct Asked<'a> {
    csr: &'a [u8],
    /// The key that the certificate has to be for.
    key: Vec<u8>,
    username: String,
    code: SecretText,
    profile: &'a ProfileConfig,
}

impl EjbcaCa {
    /// A CA as it is configured. EJBCA isn't asked yet.
    ///
    /// # Errors
    /// `Internal` for a configuration that can't be used; [`Config::problems`] says more.
    pub fn new(id: CaId, name: &str, config: &Config, clock: Clock) -> Result<Self, CaError> {
        let internal = |context: String| CaError::new(CaErrorKind::Internal, "open CA in EJBCA", context);
        if let Some((key, complaint)) = config.problems().into_iter().next() {
            return Err(internal(format!("{key}: {complaint}")));
        }
        let rule = config.end_entity.parse().map_err(|complaint: &str| internal(format!("end_entity: {complaint}")))?;
        let told = |profile: &ProfileConfig| ProfileDescriptor {
            name: profile.name.clone(),
            description: profile.description.clone(),
        };
        let descriptor = CaDescriptor {
            id,
            name: name.to_owned(),
            kind: "ejbca".into(),
            profiles: config.profiles.iter().map(told).collect(),
            tells_chain: true,
            revokes: true,
            leaves_traces: true,
        };
        let code_key = hmac::Key::new(hmac::HMAC_SHA256, config.enrolment_secret.expose().as_bytes());
        let client = Client::new(name, config)?;
        let (authority, intentions) = (Known::default(), Intentions::default());
        Ok(Self { descriptor, config: config.clone(), client, rule, code_key, authority, intentions, clock })
    }

    /// Reads a request.
    ///
    /// # Errors
    /// Why nobody needs to ask EJBCA, fit for the client.
    fn read<'a>(&'a self, request: &'a IssuanceRequest) -> Result<Asked<'a>, &'static str> {
        let profile = match &request.profile {
            None => self.config.profiles.first(),
            Some(name) => self.config.profiles.iter().find(|profile| profile.name == *name),
        };
        let profile = profile.ok_or("The CA has no such profile")?;
        let Read { key, cn, dns } = Read::new(&request.csr)?;
        let (id, project) = (request.id.to_string(), request.project.to_string());
        let username =
            self.rule.name(&Parts { id: &id, cn: &cn, dns: &dns, project: &project, profile: &profile.name });
        let code = hmac::sign(&self.code_key, username.as_bytes());
        let code = code.as_ref().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        Ok(Asked { csr: &request.csr, key, username, code: SecretText::new(code), profile })
    }

    fn enrolment<'a>(&'a self, asked: &'a Asked<'_>) -> Enrolment<'a> {
        Enrolment {
            csr: asked.csr,
            username: &asked.username,
            code: &asked.code,
            authority: &self.config.certificate_authority,
            certificate_profile: &asked.profile.certificate_profile,
            end_entity_profile: &asked.profile.end_entity_profile,
        }
    }

    /// The certificate that EJBCA has issued for a request, if there is one: of several the oldest, so that it is
    /// always the same.
    async fn find(&self, asked: &Asked<'_>) -> Result<Option<Issued>, CaError> {
        let hits = self.client.search(&asked.username, &self.config.certificate_authority).await;
        let mut own = Vec::new();
        for der in hits.map_err(|trouble| trouble.during("search certificate"))? {
            let read = certificate(&der).filter(|read| read.public_key().raw == asked.key);
            if let Some(read) = read {
                let age = (read.validity().not_before.timestamp(), read.raw_serial().to_vec());
                own.push((age, der.clone()));
            }
        }
        match own.into_iter().min() {
            None => Ok(None),
            Some((_, der)) => self.complete(der).await.map(Some),
        }
    }

    /// A certificate with what leads to the root.
    async fn complete(&self, der: Vec<u8>) -> Result<Issued, CaError> {
        let name = &self.config.certificate_authority;
        let mut authority = self.authority.get(&self.client, name).await?;
        if !authority.has_issued(&der) {
            // The CA may have got another certificate meanwhile.
            authority = self.authority.fetch(&self.client, name).await?;
            if !authority.has_issued(&der) {
                let context = "the certificate is not signed by the CA that was asked";
                return Err(CaError::new(CaErrorKind::Corrupt, "enrol", context));
            }
        }
        Ok(Issued { certificate: der, intermediates: authority.intermediates() })
    }

    async fn enrol(&self, asked: &Asked<'_>) -> Result<Issuance, CaError> {
        if let Some(issued) = self.find(asked).await? {
            return Ok(Issuance::Issued(issued));
        }
        match self.client.enrol(&self.enrolment(asked)).await {
            Ok(enrolled) => self.take(asked, enrolled).await,
            Err(Trouble::Lost(_)) => self.settle(),
            Err(Trouble::Refused { status: 400 | 409 | 422, message }) => self.refused(asked, message).await,
            Err(trouble) => Err(trouble.during("enrol")),
        }
    }

    /// What EJBCA answered.
    async fn take(&self, asked: &Asked<'_>, enrolled: Enrolled) -> Result<Issuance, CaError> {
        match enrolled {
            Enrolled::Waiting(request) => self.wait_for_approval(request),
            Enrolled::Issued(der) => {
                if certificate(&der).is_none_or(|read| read.public_key().raw != asked.key) {
                    let context = "the certificate is for another key than the request's";
                    return Err(CaError::new(CaErrorKind::Corrupt, "enrol", context));
                }
                self.complete(der).await.map(Issuance::Issued)
            }
        }
    }

    /// Makes sure that a refusal is one: EJBCA also refuses what it did, or is to do, already.
    async fn refused(&self, asked: &Asked<'_>, message: String) -> Result<Issuance, CaError> {
        if let Some(issued) = self.find(asked).await? {
            return Ok(Issuance::Issued(issued));
        }
        // EJBCA doesn't say which request for approval it is that waits already.
        let said = message.to_lowercase();
        if said.contains("approval") && said.contains("exist") {
            return self.wait_for_approval(None);
        }
        Ok(Issuance::rejected(message))
    }

    fn settle(&self) -> Result<Issuance, CaError> {
        let wait = seconds(self.config.settle_seconds);
        let until = self.clock.now() + TimeDelta::from_std(wait).unwrap_or_default();
        pending(&State::Settle { until }, wait, "what came of an enrolment whose answer was lost")
    }

    fn wait_for_approval(&self, request: Option<i64>) -> Result<Issuance, CaError> {
        let wait = seconds(self.config.approval_seconds);
        pending(&State::Approval { request }, wait, "an administrator of EJBCA to approve the enrolment")
    }

    fn begin(&self) -> Result<Issuance, CaError> {
        pending(&State::Enrol { intention: self.intentions.tell() }, Duration::ZERO, "the enrolment")
    }

    async fn after_settling(
        &self,
        asked: &Asked<'_>,
        until: chrono::DateTime<chrono::Utc>,
    ) -> Result<Issuance, CaError> {
        let longest = seconds(self.config.settle_seconds);
        // A clock that was put back doesn't make it longer.
        let left = (until - self.clock.now()).to_std().unwrap_or_default().min(longest);
        if left > Duration::ZERO {
            return pending(&State::Settle { until }, left, "what came of an enrolment whose answer was lost");
        }
        match self.find(asked).await? {
            Some(issued) => Ok(Issuance::Issued(issued)),
            None => self.begin(),
        }
    }

    async fn ask_for_approval(&self, asked: &Asked<'_>, request: Option<i64>) -> Result<Issuance, CaError> {
        let told = match request {
            Some(request) => self.client.finalize(request, &asked.code).await,
            None => self.client.request_certificate(&self.enrolment(asked)).await,
        };
        match told {
            Ok(Enrolled::Waiting(_)) => self.wait_for_approval(request),
            Ok(enrolled) => self.take(asked, enrolled).await,
            // Not approved yet: there is no such end entity.
            Err(Trouble::Refused { status: 404, .. }) if request.is_none() => self.wait_for_approval(None),
            // It was issued meanwhile, or never will be.
            Err(Trouble::Refused { status: 400 | 404 | 409 | 422, message }) => match self.find(asked).await? {
                Some(issued) => Ok(Issuance::Issued(issued)),
                None => Ok(Issuance::rejected(message)),
            },
            // Issued already, too; otherwise the code is another, because the secret was changed.
            Err(trouble @ Trouble::Refused { status: 403, .. }) => match self.find(asked).await? {
                Some(issued) => Ok(Issuance::Issued(issued)),
                None => Err(trouble.during("finalize enrolment")),
            },
            // To ask again does no harm: EJBCA issues once for an end entity.
            Err(trouble) => Err(trouble.during("finalize enrolment")),
        }
    }
}

fn pending(state: &State, retry_after: Duration, waits_for: &'static str) -> Result<Issuance, CaError> {
    Ok(Issuance::Pending(Pending { state: state.text()?, retry_after, waits_for: Cow::Borrowed(waits_for) }))
}

#[async_trait]
impl CertificateAuthority for EjbcaCa {
    fn descriptor(&self) -> &CaDescriptor {
        &self.descriptor
    }

    async fn issue(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        let asked = match self.read(request) {
            Ok(asked) => asked,
            Err(reason) => return Ok(Issuance::rejected(reason)),
        };
        match self.find(&asked).await? {
            Some(issued) => Ok(Issuance::Issued(issued)),
            None => self.begin(),
        }
    }

    async fn poll(&self, request: &IssuanceRequest, state: &IssuanceState) -> Result<Issuance, CaError> {
        let state = State::read(state)?;
        let asked = match self.read(request) {
            Ok(asked) => asked,
            Err(reason) => return Ok(Issuance::rejected(reason)),
        };
        match state {
            // Whoever gives up waiting for it drops it, and it is as good as lost.
            State::Enrol { intention } if self.intentions.acts_first(&intention) => self.enrol(&asked).await,
            State::Enrol { .. } => match self.find(&asked).await? {
                Some(issued) => Ok(Issuance::Issued(issued)),
                None => self.settle(),
            },
            State::Settle { until } => self.after_settling(&asked, until).await,
            State::Approval { request } => self.ask_for_approval(&asked, request).await,
        }
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, CaError> {
        const OPERATION: &str = "revoke";
        let not_found = || CaError::new(CaErrorKind::NotFound, OPERATION, "this CA didn't issue it");
        let read = certificate(&revocation.certificate).ok_or_else(not_found)?;
        let mut authority = self.authority.get(&self.client, &self.config.certificate_authority).await?;
        if !authority.has_issued(&revocation.certificate) {
            authority = self.authority.fetch(&self.client, &self.config.certificate_authority).await?;
        }
        if !authority.has_issued(&revocation.certificate) {
            return Err(not_found());
        }
        let serial: String = read.raw_serial().iter().map(|byte| format!("{byte:02X}")).collect();
        let lost = |trouble: Trouble| match trouble {
            Trouble::Refused { status: 404, .. } => not_found(),
            trouble => trouble.during(OPERATION),
        };
        // The first reason stands: EJBCA would change it for a compromised key's.
        if self.client.is_revoked(&authority.subject_dn, &serial).await.map_err(lost)? {
            return Ok(false);
        }
        match self.client.revoke(&authority.subject_dn, &serial, revocation.reason).await {
            Ok(true) => Ok(true),
            Err(Trouble::Refused { status: 409, .. }) => Ok(false),
            Ok(false) => {
                let context = "an administrator of EJBCA has to approve the revocation";
                Err(CaError::new(CaErrorKind::Unavailable, OPERATION, context))
            }
            Err(trouble) => Err(lost(trouble)),
        }
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        let authority = self.authority.fetch(&self.client, &self.config.certificate_authority).await?;
        Ok(authority.chain.clone())
    }

    async fn health(&self) -> Result<(), CaError> {
        let authority = self.authority.fetch(&self.client, &self.config.certificate_authority).await?;
        let ends_at = authority.chain.first().and_then(|own| certificate(own)).map(|own| own.validity().not_after);
        if ends_at.is_none_or(|ends_at| ends_at.timestamp() <= self.clock.now().timestamp()) {
            return Err(CaError::new(CaErrorKind::Unavailable, "check CA in EJBCA", "its certificate has expired"));
        }
        Ok(())
    }
}
