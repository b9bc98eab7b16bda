//! What was changed behind the store's back is `Corrupt`.

use bailey_core::store::StoreErrorKind::Corrupt;

use super::*;

pub(super) fn cases() -> Vec<StoreCase> {
    vec![
        case!(Needs::Tampering, any_changed_byte_is_corrupt),
        case!(Needs::Tampering, shortened_and_extended_bytes_are_corrupt),
        case!(Needs::Tampering, swapped_bytes_are_corrupt),
        case!(Needs::Tampering, verification_sees_past_caches),
    ]
}

/// Replaces what is stored, expects `Corrupt` of an instance with empty caches, and puts it back.
async fn expect_corrupt(fixture: &Fixture, kept: &Kept, bytes: Vec<u8>, when: &str) -> Result<()> {
    let tampering = fixture.tampering().context("no way to what is stored")?;
    let stored = tampering.read(kept.place.write).await?;
    tampering.replace(kept.place.write, bytes).await?;
    let store = fixture.instance().await?;
    for verify in [false, true] {
        let got = get(&*store, &kept.place, &kept.reference, verify).await;
        expect_failure(got, &[Corrupt], &kept.payload, when)?;
    }
    tampering.replace(kept.place.write, stored).await
}

async fn any_changed_byte_is_corrupt(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let kept = keep(&*store, &fresh_project(), CANARY).await?;
    let stored = fixture.tampering().context("no way to what is stored")?.read(kept.place.write).await?;
    for index in 0..stored.len() {
        let mut bytes = stored.clone();
        bytes[index] ^= 1 << (index % 8);
        expect_corrupt(&fixture, &kept, bytes, &format!("byte {index} changed")).await?;
    }
    expect_kept(&*fixture.instance().await?, &kept, "put back").await
}

async fn shortened_and_extended_bytes_are_corrupt(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let kept = keep(&*store, &fresh_project(), CANARY).await?;
    let stored = fixture.tampering().context("no way to what is stored")?.read(kept.place.write).await?;
    for length in [0, 1, 12, 13, 28, stored.len() - 1].into_iter().filter(|length| *length < stored.len()) {
        expect_corrupt(&fixture, &kept, stored[..length].to_vec(), &format!("cut to {length}")).await?;
    }
    expect_corrupt(&fixture, &kept, [stored.as_slice(), &[0]].concat(), "a byte more").await?;
    expect_kept(&*fixture.instance().await?, &kept, "put back").await
}

async fn swapped_bytes_are_corrupt(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let tampering = fixture.tampering().context("no way to what is stored")?;
    let kept = keep(&*store, &project, CANARY).await?;
    let sibling = keep(&*store, &project, b"of the same project").await?;
    let foreign = keep(&*store, &fresh_project(), b"of another project").await?;
    let place = Place { secret: kept.place.secret, ..fresh_place(&project) };
    let reference = put(&*store, &place, b"of the same secret").await?;
    let moved = Kept { place, reference, payload: b"of the same secret".to_vec() };
    for other in [sibling, foreign, moved] {
        let bytes = tampering.read(other.place.write).await?;
        expect_corrupt(&fixture, &kept, bytes, "another payload's bytes").await?;
    }
    Ok(())
}

async fn verification_sees_past_caches(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let tampering = fixture.tampering().context("no way to what is stored")?;
    let kept = keep(&*store, &fresh_project(), CANARY).await?;
    expect_kept(&*store, &kept, "before").await?;
    let mut bytes = tampering.read(kept.place.write).await?;
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    tampering.replace(kept.place.write, bytes).await?;
    expect_lost(&*store, &kept, &[Corrupt], "changed after it was read").await
}
