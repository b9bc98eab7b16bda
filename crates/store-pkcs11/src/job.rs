//! Everything that is asked of a token, as data: so that it can be carried to a thread or to another process.

use std::sync::Arc;
use std::time::Instant;

use bailey_core::crypto::{KekContext, WrappedKek};
use bailey_core::ids::{MasterKeyId, StoreId};
use bailey_core::sensitive::{SecretBytes, wire};
use cryptoki::session::Session;
use serde::{Deserialize, Serialize};

use crate::cipher::Keys;
use crate::digest;
use crate::error::{self, Failure, Fault, Operation, failure};
use crate::keys::{Finding, KeyObject, KeyRole};
use crate::module::Visit;
use crate::session::{OpenToken, Seat};
use crate::signing::Signing;
use crate::version::{Registered, Versions};
use crate::{hsm, kek, keys};

/// One thing to be done with an open token.
#[derive(Debug, Serialize, Deserialize)]
pub enum Job {
    /// Look whether this version's keys are there and are those that were registered.
    Prove(Registered),
    /// Make a KEK and wrap it under this version.
    CreateKek { context: KekContext, version: Registered },
    /// Wrap the same KEK under this version.
    RewrapKek { context: KekContext, kek: WrappedKek, version: Registered },
    /// Encrypt a payload.
    Encrypt {
        context: KekContext,
        kek: WrappedKek,
        associated: Vec<u8>,
        #[serde(with = "wire")]
        payload: SecretBytes,
    },
    /// Decrypt a payload.
    Decrypt { context: KekContext, kek: WrappedKek, associated: Vec<u8>, ciphertext: Vec<u8> },
    /// Draw this many random bytes.
    Random(usize),
    /// Destroy every unwrapped KEK.
    ForgetKeks,
    /// List the keys under the configured labels.
    Keys,
    /// Make both keys of a version; `is_first` only if there is none under either label.
    Generate { version: MasterKeyId, is_first: bool },
    /// The key-check value of a version.
    CheckValue { store: StoreId, version: MasterKeyId },
    /// Look whether everything that the store will need is there.
    Check,
    /// Do something with the key pair of a CA under this label.
    Sign { label: String, what: Signing },
}

/// What came of a [`Job`].
#[derive(Debug, Serialize, Deserialize)]
pub enum Answer {
    /// It is done, or so.
    Done,
    /// A wrapped KEK.
    Kek(WrappedKek),
    /// A ciphertext, a key-check value, a public key or a signature.
    Bytes(Vec<u8>),
    /// A payload or random bytes.
    Secret(#[serde(with = "wire")] SecretBytes),
    /// Keys on the token.
    Keys(Vec<KeyObject>),
    /// What there is to say about the token.
    Findings(Vec<Finding>),
}

impl Job {
    /// What it is about, for whoever waits for it in vain.
    #[must_use]
    pub const fn operation(&self) -> Operation {
        match self {
            Self::Prove(_) | Self::CheckValue { .. } => Operation::FindMkek,
            Self::CreateKek { .. } => Operation::CreateKek,
            Self::RewrapKek { .. } => Operation::UnwrapKek,
            Self::Encrypt { .. } => Operation::Encrypt,
            Self::Decrypt { .. } => Operation::Decrypt,
            Self::Random(_) => Operation::Random,
            Self::ForgetKeks | Self::Keys | Self::Check => Operation::Inspect,
            Self::Generate { .. } => Operation::GenerateKeys,
            Self::Sign { what, .. } => what.operation(),
        }
    }

    /// Whether it is meant for tokens that aren't fit to be used, too.
    const fn is_inspection(&self) -> bool {
        matches!(self, Self::ForgetKeks | Self::Keys | Self::Check | Self::CheckValue { .. })
    }

    /// Whether it may be done twice.
    pub(crate) const fn is_repeatable(&self) -> bool {
        !self.is_writing()
    }

    /// Whether it changes what is on the token.
    const fn is_writing(&self) -> bool {
        match self {
            Self::Generate { .. } => true,
            Self::Sign { what, .. } => what.is_writing(),
            _ => false,
        }
    }

    /// The version that is proven once this is done.
    pub(crate) const fn version(&self) -> Option<&Registered> {
        match self {
            Self::Prove(version) | Self::CreateKek { version, .. } | Self::RewrapKek { version, .. } => Some(version),
            _ => None,
        }
    }

    /// Does it, on the thread that calls.
    ///
    /// # Errors
    /// By what it means, in [`Fault`].
    pub(crate) fn run(&self, token: &OpenToken, visit: &Visit, deadline: Instant) -> Result<Answer, Failure> {
        let is_writing = self.is_writing();
        let taken = if is_writing { token.new_seat(visit, true)? } else { token.take_seat(visit, deadline)? };
        let outcome = taken.seat.with(|session| {
            token.keks.bury(session);
            self.run_in(token, &taken.seat, session)
        })?;
        // After another failure the session may be in the middle of an operation, and good for nothing else.
        let is_fit = outcome.as_ref().map_or_else(|failure| !failure.is_about_session(), |_| true);
        if is_fit && !is_writing {
            taken.keep();
        }
        outcome
    }

    fn run_in(&self, token: &OpenToken, seat: &Arc<Seat>, session: &Session) -> Result<Answer, Failure> {
        let config = &token.config;
        if !self.is_inspection() {
            token.mechanisms(session)?;
        }
        match self {
            Self::Prove(version) => token.versions.prove(config, session, version).map(|()| Answer::Done),
            Self::CreateKek { context, version } => {
                let version = token.versions.proven(config, session, version)?;
                kek::create(token, session, context, version).map(Answer::Kek)
            }
            Self::RewrapKek { context, kek, version } => {
                let version = token.versions.proven(config, session, version)?;
                kek::rewrap(token, session, context, kek, version).map(Answer::Kek)
            }
            Self::Encrypt { context, kek, associated, payload } => {
                let user = KekUser { token, seat, session, context, kek };
                user.encrypt(associated, payload).map(Answer::Bytes)
            }
            Self::Decrypt { context, kek, associated, ciphertext } => {
                let user = KekUser { token, seat, session, context, kek };
                user.decrypt(associated, ciphertext).map(Answer::Secret)
            }
            Self::Random(length) => random(session, *length).map(Answer::Secret),
            Self::ForgetKeks => {
                token.keks.clear();
                token.keks.bury(session);
                Ok(Answer::Done)
            }
            Self::Keys => list(token, session).map(Answer::Keys),
            Self::Generate { version, is_first } => {
                if *is_first && !list(token, session)?.is_empty() {
                    let context = "the token has keys under these labels already: see `bailey hsm list`";
                    return Err(Failure::new(Operation::GenerateKeys, Fault::WrongKey, context));
                }
                keys::generate(session, config, *version).map(|()| Answer::Done)
            }
            Self::CheckValue { store, version } => {
                Versions::check_value(config, session, *store, *version).map(Answer::Bytes)
            }
            Self::Check => hsm::findings(token, session).map(Answer::Findings),
            Self::Sign { label, what } => what.run(session, label),
        }
    }
}

/// Somebody who works with one KEK.
struct KekUser<'a> {
    token: &'a OpenToken,
    seat: &'a Arc<Seat>,
    session: &'a Session,
    context: &'a KekContext,
    kek: &'a WrappedKek,
}

impl KekUser<'_> {
    fn encrypt(&self, associated: &[u8], payload: &SecretBytes) -> Result<Vec<u8>, Failure> {
        let payload = digest::add(payload);
        let encrypt = |keys: Keys| keys.encrypt(self.token, self.session, associated, payload.expose());
        if let Some(live) = self.token.keks.get(self.context, self.kek) {
            match encrypt(live.keys()) {
                Err(Failure { fault: Fault::Lost | Fault::Device, .. }) => self.token.keks.forget(self.context.kek),
                outcome => return outcome,
            }
        }
        encrypt(self.unwrap()?.keys())
    }

    /// A token's refusal may be about the data or about itself: the KEK is unwrapped anew, and if it works but
    /// for this ciphertext, the ciphertext is to blame.
    fn decrypt(&self, associated: &[u8], ciphertext: &[u8]) -> Result<SecretBytes, Failure> {
        let changed = || {
            let context = "the token returned another payload than it was given";
            Failure::new(Operation::Decrypt, Fault::Device, context)
        };
        let decrypt = |keys: Keys| {
            let decrypted = keys.decrypt(self.session, associated, ciphertext)?;
            decrypted.map(|both| digest::remove(&both).ok_or_else(changed)).transpose()
        };
        let corrupt = || error::corrupt_ciphertext(self.context.kek);
        if let Some(live) = self.token.keks.get(self.context, self.kek) {
            if let Ok(outcome) = decrypt(live.keys()) {
                return outcome.ok_or_else(corrupt);
            }
            self.token.keks.forget(self.context.kek);
        }
        let live = self.unwrap()?;
        match decrypt(live.keys()) {
            Ok(outcome) => outcome.ok_or_else(corrupt),
            Err(failure) if failure.fault == Fault::Device && kek::work(self.token, self.session, live.keys())? => {
                Err(corrupt())
            }
            Err(failure) => Err(failure),
        }
    }

    fn unwrap(&self) -> Result<Arc<kek::LiveKek>, Failure> {
        let keys = kek::unwrap(self.token, self.session, self.context, self.kek, false)?;
        Ok(self.token.keks.insert(self.context, self.kek, keys, self.seat))
    }
}

fn random(session: &Session, length: usize) -> Result<SecretBytes, Failure> {
    let told = |error| failure(Operation::Random, &error);
    let length = u32::try_from(length);
    let length = length.map_err(|_| Failure::new(Operation::Random, Fault::Unsupported, "too many bytes"))?;
    session.generate_random_vec(length).map(SecretBytes::new).map_err(told)
}

/// The keys under the configured labels.
pub(crate) fn list(token: &OpenToken, session: &Session) -> Result<Vec<KeyObject>, Failure> {
    let mut objects = Vec::new();
    for role in KeyRole::ALL {
        for handle in keys::find(session, &token.config, role, None)? {
            objects.push(KeyObject::read(session, handle, role)?);
        }
    }
    objects.sort_by(|a, b| (&a.id, a.role).cmp(&(&b.id, b.role)));
    Ok(objects)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::ids::{DeploymentId, KekId, ProjectId};

    use super::*;

    fn context() -> KekContext {
        let project = ProjectId::new("päron").unwrap();
        KekContext { deployment: DeploymentId::new(), store: StoreId::new(), project, kek: KekId::new() }
    }

    #[test]
    fn what_is_carried_to_another_process_arrives() {
        let (context, kek) = (context(), WrappedKek { mkek: MasterKeyId::new(), bytes: vec![1, 2, 3] });
        let payload = SecretBytes::new(b"canary".to_vec());
        let sent = Job::Encrypt { context: context.clone(), kek: kek.clone(), associated: vec![4], payload };
        let arrived = rmp_serde::from_slice(&rmp_serde::to_vec_named(&sent).unwrap()).unwrap();
        let Job::Encrypt { context: there, kek: wrapped, associated, payload } = arrived else {
            unreachable!("another job")
        };
        assert_eq!((there, wrapped, associated, payload.expose()), (context, kek, vec![4], b"canary".as_slice()));

        let sent: Result<Answer, Failure> = Ok(Answer::Secret(SecretBytes::new(b"canary".to_vec())));
        let arrived = rmp_serde::from_slice(&rmp_serde::to_vec_named(&sent).unwrap()).unwrap();
        assert!(matches!(arrived, Ok::<_, Failure>(Answer::Secret(secret)) if secret.expose() == b"canary"));
        let failure = error::corrupt_wrapping(KekId::new());
        let sent: Result<Answer, Failure> = Err(failure.clone());
        let arrived: Result<Answer, Failure> = rmp_serde::from_slice(&rmp_serde::to_vec_named(&sent).unwrap()).unwrap();
        assert_eq!(arrived.unwrap_err(), failure);
    }

    #[test]
    fn nothing_secret_is_written_where_it_can_be_read() {
        let kek = WrappedKek { mkek: MasterKeyId::new(), bytes: Vec::new() };
        let payload = SecretBytes::new(b"canary".to_vec());
        let job = Job::Encrypt { context: context(), kek, associated: Vec::new(), payload };
        assert!(serde_json::to_string(&job).is_err());
        assert!(!format!("{job:?}").contains("canary"));
        let answer = Answer::Secret(SecretBytes::new(b"canary".to_vec()));
        assert!(serde_json::to_string(&answer).is_err());
        assert!(!format!("{answer:?}").contains("canary"));
    }
}
