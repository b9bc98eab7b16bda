//! What the simple backend promises beyond the contract: it never uses a key that isn't the one
//! registered, and never more often than its budget allows.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use bailey_core::crypto::{CryptoBackend, KekContext};
use bailey_core::ids::{DeploymentId, KekId, ProjectId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::{StoreError, StoreErrorKind};
use bailey_core::vault::MasterKeyPurpose;
use bailey_store_simple::{Config, SimpleBackend, key_check_value};
use bailey_testkit::conformance::crypto_backend::BackendFixture;
use bailey_testkit::envelope::{KeyRingFixture, MakeBackend, MemoryVaultFixture, VaultFixture};

async fn fixture(make: MakeBackend) -> (KeyRingFixture, Arc<MemoryVaultFixture>) {
    let vault = Arc::new(MemoryVaultFixture::default());
    (KeyRingFixture::new(vault.clone(), make, key_check_value).await.unwrap(), vault)
}

fn context(fixture: &KeyRingFixture) -> KekContext {
    KekContext {
        deployment: DeploymentId::new(),
        store: fixture.store(),
        project: ProjectId::new("p").unwrap(),
        kek: KekId::new(),
    }
}

fn kind<T>(result: Result<T, StoreError>) -> Option<StoreErrorKind> {
    result.err().map(|error| error.kind)
}

#[tokio::test]
async fn a_mixed_up_key_file_is_unavailable_and_wraps_nothing() {
    let make: MakeBackend =
        |store, ring, register| Arc::new(SimpleBackend::new(store, &Config::default(), ring, register));
    let (fixture, _vault) = fixture(make).await;
    let context = context(&fixture);
    let backend = fixture.instance().await.unwrap();
    let kek = backend.create_kek(&context).await.unwrap();
    let payload = SecretBytes::new(b"payload".to_vec());
    let ciphertext = backend.encrypt(&context, &kek, b"", &payload).await.unwrap();

    fixture.mix_up(kek.mkek);
    let backend = fixture.instance().await.unwrap();
    let decrypted = backend.decrypt(&context, &kek, b"", &ciphertext).await;
    assert_eq!(kind(decrypted), Some(StoreErrorKind::Unavailable), "the data would be blamed for the key file");
    assert_eq!(kind(backend.create_kek(&context).await), Some(StoreErrorKind::Unavailable));
    assert_eq!(kind(backend.rewrap_kek(&context, &kek).await), Some(StoreErrorKind::Unavailable));
    assert_eq!(kind(backend.health().await), Some(StoreErrorKind::Unavailable));
}

#[tokio::test]
async fn an_mkek_wraps_no_more_keks_than_its_budget_until_another_is_active() {
    let make: MakeBackend = |store, ring, register| {
        let config = Config { mkek_budget: 5, mkek_block: 2, ..Config::default() };
        Arc::new(SimpleBackend::new(store, &config, ring, register))
    };
    let (fixture, vault) = fixture(make).await;
    let backend = fixture.instance().await.unwrap();
    let mut made = 0;
    let refused = loop {
        match backend.create_kek(&context(&fixture)).await {
            Ok(_) => made += 1,
            Err(error) => break error,
        }
    };
    assert_eq!((made, refused.kind), (5, StoreErrorKind::Unavailable));
    let keys = vault.register().list(MasterKeyPurpose::Mkek(fixture.store())).await.unwrap();
    assert_eq!(keys[0].reserved, 5);
    // Decrypting isn't counted, and neither is being well.
    backend.health().await.unwrap();
    fixture.rotate().await.unwrap();
    backend.create_kek(&context(&fixture)).await.unwrap();
}

#[tokio::test]
async fn concurrent_wraps_share_a_block_and_reserve_each_once() {
    let make: MakeBackend = |store, ring, register| {
        let config = Config { mkek_block: 10, ..Config::default() };
        Arc::new(SimpleBackend::new(store, &config, ring, register))
    };
    let (fixture, vault) = fixture(make).await;
    let backend = fixture.instance().await.unwrap();
    let wraps: Vec<_> = (0..95)
        .map(|_| {
            let (backend, context) = (Arc::clone(&backend), context(&fixture));
            tokio::spawn(async move { backend.create_kek(&context).await })
        })
        .collect();
    for wrap in wraps {
        wrap.await.unwrap().unwrap();
    }
    let keys = vault.register().list(MasterKeyPurpose::Mkek(fixture.store())).await.unwrap();
    assert_eq!(keys[0].reserved, 100);
}

#[tokio::test]
async fn a_kek_that_was_dropped_from_memory_is_unwrapped_again() {
    let make: MakeBackend = |store, ring, register| {
        let config = Config { unwrapped_keks: 2, ..Config::default() };
        Arc::new(SimpleBackend::new(store, &config, ring, register))
    };
    let (fixture, _vault) = fixture(make).await;
    let backend = fixture.instance().await.unwrap();
    let mut made = Vec::new();
    for number in 0..20_u8 {
        let context = context(&fixture);
        let kek = backend.create_kek(&context).await.unwrap();
        let payload = SecretBytes::new(vec![number; 9]);
        let ciphertext = backend.encrypt(&context, &kek, b"", &payload).await.unwrap();
        made.push((context, kek, ciphertext, number));
    }
    for (context, kek, ciphertext, number) in &made {
        let payload = backend.decrypt(context, kek, b"", ciphertext).await.unwrap();
        assert_eq!(payload.expose(), [*number; 9]);
    }
}
