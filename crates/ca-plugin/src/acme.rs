//! A CA that speaks ACME (RFC 8555).
//!
//! The server knows best where an order stands, so each poll asks it first and then takes the one step that follows.
//! What is kept between two polls names that step and the order's URL, and nothing secret. Start reading at `steps`.

mod account;
mod chain;
mod client;
mod config;
mod dns;
mod jws;
mod limit;
mod problem;
mod proof;
mod renewal;
mod search;
mod state;
mod steps;
mod wire;

use std::collections::BTreeSet;
use std::sync::Arc;

use async_trait::async_trait;
use bailey_core::ca::{
    CaDescriptor, CaError, CaErrorKind, CertificateAuthority, Challenges, Issuance, IssuanceRequest, IssuanceState,
    Keys, ProfileDescriptor, Renewal, Revocation, RevocationReason,
};
use bailey_core::clock::Clock;
use bailey_core::ids::CaId;
use rcgen::PublicKeyData as _;
use serde_json::json;

pub use config::{ChallengeKind, Config, DnsKind, ProfileConfig};

use crate::intentions::Intentions;
use crate::request::Read;
use account::{Account, Accounts};
use client::Client;
use problem::Trouble;
use proof::Proofs;
use state::Standing;
use wire::Identifier;

/// RFC 5280, appendix A.1.
const COMMON_NAME: [u64; 4] = [2, 5, 4, 3];

/// A CA elsewhere that speaks ACME.
pub struct AcmeCa {
    descriptor: CaDescriptor,
    config: Config,
    client: Client,
    accounts: Accounts,
    proofs: Proofs,
    /// To ask for an order.
    intentions: Intentions,
}

/// What is asked for, read.
struct Asked<'a> {
    request: &'a IssuanceRequest,
    /// `SubjectPublicKeyInfo`, DER.
    key: Vec<u8>,
    names: BTreeSet<Identifier>,
    /// What the server calls the profile; blank for its usual one.
    profile: &'a str,
}

impl AcmeCa {
    /// A CA as configured, under a name that is a label. Nothing is asked of it yet.
    ///
    /// # Errors
    /// `Internal` for a configuration that has problems.
    pub fn new(
        id: CaId,
        name: &str,
        config: Config,
        keys: Arc<dyn Keys>,
        challenges: Arc<dyn Challenges>,
        clock: Clock,
    ) -> Result<Self, CaError> {
        let wrong = |(key, complaint): (&str, String)| {
            CaError::new(CaErrorKind::Internal, "open ACME CA", format!("{key}: {complaint}"))
        };
        if let Some(problem) = config.problems().into_iter().next() {
            return Err(wrong(problem));
        }
        let told = |profile: &ProfileConfig| ProfileDescriptor {
            name: profile.name.clone(),
            description: profile.description.clone(),
        };
        let descriptor = CaDescriptor {
            id,
            name: name.to_owned(),
            kind: "acme".into(),
            profiles: config.profiles.iter().map(told).collect(),
            tells_chain: false,
            revokes: true,
            leaves_traces: true,
        };
        let client = Client::new(&config, clock.clone())?;
        let proofs = Proofs::new(&config, challenges, clock).map_err(wrong)?;
        let accounts = Accounts::new(keys);
        Ok(Self { descriptor, config, client, accounts, proofs, intentions: Intentions::default() })
    }

    async fn account(&self) -> Result<Arc<Account>, Trouble> {
        self.accounts.get(&self.client, &self.config).await
    }

    /// What a request asks for, or why it gets nothing.
    fn read<'a>(&'a self, request: &'a IssuanceRequest) -> Result<Asked<'a>, String> {
        let name = request.profile.as_deref();
        let mut profiles = self.config.profiles.iter();
        let profile = profiles.find(|profile| name.is_none_or(|name| profile.name == name));
        let profile = profile.ok_or_else(|| "The CA has no such profile".to_owned())?;
        let (key, names) = read(&request.csr)?;
        let refused: Vec<_> =
            names.iter().filter(|name| !profile.grants(name)).map(|name| name.value.as_str()).collect();
        if !refused.is_empty() {
            return Err(format!("The profile doesn't grant {}", refused.join(", ")));
        }
        Ok(Asked { request, key, names, profile: &profile.acme_profile })
    }
}

/// The key and the names of a request.
fn read(csr: &[u8]) -> Result<(Vec<u8>, BTreeSet<Identifier>), String> {
    let read = Read::new(csr)?;
    let names = Identifier::of(&read.alt_names)?;
    // Servers take the common name for one more name (RFC 8555, section 7.4).
    let common_names = read.subject.iter().filter(|attribute| attribute.oid == COMMON_NAME);
    for name in common_names.map(|attribute| attribute.value.as_str()) {
        if !names.iter().any(|other| other.value.eq_ignore_ascii_case(name)) {
            return Err(format!("The common name {name} is not among the alternative names"));
        }
    }
    Ok((read.key.subject_public_key_info(), names))
}

#[async_trait]
impl CertificateAuthority for AcmeCa {
    fn descriptor(&self) -> &CaDescriptor {
        &self.descriptor
    }

    /// Does nothing outside: what is asked for is only read, and the first step told.
    async fn issue(&self, request: &IssuanceRequest) -> Result<Issuance, CaError> {
        match self.read(request) {
            Ok(_) => steps::pending(&Standing::beginning(self.intentions.tell(), Vec::new()), None),
            Err(reason) => Ok(Issuance::rejected(reason)),
        }
    }

    async fn poll(&self, request: &IssuanceRequest, state: &IssuanceState) -> Result<Issuance, CaError> {
        let mut standing = Standing::read(state)?;
        let asked = match self.read(request) {
            Ok(asked) => asked,
            Err(reason) => return Ok(Issuance::rejected(reason)),
        };
        // Whoever keeps the state may ask earlier than the server wants to be asked.
        let limit = standing.limit.take().and_then(|limit| limit.left(self.client.now()).map(|left| (limit, left)));
        if let Some((limit, left)) = limit {
            return steps::limited(&standing, limit, left);
        }
        match self.go_on(&asked, &standing).await {
            Ok(issuance) => Ok(issuance),
            Err(Trouble::Refused(problem)) => Ok(Issuance::rejected(problem.to_string())),
            Err(Trouble::Limited(limit, left)) => steps::limited(&standing, limit, left),
            Err(Trouble::Failed(error)) => Err(error),
        }
    }

    async fn revoke(&self, revocation: &Revocation) -> Result<bool, CaError> {
        const OPERATION: &str = "revoke certificate";
        let nowhere = || CaError::new(CaErrorKind::Unsupported, OPERATION, "the server revokes nothing");
        let directory = self.client.directory().await.map_err(|trouble| trouble.into_error(OPERATION))?;
        let url = directory.revoke_cert.ok_or_else(nowhere)?;
        let payload = json!({"certificate": jws::encode(&revocation.certificate), "reason": reason(revocation.reason)});
        match self.ask(&url, Some(&payload), OPERATION).await {
            Ok(_) => Ok(true),
            Err(Trouble::Refused(problem)) if problem.is("alreadyRevoked") => Ok(false),
            // Nothing is wrong with the question, so it is the certificate: servers have no kind for that.
            Err(Trouble::Refused(problem))
                if ["malformed", "unauthorized"].into_iter().any(|kind| problem.is(kind)) =>
            {
                Err(CaError::new(CaErrorKind::NotFound, OPERATION, problem.to_string()))
            }
            Err(trouble) => Err(trouble.into_error(OPERATION)),
        }
    }

    async fn chain(&self) -> Result<Vec<Vec<u8>>, CaError> {
        Ok(Vec::new())
    }

    async fn health(&self) -> Result<(), CaError> {
        self.client.look_up().await.map(drop).map_err(|trouble| trouble.into_error("read ACME directory"))
    }

    fn renewal(&self) -> Option<&dyn Renewal> {
        Some(self)
    }
}

/// The code of a reason (RFC 5280, section 5.3.1).
const fn reason(reason: RevocationReason) -> u8 {
    match reason {
        RevocationReason::Unspecified => 0,
        RevocationReason::KeyCompromise => 1,
        RevocationReason::CaCompromise => 2,
        RevocationReason::AffiliationChanged => 3,
        RevocationReason::Superseded => 4,
        RevocationReason::CessationOfOperation => 5,
        RevocationReason::PrivilegeWithdrawn => 9,
    }
}
