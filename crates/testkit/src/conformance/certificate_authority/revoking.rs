//! What is revoked.

use anyhow::{Context as _, Result, bail, ensure};
use bailey_core::ca::{CaErrorKind, CertificateAuthority, Revocation, RevocationList, RevocationReason};
use rcgen::{CertificateParams, KeyPair};
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

use super::{CaCase, Fixture, Needs, case, granted, parsed, verify};

pub(super) fn cases() -> Vec<CaCase> {
    vec![
        case!(Needs::Revocation, revoking_again_succeeds),
        case!(Needs::Revocation, what_another_ca_issued_is_not_found),
        case!(Needs::RevocationLists, a_list_tells_what_was_revoked),
        case!(Needs::RevocationLists, a_later_list_has_a_higher_number_and_tells_no_less),
        case!(Needs::RevocationLists, the_first_reason_stands),
    ]
}

fn revocation(certificate: &[u8], reason: RevocationReason) -> Revocation {
    Revocation { certificate: certificate.to_vec(), reason }
}

async fn list(ca: &dyn CertificateAuthority) -> Result<RevocationList> {
    Ok(ca.revocation_lists().context("it has lists no more")?.revocation_list(None).await?)
}

/// The code of the reason that a list has for a serial number (RFC 5280, section 5.3.1).
fn reason_in(list: &RevocationList, serial: &[u8]) -> Result<Option<u8>> {
    let (rest, read) = CertificateRevocationList::from_der(&list.der).context("read a CRL")?;
    ensure!(rest.is_empty(), "{} bytes after a CRL", rest.len());
    let number = read.crl_number().context("a CRL without a number")?;
    ensure!(number.to_string() == list.number.to_string(), "it says {} and its CRL {number}", list.number);
    let found = read.iter_revoked_certificates().find(|revoked| revoked.raw_serial() == serial);
    Ok(found.map(|revoked| revoked.reason_code().map_or(0, |(_, reason)| reason.0)))
}

async fn revoking_again_succeeds(fixture: Fixture) -> Result<()> {
    let (_, issued) = granted(&*fixture).await?;
    for was_valid in [true, false] {
        let ca = fixture.instance().await?;
        let told = ca.revoke(&revocation(&issued.certificate, RevocationReason::Superseded)).await?;
        ensure!(told == was_valid, "it says {told} of whether it was valid until now");
    }
    Ok(())
}

async fn what_another_ca_issued_is_not_found(fixture: Fixture) -> Result<()> {
    let ca = fixture.instance().await?;
    let foreign = CertificateParams::new(vec![fixture.name()])?.self_signed(&KeyPair::generate()?)?;
    let revoked = ca.revoke(&revocation(foreign.der(), RevocationReason::Unspecified)).await;
    let Err(error) = revoked else { bail!("it revokes what another CA issued") };
    ensure!(error.kind == CaErrorKind::NotFound, "{error} instead of NotFound");
    Ok(())
}

async fn a_list_tells_what_was_revoked(fixture: Fixture) -> Result<()> {
    let ((_, revoked), (_, kept)) = (granted(&*fixture).await?, granted(&*fixture).await?);
    fixture.instance().await?.revoke(&revocation(&revoked.certificate, RevocationReason::KeyCompromise)).await?;
    let ca = fixture.instance().await?;
    let told = list(&*ca).await?;
    let chain = ca.chain().await?;
    verify::revocation_list(&told.der, chain.first().context("a CA without a certificate")?)?;
    ensure!(reason_in(&told, parsed(&revoked.certificate)?.raw_serial())? == Some(1), "a revocation isn't listed");
    ensure!(reason_in(&told, parsed(&kept.certificate)?.raw_serial())?.is_none(), "what wasn't revoked is listed");
    ensure!(told.next_update > chrono::Utc::now(), "the list is out of date");
    Ok(())
}

async fn a_later_list_has_a_higher_number_and_tells_no_less(fixture: Fixture) -> Result<()> {
    let (_, issued) = granted(&*fixture).await?;
    let serial = parsed(&issued.certificate)?.raw_serial().to_vec();
    fixture.instance().await?.revoke(&revocation(&issued.certificate, RevocationReason::Unspecified)).await?;
    let mut last = 0;
    for _ in 0..3 {
        let told = list(&*fixture.instance().await?).await?;
        ensure!(told.number > last, "list {} comes after list {last}", told.number);
        ensure!(reason_in(&told, &serial)?.is_some(), "list {} forgets a revocation", told.number);
        last = told.number;
    }
    Ok(())
}

async fn the_first_reason_stands(fixture: Fixture) -> Result<()> {
    let (_, issued) = granted(&*fixture).await?;
    for reason in [RevocationReason::KeyCompromise, RevocationReason::Superseded] {
        fixture.instance().await?.revoke(&revocation(&issued.certificate, reason)).await?;
    }
    let told = list(&*fixture.instance().await?).await?;
    let reason = reason_in(&told, parsed(&issued.certificate)?.raw_serial())?;
    ensure!(reason == Some(1), "the reason is {reason:?} after a second revocation");
    Ok(())
}
