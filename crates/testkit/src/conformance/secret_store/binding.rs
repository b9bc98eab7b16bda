//! A payload belongs to its place and its reference.

use bailey_core::ids::SecretId;
use bailey_core::store::StoreErrorKind::{Corrupt, NotFound};

use super::*;

pub(super) fn cases() -> Vec<StoreCase> {
    vec![
        case!(Needs::Nothing, another_place_gets_nothing),
        case!(Needs::Nothing, another_payloads_reference_gets_nothing),
        case!(Needs::Nothing, a_changed_reference_gets_nothing),
        case!(Needs::KeyRotation, projects_share_no_kek),
    ]
}

const NOTHING: &[StoreErrorKind] = &[Corrupt, NotFound];

async fn another_place_gets_nothing(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let kept = keep(&*store, &project, CANARY).await?;
    let neighbour = keep(&*store, &fresh_project(), b"neighbour").await?;
    expect_kept(&*store, &kept, "its own place").await?;
    let others = [
        ("another project", Place { project: fresh_project(), ..kept.place.clone() }),
        ("a project with payloads", Place { project: neighbour.place.project.clone(), ..kept.place.clone() }),
        ("another secret", Place { secret: SecretId::new(), ..kept.place.clone() }),
        ("another write", Place { write: WriteId::new(), ..kept.place.clone() }),
        ("all of another", neighbour.place.clone()),
    ];
    for (when, place) in others {
        for verify in [false, true] {
            let got = get(&*store, &place, &kept.reference, verify).await;
            expect_failure(got, NOTHING, CANARY, when)?;
        }
    }
    Ok(())
}

async fn another_payloads_reference_gets_nothing(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let one = keep(&*store, &project, CANARY).await?;
    let other = keep(&*store, &project, b"the other of the same project").await?;
    for verify in [false, true] {
        let got = get(&*store, &one.place, &other.reference, verify).await;
        expect_failure(got, NOTHING, CANARY, "another payload's reference")?;
    }
    Ok(())
}

async fn a_changed_reference_gets_nothing(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let kept = keep(&*store, &fresh_project(), CANARY).await?;
    let bytes = &kept.reference.0;
    let flipped = (0..bytes.len()).map(|index| {
        let mut bytes = bytes.clone();
        bytes[index] ^= 1 << (index % 8);
        bytes
    });
    let cut = (0..bytes.len()).map(|length| bytes[..length].to_vec());
    let longer = std::iter::once([bytes.as_slice(), &[0]].concat());
    for bytes in flipped.chain(cut).chain(longer) {
        let got = get(&*store, &kept.place, &StoreReference(bytes), false).await;
        expect_failure(got, NOTHING, CANARY, "a changed reference")?;
    }
    Ok(())
}

async fn projects_share_no_kek(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let (one, other) = (fresh_project(), fresh_project());
    let first = keep(&*store, &one, CANARY).await?;
    let again = keep(&*store, &one, CANARY).await?;
    let foreign = keep(&*store, &other, CANARY).await?;
    let kek = kek_of(&*store, first.place.write).await?;
    ensure!(kek.is_some() && kek == kek_of(&*store, again.place.write).await?, "a project has two KEKs at once");
    ensure!(kek != kek_of(&*store, foreign.place.write).await?, "two projects share a KEK");
    Ok(())
}
