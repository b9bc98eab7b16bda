//! No KEK encrypts more often than its budget allows, whatever happens at the same time.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bailey_core::envelope::EnvelopeConfig;
use bailey_core::ids::{ProjectId, SecretId, WriteId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{Place, RetrieveRequest, SecretStore, StoreReference, StoreRequest};
use bailey_core::vault::KekState;
use bailey_testkit::conformance::secret_store::StoreFixture as _;
use bailey_testkit::envelope::EnvelopeFixture;

use crate::fixture::{SqlVault, simple};

const LIMIT: u64 = 50;
const BLOCK: u64 = 5;
const STORES: u64 = 1_000;

async fn envelopes(sql: &Arc<SqlVault>) -> Result<EnvelopeFixture> {
    let backend = Arc::new(simple(Arc::clone(sql)).await?);
    let config = EnvelopeConfig { kek_budget: LIMIT, kek_block: BLOCK, ..EnvelopeConfig::default() };
    Ok(EnvelopeFixture { config, ..EnvelopeFixture::new(backend, Arc::clone(sql) as _) })
}

async fn store(store: &dyn SecretStore, place: &Place, number: u64) -> Result<StoreReference> {
    let payload = SecretBytes::new(number.to_string().into_bytes());
    let (secret_type, spec) = (SecretType::Opaque, &Spec::default());
    Ok(store.store(StoreRequest { place, secret_type, spec, payload: &payload }).await?)
}

pub async fn a_tiny_budget_rotates_under_concurrency(sql: Arc<SqlVault>) -> Result<()> {
    let fixture = envelopes(&sql).await?;
    let project = ProjectId::new("busy")?;
    let instances = [fixture.instance().await?, fixture.instance().await?, fixture.instance().await?];
    let mut tasks = Vec::new();
    for number in 0..STORES {
        let place = Place { project: project.clone(), secret: SecretId::new(), write: WriteId::new() };
        let instance = Arc::clone(&instances[number as usize % instances.len()]);
        tasks.push(tokio::spawn(async move {
            let reference = store(&*instance, &place, number).await?;
            anyhow::Ok((number, place, reference))
        }));
    }
    let mut stored = Vec::new();
    for task in tasks {
        stored.push(task.await?.context("a store failed")?);
    }

    let keks = sql.vault.keks(fixture.backend.store()).await?;
    ensure!(keks.iter().map(|kek| kek.objects).sum::<u64>() == STORES, "ciphertexts are missing");
    for summary in &keks {
        let (objects, reserved) = (summary.objects, summary.kek.reserved);
        ensure!(objects <= reserved && reserved <= LIMIT, "{objects} ciphertexts, {reserved} reserved");
    }
    let active = keks.iter().filter(|summary| summary.kek.state == KekState::Active).count();
    ensure!(keks.len() as u64 >= STORES / LIMIT && active <= 1, "{} KEKs, {active} of them active", keks.len());

    let fresh = fixture.instance().await?;
    for (number, place, reference) in &stored {
        let payload = fresh.retrieve(RetrieveRequest { place, reference, verify: true }).await?;
        ensure!(payload.expose() == number.to_string().as_bytes(), "another payload came back");
    }
    Ok(())
}

pub async fn a_restarted_process_never_reuses_a_block(sql: Arc<SqlVault>) -> Result<()> {
    let fixture = envelopes(&sql).await?;
    let project = ProjectId::new("restarted")?;
    // Each instance stores once and is gone, with four encryptions of its block unused.
    for number in 0..11 {
        let place = Place { project: project.clone(), secret: SecretId::new(), write: WriteId::new() };
        store(&*fixture.instance().await?, &place, number).await?;
    }
    let keks = sql.vault.keks(fixture.backend.store()).await?;
    let used: Vec<_> = keks.iter().map(|summary| (summary.objects, summary.kek.reserved)).collect();
    ensure!(used == [(LIMIT / BLOCK, LIMIT), (1, BLOCK)], "ciphertexts and reservations of the KEKs: {used:?}");
    Ok(())
}
