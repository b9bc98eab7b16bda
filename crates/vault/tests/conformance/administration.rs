//! What commands ask of the vault.

use std::sync::Arc;

use anyhow::{Result, ensure};
use bailey_core::clock::Clock;
use bailey_core::ids::{MasterKeyId, StoreId, WorkerId, WriteId};
use bailey_core::store::StoreErrorKind;
use bailey_core::vault::{KekState, MasterKeyPurpose, MasterKeyRegister as _, MasterKeyState, Vault as _};
use bailey_sql::ErrorKind;
use bailey_vault::{Activated, Retired};
use chrono::{DateTime, TimeDelta, Utc};

use crate::fixture::SqlVault;
use crate::retirement::{ciphertext, kek, mkek};

fn now() -> DateTime<Utc> {
    Clock::system().now()
}

/// When a worker must have reported to count as live.
fn live_since() -> DateTime<Utc> {
    now() - TimeDelta::seconds(30)
}

async fn states(sql: &SqlVault, purpose: MasterKeyPurpose) -> Result<Vec<(MasterKeyId, MasterKeyState)>> {
    Ok(sql.vault.list(purpose).await?.into_iter().map(|key| (key.id, key.state)).collect())
}

pub async fn a_vault_is_empty_until_something_was_kept(sql: Arc<SqlVault>) -> Result<()> {
    ensure!(sql.vault.is_empty().await?, "a new vault isn't empty");
    let (store, mkek) = mkek(&sql).await?;
    ensure!(!sql.vault.is_empty().await?, "empty with a master key");
    let kek = kek(&sql, store, mkek).await?;
    sql.vault.insert_ciphertext(store, &ciphertext(&kek)).await?;
    ensure!(!sql.vault.is_empty().await?, "empty with a ciphertext");
    Ok(())
}

pub async fn a_version_is_activated_once_every_live_worker_has_it(sql: Arc<SqlVault>) -> Result<()> {
    let purpose = MasterKeyPurpose::Mkek(StoreId::new());
    let (first, second) = (MasterKeyId::new(), MasterKeyId::new());
    sql.vault.add_master_key(purpose, first, b"first".to_vec(), now()).await?;
    ensure!(sql.vault.activate_master_key(first, live_since()).await? == Activated::Yes, "nobody lives");

    let (able, unable, dead) = (WorkerId::new(), WorkerId::new(), WorkerId::new());
    sql.vault.report(able, &[first], now()).await?;
    sql.vault.report(unable, &[], now()).await?;
    sql.vault.report(dead, &[first], now() - TimeDelta::seconds(60)).await?;
    sql.vault.add_master_key(purpose, second, b"second".to_vec(), now()).await?;
    ensure!(
        states(&sql, purpose).await? == [(first, MasterKeyState::Active), (second, MasterKeyState::Added)],
        "adding changes nothing that is used"
    );
    let mut without = vec![able, unable];
    without.sort();
    let refused = sql.vault.activate_master_key(second, live_since()).await?;
    ensure!(refused == Activated::NotReported(without), "{refused:?}");
    sql.vault.report(able, &[first, second], now()).await?;
    let refused = sql.vault.activate_master_key(second, live_since()).await?;
    ensure!(refused == Activated::NotReported(vec![unable]), "{refused:?}");
    sql.vault.report(unable, &[second], now()).await?;
    for _ in 0..2 {
        ensure!(sql.vault.activate_master_key(second, live_since()).await? == Activated::Yes, "all have it");
    }
    ensure!(
        states(&sql, purpose).await? == [(first, MasterKeyState::DecryptOnly), (second, MasterKeyState::Active)],
        "the version before didn't make way"
    );
    ensure!(sql.vault.activate_master_key(first, live_since()).await? == Activated::Past, "it came back");
    let unknown = sql.vault.activate_master_key(MasterKeyId::new(), live_since()).await?;
    ensure!(unknown == Activated::Unknown, "{unknown:?}");

    sql.vault.add_master_key(purpose, second, b"second".to_vec(), now()).await?;
    let taken = sql.vault.add_master_key(purpose, second, b"another".to_vec(), now()).await;
    ensure!(taken.is_err_and(|error| error.kind == ErrorKind::Conflict), "one id, two keys");

    let third = MasterKeyId::new();
    sql.vault.add_master_key(purpose, third, b"third".to_vec(), now()).await?;
    ensure!(!sql.vault.bar_master_key(second).await? && sql.vault.bar_master_key(third).await?, "which is active?");
    ensure!(sql.vault.activate_master_key(third, live_since()).await? == Activated::Past, "it was barred");
    ensure!(sql.vault.activate_master_key(second, live_since()).await? == Activated::Yes, "the active one was barred");
    Ok(())
}

pub async fn an_announced_version_is_not_activated_before_it_is_proven(sql: Arc<SqlVault>) -> Result<()> {
    let (purpose, id) = (MasterKeyPurpose::Mkek(StoreId::new()), MasterKeyId::new());
    let proven_as = async |value: &[u8]| sql.vault.prove_master_key(id, value.to_vec()).await;
    let refused =
        |outcome: Result<(), bailey_sql::Error>| outcome.is_err_and(|error| error.kind == ErrorKind::Conflict);
    ensure!(refused(proven_as(b"check").await), "nobody announced it");
    for _ in 0..2 {
        sql.vault.announce_master_key(purpose, id, now()).await?;
    }
    ensure!(sql.vault.activate_master_key(id, live_since()).await? == Activated::Unproven, "there may be no such key");
    for _ in 0..2 {
        proven_as(b"check").await?;
    }
    ensure!(refused(proven_as(b"another").await), "one id, two keys");
    ensure!(refused(sql.vault.announce_master_key(purpose, id, now()).await), "it is there already");
    ensure!(sql.vault.activate_master_key(id, live_since()).await? == Activated::Yes, "it is proven");
    ensure!(sql.vault.list(purpose).await?[0].check_value == b"check", "another check value");
    Ok(())
}

pub async fn a_report_replaces_the_one_before(sql: Arc<SqlVault>) -> Result<()> {
    let (worker, gone) = (WorkerId::new(), WorkerId::new());
    let mut keys = vec![MasterKeyId::new(), MasterKeyId::new()];
    keys.sort();
    sql.vault.report(gone, &keys, now() - TimeDelta::hours(2)).await?;
    sql.vault.report(worker, &keys, now()).await?;
    let reports = sql.vault.workers_reporting(now() - TimeDelta::days(1)).await?;
    ensure!(reports.len() == 1 && reports[0].worker == worker, "a worker that is gone for good is remembered");
    ensure!(reports[0].keys == keys, "other keys than reported");
    sql.vault.report(worker, &keys[1..], now()).await?;
    let reports = sql.vault.workers_reporting(live_since()).await?;
    ensure!(reports.len() == 1 && reports[0].keys == keys[1..], "the report before is still there");
    ensure!(sql.vault.workers_reporting(now() + TimeDelta::seconds(9)).await?.is_empty(), "a report from the future");
    Ok(())
}

pub async fn a_master_key_in_use_is_not_retired(sql: Arc<SqlVault>) -> Result<()> {
    let (store, first) = mkek(&sql).await?;
    let kek = kek(&sql, store, first).await?;
    ensure!(sql.vault.retire_master_key(first, 0).await? == Retired::Active, "the active one was retired");
    let second = MasterKeyId::new();
    sql.vault.add_master_key(MasterKeyPurpose::Mkek(store), second, b"check".to_vec(), now()).await?;
    sql.vault.activate_master_key(second, now()).await?;
    ensure!(sql.vault.retire_master_key(first, 0).await? == Retired::InUse(1), "retired though it wraps a KEK");
    let mut rewrapped = kek.wrapped.clone();
    rewrapped.mkek = second;
    ensure!(sql.vault.rewrap_kek(kek.id, &kek.wrapped, &rewrapped).await?, "not rewrapped");
    ensure!(sql.vault.retire_master_key(first, 3).await? == Retired::InUse(3), "references elsewhere don't count");
    for _ in 0..2 {
        ensure!(sql.vault.retire_master_key(first, 0).await? == Retired::Yes, "not retired");
    }
    let unknown = sql.vault.retire_master_key(MasterKeyId::new(), 0).await?;
    ensure!(unknown == Retired::Unknown, "{unknown:?}");
    ensure!(sql.vault.activate_master_key(first, now()).await? == Activated::Past, "a retired version came back");
    Ok(())
}

pub async fn master_keys_are_listed_with_the_number_of_their_keks(sql: Arc<SqlVault>) -> Result<()> {
    let (store, first) = mkek(&sql).await?;
    let retired = kek(&sql, store, first).await?;
    kek(&sql, store, first).await?;
    kek(&sql, store, first).await?;
    sql.vault.demote_kek(retired.id, false).await?;
    ensure!(sql.vault.retire_kek(retired.id).await? == Retired::Yes, "not retired");
    let worker = MasterKeyId::new();
    sql.vault.add_master_key(MasterKeyPurpose::Worker, worker, b"value".to_vec(), now()).await?;
    let listed = sql.vault.master_keys(MasterKeyPurpose::Mkek(store)).await?;
    ensure!(listed.len() == 1 && listed[0].key.id == first && listed[0].keks == 2, "{listed:?}");
    let listed = sql.vault.master_keys(MasterKeyPurpose::Worker).await?;
    ensure!(listed.len() == 1 && listed[0].key.id == worker && listed[0].keks == 0, "{listed:?}");
    ensure!(listed[0].key.check_value == b"value", "another key-check value");
    Ok(())
}

pub async fn after_a_restore_no_kek_is_active(sql: Arc<SqlVault>) -> Result<()> {
    let (store, mkek) = mkek(&sql).await?;
    let keks = [kek(&sql, store, mkek).await?, kek(&sql, store, mkek).await?];
    ensure!(sql.vault.demote_all_keks().await? == 2, "not both were active");
    for kek in &keks {
        ensure!(sql.vault.active_kek(store, &kek.project).await?.is_none(), "one is still active");
        let found = sql.vault.find_kek(store, kek.id).await?;
        ensure!(found.is_some_and(|found| found.state == KekState::DecryptOnly), "one can't decrypt");
    }
    ensure!(sql.vault.demote_all_keks().await? == 0, "demoted twice");
    Ok(())
}

pub async fn a_closed_database_is_unavailable(sql: Arc<SqlVault>) -> Result<()> {
    let (store, mkek) = mkek(&sql).await?;
    let kek = kek(&sql, store, mkek).await?;
    sql.vault.db().close().await;
    let outcomes = [
        sql.vault.insert_ciphertext(store, &ciphertext(&kek)).await.map(|_| ()),
        sql.vault.find_ciphertext(store, WriteId::new()).await.map(|_| ()),
        sql.vault.active_kek(store, &kek.project).await.map(|_| ()),
        sql.vault.demote_kek(kek.id, false).await,
        sql.vault.health().await,
    ];
    for outcome in outcomes {
        let kind = outcome.map_err(|error| error.kind);
        ensure!(kind == Err(StoreErrorKind::Unavailable), "{kind:?} of a closed database");
    }
    Ok(())
}
