//! Serial numbers: nobody can guess one, and the same request has the same one each time.

use aws_lc_rs::hmac::{HMAC_SHA256, Key, sign};
use bailey_core::ca::{CaError, CaErrorKind};
use bailey_core::ids::IssuanceId;
use bailey_core::sensitive::SecretBytes;

const DOMAIN: &[u8] = b"bailey local CA serial number, version 1";

/// Makes serial numbers of one CA.
pub(super) struct Serials(Key);

impl Serials {
    /// What serial numbers may be drawn with, for good.
    ///
    /// # Errors
    /// `Internal` when there are no random numbers.
    pub(super) fn secret() -> Result<SecretBytes, CaError> {
        let mut secret = vec![0; 32];
        let failed = |_| CaError::new(CaErrorKind::Internal, "make CA", "there are no random numbers");
        aws_lc_rs::rand::fill(&mut secret).map_err(failed)?;
        Ok(SecretBytes::new(secret))
    }

    /// With a key for each certificate of the CA's.
    pub(super) fn new(secret: &SecretBytes, certificate: &[u8]) -> Self {
        let own = sign(&Key::new(HMAC_SHA256, secret.expose()), &framed(&[DOMAIN, certificate]));
        Self(Key::new(HMAC_SHA256, own.as_ref()))
    }

    /// Sixteen bytes, positive (RFC 5280, section 4.1.2.2), of which 126 bits look random: more than the 64 that
    /// the CA/Browser Forum wants.
    pub(super) fn of(&self, id: IssuanceId, said: &[u8], granted: &[u8]) -> Vec<u8> {
        let tag = sign(&self.0, &framed(&[id.uuid().as_bytes(), said, granted]));
        let mut serial: Vec<u8> = tag.as_ref().iter().copied().take(16).collect();
        if let Some(first) = serial.first_mut() {
            *first = *first & 0x7f | 0x40;
        }
        serial
    }
}

/// Parts, each after its length.
fn framed(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        all.extend_from_slice(part);
    }
    all
}
