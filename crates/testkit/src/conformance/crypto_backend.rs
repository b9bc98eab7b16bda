//! What every [`CryptoBackend`] must do.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use async_trait::async_trait;
use bailey_core::crypto::{CryptoBackend, KekContext, WrappedKek};
use bailey_core::ids::{DeploymentId, KekId, MasterKeyId, StoreId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::store::StoreErrorKind::{Corrupt, Unavailable};

use super::{Case, Open, Suite, case, expect_failure, fresh_project, mentions};

/// What the suite needs of whoever runs a backend. One MKEK is active when it is opened.
#[async_trait]
pub trait BackendFixture: Send + Sync {
    /// The store that the backend's MKEKs are for.
    fn store(&self) -> StoreId;

    /// Another instance with the same MKEKs.
    async fn instance(&self) -> Result<Arc<dyn CryptoBackend>>;

    /// Adds an MKEK and activates it, for all instances.
    async fn rotate(&self) -> Result<MasterKeyId>;

    /// Takes an MKEK away from all instances that are opened from now on.
    async fn withhold(&self, mkek: MasterKeyId) -> Result<()>;
}

/// The suite over fixtures that `open` opens.
pub fn suite(open: Open<dyn BackendFixture>) -> Suite<dyn BackendFixture> {
    Suite::choose(cases(), open, |()| true)
}

const CANARY: &[u8] = b"canary kX7vQ2mZ9tR4wL1nB8dG5hJ3cF6sP0yA";
const AAD: &[u8] = b"where it belongs";

fn cases() -> Vec<Case<dyn BackendFixture, ()>> {
    vec![
        case!((), decrypts_what_it_encrypted),
        case!((), another_instance_decrypts),
        case!((), other_associated_data_is_corrupt),
        case!((), any_changed_byte_is_corrupt),
        case!((), cut_and_extended_ciphertexts_are_corrupt),
        case!((), another_kek_is_corrupt),
        case!((), the_same_payload_gives_other_bytes),
        case!((), no_payload_is_readable_in_its_ciphertext),
        case!((), a_wrapping_is_bound_to_its_context),
        case!((), a_wrapping_is_bound_to_its_context_once_it_was_used),
        case!((), a_wrapping_is_bound_to_its_mkek),
        case!((), any_changed_byte_of_a_wrapping_is_corrupt),
        case!((), nothing_is_encrypted_under_a_changed_wrapping),
        case!((), a_wrapping_made_of_two_is_corrupt),
        case!((), each_kek_is_another_key),
        case!((), new_wrappings_are_under_the_active_mkek),
        case!((), a_kek_outlives_its_mkeks_activity),
        case!((), rewrapping_changes_the_wrapping_only),
        case!((), a_missing_mkek_is_unavailable),
        case!((), random_bytes_are_as_many_as_asked_and_never_the_same),
        case!((), it_is_healthy_while_its_active_mkek_is_there),
        case!((), concurrent_calls_keep_their_answers_apart),
    ]
}

type Fixture = Arc<dyn BackendFixture>;

/// A backend with a KEK of its own.
struct Bench {
    backend: Arc<dyn CryptoBackend>,
    context: KekContext,
    kek: WrappedKek,
}

impl Bench {
    async fn new(fixture: &Fixture) -> Result<Self> {
        let backend = fixture.instance().await?;
        let context = fresh_context(fixture);
        let kek = backend.create_kek(&context).await.context("create a KEK")?;
        Ok(Self { backend, context, kek })
    }

    async fn encrypt(&self, payload: &[u8]) -> Result<Vec<u8>> {
        let payload = SecretBytes::new(payload.to_vec());
        Ok(self.backend.encrypt(&self.context, &self.kek, AAD, &payload).await?)
    }

    async fn expect_payload(&self, backend: &dyn CryptoBackend, ciphertext: &[u8], payload: &[u8]) -> Result<()> {
        let opened = backend.decrypt(&self.context, &self.kek, AAD, ciphertext).await?;
        ensure!(opened.expose() == payload, "{} bytes came back as other ones", payload.len());
        Ok(())
    }

    async fn expect_corrupt(&self, ciphertext: &[u8], when: &str) -> Result<()> {
        let opened = self.backend.decrypt(&self.context, &self.kek, AAD, ciphertext).await;
        expect_failure(opened, &[Corrupt], CANARY, when)
    }
}

fn fresh_context(fixture: &Fixture) -> KekContext {
    KekContext { deployment: DeploymentId::new(), store: fixture.store(), project: fresh_project(), kek: KekId::new() }
}

/// The context with each of its fields changed.
fn other_contexts(context: &KekContext) -> Vec<(&'static str, KekContext)> {
    vec![
        ("another deployment", KekContext { deployment: DeploymentId::new(), ..context.clone() }),
        ("another store", KekContext { store: StoreId::new(), ..context.clone() }),
        ("another project", KekContext { project: fresh_project(), ..context.clone() }),
        ("another KEK id", KekContext { kek: KekId::new(), ..context.clone() }),
    ]
}

async fn decrypts_what_it_encrypted(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    for length in [1, 2, 15, 16, 17, 31, 255, 4_096, 100_000] {
        let payload: Vec<u8> = (0..=255).cycle().take(length).collect();
        let ciphertext = bench.encrypt(&payload).await?;
        bench.expect_payload(&*bench.backend, &ciphertext, &payload).await?;
    }
    Ok(())
}

async fn another_instance_decrypts(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let ciphertext = bench.encrypt(CANARY).await?;
    bench.expect_payload(&*fixture.instance().await?, &ciphertext, CANARY).await
}

async fn other_associated_data_is_corrupt(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let ciphertext = bench.encrypt(CANARY).await?;
    for other in [b"".as_slice(), b"where it belong", b"where it belongs ", b"Where it belongs"] {
        let opened = bench.backend.decrypt(&bench.context, &bench.kek, other, &ciphertext).await;
        expect_failure(opened, &[Corrupt], CANARY, "other associated data")?;
    }
    Ok(())
}

async fn any_changed_byte_is_corrupt(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let ciphertext = bench.encrypt(CANARY).await?;
    for index in 0..ciphertext.len() {
        let mut changed = ciphertext.clone();
        changed[index] ^= 1 << (index % 8);
        bench.expect_corrupt(&changed, &format!("byte {index} changed")).await?;
    }
    bench.expect_payload(&*bench.backend, &ciphertext, CANARY).await
}

async fn cut_and_extended_ciphertexts_are_corrupt(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let ciphertext = bench.encrypt(CANARY).await?;
    for length in 0..ciphertext.len() {
        bench.expect_corrupt(&ciphertext[..length], &format!("cut to {length}")).await?;
        bench.expect_corrupt(&ciphertext[ciphertext.len() - length..], &format!("only the last {length}")).await?;
    }
    bench.expect_corrupt(&[ciphertext.as_slice(), &[0]].concat(), "a byte more").await
}

async fn another_kek_is_corrupt(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let other = Bench::new(&fixture).await?;
    let ciphertext = bench.encrypt(CANARY).await?;
    other.expect_corrupt(&ciphertext, "another project's KEK").await?;
    let context = KekContext { kek: KekId::new(), ..bench.context.clone() };
    let sibling = bench.backend.create_kek(&context).await?;
    let opened = bench.backend.decrypt(&context, &sibling, AAD, &ciphertext).await;
    expect_failure(opened, &[Corrupt], CANARY, "the project's next KEK")
}

async fn the_same_payload_gives_other_bytes(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let payload = [0x5a; 64];
    let made = [bench.encrypt(&payload).await?, bench.encrypt(&payload).await?, bench.encrypt(&payload).await?];
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        // With a nonce used twice, the keystream and so these bytes would be the same.
        let shared = made[one].windows(12).any(|part| made[other].windows(12).any(|window| window == part));
        ensure!(!shared, "two encryptions of one payload have bytes in common");
    }
    Ok(())
}

async fn no_payload_is_readable_in_its_ciphertext(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    ensure!(!mentions(&bench.encrypt(CANARY).await?, CANARY), "the ciphertext tells the payload");
    Ok(())
}

async fn a_wrapping_is_bound_to_its_context(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    bound_to_context(&bench, &*fixture.instance().await?).await
}

async fn a_wrapping_is_bound_to_its_context_once_it_was_used(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    bench.encrypt(CANARY).await?;
    bound_to_context(&bench, &*bench.backend).await
}

async fn bound_to_context(bench: &Bench, backend: &dyn CryptoBackend) -> Result<()> {
    let payload = SecretBytes::new(CANARY.to_vec());
    let ciphertext = bench.encrypt(CANARY).await?;
    for (when, other) in other_contexts(&bench.context) {
        let made = backend.encrypt(&other, &bench.kek, AAD, &payload).await;
        expect_failure(made, &[Corrupt], CANARY, when)?;
        let opened = backend.decrypt(&other, &bench.kek, AAD, &ciphertext).await;
        expect_failure(opened, &[Corrupt], CANARY, when)?;
        let wrapped = backend.rewrap_kek(&other, &bench.kek).await;
        expect_failure(wrapped, &[Corrupt], b"", when)?;
    }
    Ok(())
}

async fn any_changed_byte_of_a_wrapping_is_corrupt(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let ciphertext = bench.encrypt(CANARY).await?;
    let length = bench.kek.bytes.len();
    let flipped = (0..length).map(|index| {
        let mut bytes = bench.kek.bytes.clone();
        bytes[index] ^= 1 << (index % 8);
        (format!("byte {index} of the wrapping changed"), bytes)
    });
    let cut = (0..length).map(|length| (format!("wrapping cut to {length}"), bench.kek.bytes[..length].to_vec()));
    for (when, bytes) in flipped.chain(cut) {
        let kek = WrappedKek { bytes, ..bench.kek.clone() };
        let opened = bench.backend.decrypt(&bench.context, &kek, AAD, &ciphertext).await;
        expect_failure(opened, &[Corrupt], CANARY, &when)?;
        expect_failure(bench.backend.rewrap_kek(&bench.context, &kek).await, &[Corrupt], b"", &when)?;
    }
    Ok(())
}

async fn a_wrapping_is_bound_to_its_mkek(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let ciphertext = bench.encrypt(CANARY).await?;
    let moved = WrappedKek { mkek: fixture.rotate().await?, ..bench.kek.clone() };
    for backend in [Arc::clone(&bench.backend), fixture.instance().await?] {
        let opened = backend.decrypt(&bench.context, &moved, AAD, &ciphertext).await;
        expect_failure(opened, &[Corrupt], CANARY, "decrypt under another MKEK")?;
        let wrapped = backend.rewrap_kek(&bench.context, &moved).await;
        expect_failure(wrapped, &[Corrupt], b"", "rewrap from another MKEK")?;
    }
    Ok(())
}

/// What was encrypted under a key that nobody can unwrap again is lost.
async fn nothing_is_encrypted_under_a_changed_wrapping(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let payload = SecretBytes::new(CANARY.to_vec());
    for index in 0..bench.kek.bytes.len() {
        let mut bytes = bench.kek.bytes.clone();
        bytes[index] ^= 1 << (index % 8);
        let kek = WrappedKek { bytes, ..bench.kek.clone() };
        let made = bench.backend.encrypt(&bench.context, &kek, AAD, &payload).await;
        expect_failure(made, &[Corrupt], CANARY, &format!("byte {index} of the wrapping changed"))?;
    }
    Ok(())
}

/// Each part of it was made by this backend, and for this context.
async fn a_wrapping_made_of_two_is_corrupt(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let ciphertext = bench.encrypt(CANARY).await?;
    let other = bench.backend.create_kek(&bench.context).await?;
    for cut in 1..bench.kek.bytes.len().min(other.bytes.len()) {
        let bytes = [&bench.kek.bytes[..cut], &other.bytes[cut..]].concat();
        if bytes == bench.kek.bytes || bytes == other.bytes {
            continue;
        }
        let kek = WrappedKek { bytes, ..bench.kek.clone() };
        let opened = bench.backend.decrypt(&bench.context, &kek, AAD, &ciphertext).await;
        expect_failure(opened, &[Corrupt], CANARY, &format!("pieced together at byte {cut}"))?;
    }
    Ok(())
}

async fn each_kek_is_another_key(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    // Under one context twice: only the key itself can make the difference.
    let again = bench.backend.create_kek(&bench.context).await?;
    ensure!(again != bench.kek, "two KEKs have one wrapping");
    let ciphertext = bench.encrypt(CANARY).await?;
    let opened = bench.backend.decrypt(&bench.context, &again, AAD, &ciphertext).await;
    expect_failure(opened, &[Corrupt], CANARY, "another KEK under the same context")
}

async fn new_wrappings_are_under_the_active_mkek(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let first = bench.backend.active_mkek().await?;
    ensure!(bench.kek.mkek == first, "a KEK is wrapped under another MKEK than the active one");
    let second = fixture.rotate().await?;
    ensure!(bench.backend.active_mkek().await? == second, "it doesn't see that another MKEK is active");
    let kek = bench.backend.create_kek(&fresh_context(&fixture)).await?;
    ensure!(kek.mkek == second, "a new KEK is wrapped under the old MKEK");
    let rewrapped = bench.backend.rewrap_kek(&bench.context, &bench.kek).await?;
    ensure!(rewrapped.mkek == second, "a KEK is rewrapped under the old MKEK");
    Ok(())
}

async fn a_kek_outlives_its_mkeks_activity(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let ciphertext = bench.encrypt(CANARY).await?;
    fixture.rotate().await?;
    bench.expect_payload(&*fixture.instance().await?, &ciphertext, CANARY).await?;
    let later = bench.encrypt(CANARY).await?;
    bench.expect_payload(&*bench.backend, &later, CANARY).await
}

async fn rewrapping_changes_the_wrapping_only(fixture: Fixture) -> Result<()> {
    let mut bench = Bench::new(&fixture).await?;
    let ciphertext = bench.encrypt(CANARY).await?;
    let old = bench.kek.mkek;
    fixture.rotate().await?;
    let rewrapped = bench.backend.rewrap_kek(&bench.context, &bench.kek).await?;
    ensure!(rewrapped.bytes != bench.kek.bytes, "the wrapping is the same");
    bench.kek = rewrapped;
    bench.expect_payload(&*bench.backend, &ciphertext, CANARY).await?;
    fixture.withhold(old).await?;
    bench.expect_payload(&*fixture.instance().await?, &ciphertext, CANARY).await
}

async fn a_missing_mkek_is_unavailable(fixture: Fixture) -> Result<()> {
    let bench = Bench::new(&fixture).await?;
    let ciphertext = bench.encrypt(CANARY).await?;
    let old = bench.kek.mkek;
    fixture.rotate().await?;
    fixture.withhold(old).await?;
    let backend = fixture.instance().await?;
    let opened = backend.decrypt(&bench.context, &bench.kek, AAD, &ciphertext).await;
    expect_failure(opened, &[Unavailable], CANARY, "decrypt without the MKEK")?;
    let payload = SecretBytes::new(CANARY.to_vec());
    let made = backend.encrypt(&bench.context, &bench.kek, AAD, &payload).await;
    expect_failure(made, &[Unavailable], CANARY, "encrypt without the MKEK")?;
    let wrapped = backend.rewrap_kek(&bench.context, &bench.kek).await;
    expect_failure(wrapped, &[Unavailable], b"", "rewrap without the MKEK")
}

async fn random_bytes_are_as_many_as_asked_and_never_the_same(fixture: Fixture) -> Result<()> {
    let backend = fixture.instance().await?;
    for length in [1, 8, 16, 24, 32, 1_000] {
        ensure!(backend.random(length).await?.len() == length, "not {length} bytes");
    }
    let (one, other) = (backend.random(32).await?, backend.random(32).await?);
    ensure!(one.expose() != other.expose(), "the same 32 bytes twice");
    for bytes in [one, other] {
        ensure!(bytes.expose().iter().any(|byte| *byte != bytes.expose()[0]), "32 equal bytes");
    }
    Ok(())
}

async fn it_is_healthy_while_its_active_mkek_is_there(fixture: Fixture) -> Result<()> {
    fixture.instance().await?.health().await?;
    let active = fixture.instance().await?.active_mkek().await?;
    fixture.withhold(active).await?;
    let backend = fixture.instance().await?;
    expect_failure(backend.health().await, &[Unavailable], b"", "health without the active MKEK")?;
    let made = backend.create_kek(&fresh_context(&fixture)).await;
    expect_failure(made, &[Unavailable], b"", "a KEK without the active MKEK")
}

async fn concurrent_calls_keep_their_answers_apart(fixture: Fixture) -> Result<()> {
    let bench = Arc::new(Bench::new(&fixture).await?);
    let tasks: Vec<_> = (0..32_u8)
        .map(|number| {
            let bench = Arc::clone(&bench);
            tokio::spawn(async move {
                let payload = [number; 100];
                let ciphertext = bench.encrypt(&payload).await?;
                tokio::task::yield_now().await;
                bench.expect_payload(&*bench.backend, &ciphertext, &payload).await
            })
        })
        .collect();
    for task in tasks {
        task.await??;
    }
    Ok(())
}
