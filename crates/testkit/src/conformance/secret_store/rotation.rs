//! The life of project keys: `active -> decrypt-only -> retired`, and new wrappings.

use bailey_core::store::{Inventory, KeyRotation};

use super::*;

pub(super) fn cases() -> Vec<StoreCase> {
    vec![
        case!(Needs::KeyRotation, rotating_makes_a_new_kek_and_keeps_the_old_readable),
        case!(Needs::KeyRotation, rotating_without_payloads_says_so),
        case!(Needs::KeyRotation, instances_follow_a_rotation),
        case!(Needs::KeyRotation, concurrent_first_stores_agree_on_one_kek),
        case!(Needs::KeyRotation, what_is_to_be_reencrypted_is_listed_until_it_is_gone),
        case!(Needs::MasterKeys, rewrapping_moves_every_kek_and_changes_no_payload),
    ]
}

fn rotation(store: &dyn SecretStore) -> Result<&dyn KeyRotation> {
    store.key_rotation().context("no key rotation")
}

fn inventory(store: &dyn SecretStore) -> Result<&dyn Inventory> {
    store.inventory().context("no inventory")
}

async fn rotating_makes_a_new_kek_and_keeps_the_old_readable(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let before = keep(&*store, &project, CANARY).await?;
    let old = kek_of(&*store, before.place.write).await?;
    ensure!(rotation(&*store)?.rotate(&project, false).await? == old, "it names another KEK than the active one");
    let after = keep(&*store, &project, b"after").await?;
    ensure!(kek_of(&*store, after.place.write).await? != old, "the old KEK still encrypts");
    expect_kept(&*store, &before, "under the old KEK").await?;
    expect_kept(&*fixture.instance().await?, &before, "under the old KEK, elsewhere").await?;
    expect_kept(&*fixture.instance().await?, &after, "under the new KEK").await
}

async fn rotating_without_payloads_says_so(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    ensure!(rotation(&*store)?.rotate(&project, true).await?.is_none(), "there was no KEK to rotate");
    let kept = keep(&*store, &project, CANARY).await?;
    ensure!(rotation(&*store)?.rotate(&project, false).await?.is_some(), "there was a KEK to rotate");
    ensure!(rotation(&*store)?.rotate(&project, false).await?.is_none(), "it was rotated already");
    expect_kept(&*store, &kept, "after two rotations").await
}

async fn instances_follow_a_rotation(fixture: Fixture) -> Result<()> {
    let (store, other, project) = (fixture.instance().await?, fixture.instance().await?, fresh_project());
    keep(&*store, &project, b"warms one instance up").await?;
    let before = keep(&*other, &project, CANARY).await?;
    let old = rotation(&*store)?.rotate(&project, false).await?;
    // The other instance still has the old KEK at hand and must notice.
    let after = keep(&*other, &project, b"after").await?;
    ensure!(kek_of(&*store, after.place.write).await? != old, "an instance goes on with the old KEK");
    expect_kept(&*other, &before, "before").await?;
    expect_kept(&*store, &after, "after").await
}

async fn concurrent_first_stores_agree_on_one_kek(fixture: Fixture) -> Result<()> {
    let project = fresh_project();
    let mut tasks = Vec::new();
    for number in 0..12_u8 {
        let (store, project) = (fixture.instance().await?, project.clone());
        tasks.push(tokio::spawn(async move { keep(&*store, &project, &[number; 10]).await }));
    }
    let store = fixture.instance().await?;
    let mut keks = Vec::new();
    for task in tasks {
        let kept = task.await??;
        keks.push(kek_of(&*store, kept.place.write).await?);
        expect_kept(&*store, &kept, "after all").await?;
    }
    ensure!(keks.iter().all(|kek| *kek == keks[0]), "a project has several KEKs at once");
    Ok(())
}

async fn what_is_to_be_reencrypted_is_listed_until_it_is_gone(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let earliest = keep(&*store, &project, b"under an earlier KEK").await?;
    let first = rotation(&*store)?.rotate(&project, false).await?.context("no KEK")?;
    ensure!(!rotation(&*store)?.to_reencrypt().await?.contains(&first), "nobody asked to re-encrypt");
    let old = keep(&*store, &project, CANARY).await?;
    let second = rotation(&*store)?.rotate(&project, true).await?.context("no KEK")?;
    let listed = rotation(&*store)?.to_reencrypt().await?;
    let at = |kek| listed.iter().position(|listed| *listed == kek).context("a KEK isn't listed");
    ensure!(at(first)? < at(second)?, "not the oldest first");

    // Copy, verify, flip: what the worker does for each write under the KEK.
    for (kek, kept) in [(first, earliest), (second, old)] {
        let under = inventory(&*store)?.list(Some(kek), None, 10).await?;
        ensure!(under.len() == 1 && under[0].place == kept.place, "{} writes under the KEK", under.len());
        ensure!(under[0].reference == kept.reference, "the inventory has another reference");
        let place = Place { write: WriteId::new(), ..kept.place.clone() };
        let reference = put(&*store, &place, &kept.payload).await?;
        let moved = Kept { place, reference, payload: kept.payload.clone() };
        expect_kept(&*store, &moved, "moved").await?;
        store.delete(&kept.place, &kept.reference).await?;
        ensure!(inventory(&*store)?.list(Some(kek), None, 10).await?.is_empty(), "a write is left under the KEK");
    }
    let listed = rotation(&*store)?.to_reencrypt().await?;
    ensure!(!listed.contains(&first) && !listed.contains(&second), "a KEK without payloads is listed");
    Ok(())
}

async fn rewrapping_moves_every_kek_and_changes_no_payload(fixture: Fixture) -> Result<()> {
    let (store, warm) = (fixture.instance().await?, fixture.instance().await?);
    let master_keys = fixture.master_keys().context("no way to the MKEK")?;
    let mut kept = Vec::new();
    for number in 0..5_u8 {
        kept.push(keep(&*store, &fresh_project(), &[number; 50]).await?);
    }
    rotation(&*store)?.rotate(&kept[0].place.project, false).await?;
    for each in &kept {
        expect_kept(&*warm, each, "before").await?;
    }
    master_keys.rotate().await?;
    let mut rounds = 0;
    while rotation(&*store)?.rewrap(2).await? > 0 {
        rounds += 1;
        ensure!(rounds < 1_000, "rewrapping comes to no end");
    }
    ensure!(rounds >= 3, "{rounds} rounds of two for five KEKs");
    master_keys.withhold_old().await?;
    let new = fixture.instance().await?;
    for each in &kept {
        expect_kept(&*new, each, "under the new MKEK").await?;
        expect_kept(&*warm, each, "an instance that knew the old wrapping").await?;
        keep(&*warm, &each.place.project, b"a store by that instance").await?;
    }
    Ok(())
}
