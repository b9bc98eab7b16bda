//! Signing in two steps: rcgen writes down what is to be signed, then the CA's key signs it, wherever that key is.

use bailey_core::ca::{CaError, CaErrorKind, CaKey};
use bailey_core::der::{sequence, tagged, take, take_tagged};
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey, SubjectPublicKeyInfo};

/// The public half of a CA's key, which leaves the place of a signature blank.
pub(super) struct Blank(SubjectPublicKeyInfo);

impl Blank {
    /// For the key with this `SubjectPublicKeyInfo`.
    ///
    /// # Errors
    /// When nobody knows such keys.
    pub(super) fn of(public_key: &[u8]) -> Result<Self, rcgen::Error> {
        SubjectPublicKeyInfo::from_der(public_key).map(Self)
    }
}

impl PublicKeyData for Blank {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

impl SigningKey for Blank {
    fn sign(&self, _: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        Ok(Vec::new())
    }
}

/// A certificate or a CRL that a [`Blank`] has signed (RFC 5280, sections 4.1 and 5.1).
pub(super) struct Draft {
    /// What is to be signed; its encoding is one and the same each time.
    pub(super) said: Vec<u8>,
    /// Which sort of signature it will be; DER.
    pub(super) algorithm: Vec<u8>,
}

impl Draft {
    /// Reads what a [`Blank`] has signed.
    ///
    /// # Errors
    /// `Internal` for anything else.
    pub(super) fn read(der: &[u8]) -> Result<Self, CaError> {
        let parts = || {
            let mut content = take_tagged(&mut &*der, 0x30)?.content;
            Some((take(&mut content)?, take(&mut content)?))
        };
        let internal = || CaError::new(CaErrorKind::Internal, OPERATION, "what is to be signed can't be read");
        let (said, algorithm) = parts().ok_or_else(internal)?;
        Ok(Self { said: said.whole.to_vec(), algorithm: algorithm.whole.to_vec() })
    }

    /// Has it signed; DER.
    ///
    /// # Errors
    /// The key's.
    pub(super) async fn signed(self, key: &dyn CaKey) -> Result<Vec<u8>, CaError> {
        let Self { said, algorithm } = self;
        let signature = key.sign(&said).await?;
        // No bits of the last byte are unused.
        let signature = tagged(0x03, &[&[0], signature.as_slice()].concat());
        Ok(sequence(&[&said, &algorithm, &signature]))
    }
}

const OPERATION: &str = "sign";

/// What rcgen complains of.
pub(super) fn refused(error: rcgen::Error) -> CaError {
    CaError::new(CaErrorKind::Internal, OPERATION, "it can't be written down").with_source(error)
}
