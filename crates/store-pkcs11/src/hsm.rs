//! What an operator does with a token: look at it, make keys in it, make one of an empty slot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use bailey_core::crypto::KekContext;
use bailey_core::ids::{DeploymentId, KekId, MasterKeyId, ProjectId, StoreId};
use bailey_core::sensitive::SecretText;
use bailey_core::store::{StoreError, StoreErrorKind};
use cryptoki::mechanism::MechanismType;
use cryptoki::session::{Session, UserType};

use crate::config::{Config, Token};
use crate::error::{Failure, Fault, Operation, failure};
use crate::job::{Answer, Job};
use crate::keys::{Finding, KeyObject, KeyRole};
use crate::mechanism;
use crate::module::Module;
use crate::runner::{Runner, connect};
use crate::session::{OpenToken, secret};
use crate::{job, kek};

/// A token as operators see it.
#[derive(Clone)]
pub struct Hsm {
    runner: Arc<dyn Runner>,
}

impl Hsm {
    /// The token that a store is configured with. Opens nothing yet.
    #[must_use]
    pub fn connect(config: &Config) -> Self {
        Self { runner: connect(config) }
    }

    pub(crate) fn runner(&self) -> Arc<dyn Runner> {
        Arc::clone(&self.runner)
    }

    /// The keys under the configured labels, by version.
    ///
    /// # Errors
    /// `Unavailable` when the token can't be asked; so for each of these.
    pub async fn keys(&self) -> Result<Vec<KeyObject>, StoreError> {
        match self.runner.run(Job::Keys).await? {
            Answer::Keys(keys) => Ok(keys),
            _ => Err(mixed_up(Operation::Inspect)),
        }
    }

    /// Makes both keys of a version; with `is_first`, only if the token has none under either label.
    ///
    /// # Errors
    /// `Unavailable`, also when there are such keys already.
    pub async fn generate_version(&self, version: MasterKeyId, is_first: bool) -> Result<(), StoreError> {
        self.runner.run(Job::Generate { version, is_first }).await?;
        Ok(())
    }

    /// The key-check value that the register keeps of a version.
    ///
    /// # Errors
    /// `Unavailable`, also when the token lacks the version or its keys aren't what they must be.
    pub async fn check_value(&self, store: StoreId, version: MasterKeyId) -> Result<Vec<u8>, StoreError> {
        match self.runner.run(Job::CheckValue { store, version }).await? {
            Answer::Bytes(value) => Ok(value),
            _ => Err(mixed_up(Operation::FindMkek)),
        }
    }

    /// What is wrong with the token and its keys, if anything: each mechanism that will be needed, each
    /// version, and a KEK made, wrapped, unwrapped and used under the newest one.
    ///
    /// # Errors
    /// `Unavailable` when the token can't be asked.
    pub async fn check(&self) -> Result<Vec<Finding>, StoreError> {
        match self.runner.run(Job::Check).await? {
            Answer::Findings(findings) => Ok(findings),
            _ => Err(mixed_up(Operation::Inspect)),
        }
    }

    /// Destroys every unwrapped KEK that this process has in the token.
    ///
    /// # Errors
    /// `Unavailable`.
    pub async fn forget_keks(&self) -> Result<(), StoreError> {
        self.runner.run(Job::ForgetKeks).await?;
        Ok(())
    }

    /// Makes a token with the configured label and user PIN of the first slot that has none. Blocks.
    ///
    /// # Errors
    /// `Unavailable` when there is such a token already, no slot is free, or the library refuses.
    pub fn init_token(config: &Config, so_pin: &SecretText) -> Result<(), StoreError> {
        Ok(init_token(config, so_pin)?)
    }
}

fn mixed_up(operation: Operation) -> StoreError {
    StoreError::new(StoreErrorKind::Internal, operation.as_str(), "the answer belongs to another question")
}

fn init_token(config: &Config, so_pin: &SecretText) -> Result<(), Failure> {
    let told = |error| failure(Operation::InitToken, &error);
    let refused = |sentence: String| Failure::new(Operation::InitToken, Fault::WrongKey, sentence);
    let Token::Label(label) = config.token() else {
        return Err(refused("a new token needs a token_label: the library decides its serial number".to_owned()));
    };
    let module = Module::of(&config.module)?;
    let visit = module.visit(Instant::now() + config.deadline())?;
    if visit.find(&config.token()).is_ok() {
        return Err(refused(format!("{} has a token labelled `{label}` already", module.name())));
    }
    let pin = config.pin.read()?;
    let library = visit.library()?;
    let mut slots = library.get_slots_with_token().map_err(told)?.into_iter();
    let is_free = |slot: &_| library.get_token_info(*slot).is_ok_and(|info| !info.token_initialized());
    let slot = slots.find(is_free).ok_or_else(|| refused(format!("{} has no free slot", module.name())))?;
    library.init_token(slot, &secret(so_pin), &label).map_err(told)?;
    let session = library.open_rw_session(slot).map_err(told)?;
    session.login(UserType::So, Some(&secret(so_pin))).map_err(told)?;
    session.init_pin(&secret(&pin)).map_err(told)?;
    session.logout().map_err(told)
}

/// Everything that an operator should know about a token.
pub(crate) fn findings(token: &OpenToken, session: &Session) -> Result<Vec<Finding>, Failure> {
    let mut findings = lacking(token)?;
    let objects = job::list(token, session)?;
    let newest = count(&objects).into_iter().rfind(|(_, counts)| *counts == [1, 1]);
    if newest.is_none() {
        findings.push(fatal("the token has no keys under these labels yet: run `bailey hsm generate`"));
    }
    findings.extend(objects.iter().flat_map(about_object));
    findings.extend(about_versions(&objects));
    if findings.iter().all(|finding| !finding.is_fatal)
        && let Some((newest, _)) = newest
        && let Err(failure) = rehearse(token, session, newest)
    {
        findings.push(fatal(format!("a KEK can't be made and used under version {newest}: {failure}")));
    }
    Ok(findings)
}

/// Mechanisms that the token hasn't got.
fn lacking(token: &OpenToken) -> Result<Vec<Finding>, Failure> {
    let (config, library, slot) = (&token.config, &token.library, token.slot);
    let mut findings = Vec::new();
    for need in mechanism::needs(config) {
        if !need.is_met(library, slot)? {
            findings.push(fatal(need.sentence));
        }
    }
    if mechanism::wrap_mechanism(config, library, slot)?.is_none() {
        findings.push(fatal(mechanism::no_wrapping(config)));
    }
    let kinds = library.get_mechanism_list(slot).map_err(|error| failure(Operation::Inspect, &error))?;
    if !kinds.contains(&MechanismType::GENERIC_SECRET_KEY_GEN) {
        let sentence = "the token can't make the key that authenticates wrapped KEKs (CKM_GENERIC_SECRET_KEY_GEN): \
                        `bailey hsm generate` won't work, import one with the vendor's tools";
        findings.push(Finding { is_fatal: false, sentence: sentence.to_owned() });
    }
    Ok(findings)
}

fn about_object(object: &KeyObject) -> Vec<Finding> {
    let id = object.version.map_or_else(|| format!("{:02x?}", object.id), |id| id.to_string());
    let what = format!("the {} of version {id}", object.role.as_str());
    let mut findings: Vec<_> = object.complaints().into_iter().map(|is| fatal(format!("{what} {is}"))).collect();
    for usage in object.usages.iter().filter(|usage| matches!(usage.as_str(), "encrypt" | "decrypt" | "derive")) {
        let sentence = format!("{what} may {usage}, which it never needs: whoever has the PIN can use that");
        findings.push(Finding { is_fatal: false, sentence });
    }
    findings
}

/// How many MKEKs and HMAC keys there are of each version.
fn count(objects: &[KeyObject]) -> BTreeMap<MasterKeyId, [usize; 2]> {
    let mut counts: BTreeMap<_, [usize; 2]> = BTreeMap::new();
    for object in objects {
        if let Some(id) = object.version {
            counts.entry(id).or_default()[usize::from(object.role == KeyRole::Hmac)] += 1;
        }
    }
    counts
}

/// A version is one MKEK and one HMAC key. Half a one does no harm to the others.
fn about_versions(objects: &[KeyObject]) -> Vec<Finding> {
    let half = |id, lacks: KeyRole| {
        let lacks = lacks.as_str();
        let sentence = format!(
            "version {id} has no {lacks}: if it was being made, the command that made it goes on with it; otherwise put the \
             {lacks} back, or destroy what is there if nothing was wrapped with it"
        );
        Finding { is_fatal: false, sentence }
    };
    let finding = |(id, counts): (MasterKeyId, [usize; 2])| match counts {
        [1, 1] => None,
        [0, _] => Some(half(id, KeyRole::Mkek)),
        [_, 0] => Some(half(id, KeyRole::Hmac)),
        [mkeks, hmacs] => {
            let all = "one of each is all it may have";
            Some(fatal(format!("version {id} has {mkeks} MKEKs and {hmacs} HMAC keys: {all}")))
        }
    };
    count(objects).into_iter().filter_map(finding).collect()
}

/// Makes a KEK, wraps, unwraps and uses it, and throws it away.
fn rehearse(token: &OpenToken, session: &Session, version: MasterKeyId) -> Result<(), Failure> {
    let version = token.versions.get(&token.config, session, version)?;
    let project = ProjectId::new("rehearsal");
    let project = project.map_err(|error| Failure::new(Operation::Inspect, Fault::Device, error.to_string()))?;
    let context = KekContext { deployment: DeploymentId::new(), store: StoreId::new(), project, kek: KekId::new() };
    kek::create(token, session, &context, version).map(|_| ())
}

fn fatal(sentence: impl Into<String>) -> Finding {
    Finding { is_fatal: true, sentence: sentence.into() }
}
