//! What the descriptor lists works; what it doesn't is `Unsupported`.

use bailey_core::store::StoreErrorKind::{Conflict, Unsupported};

use super::*;

pub(super) fn cases() -> Vec<StoreCase> {
    vec![
        case!(Needs::Nothing, the_descriptor_is_the_same_everywhere),
        case!(Needs::Nothing, a_payload_above_the_largest_is_unsupported),
        case!(Needs::UnlistedType, an_unlisted_type_is_unsupported),
        case!(Needs::Symmetric, makes_keys_of_every_listed_size),
        case!(Needs::Symmetric, des_keys_alone_have_odd_parity),
        case!(Needs::Symmetric, a_generated_key_has_a_write_id_of_its_own),
        case!(Needs::Nothing, an_unlisted_key_size_is_unsupported),
    ]
}

async fn generate(
    store: &dyn SecretStore,
    place: &Place,
    bit_length: Option<i32>,
) -> Result<StoreReference, StoreError> {
    generate_for("AES", store, place, bit_length).await
}

async fn generate_for(
    algorithm: &str,
    store: &dyn SecretStore,
    place: &Place,
    bit_length: Option<i32>,
) -> Result<StoreReference, StoreError> {
    let spec = Spec { algorithm: Some(algorithm.into()), bit_length, mode: None };
    store.generate_symmetric(place, &spec).await
}

async fn the_descriptor_is_the_same_everywhere(fixture: Fixture) -> Result<()> {
    let (one, other) = (fixture.instance().await?, fixture.instance().await?);
    let Descriptor { secret_types, symmetric_bits, max_payload, .. } = one.descriptor();
    ensure!(one.descriptor() == other.descriptor(), "two instances describe themselves differently");
    ensure!(!secret_types.is_empty() && *max_payload > 0, "it keeps nothing");
    ensure!(symmetric_bits.iter().all(|bits| *bits > 0 && bits % 8 == 0), "a key of half a byte");
    Ok(())
}

async fn a_payload_above_the_largest_is_unsupported(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let payload = vec![0x5a; store.descriptor().max_payload + 1];
    let stored = put(&*store, &fresh_place(&fresh_project()), &payload).await;
    expect_failure(stored, &[Unsupported], b"", "a byte above the largest")
}

async fn an_unlisted_type_is_unsupported(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let listed = &store.descriptor().secret_types;
    for secret_type in SecretType::ALL.into_iter().filter(|each| !listed.contains(each)) {
        let stored = put_as(&*store, &fresh_place(&fresh_project()), CANARY, secret_type).await;
        expect_failure(stored, &[Unsupported], CANARY, secret_type.as_str())?;
    }
    Ok(())
}

async fn makes_keys_of_every_listed_size(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let mut made = Vec::new();
    for bits in store.descriptor().symmetric_bits.clone() {
        for _ in 0..2 {
            let place = fresh_place(&project);
            let reference = generate(&*store, &place, Some(bits)).await.with_context(|| format!("{bits} bits"))?;
            let key = get(&*fixture.instance().await?, &place, &reference, false).await?;
            ensure!(key.len() * 8 == bits as usize, "{} bytes for {bits} bits", key.len());
            made.push(key.expose().to_vec());
        }
    }
    for (index, key) in made.iter().enumerate() {
        ensure!(key.iter().any(|byte| *byte != key[0]), "a key of equal bytes");
        ensure!(!made[..index].iter().any(|earlier| earlier[..8] == key[..8]), "a key like an earlier one");
    }
    Ok(())
}

async fn des_keys_alone_have_odd_parity(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    for bits in store.descriptor().symmetric_bits.clone() {
        for (algorithm, is_des) in [("DES", true), ("3des", true), ("DESede", true), ("aes", false), ("", false)] {
            let mut bytes = Vec::new();
            // So many bytes are odd by chance once in 2^64.
            while bytes.len() < 64 {
                let place = fresh_place(&project);
                let reference = generate_for(algorithm, &*store, &place, Some(bits)).await?;
                bytes.extend_from_slice(get(&*store, &place, &reference, false).await?.expose());
            }
            let are_odd = bytes.iter().all(|byte| byte.count_ones() % 2 == 1);
            ensure!(
                are_odd == is_des,
                "{bits} bits of `{algorithm}`: {}",
                if is_des { "parity" } else { "fewer bits" }
            );
        }
    }
    Ok(())
}

async fn a_generated_key_has_a_write_id_of_its_own(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let bits = store.descriptor().symmetric_bits.first().copied();
    let kept = keep(&*store, &fresh_project(), CANARY).await?;
    let made = generate(&*store, &kept.place, bits).await;
    expect_failure(made, &[Conflict], b"", "a key under a used write id")?;
    expect_kept(&*store, &kept, "after the conflict").await
}

async fn an_unlisted_key_size_is_unsupported(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let listed = &store.descriptor().symmetric_bits;
    let sizes = [8, 56, 64, 112, 120, 127, 128, 160, 168, 192, 255, 256, 384, 512, 1_024, 32_767];
    for bits in sizes.into_iter().filter(|bits| !listed.contains(bits)).map(Some).chain([None]) {
        let made = generate(&*store, &fresh_place(&fresh_project()), bits).await;
        expect_failure(made, &[Unsupported], b"", &format!("{bits:?} bits"))?;
    }
    Ok(())
}
