//! The register of master key versions.

use bailey_core::ids::WorkerId;
use bailey_core::vault::MasterKeyState;

use super::*;

pub(super) fn cases() -> Vec<VaultCase> {
    vec![
        case!((), lists_the_versions_of_one_purpose_oldest_first),
        case!((), reserving_is_a_compare_and_set),
        case!((), takes_reports),
    ]
}

async fn lists_the_versions_of_one_purpose_oldest_first(fixture: Fixture) -> Result<()> {
    let (site, elsewhere) = (Site::new(&fixture).await?, Site::new(&fixture).await?);
    let second = site.rotate().await?;
    let worker = MasterKeyId::new();
    fixture.activate(MasterKeyPurpose::Worker, worker, b"of the worker key".to_vec()).await?;

    let register = fixture.register();
    let listed = register.list(MasterKeyPurpose::Mkek(site.store)).await?;
    let ids: Vec<_> = listed.iter().map(|key| (key.id, key.state)).collect();
    ensure!(
        ids == [(site.mkek, MasterKeyState::DecryptOnly), (second, MasterKeyState::Active)],
        "the store's MKEKs are {ids:?}"
    );
    ensure!(listed.iter().all(|key| key.purpose == MasterKeyPurpose::Mkek(site.store)), "a wrong purpose");
    ensure!(listed.iter().all(|key| key.check_value == b"check" && key.reserved == 0), "other values");
    let others = register.list(MasterKeyPurpose::Mkek(elsewhere.store)).await?;
    ensure!(others.len() == 1 && others[0].id == elsewhere.mkek, "the other store's MKEK isn't listed alone");
    let workers = register.list(MasterKeyPurpose::Worker).await?;
    ensure!(workers.len() == 1 && workers[0].id == worker, "the worker key isn't listed alone");
    ensure!(workers[0].check_value == b"of the worker key", "another key-check value");
    Ok(())
}

async fn reserving_is_a_compare_and_set(fixture: Fixture) -> Result<()> {
    let site = Site::new(&fixture).await?;
    let register = fixture.register();
    ensure!(!register.reserve(site.mkek, 1, 10).await?, "reserved on a wrong count");
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (register, mkek) = (Arc::clone(&register), site.mkek);
            tokio::spawn(async move { register.reserve(mkek, 0, 10).await })
        })
        .collect();
    let mut reserved = 0;
    for task in tasks {
        reserved += u32::from(task.await??);
    }
    ensure!(reserved == 1, "{reserved} of 16 reserved the same block");
    let listed = register.list(MasterKeyPurpose::Mkek(site.store)).await?;
    ensure!(listed[0].reserved == 10, "{} reserved", listed[0].reserved);
    ensure!(!register.reserve(MasterKeyId::new(), 0, 1).await?, "reserved for nothing");
    Ok(())
}

async fn takes_reports(fixture: Fixture) -> Result<()> {
    let site = Site::new(&fixture).await?;
    let (register, worker, now) = (fixture.register(), WorkerId::new(), Clock::system().now());
    for keys in [&[site.mkek, MasterKeyId::new()][..], &[site.mkek], &[]] {
        register.report(worker, keys, now).await.context("report")?;
    }
    Ok(())
}
