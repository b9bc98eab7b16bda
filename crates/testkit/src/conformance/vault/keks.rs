//! Project KEKs: one active for each store and project, changed by compare-and-set only.

use super::*;

pub(super) fn cases() -> Vec<VaultCase> {
    vec![
        case!((), a_project_has_one_active_kek_per_store),
        case!((), of_concurrent_keks_one_is_inserted),
        case!((), a_kek_needs_an_active_mkek),
        case!((), reserving_is_a_compare_and_set),
        case!((), of_concurrent_reservations_one_succeeds),
        case!((), demoting_is_idempotent),
        case!((), marks_all_decrypt_only_keks_of_the_project),
        case!((), lists_what_another_mkek_wraps),
        case!((), rewrapping_is_a_compare_and_set),
    ]
}

async fn a_project_has_one_active_kek_per_store(fixture: Fixture) -> Result<()> {
    let (site, elsewhere) = (Site::new(&fixture).await?, Site::new(&fixture).await?);
    let project = fresh_project();
    ensure!(site.vault.active_kek(site.store, &project).await?.is_none(), "a KEK from nowhere");
    let kek = site.kek(&project).await?;
    site.expect_kek(&kek, "inserted").await?;
    ensure!(!site.vault.insert_kek(&site.new_kek(&project)).await?, "a second active KEK");
    ensure!(site.vault.active_kek(site.store, &project).await?.as_ref() == Some(&kek), "another KEK is active");
    ensure!(elsewhere.vault.find_kek(elsewhere.store, kek.id).await?.is_none(), "found in another store");
    elsewhere.kek(&project).await?;
    site.kek(&fresh_project()).await?;

    site.vault.demote_kek(kek.id, false).await?;
    ensure!(site.vault.active_kek(site.store, &project).await?.is_none(), "a demoted KEK is active");
    let next = site.kek(&project).await?;
    ensure!(site.vault.active_kek(site.store, &project).await?.as_ref() == Some(&next), "the new KEK isn't active");
    site.expect_kek(&ProjectKek { state: KekState::DecryptOnly, ..kek }, "the old one").await
}

async fn of_concurrent_keks_one_is_inserted(fixture: Fixture) -> Result<()> {
    let site = Site::new(&fixture).await?;
    let project = fresh_project();
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let (vault, kek) = (Arc::clone(&site.vault), site.new_kek(&project));
            tokio::spawn(async move { (vault.insert_kek(&kek).await, kek) })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        let (inserted, kek) = task.await?;
        if inserted? {
            winners.push(kek);
        }
    }
    ensure!(winners.len() == 1, "{} of 16 were inserted", winners.len());
    ensure!(site.vault.active_kek(site.store, &project).await?.as_ref() == winners.first(), "a loser is active");
    Ok(())
}

async fn a_kek_needs_an_active_mkek(fixture: Fixture) -> Result<()> {
    let site = Site::new(&fixture).await?;
    let stale = site.new_kek(&fresh_project());
    let mut unknown = site.new_kek(&fresh_project());
    unknown.wrapped.mkek = MasterKeyId::new();
    let second = site.rotate().await?;
    for kek in [&stale, &unknown] {
        ensure!(!site.vault.insert_kek(kek).await?, "inserted under an MKEK that isn't active");
        ensure!(site.vault.find_kek(site.store, kek.id).await?.is_none(), "it is there nevertheless");
    }
    let mut fresh = stale;
    fresh.wrapped.mkek = second;
    ensure!(site.vault.insert_kek(&fresh).await?, "not inserted under the active MKEK");
    Ok(())
}

async fn reserving_is_a_compare_and_set(fixture: Fixture) -> Result<()> {
    let site = Site::new(&fixture).await?;
    let kek = site.kek(&fresh_project()).await?;
    ensure!(!site.vault.reserve(kek.id, 4, 10).await?, "reserved on a wrong count");
    ensure!(site.vault.reserve(kek.id, 5, 10).await?, "not reserved on the right count");
    ensure!(!site.vault.reserve(kek.id, 5, 10).await?, "reserved twice");
    ensure!(site.vault.reserve(kek.id, 15, 1 << 40).await?, "not reserved on the next count");
    site.expect_kek(&ProjectKek { reserved: 15 + (1 << 40), ..kek.clone() }, "after two reservations").await?;
    site.vault.demote_kek(kek.id, false).await?;
    ensure!(!site.vault.reserve(kek.id, 15 + (1 << 40), 1).await?, "reserved for a decrypt-only KEK");
    ensure!(!site.vault.reserve(KekId::new(), 0, 1).await?, "reserved for nothing");
    Ok(())
}

async fn of_concurrent_reservations_one_succeeds(fixture: Fixture) -> Result<()> {
    let site = Site::new(&fixture).await?;
    let kek = site.kek(&fresh_project()).await?;
    let tasks: Vec<_> = (0..16)
        .map(|_| {
            let vault = Arc::clone(&site.vault);
            tokio::spawn(async move { vault.reserve(kek.id, 5, 7).await })
        })
        .collect();
    let mut reserved = 0;
    for task in tasks {
        reserved += u32::from(task.await??);
    }
    ensure!(reserved == 1, "{reserved} of 16 reserved the same block");
    site.expect_kek(&ProjectKek { reserved: 12, ..kek }, "after one reservation").await
}

async fn demoting_is_idempotent(fixture: Fixture) -> Result<()> {
    let site = Site::new(&fixture).await?;
    let kek = site.kek(&fresh_project()).await?;
    let demoted = ProjectKek { state: KekState::DecryptOnly, ..kek.clone() };
    for _ in 0..2 {
        site.vault.demote_kek(kek.id, false).await?;
        site.expect_kek(&demoted, "after demotion").await?;
    }
    site.vault.demote_kek(KekId::new(), true).await?;
    site.fixture.force_retirement(kek.id).await?;
    site.vault.demote_kek(kek.id, true).await?;
    let state = site.vault.find_kek(site.store, kek.id).await?.map(|kek| kek.state);
    ensure!(state == Some(KekState::Retired), "a retired KEK came back as {state:?}");
    Ok(())
}

async fn marks_all_decrypt_only_keks_of_the_project(fixture: Fixture) -> Result<()> {
    let (site, elsewhere) = (Site::new(&fixture).await?, Site::new(&fixture).await?);
    let project = fresh_project();
    let mut keks = Vec::new();
    for _ in 0..3 {
        let kek = site.kek(&project).await?;
        site.ciphertext(&kek).await?;
        site.vault.demote_kek(kek.id, false).await?;
        keks.push(kek);
    }
    for site in [&site, &elsewhere] {
        let neighbour = if site.store == elsewhere.store { project.clone() } else { fresh_project() };
        let kek = site.kek(&neighbour).await?;
        site.ciphertext(&kek).await?;
        site.vault.demote_kek(kek.id, false).await?;
    }
    ensure!(site.vault.list_keks_to_reencrypt(site.store).await?.is_empty(), "nobody asked to re-encrypt");
    let active = site.kek(&project).await?;
    site.ciphertext(&active).await?;
    site.vault.demote_kek(active.id, true).await?;
    keks.push(active);
    let listed = site.vault.list_keks_to_reencrypt(site.store).await?;
    let expected: Vec<_> = keks.iter().map(|kek| kek.id).collect();
    ensure!(listed == expected, "{listed:?} instead of {expected:?}");
    ensure!(elsewhere.vault.list_keks_to_reencrypt(elsewhere.store).await?.is_empty(), "marked in another store");

    for ciphertext in site.vault.list_ciphertexts(site.store, Some(keks[1].id), None, 10).await? {
        site.vault.delete_ciphertext(site.store, &ciphertext.place).await?;
    }
    let listed = site.vault.list_keks_to_reencrypt(site.store).await?;
    ensure!(!listed.contains(&keks[1].id) && listed.len() == 3, "a KEK without ciphertexts is listed");
    Ok(())
}

async fn lists_what_another_mkek_wraps(fixture: Fixture) -> Result<()> {
    let (site, elsewhere) = (Site::new(&fixture).await?, Site::new(&fixture).await?);
    let mut expected = Vec::new();
    for _ in 0..5 {
        expected.push(site.kek(&fresh_project()).await?);
    }
    elsewhere.kek(&fresh_project()).await?;
    site.vault.demote_kek(expected[0].id, false).await?;
    expected[0].state = KekState::DecryptOnly;
    let retired = expected.remove(1);
    site.fixture.force_retirement(retired.id).await?;
    ensure!(site.vault.list_keks_not_under(site.store, site.mkek, None, 10).await?.is_empty(), "all are under it");
    let second = site.rotate().await?;
    expected.sort_by_key(|kek| kek.id);
    let listed = site.vault.list_keks_not_under(site.store, second, None, 10).await?;
    ensure!(listed == expected, "{} listed, {} expected", listed.len(), expected.len());
    let first = site.vault.list_keks_not_under(site.store, second, None, 2).await?;
    ensure!(first == expected[..2], "not the first two by id");
    let rest = site.vault.list_keks_not_under(site.store, second, Some(expected[1].id), 10).await?;
    ensure!(rest == expected[2..], "not those above the first two");
    Ok(())
}

async fn rewrapping_is_a_compare_and_set(fixture: Fixture) -> Result<()> {
    let site = Site::new(&fixture).await?;
    let kek = site.kek(&fresh_project()).await?;
    let old = kek.wrapped.clone();
    let added = WrappedKek { mkek: MasterKeyId::new(), bytes: b"under an unknown MKEK".to_vec() };
    ensure!(!site.vault.rewrap_kek(kek.id, &old, &added).await?, "rewrapped under an unknown MKEK");
    let second = site.rotate().await?;
    let new = WrappedKek { mkek: second, bytes: b"under the second MKEK".to_vec() };
    let stale = WrappedKek { bytes: b"something else".to_vec(), ..old.clone() };
    ensure!(!site.vault.rewrap_kek(kek.id, &stale, &new).await?, "rewrapped though the wrapping had changed");
    site.expect_kek(&kek, "untouched so far").await?;
    ensure!(site.vault.rewrap_kek(kek.id, &old, &new).await?, "not rewrapped");
    ensure!(!site.vault.rewrap_kek(kek.id, &old, &new).await?, "rewrapped twice");
    let back = WrappedKek { bytes: b"under the first MKEK".to_vec(), ..old };
    ensure!(!site.vault.rewrap_kek(kek.id, &new, &back).await?, "rewrapped under an MKEK that isn't active");
    site.expect_kek(&ProjectKek { wrapped: new, ..kek }, "rewrapped").await
}
