//! What becomes of faults of the server, and of what was set up wrong.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{Inventory as _, SecretStore as _, StoreErrorKind};
use bailey_store_kmip::KmipStore;
use bailey_testkit::certificates::Authority;
use bailey_testkit::openssl::OpensslServer;
use bailey_testkit::pykmip::PyKmip;

use super::{fresh_place, get, put};
use crate::fixture::KmipFixture;

pub async fn the_usual_mistakes_are_told(server: Arc<PyKmip>) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let stranger = Authority::new("a stranger")?;
    let ca = folder.path().join("stranger.pem");
    std::fs::write(&ca, stranger.pem())?;
    let unfit = server.client_with("unfit", &server.authority().issue_to_server("bailey")?)?;
    let unknown = server.client_with("unknown", &stranger.issue("bailey")?)?;
    let good = KmipFixture::new(server, |_| ())?.config;

    let mut configs = Vec::new();
    configs.push(("isn't of the authority in `ca`", bailey_store_kmip::Config { ca, ..good.clone() }));
    let server_name = "elsewhere.example.org".to_owned();
    configs.push(("for another name", bailey_store_kmip::Config { server_name, ..good.clone() }));
    for client in [unfit, unknown] {
        let (client_certificate, client_key) = (client.certificate, client.key);
        let config = bailey_store_kmip::Config { client_certificate, client_key, ..good.clone() };
        configs.push(("clientAuth", config));
    }
    let old = OpensslServer::with_old_suites()?;
    let modern = OpensslServer::of_tls_1_3(&stranger)?;
    configs
        .push(("no cipher suite that both have", bailey_store_kmip::Config { server: old.address(), ..good.clone() }));
    let ca = folder.path().join("stranger.pem");
    // TLS 1.3 has the handshake end before the server looks at the client's certificate.
    let config = bailey_store_kmip::Config { server: modern.address(), ca, ..good.clone() };
    configs.push(("doesn't accept the client's certificate", config));
    let client_key = folder.path().join("missing.pem");
    configs.push(("client_key, ", bailey_store_kmip::Config { client_key, ..good }));
    for (expected, config) in configs {
        let store =
            KmipStore::new(bailey_core::ids::DeploymentId::new(), bailey_core::ids::StoreId::new(), "k".into(), config);
        let error = store.health().await.err().with_context(|| format!("no trouble, though {expected}"))?;
        ensure!(error.kind == StoreErrorKind::Unavailable, "{error}");
        ensure!(error.to_string().contains(expected), "`{error}` doesn't say `{expected}`");
    }
    Ok(())
}

/// A server of the case's own, which it may stop.
fn private() -> Result<(Arc<PyKmip>, KmipFixture)> {
    let server = Arc::new(PyKmip::start()?);
    let fixture = KmipFixture::new(Arc::clone(&server), |config| {
        config.answer_seconds = 2.0;
        config.connect_seconds = 2.0;
    })?;
    Ok((server, fixture))
}

pub async fn connections_that_were_ended_are_made_again(_: Arc<PyKmip>) -> Result<()> {
    let (server, fixture) = private()?;
    let store = fixture.open();
    let (place, opaque) = (fresh_place(), (SecretType::Opaque, &Spec::default()));
    let reference = put(&store, &place, opaque, b"before").await?;
    server.restart()?;
    ensure!(get(&store, &place, &reference).await? == b"before", "other bytes came back");
    server.restart()?;
    let place = fresh_place();
    let reference = put(&store, &place, opaque, b"after").await?;
    ensure!(get(&store, &place, &reference).await? == b"after", "other bytes came back");
    ensure!(store.list(None, None, 10).await?.len() == 2, "a write arrived twice");
    Ok(())
}

pub async fn a_server_that_hangs_is_not_waited_for(_: Arc<PyKmip>) -> Result<()> {
    let (server, fixture) = private()?;
    let store = fixture.open();
    let (place, opaque) = (fresh_place(), (SecretType::Opaque, &Spec::default()));
    let reference = put(&store, &place, opaque, b"before").await?;
    server.suspend()?;
    let begun_at = Instant::now();
    let error = get(&store, &place, &reference).await.err().context("a suspended server answered")?;
    let took = begun_at.elapsed();
    server.resume()?;
    ensure!(error.kind == StoreErrorKind::Unavailable && took < Duration::from_secs(4), "{error} after {took:?}");
    // The answer of then, if it comes, comes to nobody.
    let other = fresh_place();
    let second = put(&store, &other, opaque, b"another").await?;
    for _ in 0..10 {
        ensure!(get(&store, &other, &second).await? == b"another", "a late answer came back");
        ensure!(get(&store, &place, &reference).await? == b"before", "a late answer came back");
    }
    Ok(())
}

pub async fn it_recovers_when_the_server_is_back(_: Arc<PyKmip>) -> Result<()> {
    let (server, fixture) = private()?;
    let store = fixture.open();
    server.stop()?;
    let (place, opaque) = (fresh_place(), (SecretType::Opaque, &Spec::default()));
    for outcome in [store.health().await, put(&store, &place, opaque, b"lost").await.map(drop)] {
        let error = outcome.err().context("a server that is down answered")?;
        ensure!(error.kind == StoreErrorKind::Unavailable, "{error}");
    }
    server.restart()?;
    store.health().await?;
    let reference = put(&store, &place, opaque, b"kept").await?;
    ensure!(get(&store, &place, &reference).await? == b"kept", "other bytes came back");
    Ok(())
}
