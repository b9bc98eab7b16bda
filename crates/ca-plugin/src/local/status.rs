//! Answers on single certificates: OCSP (RFC 6960), signed by the CA itself.

use async_trait::async_trait;
use aws_lc_rs::digest::{Algorithm, SHA1_FOR_LEGACY_USE_ONLY, SHA256, digest};
use bailey_core::ca::{CaError, RevocationReason, Revoked, StatusAnswer, StatusResponder};
use bailey_core::der::{Element, sequence, tagged, take, take_tagged};
use chrono::{DateTime, TimeDelta, Utc};

use super::LocalCa;
use super::generation::Opened;
use super::revocation::plain;

/// How long an answer is good.
const GOOD_FOR: TimeDelta = TimeDelta::hours(1);
/// Most certificates in one question.
const MOST: usize = 16;
/// Longest nonce that is repeated (RFC 9654 asks for 32 bytes, and for the header of its element).
const LONGEST_NONCE: usize = 160;

const MALFORMED: u8 = 1;
const UNAUTHORIZED: u8 = 6;

/// id-pkix-ocsp-basic and id-pkix-ocsp-nonce; DER.
const BASIC: &[u8] = &[0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01];
const NONCE: &[u8] = &[0x06, 0x09, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02];
/// The algorithms that name a CA; content of their object identifiers.
const SHA1_ID: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];
const SHA256_ID: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01];

/// A question for one certificate.
struct Asked<'a> {
    /// As it was asked, to be repeated.
    id: &'a [u8],
    algorithm: &'static Algorithm,
    issuer_name: &'a [u8],
    issuer_key: &'a [u8],
    serial: Vec<u8>,
}

/// A question.
struct Question<'a> {
    asked: Vec<Asked<'a>>,
    nonce: Option<&'a [u8]>,
}

impl<'a> Question<'a> {
    /// Nothing, if it is none.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        let mut request = take_tagged(&mut rest, 0x30).filter(|_| rest.is_empty())?.content;
        let mut body = take_tagged(&mut request, 0x30)?.content;
        // The version, and who asks.
        take_tagged(&mut body, 0xa0);
        take_tagged(&mut body, 0xa1);
        let mut list = take_tagged(&mut body, 0x30)?.content;
        let mut asked = Vec::new();
        while let Some(mut one) = take_tagged(&mut list, 0x30).map(|element| element.content) {
            asked.push(Asked::read(take_tagged(&mut one, 0x30)?)?);
        }
        let is_whole = list.is_empty() && (1..=MOST).contains(&asked.len());
        let extensions = take_tagged(&mut body, 0xa2).and_then(|outer| take_tagged(&mut &*outer.content, 0x30));
        let nonce = extensions.and_then(|all| nonce(all.content));
        is_whole.then_some(Self { asked, nonce })
    }
}

fn nonce(mut extensions: &[u8]) -> Option<&[u8]> {
    while let Some(extension) = take(&mut extensions) {
        if extension.content.starts_with(NONCE) && extension.whole.len() <= LONGEST_NONCE {
            return Some(extension.whole);
        }
    }
    None
}

impl<'a> Asked<'a> {
    fn read(id: Element<'a>) -> Option<Self> {
        let mut parts = id.content;
        let mut algorithm = take_tagged(&mut parts, 0x30)?.content;
        let algorithm = match take_tagged(&mut algorithm, 0x06)?.content {
            SHA1_ID => &SHA1_FOR_LEGACY_USE_ONLY,
            SHA256_ID => &SHA256,
            _ => return None,
        };
        let issuer_name = take_tagged(&mut parts, 0x04)?.content;
        let issuer_key = take_tagged(&mut parts, 0x04)?.content;
        let serial = plain(take_tagged(&mut parts, 0x02)?.content);
        Some(Self { id: id.whole, algorithm, issuer_name, issuer_key, serial })
    }

    /// Whether it is for a certificate of this generation's.
    fn is_of(&self, opened: &Opened) -> bool {
        let hash = |bytes: &[u8]| digest(self.algorithm, bytes);
        hash(&opened.subject).as_ref() == self.issuer_name && hash(&opened.key_bits).as_ref() == self.issuer_key
    }
}

#[async_trait]
impl StatusResponder for LocalCa {
    fn subject(&self, question: &[u8]) -> Option<Vec<u8>> {
        let question = Question::read(question).filter(|question| question.nonce.is_none())?;
        Some(question.asked.iter().flat_map(|asked| asked.id).copied().collect())
    }

    async fn status(&self, question: &[u8]) -> Result<StatusAnswer, CaError> {
        let Some(question) = Question::read(question) else { return Ok(StatusAnswer::refusal(MALFORMED)) };
        let generations = self.generations().await?;
        let is_asked = |opened: &&Opened| question.asked.iter().any(|asked| asked.is_of(opened));
        let Some(opened) = generations.iter().find(is_asked) else {
            return Ok(StatusAnswer::refusal(UNAUTHORIZED));
        };
        let now = self.parts.clock.now();
        let mut answers = Vec::new();
        for asked in &question.asked {
            let status = if asked.is_of(opened) {
                let id = self.descriptor.id;
                known(self.parts.ledger.revoked(id, opened.number, &asked.serial).await?)
            } else {
                tagged(0x82, &[])
            };
            let until = tagged(0xa0, &time(now + GOOD_FOR));
            answers.extend(sequence(&[asked.id, &status, &time(now), &until]));
        }
        let responder = tagged(0xa2, &tagged(0x04, digest(&SHA1_FOR_LEGACY_USE_ONLY, &opened.key_bits).as_ref()));
        let extensions = question.nonce.map(|nonce| tagged(0xa1, &sequence(&[nonce]))).unwrap_or_default();
        let said = sequence(&[&responder, &time(now), &tagged(0x30, &answers), &extensions]);
        let basic = opened.sign(said).await?;
        let bytes = sequence(&[BASIC, &tagged(0x04, &basic)]);
        let der = sequence(&[&[0x0a, 1, 0], &tagged(0xa0, &bytes)]);
        Ok(StatusAnswer { der, is_for_all: question.nonce.is_none() })
    }
}

/// What isn't revoked is good: a local CA keeps no book of what it issued.
fn known(revoked: Option<Revoked>) -> Vec<u8> {
    let Some(Revoked { reason, revoked_at, .. }) = revoked else { return tagged(0x80, &[]) };
    let reason = match reason {
        RevocationReason::Unspecified => None,
        RevocationReason::KeyCompromise => Some(1),
        RevocationReason::CaCompromise => Some(2),
        RevocationReason::AffiliationChanged => Some(3),
        RevocationReason::Superseded => Some(4),
        RevocationReason::CessationOfOperation => Some(5),
        RevocationReason::PrivilegeWithdrawn => Some(9),
    };
    let reason = reason.map(|code| tagged(0xa0, &[0x0a, 1, code])).unwrap_or_default();
    tagged(0xa1, &[time(revoked_at), reason].concat())
}

/// `GeneralizedTime`.
fn time(time: DateTime<Utc>) -> Vec<u8> {
    tagged(0x18, time.format("%Y%m%d%H%M%SZ").to_string().as_bytes())
}
