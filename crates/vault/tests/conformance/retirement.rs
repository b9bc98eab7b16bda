//! Retiring a KEK is exact: no ciphertext is ever left under a destroyed wrapping.

use std::sync::Arc;

use anyhow::{Result, ensure};
use bailey_core::clock::Clock;
use bailey_core::crypto::WrappedKek;
use bailey_core::ids::{KekId, MasterKeyId, ProjectId, SecretId, StoreId, WriteId};
use bailey_core::store::Place;
use bailey_core::vault::{Ciphertext, Inserted, KekState, MasterKeyPurpose, ProjectKek, Vault as _};
use bailey_testkit::envelope::VaultFixture as _;
use bailey_vault::Retired;

use crate::fixture::SqlVault;

/// An active KEK of a project of its own.
pub async fn kek(sql: &SqlVault, store: StoreId, mkek: MasterKeyId) -> Result<ProjectKek> {
    let kek = ProjectKek {
        id: KekId::new(),
        store,
        project: ProjectId::new(SecretId::new().to_string())?,
        state: KekState::Active,
        wrapped: WrappedKek { mkek, bytes: b"wrapped".to_vec() },
        reserved: 0,
        created_at: Clock::system().now(),
    };
    ensure!(sql.vault.insert_kek(&kek).await?, "not inserted");
    Ok(kek)
}

/// An active MKEK of a store of its own.
pub async fn mkek(sql: &SqlVault) -> Result<(StoreId, MasterKeyId)> {
    let (store, mkek) = (StoreId::new(), MasterKeyId::new());
    sql.activate(MasterKeyPurpose::Mkek(store), mkek, b"check".to_vec()).await?;
    Ok((store, mkek))
}

pub fn ciphertext(kek: &ProjectKek) -> Ciphertext {
    let place = Place { project: kek.project.clone(), secret: SecretId::new(), write: WriteId::new() };
    Ciphertext { place, kek: kek.id, bytes: [1, 2, 3].into(), created_at: Clock::system().now() }
}

pub async fn a_kek_in_use_is_not_retired(sql: Arc<SqlVault>) -> Result<()> {
    let (store, mkek) = mkek(&sql).await?;
    let kek = kek(&sql, store, mkek).await?;
    let (one, other) = (ciphertext(&kek), ciphertext(&kek));
    sql.vault.insert_ciphertext(store, &one).await?;
    sql.vault.insert_ciphertext(store, &other).await?;
    ensure!(sql.vault.retire_kek(kek.id).await? == Retired::Active, "an active KEK was retired");
    sql.vault.demote_kek(kek.id, true).await?;
    ensure!(sql.vault.retire_kek(kek.id).await? == Retired::InUse(2), "a KEK with two ciphertexts was retired");
    sql.vault.delete_ciphertext(store, &one.place).await?;
    ensure!(sql.vault.retire_kek(kek.id).await? == Retired::InUse(1), "a KEK with a ciphertext was retired");
    let summaries = sql.vault.keks(store).await?;
    ensure!(summaries.len() == 1 && summaries[0].objects == 1 && summaries[0].reencrypt, "{summaries:?}");
    ensure!(summaries[0].kek.wrapped == kek.wrapped, "the wrapping was destroyed");
    sql.vault.delete_ciphertext(store, &other.place).await?;
    for _ in 0..2 {
        ensure!(sql.vault.retire_kek(kek.id).await? == Retired::Yes, "a KEK without ciphertexts wasn't retired");
    }
    let retired = &sql.vault.keks(store).await?[0].kek;
    ensure!(retired.state == KekState::Retired && retired.wrapped.bytes.is_empty(), "the wrapping is still there");
    ensure!(sql.vault.retire_kek(KekId::new()).await? == Retired::Unknown, "a KEK from nowhere was retired");
    Ok(())
}

pub async fn a_kek_retired_under_concurrent_inserts_has_no_ciphertexts(sql: Arc<SqlVault>) -> Result<()> {
    let (store, mkek) = mkek(&sql).await?;
    let (mut retired, mut in_use) = (0, 0);
    for round in 0..40 {
        let kek = kek(&sql, store, mkek).await?;
        let inserts: Vec<_> = (0..4)
            .map(|_| {
                let (sql, kek) = (Arc::clone(&sql), kek.clone());
                tokio::spawn(async move { sql.vault.insert_ciphertext(store, &ciphertext(&kek)).await })
            })
            .collect();
        for _ in 0..round % 8 {
            tokio::task::yield_now().await;
        }
        sql.vault.demote_kek(kek.id, false).await?;
        let outcome = sql.vault.retire_kek(kek.id).await?;
        let mut inserted = 0;
        for insert in inserts {
            inserted += u64::from(insert.await?? == Inserted::Yes);
        }
        match outcome {
            Retired::Yes => {
                ensure!(inserted == 0, "{inserted} ciphertexts are under a KEK whose wrapping is destroyed");
                retired += 1;
            }
            Retired::InUse(counted) => {
                ensure!(counted == inserted, "{counted} counted, {inserted} inserted");
                in_use += 1;
            }
            other => anyhow::bail!("{other:?} after a demotion"),
        }
    }
    ensure!(retired + in_use == 40, "a round is missing");
    Ok(())
}

pub async fn a_forgotten_project_has_no_keys(sql: Arc<SqlVault>) -> Result<()> {
    let (store, mkek) = mkek(&sql).await?;
    let (theirs, others) = (kek(&sql, store, mkek).await?, kek(&sql, store, mkek).await?);
    let project = &theirs.project;
    let kept = ciphertext(&theirs);
    sql.vault.insert_ciphertext(store, &kept).await?;
    ensure!(sql.vault.forget_keks(project).await? == 0, "an active KEK was forgotten");
    sql.vault.demote_kek(theirs.id, false).await?;
    ensure!(sql.vault.forget_keks(project).await? == 0, "a KEK with a ciphertext was forgotten");
    let another = ProjectKek { id: KekId::new(), ..theirs.clone() };
    ensure!(sql.vault.insert_kek(&another).await?, "not inserted");
    let found: Vec<_> = sql.vault.keks_of(project).await?.into_iter().map(|of| (of.kek.id, of.objects)).collect();
    ensure!(found == [(theirs.id, 1), (another.id, 0)], "{found:?}");

    sql.vault.delete_ciphertext(store, &kept.place).await?;
    sql.vault.demote_kek(another.id, false).await?;
    ensure!(sql.vault.retire_kek(another.id).await? == Retired::Yes, "not retired");
    ensure!(sql.vault.forget_keks(project).await? == 2, "not both were forgotten");
    ensure!(sql.vault.keks_of(project).await?.is_empty(), "something is left");
    let inserted = sql.vault.insert_ciphertext(store, &ciphertext(&theirs)).await?;
    ensure!(inserted == Inserted::KeyNotActive, "inserted under a KEK that is gone");
    ensure!(sql.vault.keks_of(&others.project).await?.len() == 1, "another project's KEK is gone");
    Ok(())
}
