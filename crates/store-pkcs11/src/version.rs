//! Versions of the MKEK as an open token has them: looked up, verified, proven, remembered.

use std::collections::BTreeMap;
use std::sync::Mutex;

use bailey_core::encoding::Context;
use bailey_core::ids::{MasterKeyId, StoreId};
use cryptoki::mechanism::Mechanism;
use cryptoki::object::ObjectHandle;
use cryptoki::session::Session;
use serde::{Deserialize, Serialize};
use subtle::ConstantTimeEq;

use crate::config::Config;
use crate::error::{self, Failure, Fault, Operation, failure};
use crate::keys::{self, KeyObject, KeyRole};
use crate::session::lock;

/// Length of a key-check value in bytes.
const CHECK_LENGTH: usize = 16;

/// A version as the register has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Registered {
    /// The store whose MKEK it is.
    pub store: StoreId,
    /// Its id.
    pub id: MasterKeyId,
    /// Its key-check value.
    pub check_value: Vec<u8>,
}

/// A version's keys, verified to be what they must be.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    pub(crate) id: MasterKeyId,
    pub(crate) mkek: ObjectHandle,
    pub(crate) hmac: ObjectHandle,
    /// Whether the MKEK may wrap keys that only trusted keys may wrap.
    pub(crate) is_trusted: bool,
}

/// What was found so far. Handles live as long as the login.
#[derive(Default)]
pub(crate) struct Versions {
    found: Mutex<BTreeMap<MasterKeyId, Version>>,
}

impl Versions {
    /// The keys of a version.
    pub(crate) fn get(&self, config: &Config, session: &Session, id: MasterKeyId) -> Result<Version, Failure> {
        if let Some(version) = lock(&self.found).get(&id) {
            return Ok(*version);
        }
        let version = look_up(config, session, id)?;
        lock(&self.found).insert(id, version);
        Ok(version)
    }

    /// The keys of a version, proven to be there now and to be those that were registered.
    pub(crate) fn proven(
        &self,
        config: &Config,
        session: &Session,
        registered: &Registered,
    ) -> Result<Version, Failure> {
        let version = self.get(config, session, registered.id)?;
        verify(session, KeyRole::Mkek, registered.id, version.mkek)?;
        registered.compare(&check_value(session, version, registered.store)?)?;
        Ok(version)
    }

    /// Looks a version up and has the token prove it, now, whatever is remembered.
    pub(crate) fn prove(&self, config: &Config, session: &Session, registered: &Registered) -> Result<(), Failure> {
        let version = look_up(config, session, registered.id)?;
        registered.compare(&check_value(session, version, registered.store)?)?;
        lock(&self.found).insert(registered.id, version);
        Ok(())
    }

    /// The first 16 bytes of HMAC-SHA-256 under the version's HMAC key over its store and id.
    ///
    /// Fit to be stored in the clear: it says nothing of the key but whether another one is equal.
    pub(crate) fn check_value(
        config: &Config,
        session: &Session,
        store: StoreId,
        id: MasterKeyId,
    ) -> Result<Vec<u8>, Failure> {
        check_value(session, look_up(config, session, id)?, store)
    }

    /// Labels aren't unique to a token: two nodes that each make a key make two.
    pub(crate) fn refuse_duplicates(config: &Config, session: &Session) -> Result<(), Failure> {
        for role in KeyRole::ALL {
            let mut seen = Vec::new();
            for handle in keys::find(session, config, role, None)? {
                let object = KeyObject::read(session, handle, role)?;
                if seen.contains(&object.id) {
                    return Err(several(config, role, object.version));
                }
                seen.push(object.id);
            }
        }
        Ok(())
    }
}

impl Registered {
    fn compare(&self, value: &[u8]) -> Result<(), Failure> {
        let is_same: bool = value.ct_eq(&self.check_value).into();
        if is_same { Ok(()) } else { Err(error::wrong_mkek(self.id)) }
    }
}

fn look_up(config: &Config, session: &Session, id: MasterKeyId) -> Result<Version, Failure> {
    let (mkek, object) = find(config, session, KeyRole::Mkek, id)?;
    let (hmac, _) = find(config, session, KeyRole::Hmac, id)?;
    Ok(Version { id, mkek, hmac, is_trusted: object.trusted == Some(true) })
}

fn check_value(session: &Session, version: Version, store: StoreId) -> Result<Vec<u8>, Failure> {
    let input = Context::new("bailey key check MKEK in a token", 1).uuid(store.uuid()).uuid(version.id.uuid());
    let signed = session.sign(&Mechanism::Sha256Hmac, version.hmac, input.as_bytes());
    let mut value = signed.map_err(|error| failure(Operation::FindMkek, &error))?;
    value.truncate(CHECK_LENGTH);
    Ok(value)
}

/// The one key of a role and version, verified.
fn find(
    config: &Config,
    session: &Session,
    role: KeyRole,
    id: MasterKeyId,
) -> Result<(ObjectHandle, KeyObject), Failure> {
    let found = keys::find(session, config, role, Some(id))?;
    let handle = match found.as_slice() {
        [] => return Err(error::missing_mkek(id, role.as_str())),
        [handle] => *handle,
        _ => return Err(several(config, role, Some(id))),
    };
    Ok((handle, verify(session, role, id, handle)?))
}

/// That a key is what it must be.
fn verify(session: &Session, role: KeyRole, id: MasterKeyId, handle: ObjectHandle) -> Result<KeyObject, Failure> {
    let object = KeyObject::read(session, handle, role)?;
    let mut complaints = object.complaints();
    if object.version != Some(id) {
        complaints.push("has another CKA_ID than was searched for".to_owned());
    }
    if complaints.is_empty() {
        return Ok(object);
    }
    let context = format!("the {} of version {id} {}", role.as_str(), complaints.join(" and "));
    Err(Failure::new(Operation::FindMkek, Fault::WrongKey, context))
}

fn several(config: &Config, role: KeyRole, id: Option<MasterKeyId>) -> Failure {
    let id = id.map_or_else(|| "no version at all".to_owned(), |id| format!("version {id}"));
    let context = format!(
        "the token has more than one {} labelled `{}` of {id}: see `bailey hsm list`, and take away the ones that nothing \
         was wrapped with",
        role.as_str(),
        role.label(config)
    );
    Failure::new(Operation::FindMkek, Fault::WrongKey, context)
}
