//! The keys that stay on the token.

use anyhow::Result;
use bailey_core::crypto::CryptoBackend as _;
use bailey_core::ids::MasterKeyId;
use bailey_core::store::StoreErrorKind::{Corrupt, Unavailable};
use bailey_store_pkcs11::KeyRole;
use bailey_testkit::conformance::crypto_backend::BackendFixture as _;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, KeyType, ObjectClass};

use crate::fixture::TokenFixture;
use crate::{Case, expect_failure, fixture};

/// Makes a key as Bailey would, but for its being extractable.
fn plant(fixture: &TokenFixture, role: KeyRole, id: MasterKeyId, is_extractable: bool) -> Result<()> {
    let (mechanism, kind) = match role {
        KeyRole::Mkek => (Mechanism::AesKeyGen, KeyType::AES),
        KeyRole::Hmac => (Mechanism::GenericSecretKeyGen, KeyType::GENERIC_SECRET),
    };
    let is_mkek = role == KeyRole::Mkek;
    let template = [
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(kind),
        Attribute::ValueLen(32.into()),
        Attribute::Label(role.label(&fixture.config).as_bytes().to_vec()),
        Attribute::Id(id.uuid().as_bytes().to_vec()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Sensitive(true),
        Attribute::Extractable(is_extractable),
        Attribute::Wrap(is_mkek),
        Attribute::Unwrap(is_mkek),
        Attribute::Sign(!is_mkek),
        Attribute::Verify(!is_mkek),
    ];
    let named = [template[3].clone(), template[4].clone()];
    let before = fixture.session()?.find_objects(&named)?;
    fixture.again(|session| {
        // What an attempt left behind that failed after the deed.
        let left = session.find_objects(&named)?.into_iter().filter(|object| !before.contains(object));
        left.into_iter().try_for_each(|object| session.destroy_object(object))?;
        session.generate_key(&mechanism, &template).map(drop)
    })
}

pub async fn an_extractable_mkek_is_refused(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let id = MasterKeyId::new();
    plant(&fixture, KeyRole::Hmac, id, false)?;
    plant(&fixture, KeyRole::Mkek, id, true)?;
    fixture.register(id, fixture.hsm.check_value(fixture.store(), id).await.unwrap_or_default()).await?;
    let backend = fixture.instance().await?;
    for outcome in [backend.health().await, backend.create_kek(&fixture.context()).await.map(drop)] {
        expect_failure(outcome, Unavailable, "is extractable")?;
    }
    Ok(())
}

pub async fn two_mkeks_of_one_version_are_refused(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let backend = fixture.instance().await?;
    let id = backend.active_mkek().await?;
    plant(&fixture, KeyRole::Mkek, id, false)?;
    expect_failure(fixture.instance().await?.health().await, Unavailable, "more than one MKEK")?;
    let findings = fixture.hsm.check().await?;
    anyhow::ensure!(findings.iter().any(|found| found.is_fatal && found.sentence.contains("2 MKEKs")), "{findings:?}");
    Ok(())
}

pub async fn other_keys_under_a_registered_id_are_to_blame(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let kek = fixture.kek().await?;
    let ciphertext = kek.encrypt(b"payload").await?;
    fixture.withhold(kek.wrapped.mkek).await?;
    for role in KeyRole::ALL {
        plant(&fixture, role, kek.wrapped.mkek, false)?;
    }
    let later = kek.with(fixture.instance().await?);
    expect_failure(later.decrypt(&ciphertext).await, Unavailable, "is not the one that was registered")?;
    expect_failure(later.encrypt(b"payload").await, Unavailable, "is not the one that was registered")
}

pub async fn another_mkek_under_a_registered_id_is_to_blame(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let kek = fixture.kek().await?;
    let ciphertext = kek.encrypt(b"payload").await?;
    let is_mkek = [
        Attribute::Id(kek.wrapped.mkek.uuid().as_bytes().to_vec()),
        Attribute::Label(fixture.config.mkek_label.as_bytes().to_vec()),
    ];
    fixture.again(|session| {
        session.find_objects(&is_mkek)?.into_iter().try_for_each(|object| session.destroy_object(object))
    })?;
    plant(&fixture, KeyRole::Mkek, kek.wrapped.mkek, false)?;
    let later = kek.with(fixture.instance().await?);
    expect_failure(later.decrypt(&ciphertext).await, Unavailable, "its MKEK isn't the one that wrapped it")?;
    // A wrapping that isn't authentic is nobody's fault but its own.
    let mut tampered = later;
    tampered.wrapped.bytes[10] ^= 1;
    expect_failure(tampered.decrypt(&ciphertext).await, Corrupt, "")
}

pub async fn a_version_that_is_nowhere_says_what_to_do(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    fixture.register(MasterKeyId::new(), vec![0; 16]).await?;
    let backend = fixture.instance().await?;
    expect_failure(backend.health().await, Unavailable, "run `bailey hsm generate`")?;
    expect_failure(backend.active_mkek().await, Unavailable, "run `bailey hsm generate`")?;

    let unregistered = fixture.elsewhere();
    expect_failure(unregistered.active_mkek().await, Unavailable, "run `bailey hsm generate`")?;
    expect_failure(unregistered.create_kek(&fixture.context()).await, Unavailable, "run `bailey hsm generate`")
}
