//! What operators do with a token.

use anyhow::{Result, ensure};
use bailey_core::ids::MasterKeyId;
use bailey_core::sensitive::SecretText;
use bailey_core::store::StoreErrorKind::Unavailable;
use bailey_store_pkcs11::{Config, Finding, Hsm, KeyRole, WrapMechanism};
use bailey_testkit::conformance::crypto_backend::BackendFixture as _;
use bailey_testkit::softhsm;
use cryptoki::object::Attribute;

use crate::{Case, expect_failure, fixture};

fn says(findings: &[Finding], is_fatal: bool, words: &str) -> Result<()> {
    let is_there = findings.iter().any(|found| found.is_fatal == is_fatal && found.sentence.contains(words));
    ensure!(is_there, "nothing says `{words}`: {findings:?}");
    Ok(())
}

pub async fn a_sound_token_has_nothing_to_be_found(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let findings = fixture.hsm.check().await?;
    ensure!(findings.is_empty(), "{findings:?}");
    let keys = fixture.hsm.keys().await?;
    let roles: Vec<_> = keys.iter().map(|key| (key.role, key.version)).collect();
    let version = Some(fixture.instance().await?.active_mkek().await?);
    ensure!(roles == [(KeyRole::Mkek, version), (KeyRole::Hmac, version)], "{roles:?}");
    ensure!(keys.iter().all(|key| key.complaints().is_empty()), "{keys:?}");
    let usages: Vec<_> = keys.iter().map(|key| key.usages.join(" ")).collect();
    ensure!(usages == ["wrap unwrap", "sign verify"], "{usages:?}");
    Ok(())
}

pub async fn half_a_version_is_found(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let version = fixture.instance().await?.active_mkek().await?;
    let is_mkek = [Attribute::Label(fixture.config.mkek_label.as_bytes().to_vec())];
    fixture.again(|session| {
        session.find_objects(&is_mkek)?.into_iter().try_for_each(|object| session.destroy_object(object))
    })?;
    says(&fixture.hsm.check().await?, false, &format!("version {version} has no MKEK"))?;
    expect_failure(fixture.hsm.check_value(fixture.store(), version).await, Unavailable, "has no MKEK")
}

pub async fn what_the_token_cannot_do_is_found(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let cannot = fixture.changed(|config| config.wrap_mechanism = Some(WrapMechanism::AesCbcPad));
    says(&cannot.hsm.check().await?, true, "CKM_AES_CBC_PAD, which wrap_mechanism asks for")?;
    let made = cannot.instance().await?.create_kek(&fixture.context()).await;
    ensure!(made.is_err_and(|error| error.to_string().contains("CKM_AES_CBC_PAD")), "it wraps nevertheless");
    let empty = fixture.changed(|config| {
        config.mkek_label.push_str(" of nobody");
        config.hmac_label.push_str(" of nobody");
    });
    says(&empty.hsm.check().await?, true, "run `bailey hsm generate`")
}

pub async fn a_token_is_made_of_a_free_slot(case: Case) -> Result<()> {
    let config = Config {
        module: case.target.module.clone(),
        token_label: "made".to_owned(),
        pin: bailey_store_pkcs11::Pin::new("made-pin-canary".to_owned()),
        ..Config::default()
    };
    let so_pin = SecretText::new(softhsm::SO_PIN.to_owned());
    expect_failure(Hsm::connect(&config).keys().await, Unavailable, "has no token labelled `made`")?;
    Hsm::init_token(&config, &so_pin)?;
    expect_failure(Hsm::init_token(&config, &so_pin), Unavailable, "has a token labelled `made` already")?;
    let hsm = Hsm::connect(&config);
    ensure!(hsm.keys().await?.is_empty(), "a new token has keys");
    hsm.generate_version(MasterKeyId::new(), true).await?;
    let findings = hsm.check().await?;
    ensure!(findings.is_empty(), "{findings:?}");
    Ok(())
}

pub async fn the_first_version_is_made_once(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let again = fixture.hsm.generate_version(MasterKeyId::new(), true).await;
    expect_failure(again, Unavailable, "has keys under these labels already")?;
    let version = fixture.instance().await?.active_mkek().await?;
    expect_failure(fixture.hsm.generate_version(version, false).await, Unavailable, "already")?;
    ensure!(fixture.hsm.keys().await?.len() == 2, "a refused version has keys");
    Ok(())
}
