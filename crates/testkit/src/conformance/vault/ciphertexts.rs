//! Ciphertexts: inserted once, under an active KEK, and destroyed by their place.

use bailey_core::ids::SecretId;
use bailey_core::store::StoreErrorKind::Conflict;

use super::*;

pub(super) fn cases() -> Vec<VaultCase> {
    vec![
        case!((), returns_what_was_inserted),
        case!((), a_used_write_id_conflicts),
        case!((), of_concurrent_inserts_of_one_write_id_one_wins),
        case!((), inserts_only_under_an_active_kek_of_the_same_project_and_store),
        case!((), no_insert_outlasts_a_demotion),
        case!((), destroys_by_place_and_again),
        case!((), lists_by_write_id_and_kek),
        case!((), it_answers),
    ]
}

async fn returns_what_was_inserted(fixture: Fixture) -> Result<()> {
    let (site, elsewhere) = (Site::new(&fixture).await?, Site::new(&fixture).await?);
    let kek = site.kek(&fresh_project()).await?;
    let ciphertext = site.ciphertext(&kek).await?;
    let large = Ciphertext { bytes: vec![0xa5; 1 << 20].into(), ..Site::new_ciphertext(&kek) };
    ensure!(site.vault.insert_ciphertext(site.store, &large).await? == Inserted::Yes, "a megabyte isn't inserted");
    site.expect_ciphertext(ciphertext.place.write, Some(&ciphertext), "a small one").await?;
    site.expect_ciphertext(large.place.write, Some(&large), "a large one").await?;
    site.expect_ciphertext(WriteId::new(), None, "an unknown write").await?;
    elsewhere.expect_ciphertext(ciphertext.place.write, None, "another store").await
}

async fn a_used_write_id_conflicts(fixture: Fixture) -> Result<()> {
    let site = Site::new(&fixture).await?;
    let kek = site.kek(&fresh_project()).await?;
    let other = site.kek(&fresh_project()).await?;
    let ciphertext = site.ciphertext(&kek).await?;
    let again = Ciphertext { bytes: b"again".as_slice().into(), ..ciphertext.clone() };
    let place = Place { write: ciphertext.place.write, ..fresh_place(&other.project) };
    let elsewhere = Ciphertext { place, ..Site::new_ciphertext(&other) };
    for twin in [&again, &elsewhere] {
        let inserted = site.vault.insert_ciphertext(site.store, twin).await;
        expect_failure(inserted, &[Conflict], b"", "the write id again")?;
    }
    site.expect_ciphertext(ciphertext.place.write, Some(&ciphertext), "after the conflicts").await
}

async fn of_concurrent_inserts_of_one_write_id_one_wins(fixture: Fixture) -> Result<()> {
    let site = Site::new(&fixture).await?;
    let kek = site.kek(&fresh_project()).await?;
    let place = fresh_place(&kek.project);
    let tasks: Vec<_> = (0..16_u8)
        .map(|number| {
            let bytes = vec![number; 8].into();
            let twin = Ciphertext { place: place.clone(), bytes, ..Site::new_ciphertext(&kek) };
            let (vault, store) = (Arc::clone(&site.vault), site.store);
            tokio::spawn(async move { (vault.insert_ciphertext(store, &twin).await, twin) })
        })
        .collect();
    let mut winners = Vec::new();
    for task in tasks {
        match task.await? {
            (Ok(inserted), twin) => {
                ensure!(inserted == Inserted::Yes, "the KEK is active");
                winners.push(twin);
            }
            (lost, _) => expect_failure(lost, &[Conflict], b"", "a loser")?,
        }
    }
    ensure!(winners.len() == 1, "{} of 16 won", winners.len());
    site.expect_ciphertext(place.write, Some(&winners[0]), "the winner").await
}

async fn inserts_only_under_an_active_kek_of_the_same_project_and_store(fixture: Fixture) -> Result<()> {
    let (site, elsewhere) = (Site::new(&fixture).await?, Site::new(&fixture).await?);
    let kek = site.kek(&fresh_project()).await?;
    let demoted = site.kek(&fresh_project()).await?;
    site.vault.demote_kek(demoted.id, false).await?;
    let retired = site.kek(&fresh_project()).await?;
    site.fixture.force_retirement(retired.id).await?;
    let foreign = elsewhere.kek(&kek.project).await?;
    let missing = site.new_kek(&fresh_project());
    let neighbour = ProjectKek { project: fresh_project(), ..kek.clone() };
    for (when, kek) in [
        ("decrypt-only", &demoted),
        ("retired", &retired),
        ("another store's", &foreign),
        ("missing", &missing),
        ("another project's", &neighbour),
    ] {
        let ciphertext = Site::new_ciphertext(kek);
        let inserted = site.vault.insert_ciphertext(site.store, &ciphertext).await?;
        ensure!(inserted == Inserted::KeyNotActive, "{when}: inserted nevertheless");
        site.expect_ciphertext(ciphertext.place.write, None, when).await?;
    }
    site.ciphertext(&kek).await.map(|_| ())
}

/// What makes the count exact that allows retiring: when `demote_kek` returns, no insert under that
/// KEK is under way any more.
async fn no_insert_outlasts_a_demotion(fixture: Fixture) -> Result<()> {
    let site = Site::new(&fixture).await?;
    for _ in 0..5 {
        let kek = site.kek(&fresh_project()).await?;
        let tasks: Vec<_> = (0..8)
            .map(|_| {
                let (vault, store, kek) = (Arc::clone(&site.vault), site.store, kek.clone());
                tokio::spawn(async move {
                    for inserted in 0_u64.. {
                        let ciphertext = Site::new_ciphertext(&kek);
                        if vault.insert_ciphertext(store, &ciphertext).await? == Inserted::KeyNotActive {
                            return anyhow::Ok(inserted);
                        }
                        tokio::task::yield_now().await;
                    }
                    unreachable!("the numbers came to an end")
                })
            })
            .collect();
        while site.vault.list_ciphertexts(site.store, Some(kek.id), None, 8).await?.len() < 8 {
            tokio::task::yield_now().await;
        }
        site.vault.demote_kek(kek.id, false).await?;
        let counted = site.vault.list_ciphertexts(site.store, Some(kek.id), None, 1 << 20).await?.len() as u64;
        let mut inserted = 0;
        for task in tasks {
            inserted += task.await??;
        }
        ensure!(counted == inserted, "{counted} counted right after the demotion, {inserted} inserted in all");
    }
    Ok(())
}

async fn destroys_by_place_and_again(fixture: Fixture) -> Result<()> {
    let (site, elsewhere) = (Site::new(&fixture).await?, Site::new(&fixture).await?);
    let kek = site.kek(&fresh_project()).await?;
    let (kept, gone) = (site.ciphertext(&kek).await?, site.ciphertext(&kek).await?);
    let foreign = [
        Place { project: fresh_project(), ..kept.place.clone() },
        Place { secret: SecretId::new(), ..kept.place.clone() },
        Place { write: WriteId::new(), ..kept.place.clone() },
    ];
    for place in &foreign {
        site.vault.delete_ciphertext(site.store, place).await?;
    }
    elsewhere.vault.delete_ciphertext(elsewhere.store, &kept.place).await?;
    for _ in 0..2 {
        site.vault.delete_ciphertext(site.store, &gone.place).await?;
        site.expect_ciphertext(gone.place.write, None, "after delete").await?;
    }
    site.expect_ciphertext(kept.place.write, Some(&kept), "after deletes that fit nothing").await
}

async fn lists_by_write_id_and_kek(fixture: Fixture) -> Result<()> {
    let (site, elsewhere) = (Site::new(&fixture).await?, Site::new(&fixture).await?);
    let (one, other) = (site.kek(&fresh_project()).await?, site.kek(&fresh_project()).await?);
    elsewhere.ciphertext(&elsewhere.kek(&one.project).await?).await?;
    let mut expected = Vec::new();
    for number in 0..9 {
        let kek = if number % 3 == 0 { &other } else { &one };
        expected.push(Ciphertext { bytes: [].into(), ..site.ciphertext(kek).await? });
    }
    expected.sort_by_key(|ciphertext| ciphertext.place.write);
    for kek in [None, Some(one.id), Some(other.id)] {
        let (mut listed, mut after) = (Vec::new(), None);
        loop {
            let page = site.vault.list_ciphertexts(site.store, kek, after, 2).await?;
            let Some(last) = page.last() else { break };
            after = Some(last.place.write);
            listed.extend(page);
        }
        let expected: Vec<_> = expected.iter().filter(|each| kek.is_none_or(|kek| each.kek == kek)).cloned().collect();
        ensure!(listed == expected, "{} listed, {} expected", listed.len(), expected.len());
    }
    Ok(())
}

async fn it_answers(fixture: Fixture) -> Result<()> {
    Ok(fixture.vault().health().await?)
}
