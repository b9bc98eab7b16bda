//! Key pairs that a store makes.

use std::process::Command;

use bailey_core::store::StoreErrorKind::{Conflict, NotFound, Unsupported};

use super::*;
use crate::process;

pub(super) fn cases() -> Vec<StoreCase> {
    vec![
        case!(Needs::KeyPairs, makes_every_listed_key_pair),
        case!(Needs::KeyPairs, a_key_pair_has_write_ids_of_its_own),
        case!(Needs::KeyPairs, an_unlisted_key_pair_is_unsupported),
    ]
}

fn pairs(store: &dyn SecretStore) -> Result<&dyn KeyPairs> {
    store.key_pairs().context("no key pairs")
}

fn fresh_places(project: &ProjectId) -> Halves<Place> {
    Halves { private: fresh_place(project), public: fresh_place(project) }
}

async fn generate(
    store: &dyn SecretStore,
    places: &Halves<Place>,
    (algorithm, bits): (&str, i32),
) -> Result<Result<Halves<StoreReference>, StoreError>> {
    let spec = Spec { algorithm: Some(algorithm.to_owned()), bit_length: Some(bits), mode: None };
    let places = Halves { private: &places.private, public: &places.public };
    Ok(pairs(store)?.generate_asymmetric(places, &spec).await)
}

/// The public key that OpenSSL takes out of a private one, and what it says of its size.
fn openssl(private: &[u8]) -> Result<(Vec<u8>, String)> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("private.pem");
    std::fs::write(&file, private)?;
    let public = process::run(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&file))?;
    let text = process::run(Command::new("openssl").args(["pkey", "-noout", "-text", "-in"]).arg(&file))?;
    Ok((public, String::from_utf8_lossy(&text).lines().next().unwrap_or_default().to_owned()))
}

async fn makes_every_listed_key_pair(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let listed = pairs(&*store)?.listed();
    ensure!(!listed.is_empty(), "it lists none");
    for &(algorithm, bits) in listed {
        let mut earlier = Vec::new();
        for _ in 0..2 {
            let places = fresh_places(&project);
            let made = generate(&*store, &places, (algorithm, bits)).await?.context(algorithm)?;
            let other = fixture.instance().await?;
            let private = get(&*other, &places.private, &made.private, false).await?;
            let public = get(&*other, &places.public, &made.public, false).await?;
            ensure!(private.expose().starts_with(b"-----BEGIN PRIVATE KEY-----\n"), "{algorithm}: no PKCS#8 in PEM");
            let (expected, size) = openssl(private.expose())?;
            ensure!(public.expose() == expected, "{algorithm}: the halves don't belong together");
            ensure!(size.contains(&format!("({bits} bit")), "{algorithm} of {bits} bits is `{size}`");
            ensure!(earlier != expected, "{algorithm}: a key pair like the one before");
            earlier = expected;
        }
    }
    Ok(())
}

async fn a_key_pair_has_write_ids_of_its_own(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let listed = *pairs(&*store)?.listed().first().context("it lists none")?;
    let made_at = fresh_places(&project);
    let made = generate(&*store, &made_at, listed).await??;
    for is_private in [true, false] {
        let kept = keep(&*store, &project, CANARY).await?;
        let mut places = fresh_places(&project);
        *(if is_private { &mut places.private } else { &mut places.public }) = kept.place.clone();
        let refused = generate(&*store, &places, listed).await?;
        expect_failure(refused, &[Conflict], b"", "a key pair under a used write id")?;
        expect_kept(&*store, &kept, "after the conflict").await?;
        let free = if is_private { &places.public } else { &places.private };
        // What isn't kept leaves its write id to others.
        let reference = put(&*store, free, CANARY).await.context("the other half was kept")?;
        store.delete(free, &reference).await?;
    }
    store.delete(&made_at.private, &made.private).await?;
    let gone = get(&*store, &made_at.private, &made.private, true).await;
    expect_failure(gone, &[NotFound], b"", "a private key that was deleted")?;
    ensure!(get(&*store, &made_at.public, &made.public, true).await?.len() > 64, "its public key went with it");
    Ok(())
}

async fn an_unlisted_key_pair_is_unsupported(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let listed = pairs(&*store)?.listed();
    let asked = [("rsa", 0), ("rsa", 1_023), ("rsa", 1 << 20), ("ec", 255), ("ec", -1), ("dsa", 2_048), ("", 2_048)];
    for asked in asked.into_iter().filter(|asked| !listed.contains(asked)) {
        let made = generate(&*store, &fresh_places(&project), asked).await?;
        expect_failure(made, &[Unsupported], b"", &format!("{asked:?}"))?;
    }
    Ok(())
}
