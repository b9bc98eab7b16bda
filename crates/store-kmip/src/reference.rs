//! Store references: version, shape, write id, code, then the object's identifier.

use bailey_core::ids::WriteId;
use bailey_core::store::{StoreError, StoreErrorKind, StoreReference};
use uuid::Uuid;

use crate::error::error;
use crate::message::is_id;
use crate::object::Shape;
use crate::seal::Code;

const VERSION: u8 = 1;

/// What a store reference says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reference {
    pub(crate) shape: Shape,
    pub(crate) write: WriteId,
    pub(crate) code: Code,
    pub(crate) id: String,
}

impl Reference {
    pub(crate) fn to_store(&self) -> StoreReference {
        let (shape, write) = (self.shape.to_bytes(), self.write.uuid());
        let bytes = [&[VERSION][..], &shape, write.as_bytes(), &self.code, self.id.as_bytes()];
        StoreReference(bytes.concat())
    }

    /// Reads a reference for a write.
    ///
    /// # Errors
    /// `Corrupt` if it is none, or another write's.
    pub(crate) fn read(reference: &StoreReference, write: WriteId) -> Result<Self, StoreError> {
        let corrupt = || error(StoreErrorKind::Corrupt, "read reference", format!("write {write}"));
        Self::parse(&reference.0).filter(|read| read.write == write).ok_or_else(corrupt)
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let (version, rest) = bytes.split_first()?;
        let (shape, rest) = rest.split_first_chunk()?;
        let (write, rest) = rest.split_first_chunk()?;
        let (code, id) = rest.split_first_chunk()?;
        let id = std::str::from_utf8(id).ok().filter(|id| *version == VERSION && is_id(id))?;
        let write = WriteId::from(Uuid::from_bytes(*write));
        Some(Self { shape: Shape::from_bytes(*shape)?, write, code: *code, id: id.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_reference_is_read_for_its_own_write_only() {
        let reference =
            Reference { shape: Shape::SYMMETRIC, write: WriteId::new(), code: [7; 32], id: "42".to_owned() };
        let stored = reference.to_store();
        assert_eq!(Reference::read(&stored, reference.write).unwrap(), reference);
        let refused = Reference::read(&stored, WriteId::new()).unwrap_err();
        assert_eq!(refused.kind, StoreErrorKind::Corrupt);
    }

    #[test]
    fn what_is_no_reference_is_corrupt() {
        let reference = Reference { shape: Shape::OPAQUE, write: WriteId::new(), code: [7; 32], id: "42".to_owned() };
        let bytes = reference.to_store().0;
        let mut wrong: Vec<_> = (0..=51).map(|length| bytes[..length].to_vec()).collect();
        wrong.push([&[2], &bytes[1..]].concat());
        wrong.push([&bytes[..1], &[9, 0], &bytes[3..]].concat());
        wrong.push([&bytes[..], &[0]].concat());
        for bytes in wrong {
            let read = Reference::read(&StoreReference(bytes), reference.write);
            assert_eq!(read.unwrap_err().kind, StoreErrorKind::Corrupt);
        }
    }
}
