//! What was accepted is there, once, until it is deleted.

use bailey_core::store::StoreErrorKind::{Conflict, Corrupt, NotFound};

use super::*;

pub(super) fn cases() -> Vec<StoreCase> {
    vec![
        case!(Needs::Nothing, returns_what_was_stored),
        case!(Needs::Nothing, keeps_every_listed_type),
        case!(Needs::Nothing, another_instance_returns_it),
        case!(Needs::Nothing, a_used_write_id_conflicts_and_changes_nothing),
        case!(Needs::Nothing, of_concurrent_stores_under_one_write_id_one_wins),
        case!(Needs::Nothing, what_was_deleted_is_not_found),
        case!(Needs::Nothing, another_instance_finds_no_deleted_bytes),
        case!(Needs::Nothing, deleting_again_succeeds),
        case!(Needs::Nothing, deleting_one_leaves_the_others),
        case!(Needs::Nothing, concurrent_payloads_are_kept_apart),
        case!(Needs::Nothing, it_is_healthy),
        case!(Needs::Inventory, the_inventory_lists_each_write_once_in_order),
    ]
}

async fn returns_what_was_stored(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let largest = store.descriptor().max_payload;
    for length in [1, 2, 15, 16, 17, 255, 256, 4_096, largest] {
        let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
        let kept = keep(&*store, &project, &payload).await?;
        expect_kept(&*store, &kept, "the instance that stored it").await?;
    }
    Ok(())
}

async fn keeps_every_listed_type(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    for secret_type in store.descriptor().secret_types.clone() {
        let (place, payload) = (fresh_place(&project), secret_type.as_str().as_bytes().to_vec());
        let reference = put_as(&*store, &place, &payload, secret_type).await.context(secret_type.as_str())?;
        expect_kept(&*store, &Kept { place, reference, payload }, secret_type.as_str()).await?;
    }
    Ok(())
}

async fn another_instance_returns_it(fixture: Fixture) -> Result<()> {
    let project = fresh_project();
    let first = keep(&*fixture.instance().await?, &project, CANARY).await?;
    let other = fixture.instance().await?;
    expect_kept(&*other, &first, "another instance").await?;
    // And the other way round: both share the project's keys now.
    let second = keep(&*other, &project, b"second").await?;
    expect_kept(&*fixture.instance().await?, &second, "a third instance").await
}

async fn a_used_write_id_conflicts_and_changes_nothing(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let kept = keep(&*store, &project, CANARY).await?;
    let elsewhere = Place { write: kept.place.write, ..fresh_place(&fresh_project()) };
    for place in [&kept.place, &elsewhere] {
        let again = put(&*store, place, b"another payload").await;
        expect_failure(again, &[Conflict], b"another payload", "the write id again")?;
        let again = put(&*fixture.instance().await?, place, b"another payload").await;
        expect_failure(again, &[Conflict], b"another payload", "the write id again, elsewhere")?;
    }
    expect_kept(&*store, &kept, "after the conflict").await?;
    expect_kept(&*fixture.instance().await?, &kept, "after the conflict, elsewhere").await
}

async fn of_concurrent_stores_under_one_write_id_one_wins(fixture: Fixture) -> Result<()> {
    let place = fresh_place(&fresh_project());
    let mut tasks = Vec::new();
    for number in 0..8_u8 {
        let (store, place) = (fixture.instance().await?, place.clone());
        tasks.push(tokio::spawn(async move { (number, put(&*store, &place, &[number; 40]).await) }));
    }
    let mut winners = Vec::new();
    for task in tasks {
        match task.await? {
            (number, Ok(reference)) => {
                winners.push(Kept { place: place.clone(), reference, payload: vec![number; 40] })
            }
            (number, lost) => expect_failure(lost, &[Conflict], &[number; 40], "a loser")?,
        }
    }
    ensure!(winners.len() == 1, "{} of 8 stores under one write id succeeded", winners.len());
    expect_kept(&*fixture.instance().await?, &winners[0], "the winner").await
}

async fn what_was_deleted_is_not_found(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    for is_read_before in [false, true] {
        let kept = keep(&*store, &fresh_project(), CANARY).await?;
        if is_read_before {
            expect_kept(&*store, &kept, "before").await?;
        }
        store.delete(&kept.place, &kept.reference).await?;
        expect_lost(&*store, &kept, &[NotFound], "after delete").await?;
        let cached = get(&*store, &kept.place, &kept.reference, false).await;
        expect_failure(cached, &[NotFound], CANARY, "after delete, by way of caches")?;
    }
    Ok(())
}

async fn another_instance_finds_no_deleted_bytes(fixture: Fixture) -> Result<()> {
    let (store, other) = (fixture.instance().await?, fixture.instance().await?);
    let kept = keep(&*store, &fresh_project(), CANARY).await?;
    expect_kept(&*other, &kept, "before").await?;
    store.delete(&kept.place, &kept.reference).await?;
    expect_lost(&*other, &kept, &[NotFound], "an instance that had read it").await?;
    expect_lost(&*fixture.instance().await?, &kept, &[NotFound], "a new instance").await
}

async fn deleting_again_succeeds(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let kept = keep(&*store, &fresh_project(), CANARY).await?;
    for _ in 0..2 {
        store.delete(&kept.place, &kept.reference).await?;
        fixture.instance().await?.delete(&kept.place, &kept.reference).await?;
    }
    Ok(())
}

async fn deleting_one_leaves_the_others(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let (one, other) = (keep(&*store, &project, b"one").await?, keep(&*store, &project, b"other").await?);
    // A second write of the same secret, as when a payload is moved to another KEK.
    let place = Place { secret: one.place.secret, ..fresh_place(&project) };
    let reference = put(&*store, &place, b"one, moved").await?;
    let moved = Kept { place, reference, payload: b"one, moved".to_vec() };

    store.delete(&one.place, &one.reference).await?;
    for kept in [&other, &moved] {
        expect_kept(&*store, kept, "after the other's delete").await?;
    }
    // The write's id with another one's coordinates is nobody's place.
    let foreign = Place { project: fresh_project(), ..other.place.clone() };
    let _whatever = store.delete(&foreign, &other.reference).await;
    let refused = store.delete(&other.place, &moved.reference).await;
    expect_failure(refused, &[Corrupt], b"", "delete with another payload's reference")?;
    for kept in [&other, &moved] {
        expect_kept(&*store, kept, "after deletes that fit nothing").await?;
    }
    Ok(())
}

async fn concurrent_payloads_are_kept_apart(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let projects = [fresh_project(), fresh_project(), fresh_project()];
    let mut tasks = Vec::new();
    for number in 0..48_u8 {
        let (store, project) = (Arc::clone(&store), projects[usize::from(number) % 3].clone());
        tasks.push(tokio::spawn(async move {
            let kept = keep(&*store, &project, &[number; 100]).await?;
            expect_kept(&*store, &kept, "right after").await?;
            Ok::<_, anyhow::Error>(kept)
        }));
    }
    let mut all = Vec::new();
    for task in tasks {
        all.push(task.await??);
    }
    for kept in &all {
        expect_kept(&*store, kept, "later").await?;
    }
    Ok(())
}

async fn it_is_healthy(fixture: Fixture) -> Result<()> {
    Ok(fixture.instance().await?.health().await?)
}

async fn the_inventory_lists_each_write_once_in_order(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let mut kept = Vec::new();
    for number in 0..7_u8 {
        kept.push(keep(&*store, &project, &[number]).await?);
    }
    let gone = kept.remove(3);
    store.delete(&gone.place, &gone.reference).await?;

    let inventory = store.inventory().context("no inventory")?;
    let (mut listed, mut after) = (Vec::new(), None);
    loop {
        let page = inventory.list(None, after, 2).await?;
        ensure!(page.len() <= 2, "a page is longer than its limit");
        let Some(last) = page.last() else { break };
        ensure!(after.is_none_or(|after| after < page[0].place.write), "pages overlap");
        after = Some(last.place.write);
        listed.extend(page);
    }
    ensure!(listed.is_sorted_by(|a, b| a.place.write < b.place.write), "not ordered by write id");
    listed.retain(|stored| stored.place.project == project);
    kept.sort_by_key(|kept| kept.place.write);
    let expected: Vec<_> = kept.iter().map(|kept| (&kept.place, &kept.reference)).collect();
    let found: Vec<_> = listed.iter().map(|stored| (&stored.place, &stored.reference)).collect();
    ensure!(found == expected, "{} writes listed, {} stored", found.len(), expected.len());
    Ok(())
}
