//! Project KEKs in the token.

use std::time::Duration;

use anyhow::{Result, ensure};
use bailey_core::store::StoreErrorKind::{Corrupt, Unavailable};
use bailey_store_pkcs11::GcmIv;
use bailey_testkit::conformance::crypto_backend::BackendFixture as _;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::fixture::TokenFixture;
use crate::{Case, expect_failure, fixture};

/// What the case has in the token for as long as a session lives.
fn live(session: &Session) -> Result<Vec<ObjectHandle>> {
    Ok(session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(false)])?)
}

pub async fn no_kek_stays_extractable(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let kek = fixture.kek().await?;
    kek.encrypt(b"payload").await?;
    fixture.rotate().await?;
    kek.backend.rewrap_kek(&kek.context, &kek.wrapped).await?;
    let session = fixture.session()?;
    let objects = live(&session)?;
    ensure!(objects.len() == 1, "{} keys live, and one KEK is used", objects.len());
    let asked = [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::Private];
    let attributes = format!("{:?}", session.get_attributes(objects[0], &asked)?);
    ensure!(attributes == "[Sensitive(true), Extractable(false), Private(true)]", "{attributes}");
    Ok(())
}

pub async fn no_more_keks_live_than_configured(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |config| config.cached_keks = 3).await?;
    let backend = fixture.instance().await?;
    let mut used = Vec::new();
    for _ in 0..10 {
        let kek = fixture.kek().await?.with(backend.clone());
        let ciphertext = kek.encrypt(b"payload").await?;
        used.push((kek, ciphertext));
    }
    for (kek, ciphertext) in &used {
        ensure!(kek.decrypt(ciphertext).await?.expose() == b"payload", "another payload");
    }
    backend.health().await?;
    let count = live(&fixture.session()?)?.len();
    ensure!(count == 3, "{count} keys live");
    Ok(())
}

pub async fn a_kek_that_nobody_uses_is_destroyed(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |config| config.kek_idle_seconds = 0.2).await?;
    let kek = fixture.kek().await?;
    let ciphertext = kek.encrypt(b"payload").await?;
    let session = fixture.session()?;
    ensure!(live(&session)?.len() == 1, "the KEK in use isn't there");
    tokio::time::sleep(Duration::from_millis(300)).await;
    kek.backend.health().await?;
    ensure!(live(&session)?.is_empty(), "it is there for ever");
    ensure!(kek.decrypt(&ciphertext).await?.expose() == b"payload", "another payload");
    Ok(())
}

pub async fn a_kek_that_vanished_is_unwrapped_again(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let kek = fixture.kek().await?;
    let ciphertext = kek.encrypt(b"payload").await?;
    let session = fixture.session()?;
    for _ in 0..2 {
        live(&session)?.into_iter().try_for_each(|object| session.destroy_object(object))?;
        ensure!(kek.decrypt(&ciphertext).await?.expose() == b"payload", "another payload");
        live(&session)?.into_iter().try_for_each(|object| session.destroy_object(object))?;
        kek.encrypt(b"payload").await?;
    }
    Ok(())
}

pub async fn a_changed_wrapping_never_reaches_the_mkek(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let kek = fixture.kek().await?;
    let ciphertext = kek.encrypt(b"payload").await?;
    let before = case.library.calls("C_UnwrapKey");
    for index in 0..kek.wrapped.bytes.len() {
        let mut changed = kek.clone();
        changed.wrapped.bytes[index] ^= 1;
        expect_failure(changed.decrypt(&ciphertext).await, Corrupt, "")?;
    }
    let unwrapped = case.library.calls("C_UnwrapKey") - before;
    ensure!(unwrapped == 0, "{unwrapped} of them were unwrapped before they were known to be changed");
    Ok(())
}

/// SoftHSM takes any IV, and makes none.
pub async fn an_iv_that_nobody_made_is_never_used(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |config| config.gcm_iv = GcmIv::Token).await?;
    let backend = fixture.instance().await?;
    backend.health().await?;
    expect_failure(backend.create_kek(&fixture.context()).await, Unavailable, "the token made no IV")?;
    let kek = TokenFixture::kek(&fixture.changed(|config| config.gcm_iv = GcmIv::Caller)).await?;
    expect_failure(kek.with(backend).encrypt(b"payload").await, Unavailable, "the token made no IV")
}
