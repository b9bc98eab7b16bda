//! Project KEKs in the token.

use std::time::Duration;

use anyhow::{Result, ensure};
use bailey_core::store::StoreErrorKind::{Corrupt, Unavailable};
use bailey_store_pkcs11::GcmIv;
use bailey_testkit::conformance::crypto_backend::BackendFixture as _;
use bailey_testkit::faulty::Faulty;
use cryptoki::object::{Attribute, AttributeType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;

use crate::fixture::{Change, Target, TokenFixture};
use crate::{expect_failure, fixture};

/// What the process has in the token for as long as a session lives. All cases of this program share it, so each
/// looks for keys that weren't there before.
fn live(session: &Session) -> Result<Vec<ObjectHandle>> {
    Ok(session.find_objects(&[Attribute::Class(ObjectClass::SECRET_KEY), Attribute::Token(false)])?)
}

/// A library of the fixture's own: in its copy nobody else has objects.
async fn alone(target: &Target, change: Change) -> Result<(Faulty, TokenFixture)> {
    let faulty = Faulty::before(&target.module)?;
    let target = Target { module: faulty.module(), ..target.clone() };
    let fixture = fixture(&target, change).await?;
    Ok((faulty, fixture))
}

pub async fn no_kek_stays_extractable(target: Target) -> Result<()> {
    let (_library, fixture) = alone(&target, |_| {}).await?;
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

pub async fn no_more_keks_live_than_configured(target: Target) -> Result<()> {
    let (_library, fixture) = alone(&target, |config| config.cached_keks = 3).await?;
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

pub async fn a_kek_that_nobody_uses_is_destroyed(target: Target) -> Result<()> {
    let (_library, fixture) = alone(&target, |config| config.kek_idle_seconds = 0.2).await?;
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

pub async fn a_kek_that_vanished_is_unwrapped_again(target: Target) -> Result<()> {
    let (_library, fixture) = alone(&target, |_| {}).await?;
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

pub async fn a_changed_wrapping_never_reaches_the_mkek(target: Target) -> Result<()> {
    let (library, fixture) = alone(&target, |_| {}).await?;
    let kek = fixture.kek().await?;
    let ciphertext = kek.encrypt(b"payload").await?;
    let before = library.calls("C_UnwrapKey");
    for index in 0..kek.wrapped.bytes.len() {
        let mut changed = kek.clone();
        changed.wrapped.bytes[index] ^= 1;
        expect_failure(changed.decrypt(&ciphertext).await, Corrupt, "")?;
    }
    let unwrapped = library.calls("C_UnwrapKey") - before;
    ensure!(unwrapped == 0, "{unwrapped} of them were unwrapped before they were known to be changed");
    Ok(())
}

/// SoftHSM takes any IV, and makes none.
pub async fn an_iv_that_nobody_made_is_never_used(target: Target) -> Result<()> {
    let fixture = fixture(&target, |config| config.gcm_iv = GcmIv::Token).await?;
    let backend = fixture.instance().await?;
    backend.health().await?;
    expect_failure(backend.create_kek(&fixture.context()).await, Unavailable, "the token made no IV")?;
    let kek = TokenFixture::kek(&fixture.changed(|config| config.gcm_iv = GcmIv::Caller)).await?;
    expect_failure(kek.with(backend).encrypt(b"payload").await, Unavailable, "the token made no IV")
}
