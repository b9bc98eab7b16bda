//! What binds a payload to its place: a code over both, in the reference, under a random key, at the server.
//!
//! The reference alone, opened, is no help to whoever guesses at a passphrase, and whoever changes what the server
//! keeps can't make it fit the reference.

use bailey_core::encoding::Context;
use bailey_core::ids::{DeploymentId, StoreId};
use bailey_core::store::{Place, StoreError, StoreErrorKind};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::error::error;
use crate::object::Shape;

/// Whose objects: two installations on one server, and two stores of one, don't take each other's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    pub(crate) deployment: DeploymentId,
    pub(crate) store: StoreId,
}

/// A code over a payload and its place.
pub(crate) type Code = [u8; 32];

/// The random key of a code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Salt(pub(crate) [u8; 32]);

impl Salt {
    /// A fresh one.
    pub(crate) fn draw() -> Result<Self, StoreError> {
        let mut salt = [0; 32];
        let failed = |_| error(StoreErrorKind::Unavailable, "draw random bytes", "the system has none");
        getrandom::fill(&mut salt).map_err(failed)?;
        Ok(Self(salt))
    }

    /// The code of a payload in its place.
    pub(crate) fn code(&self, owner: &Owner, place: &Place, shape: Shape, payload: &[u8]) -> Code {
        self.mac(owner, place, shape, payload).finalize().into_bytes().into()
    }

    /// Whether the code is that of this payload in this place.
    pub(crate) fn fits(&self, code: &Code, owner: &Owner, place: &Place, shape: Shape, payload: &[u8]) -> bool {
        self.mac(owner, place, shape, payload).verify_slice(code).is_ok()
    }

    fn mac(&self, owner: &Owner, place: &Place, shape: Shape, payload: &[u8]) -> Hmac<Sha256> {
        let context = Context::new("bailey kmip payload", 1)
            .uuid(owner.deployment.uuid())
            .uuid(owner.store.uuid())
            .field(place.project.as_str().as_bytes())
            .uuid(place.secret.uuid())
            .uuid(place.write.uuid())
            .field(&shape.to_bytes());
        // HMAC fills a key up with zeros to the block of its hash (RFC 2104, section 2).
        let mut key = [0; 64];
        key[..32].copy_from_slice(&self.0);
        // The payload comes last: its length needs no field then, and it needs no copy.
        Hmac::<Sha256>::new(&key.into()).chain_update(context.as_bytes()).chain_update(payload)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::ids::{ProjectId, SecretId, WriteId};

    use super::*;

    #[test]
    fn a_code_fits_one_payload_in_one_place() {
        let owner = Owner { deployment: DeploymentId::new(), store: StoreId::new() };
        let project = ProjectId::new("p".to_owned()).unwrap();
        let place = Place { project, secret: SecretId::new(), write: WriteId::new() };
        let salt = Salt::draw().unwrap();
        let code = salt.code(&owner, &place, Shape::OPAQUE, b"payload");
        assert!(salt.fits(&code, &owner, &place, Shape::OPAQUE, b"payload"));
        let moved = Place { write: WriteId::new(), ..place.clone() };
        let foreign = Owner { store: StoreId::new(), ..owner };
        for (salt, owner, place, shape, payload) in [
            (&Salt::draw().unwrap(), &owner, &place, Shape::OPAQUE, &b"payload"[..]),
            (&salt, &foreign, &place, Shape::OPAQUE, b"payload"),
            (&salt, &owner, &moved, Shape::OPAQUE, b"payload"),
            (&salt, &owner, &place, Shape::SYMMETRIC, b"payload"),
            (&salt, &owner, &place, Shape::OPAQUE, b"payloae"),
        ] {
            assert!(!salt.fits(&code, owner, place, shape, payload));
        }
    }
}
