//! What ACME can do beyond the contract: wildcards, accounts elsewhere, other chains, and why not.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, ensure};
use bailey_ca_plugin::Secret;
use bailey_ca_plugin::acme::ProfileConfig;
use bailey_core::ca::{CaErrorKind, CertificateAuthority as _, Issuance, Renewal as _, RenewalWindow};
use bailey_testkit::memory::{MemoryKeys, names};
use bailey_testkit::pebble::{EXTERNAL_ID, EXTERNAL_KEY, Settings};
use chrono::{DateTime, TimeDelta, Utc};
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Handle;

use crate::world::{Proof, World, certified, request, request_for};

macro_rules! trial {
    ($runtime:expr, $name:ident) => {{
        let runtime = $runtime.clone();
        Trial::test(concat!("acme::", stringify!($name)), move || {
            runtime
                .block_on(async { tokio::spawn($name()).await? })
                .map_err(|error: anyhow::Error| Failed::from(format!("{error:#}")))
        })
    }};
}
pub(crate) use trial;

pub fn trials(runtime: &Handle) -> Vec<Trial> {
    vec![
        trial!(runtime, a_wildcard_is_proved_in_the_dns),
        trial!(runtime, a_wildcard_is_proved_by_the_webhook),
        trial!(runtime, what_cannot_be_proved_is_told),
        trial!(runtime, a_problem_is_the_reason),
        trial!(runtime, an_account_elsewhere_vouches_once),
        trial!(runtime, the_preferred_chain_is_taken),
        trial!(runtime, a_profile_that_is_not_offered_asks_for_nothing),
        trial!(runtime, two_requests_for_the_same_names_get_one_each),
        trial!(runtime, a_renewal_for_the_same_key_is_another_certificate),
        trial!(runtime, names_that_acme_does_not_certify_are_refused),
        trial!(runtime, a_server_without_an_opinion_on_renewal_says_so),
        trial!(runtime, a_newer_server_says_when_to_renew),
        trial!(runtime, an_order_names_the_certificate_that_it_replaces),
        trial!(runtime, a_profile_that_is_offered_is_asked_for),
    ]
}

async fn a_wildcard_is_proved_in_the_dns() -> Result<()> {
    let world = World::start(Proof::Rfc2136, Settings::default()).await?;
    let names = ["example.test", "*.example.test", "www.example.test"];
    let issued = world.issued_for(&request(&names)?.0, 1).await?;
    ensure!(certified(&issued)? == names.map(String::from).into(), "the certificate is for {:?}", certified(&issued)?);
    Ok(())
}

async fn a_wildcard_is_proved_by_the_webhook() -> Result<()> {
    let world = World::start(Proof::Webhook, Settings::default()).await?;
    let names = ["*.hooks.example.test", "hooks.example.test"];
    let issued = world.issued_for(&request(&names)?.0, 1).await?;
    ensure!(certified(&issued)? == names.map(String::from).into(), "the certificate is for {:?}", certified(&issued)?);
    Ok(())
}

async fn what_cannot_be_proved_is_told() -> Result<()> {
    let world = World::start(Proof::Http, Settings::default()).await?;
    let reason = world.rejection(&request(&["*.example.test"])?.0).await?;
    ensure!(reason == "There is no way to prove *.example.test to the CA", "{reason}");
    ensure!(world.pebble.issued() == 0, "a certificate was issued");
    Ok(())
}

async fn a_problem_is_the_reason() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    // Nobody looks where these answers are kept.
    world.challenges = Arc::default();
    let reason = world.rejection(&request(&["nobody.example.test"])?.0).await?;
    ensure!(reason.starts_with("nobody.example.test: ") && reason.ends_with("(unauthorized)"), "{reason}");
    ensure!(world.challenges.count() == 0, "the answer is still there");
    let reason = world.rejection(&request(&["under_score.example.test"])?.0).await?;
    ensure!(reason.contains("illegal character") && reason.ends_with("(malformed)"), "{reason}");
    Ok(())
}

async fn an_account_elsewhere_vouches_once() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings { external_account: true, ..Settings::default() }).await?;
    let error = world.ca()?.poll(&request(&["a.example.test"])?.0, &beginning(&world).await?).await.unwrap_err();
    ensure!(error.to_string().contains("externalAccountRequired"), "{error}");

    world.config.external_account_id = EXTERNAL_ID.to_owned();
    world.config.external_account_key = Secret::new(EXTERNAL_KEY.to_owned());
    let (issuance, states) = world.follow(&request(&["a.example.test"])?.0, 2).await?;
    ensure!(matches!(issuance, Issuance::Issued(_)), "{issuance:?}");
    ensure!(world.pebble.accounts() == 1, "{} accounts were made", world.pebble.accounts());

    // From now on the store has the key, and states never have one.
    world.config.external_account_key = Secret::default();
    world.issued_for(&request(&["b.example.test"])?.0, 1).await?;
    ensure!(world.pebble.accounts() == 1, "another account was made");
    ensure!(world.keys.names() == ["acme-account", "acme-external-account"], "{:?}", world.keys.names());
    let kept = states.concat();
    ensure!(!kept.contains(EXTERNAL_KEY) && !kept.contains("PRIVATE"), "a key is in a state: {kept}");

    world.keys = Arc::new(MemoryKeys::default());
    let error = world.ca()?.poll(&request(&["c.example.test"])?.0, &beginning(&world).await?).await.unwrap_err();
    ensure!(error.kind == CaErrorKind::Internal && error.to_string().contains("external_account_key"), "{error}");
    Ok(())
}

async fn beginning(world: &World) -> Result<bailey_core::ca::IssuanceState> {
    match world.ca()?.issue(&request(&["a.example.test"])?.0).await? {
        Issuance::Pending(pending) => Ok(pending.state),
        other => anyhow::bail!("{other:?} at the beginning"),
    }
}

async fn the_preferred_chain_is_taken() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings { alternate_roots: 2, ..Settings::default() }).await?;
    for number in 0..3 {
        let root = world.pebble.root(number)?;
        let (_, root) = x509_parser::parse_x509_certificate(&root)?;
        let name = root.subject().iter_common_name().next().unwrap().as_str()?.to_owned();
        world.config.preferred_chain = name.clone();
        let issued = world.issued_for(&request(&[&names()])?.0, 1).await?;
        let last = issued.intermediates.last().unwrap();
        let (_, last) = x509_parser::parse_x509_certificate(last)?;
        ensure!(last.verify_signature(Some(root.public_key())).is_ok(), "the chain doesn't lead to {name}");
    }
    "no such root".clone_into(&mut world.config.preferred_chain);
    world.issued_for(&request(&[&names()])?.0, 1).await?;
    Ok(())
}

async fn a_profile_that_is_not_offered_asks_for_nothing() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let short = ProfileConfig { name: "short".into(), acme_profile: "shortlived".into(), ..ProfileConfig::default() };
    world.config.profiles.push(short);
    let (mut request, _) = request(&["a.example.test"])?;
    request.profile = Some("short".into());
    let reason = world.rejection(&request).await?;
    ensure!(reason.contains("profile shortlived"), "{reason}");
    ensure!(world.pebble.orders() == 0, "an order was asked for");
    Ok(())
}

async fn two_requests_for_the_same_names_get_one_each() -> Result<()> {
    let world = World::start(Proof::Http, Settings::default()).await?;
    let ((one, one_key), (other, other_key)) = (request(&["a.example.test"])?, request(&["a.example.test"])?);
    let both = tokio::try_join!(world.issued_for(&one, 3), world.issued_for(&other, 3))?;
    for (issued, key) in [(both.0, one_key), (both.1, other_key)] {
        let (_, certificate) = x509_parser::parse_x509_certificate(&issued.certificate)?;
        let for_key = rcgen::PublicKeyData::subject_public_key_info(&key);
        ensure!(certificate.public_key().raw == for_key, "a certificate is for the other's key");
    }
    ensure!(world.pebble.issued() == 2, "{} certificates for two requests", world.pebble.issued());
    ensure!(world.pebble.orders() == 2, "{} orders for two requests", world.pebble.orders());
    Ok(())
}

/// A certificate from long before isn't taken for what a request led to, though names and key are the same.
async fn a_renewal_for_the_same_key_is_another_certificate() -> Result<()> {
    let world = World::start(Proof::Http, Settings::default()).await?;
    let (first, key) = request(&["a.example.test"])?;
    let first = world.issued_for(&first, 1).await?;
    let mut renewal = request_for(&["a.example.test"], &key)?;
    renewal.requested_at += chrono::TimeDelta::hours(2);
    let second = world.issued_for(&renewal, 1).await?;
    ensure!(first.certificate != second.certificate, "the renewal is the certificate of before");
    ensure!(world.pebble.issued() == 2, "{} certificates", world.pebble.issued());
    Ok(())
}

async fn names_that_acme_does_not_certify_are_refused() -> Result<()> {
    let world = World::start(Proof::Http, Settings::default()).await?;
    let key = rcgen::KeyPair::generate()?;
    let mut params = rcgen::CertificateParams::new(vec!["a.example.test".to_owned()])?;
    params.subject_alt_names.push(rcgen::SanType::Rfc822Name("me@example.test".try_into()?));
    let (mut asked, _) = request(&["a.example.test"])?;
    asked.csr = params.serialize_request(&key)?.der().to_vec();
    ensure!(world.rejection(&asked).await?.contains("hosts only"));
    params.subject_alt_names.pop();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(rcgen::DnType::CommonName, "b.example.test");
    asked.csr = params.serialize_request(&key)?.der().to_vec();
    ensure!(world.rejection(&asked).await?.contains("b.example.test is not among"));
    asked.csr = rcgen::CertificateParams::new(Vec::new())?.serialize_request(&key)?.der().to_vec();
    ensure!(world.rejection(&asked).await?.contains("names no host"));
    ensure!(world.pebble.accounts() == 0, "the CA was asked");
    Ok(())
}

async fn a_server_without_an_opinion_on_renewal_says_so() -> Result<()> {
    let world = World::start(Proof::Http, Settings::default()).await?;
    let issued = world.issued_for(&request(&["a.example.test"])?.0, 1).await?;
    let error = world.ca()?.renewal_window(&issued.certificate).await.unwrap_err();
    ensure!(error.kind == CaErrorKind::Unsupported, "{error}");
    Ok(())
}

/// Behind a gate, since Pebble has no opinion.
async fn a_newer_server_says_when_to_renew() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    gate.renew(&[]);
    let issued = world.issued_for(&request(&["a.example.test"])?.0, 1).await?;
    let start = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
    let end = start + TimeDelta::days(2);
    gate.suggest(Some((start, end)), 7_200);
    let ca = world.ca()?;
    let window = ca.renewal_window(&issued.certificate).await?;
    ensure!(window == RenewalWindow { start, end, ask_again: Some(Duration::from_secs(7_200)) }, "{window:?}");
    // It is brought forward: nothing is remembered.
    gate.suggest(Some((start - TimeDelta::days(30), end)), 60);
    ensure!(ca.renewal_window(&issued.certificate).await?.start == start - TimeDelta::days(30));
    for odd in [Some((end, start)), None] {
        gate.suggest(odd, 60);
        let error = ca.renewal_window(&issued.certificate).await.unwrap_err();
        ensure!(error.kind == CaErrorKind::Unavailable, "{error}");
    }
    ensure!(gate.asked().len() == 4, "{:?}", gate.asked());
    Ok(())
}

async fn an_order_names_the_certificate_that_it_replaces() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    gate.renew(&[]);
    let (first, key) = request(&["a.example.test"])?;
    let first = world.issued_for(&first, 1).await?;
    gate.suggest(Some((Utc::now(), Utc::now() + TimeDelta::days(1))), 60);
    world.ca()?.renewal_window(&first.certificate).await?;
    let names = gate.asked();

    let mut before = first.certificate.clone();
    for (hours, named) in [(2, Some(&names[0])), (4, None)] {
        let mut renewal = request_for(&["a.example.test"], &key)?;
        renewal.requested_at += TimeDelta::hours(hours);
        // Both times the first one, whose place has been taken by the second time.
        renewal.replaces = Some(first.certificate.clone());
        let issued = world.issued_for(&renewal, 1).await?;
        ensure!(issued.certificate != before, "the renewal is the certificate of before");
        before = issued.certificate;
        let told = gate.ordered().pop().unwrap();
        ensure!(told["replaces"].as_str() == named.map(String::as_str), "{told}");
    }
    ensure!(gate.ordered()[0].get("replaces").is_none(), "the first replaces nothing");
    ensure!(world.pebble.issued() == 3, "{} certificates", world.pebble.issued());
    Ok(())
}

async fn a_profile_that_is_offered_is_asked_for() -> Result<()> {
    let mut world = World::start(Proof::Http, Settings::default()).await?;
    let gate = world.gate()?;
    gate.renew(&["classic", "shortlived"]);
    let short = ProfileConfig { name: "short".into(), acme_profile: "shortlived".into(), ..ProfileConfig::default() };
    world.config.profiles.push(short);
    let (mut asked, _) = request(&["a.example.test"])?;
    asked.profile = Some("short".into());
    world.issued_for(&asked, 1).await?;
    world.issued_for(&request(&["b.example.test"])?.0, 1).await?;
    let told: Vec<_> = gate.ordered().iter().map(|order| order["profile"].as_str().map(str::to_owned)).collect();
    ensure!(told == [Some("shortlived".to_owned()), None], "{told:?}");

    gate.renew(&["classic"]);
    let (mut asked, _) = request(&["c.example.test"])?;
    asked.profile = Some("short".into());
    let reason = world.rejection(&asked).await?;
    ensure!(reason.contains("profile shortlived"), "{reason}");
    ensure!(gate.ordered().is_empty(), "an order was asked for");
    Ok(())
}
