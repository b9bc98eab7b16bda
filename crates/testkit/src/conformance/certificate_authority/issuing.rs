//! What is issued.

use std::collections::BTreeSet;

use anyhow::{Result, ensure};
use rcgen::{BasicConstraints, ExtendedKeyUsagePurpose, IsCa, KeyUsagePurpose, PublicKeyData as _};

use super::{CaCase, Fixture, Needs, ask_with, case, granted, may_follow, parsed, verify};

pub(super) fn cases() -> Vec<CaCase> {
    vec![
        case!(Needs::Nothing, the_descriptor_is_the_same_everywhere),
        case!(Needs::Nothing, it_is_healthy),
        case!(Needs::Nothing, the_certificate_is_for_the_requests_key),
        case!(Needs::Nothing, the_certificate_has_the_requests_name),
        case!(Needs::Nothing, openssl_follows_the_certificate_to_the_root),
        case!(Needs::Chain, the_chain_ends_with_the_root),
        case!(Needs::Nothing, nothing_beyond_the_profile_is_copied),
        case!(Needs::Nothing, serials_are_positive_long_and_never_the_same),
        case!(Needs::Nothing, concurrent_requests_get_a_certificate_each),
    ]
}

async fn the_descriptor_is_the_same_everywhere(fixture: Fixture) -> Result<()> {
    let (one, other) = (fixture.instance().await?, fixture.instance().await?);
    ensure!(one.descriptor() == other.descriptor(), "two instances describe themselves differently");
    ensure!(!one.descriptor().profiles.is_empty(), "it issues nothing");
    Ok(())
}

async fn it_is_healthy(fixture: Fixture) -> Result<()> {
    Ok(fixture.instance().await?.health().await?)
}

async fn the_certificate_is_for_the_requests_key(fixture: Fixture) -> Result<()> {
    let (asked, issued) = granted(&*fixture).await?;
    let certificate = parsed(&issued.certificate)?;
    let key = asked.key.subject_public_key_info();
    ensure!(certificate.public_key().raw == key, "the certificate is for another key");
    Ok(())
}

async fn the_certificate_has_the_requests_name(fixture: Fixture) -> Result<()> {
    let (asked, issued) = granted(&*fixture).await?;
    let text = format!("{:?}", parsed(&issued.certificate)?.subject_alternative_name()?);
    let (_, csr) = {
        use x509_parser::prelude::FromDer as _;
        x509_parser::certification_request::X509CertificationRequest::from_der(&asked.request.csr)?
    };
    let subject = &csr.certification_request_info.subject;
    let name = subject.iter_common_name().next().and_then(|name| name.as_str().ok()).unwrap_or_default();
    ensure!(!name.is_empty() && text.contains(name), "{name} is not among the names in {text}");
    Ok(())
}

async fn openssl_follows_the_certificate_to_the_root(fixture: Fixture) -> Result<()> {
    let (_, issued) = granted(&*fixture).await?;
    verify::chain(&issued, &fixture.root().await?)
}

async fn the_chain_ends_with_the_root(fixture: Fixture) -> Result<()> {
    let chain = fixture.instance().await?.chain().await?;
    ensure!(chain.last() == Some(&fixture.root().await?), "the chain of {} ends with something else", chain.len());
    let (_, issued) = granted(&*fixture).await?;
    let between = chain.split_last().map(|(_, between)| between.to_vec()).unwrap_or_default();
    ensure!(issued.intermediates == between, "the intermediates are others than the chain's");
    Ok(())
}

async fn nothing_beyond_the_profile_is_copied(fixture: Fixture) -> Result<()> {
    let asked = ask_with(&*fixture, |params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any, ExtendedKeyUsagePurpose::OcspSigning];
    })?;
    // To refuse it is as good as to pass over it.
    let Some(issued) = may_follow(&*fixture, &asked.request, 1).await? else { return Ok(()) };
    let certificate = parsed(&issued.certificate)?;
    ensure!(!certificate.is_ca(), "whoever asks becomes a CA");
    if let Some(usage) = certificate.key_usage()? {
        ensure!(!usage.value.key_cert_sign() && !usage.value.crl_sign(), "whoever asks may sign certificates");
    }
    if let Some(usage) = certificate.extended_key_usage()? {
        ensure!(!usage.value.any && !usage.value.ocsp_signing, "whoever asks may use it for anything");
    }
    Ok(())
}

async fn serials_are_positive_long_and_never_the_same(fixture: Fixture) -> Result<()> {
    let (mut seen, mut longest) = (BTreeSet::new(), 0);
    for _ in 0..4 {
        let (_, issued) = granted(&*fixture).await?;
        let certificate = parsed(&issued.certificate)?;
        let serial = certificate.raw_serial();
        ensure!(serial.len() <= 20, "a serial number of {} bytes", serial.len());
        longest = longest.max(serial.len());
        ensure!(serial.first().is_some_and(|byte| *byte < 0x80), "a negative serial number");
        ensure!(seen.insert(serial.to_vec()), "a serial number comes twice");
    }
    // Every 128th of a CA that draws from 63 bits has seven bytes, or fewer.
    ensure!(longest >= 8, "serial numbers of at most {longest} bytes");
    Ok(())
}

async fn concurrent_requests_get_a_certificate_each(fixture: Fixture) -> Result<()> {
    let before = fixture.issued().await?;
    let all = futures_util::future::try_join_all((0..4).map(|_| granted(&*fixture))).await?;
    for (asked, issued) in &all {
        let certificate = parsed(&issued.certificate)?;
        ensure!(certificate.public_key().raw == asked.key.subject_public_key_info(), "two requests were mixed up");
    }
    ensure!(fixture.issued().await? == before + 4, "four requests made another number of certificates");
    Ok(())
}
