//! The envelope's own bytes: what it authenticates, what it puts before a ciphertext, and its
//! store references.

use std::sync::Arc;

use crate::encoding::Context;
use crate::ids::{KekId, StoreId, WriteId};
use crate::store::{Place, StoreError, StoreErrorKind, StoreReference};

/// First byte of every ciphertext and every reference.
const VERSION: u8 = 1;

/// What a payload's encryption authenticates.
pub(super) fn associated_data(store: StoreId, place: &Place, kek: KekId) -> Context {
    Context::new("bailey payload", 1)
        .uuid(store.uuid())
        .field(place.project.as_str().as_bytes())
        .uuid(place.secret.uuid())
        .uuid(place.write.uuid())
        .uuid(kek.uuid())
}

/// Puts the version byte before what the backend made.
pub(super) fn with_version(body: &[u8]) -> Arc<[u8]> {
    std::iter::once(VERSION).chain(body.iter().copied()).collect()
}

/// What the backend made; `None` when the version byte is missing or unknown.
pub(super) fn body(bytes: &[u8]) -> Option<&[u8]> {
    bytes.strip_prefix(&[VERSION])
}

/// The reference of a write: the version byte and the write id.
pub(super) fn reference(write: WriteId) -> StoreReference {
    let mut bytes = Vec::with_capacity(17);
    bytes.push(VERSION);
    bytes.extend_from_slice(write.uuid().as_bytes());
    StoreReference(bytes)
}

/// `Corrupt` unless the reference is the one that belongs to the place.
pub(super) fn check_reference(given: &StoreReference, place: &Place) -> Result<(), StoreError> {
    if *given == reference(place.write) { Ok(()) } else { Err(corrupt(place, "its reference belongs elsewhere")) }
}

/// What was stored under this place is not what it should be.
pub(super) fn corrupt(place: &Place, what: &str) -> StoreError {
    StoreError::new(StoreErrorKind::Corrupt, "open payload", format!("write {}: {what}", place.write))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::{ProjectId, SecretId};

    fn place(project: &str) -> Place {
        let project = ProjectId::new(project).unwrap_or_else(|_| unreachable!("a valid project id"));
        Place { project, secret: SecretId::new(), write: WriteId::new() }
    }

    #[test]
    fn a_reference_fits_its_own_place_only() {
        let (mine, other) = (place("p"), place("p"));
        assert!(check_reference(&reference(mine.write), &mine).is_ok());
        assert!(check_reference(&reference(other.write), &mine).is_err());
        assert!(check_reference(&StoreReference(Vec::new()), &mine).is_err());
    }

    #[test]
    fn every_coordinate_changes_the_associated_data() {
        let (store, kek, base) = (StoreId::new(), KekId::new(), place("p"));
        let mut others = vec![
            associated_data(StoreId::new(), &base, kek),
            associated_data(store, &base, KekId::new()),
            associated_data(store, &Place { write: WriteId::new(), ..base.clone() }, kek),
            associated_data(store, &Place { secret: SecretId::new(), ..base.clone() }, kek),
            associated_data(store, &Place { project: place("q").project, ..base.clone() }, kek),
            associated_data(store, &base, kek),
        ];
        others.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
        others.dedup_by(|a, b| a.as_bytes() == b.as_bytes());
        assert_eq!(others.len(), 6);
    }

    #[test]
    fn only_the_known_version_has_a_body() {
        assert_eq!(body(&with_version(b"abc")), Some(b"abc".as_slice()));
        assert_eq!(body(b"\x02abc"), None);
        assert_eq!(body(b""), None);
    }
}
