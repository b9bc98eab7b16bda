//! Signing in two steps: rcgen writes down what is to be signed, then the CA's key signs it, wherever that key is.

use bailey_core::ca::{CaError, CaErrorKind, CaKey};
use rcgen::{PublicKeyData, SignatureAlgorithm, SigningKey, SubjectPublicKeyInfo};
use x509_parser::der_parser::asn1_rs::{Any, FromDer as _, Sequence};

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
    algorithm: Vec<u8>,
}

impl Draft {
    /// Reads what a [`Blank`] has signed.
    ///
    /// # Errors
    /// `Internal` for anything else.
    pub(super) fn read(der: &[u8]) -> Result<Self, CaError> {
        let internal = |_| CaError::new(CaErrorKind::Internal, OPERATION, "what is to be signed can't be read");
        let (_, whole) = Sequence::from_der(der).map_err(internal)?;
        let (rest, said) = element(&whole.content).map_err(internal)?;
        let (_, algorithm) = element(rest).map_err(internal)?;
        Ok(Self { said: said.to_vec(), algorithm: algorithm.to_vec() })
    }

    /// Has it signed; DER.
    ///
    /// # Errors
    /// The key's.
    pub(super) async fn signed(self, key: &dyn CaKey) -> Result<Vec<u8>, CaError> {
        let signature = key.sign(&self.said).await?;
        // No bits of the last byte are unused.
        let bits = [&[0], signature.as_slice()].concat();
        Ok(tagged(0x30, &[self.said, self.algorithm, tagged(0x03, &bits)].concat()))
    }
}

const OPERATION: &str = "sign";

/// What rcgen complains of.
pub(super) fn refused(error: rcgen::Error) -> CaError {
    CaError::new(CaErrorKind::Internal, OPERATION, "it can't be written down").with_source(error)
}

/// The first element, header and all, and what follows it.
fn element(
    bytes: &[u8],
) -> Result<(&[u8], &[u8]), x509_parser::der_parser::asn1_rs::Err<x509_parser::der_parser::asn1_rs::Error>> {
    let (rest, _) = Any::from_der(bytes)?;
    let (first, _) = bytes.split_at(bytes.len() - rest.len());
    Ok((rest, first))
}

/// An element of DER (X.690, section 8.1).
pub(super) fn tagged(tag: u8, content: &[u8]) -> Vec<u8> {
    let mut all = vec![tag];
    match u8::try_from(content.len()) {
        Ok(length @ 0..0x80) => all.push(length),
        _ => {
            let length = content.len().to_be_bytes();
            let length: Vec<u8> = length.into_iter().skip_while(|byte| *byte == 0).collect();
            all.push(0x80 | u8::try_from(length.len()).unwrap_or_default());
            all.extend(length);
        }
    }
    all.extend_from_slice(content);
    all
}

#[cfg(test)]
mod tests {
    use super::tagged;

    #[test]
    fn lengths_are_as_short_as_can_be() {
        for (length, header) in [
            (0, &[4, 0][..]),
            (127, &[4, 127]),
            (128, &[4, 0x81, 128]),
            (255, &[4, 0x81, 255]),
            (256, &[4, 0x82, 1, 0]),
            (65_536, &[4, 0x83, 1, 0, 0]),
        ] {
            let all = tagged(4, &vec![7; length]);
            assert_eq!(&all[..header.len()], header);
            assert_eq!(all.len(), header.len() + length);
        }
    }
}
