//! What becomes of a request when processes come and go.

use anyhow::{Context as _, Result, bail, ensure};
use bailey_core::ca::{CaErrorKind, Issuance, IssuanceState};

use rcgen::{DnType, DnValue};

use super::{CaCase, Fixture, Needs, ask, ask_with, case, follow, follow_again, may_follow, step};

pub(super) fn cases() -> Vec<CaCase> {
    vec![
        case!(Needs::Nothing, another_instance_goes_on),
        case!(Needs::Nothing, asking_again_gives_the_same_certificate),
        case!(Needs::Nothing, asking_again_with_a_long_subject_gives_the_same_certificate),
        case!(Needs::Nothing, steps_taken_again_make_one_certificate),
        case!(Needs::Nothing, another_request_gets_another_certificate),
        case!(Needs::NoTraces, who_leaves_no_traces_answers_at_once),
        case!(Needs::Nothing, a_state_of_nobodys_is_corrupt),
    ]
}

async fn another_instance_goes_on(fixture: Fixture) -> Result<()> {
    let (before, asked) = (fixture.issued().await?, ask(&*fixture)?);
    follow(&*fixture, &asked.request, 2).await?;
    ensure!(fixture.issued().await? == before + 1, "one request made another number of certificates");
    Ok(())
}

async fn asking_again_gives_the_same_certificate(fixture: Fixture) -> Result<()> {
    let (before, asked) = (fixture.issued().await?, ask(&*fixture)?);
    let first = follow(&*fixture, &asked.request, 1).await?;
    let again = follow_again(&*fixture, &asked.request).await?.context("it rejects what it granted")?;
    let (first, again) = (super::parsed(&first.certificate)?, super::parsed(&again.certificate)?);
    // A signature may be drawn anew; what is signed is what counts.
    ensure!(first.tbs_certificate.as_ref() == again.tbs_certificate.as_ref(), "one request, two certificates");
    ensure!(fixture.issued().await? == before + 1, "the CA counts more than one");
    Ok(())
}

async fn asking_again_with_a_long_subject_gives_the_same_certificate(fixture: Fixture) -> Result<()> {
    let before = fixture.issued().await?;
    let asked = ask_with(&*fixture, |params| {
        let subject = &mut params.distinguished_name;
        for attribute in [DnType::OrganizationName, DnType::OrganizationalUnitName, DnType::LocalityName] {
            subject.push(attribute, DnValue::Utf8String("Bailey".to_owned()));
        }
    })?;
    // A CA may keep such subjects to itself, and then does so each time.
    let first = may_follow(&*fixture, &asked.request, 1).await?;
    for _ in 0..4 {
        match (&first, follow_again(&*fixture, &asked.request).await?) {
            (None, None) => {}
            (Some(first), Some(again)) => {
                let (first, again) = (super::parsed(&first.certificate)?, super::parsed(&again.certificate)?);
                ensure!(
                    first.tbs_certificate.as_ref() == again.tbs_certificate.as_ref(),
                    "one request, two certificates"
                );
            }
            _ => bail!("it rejects what it granted, or grants what it rejected"),
        }
    }
    ensure!(fixture.issued().await? == before + u64::from(first.is_some()), "the CA counts more than one");
    Ok(())
}

async fn steps_taken_again_make_one_certificate(fixture: Fixture) -> Result<()> {
    let (before, asked) = (fixture.issued().await?, ask(&*fixture)?);
    follow(&*fixture, &asked.request, 3).await?;
    ensure!(fixture.issued().await? == before + 1, "steps taken thrice made another number of certificates");
    Ok(())
}

async fn another_request_gets_another_certificate(fixture: Fixture) -> Result<()> {
    let asked = ask(&*fixture)?;
    let first = follow(&*fixture, &asked.request, 1).await?;
    let other = ask(&*fixture)?;
    let second = follow(&*fixture, &other.request, 1).await?;
    let (first, second) = (super::parsed(&first.certificate)?, super::parsed(&second.certificate)?);
    ensure!(first.raw_serial() != second.raw_serial(), "two requests got one certificate");
    Ok(())
}

async fn who_leaves_no_traces_answers_at_once(fixture: Fixture) -> Result<()> {
    let issuance = step(&*fixture.instance().await?, &ask(&*fixture)?.request, None).await?;
    ensure!(matches!(issuance, Issuance::Issued(_)), "{issuance:?} by a CA that leaves no traces");
    Ok(())
}

async fn a_state_of_nobodys_is_corrupt(fixture: Fixture) -> Result<()> {
    let (before, asked) = (fixture.issued().await?, ask(&*fixture)?);
    if !matches!(step(&*fixture.instance().await?, &asked.request, None).await?, Issuance::Pending(_)) {
        return Ok(());
    }
    for text in ["", "{}", "null", "[[[["] {
        let state = IssuanceState(text.to_owned());
        let polled = fixture.instance().await?.poll(&asked.request, &state).await;
        ensure!(
            polled.as_ref().is_err_and(|error| error.kind == CaErrorKind::Corrupt),
            "the state {text:?} leads to {polled:?}"
        );
    }
    ensure!(fixture.issued().await? == before, "a state of nobody's made a certificate");
    Ok(())
}
