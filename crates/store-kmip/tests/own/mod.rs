//! What this store does beside the contract: typed objects, outages, other installations, and what is said of TLS.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bailey_core::ids::{ProjectId, SecretId, WriteId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{
    Inventory as _, Place, RetrieveRequest, SecretStore as _, StoreError, StoreErrorKind, StoreReference, StoreRequest,
};
use bailey_store_kmip::{Generation, KmipStore};
use bailey_testkit::certificates::Authority;
use bailey_testkit::process;
use bailey_testkit::pykmip::PyKmip;
use libtest_mimic::{Failed, Trial};
use tokio::runtime::Handle;

use crate::fixture::KmipFixture;

type Pending = Pin<Box<dyn Future<Output = Result<()>> + Send>>;
type Case = fn(Arc<PyKmip>) -> Pending;

macro_rules! cases {
    ($($name:ident),* $(,)?) => { [$(case(stringify!($name), |server| Box::pin($name(server)))),*] };
}

fn case(name: &'static str, run: Case) -> (&'static str, Case) {
    (name, run)
}

pub fn trials(server: &Arc<PyKmip>, runtime: &Handle) -> Vec<Trial> {
    let cases = cases![
        payloads_become_objects_of_their_type,
        what_is_not_of_its_type_becomes_opaque,
        keys_of_aes_are_made_by_the_server,
        changed_bytes_are_corrupt,
        two_installations_do_not_touch_each_other,
        what_was_left_beside_an_object_goes_with_it,
        the_usual_mistakes_are_told,
        connections_that_were_ended_are_made_again,
        a_server_that_hangs_is_not_waited_for,
        it_recovers_when_the_server_is_back,
    ];
    let trial = |(name, run): (&str, Case)| {
        let (server, runtime) = (Arc::clone(server), runtime.clone());
        Trial::test(format!("own::{name}"), move || {
            runtime.block_on(run(server)).map_err(|error| Failed::from(format!("{error:#}")))
        })
    };
    cases.into_iter().map(trial).collect()
}

fn fresh_place() -> Place {
    let project = ProjectId::new(format!("project {}", SecretId::new())).expect("a project id");
    Place { project, secret: SecretId::new(), write: WriteId::new() }
}

async fn put(
    store: &KmipStore,
    place: &Place,
    (secret_type, spec): (SecretType, &Spec),
    payload: &[u8],
) -> Result<StoreReference, StoreError> {
    let payload = SecretBytes::new(payload.to_vec());
    store.store(StoreRequest { place, secret_type, spec, payload: &payload }).await
}

async fn get(store: &KmipStore, place: &Place, reference: &StoreReference) -> Result<Vec<u8>, StoreError> {
    let got = store.retrieve(RetrieveRequest { place, reference, verify: true }).await;
    Ok(got?.expose().to_vec())
}

fn spec(algorithm: &str, bits: i32) -> Spec {
    Spec { algorithm: Some(algorithm.to_owned()), bit_length: Some(bits), mode: None }
}

/// The identifier that the server gave the object.
fn id(reference: &StoreReference) -> &str {
    std::str::from_utf8(&reference.0[51..]).expect("an identifier")
}

fn sql(server: &PyKmip, query: &str) -> Result<String> {
    let answer =
        process::run(Command::new("sqlite3").args(["-cmd", ".timeout 10000"]).arg(server.database()).arg(query))?;
    Ok(String::from_utf8(answer)?.trim().to_owned())
}

/// What type the server's own database says an object has, as KMIP numbers them (1.4, section 9.1.3.2.12).
fn type_of(server: &PyKmip, reference: &StoreReference) -> Result<String> {
    sql(server, &format!("SELECT object_type FROM managed_objects WHERE uid = {}", id(reference)))
}

/// OpenSSL's key pairs and a certificate, in PEM.
fn made(folder: &Path, kind: &[&str]) -> Result<[Vec<u8>; 3]> {
    let [key, public, certificate] = ["key.pem", "public.pem", "certificate.pem"].map(|name| folder.join(name));
    let openssl = |arguments: &mut Command| process::run(arguments).map(drop);
    openssl(Command::new("openssl").arg("genpkey").args(kind).arg("-out").arg(&key))?;
    openssl(Command::new("openssl").args(["pkey", "-pubout", "-in"]).arg(&key).arg("-out").arg(&public))?;
    let mut request = Command::new("openssl");
    request.args(["req", "-x509", "-subj", "/CN=test", "-key"]).arg(&key).arg("-out").arg(&certificate);
    openssl(&mut request)?;
    Ok([std::fs::read(key)?, std::fs::read(public)?, std::fs::read(certificate)?])
}

async fn payloads_become_objects_of_their_type(server: Arc<PyKmip>) -> Result<()> {
    let store = KmipFixture::new(Arc::clone(&server), |_| ())?.open();
    let folder = tempfile::tempdir()?;
    let rsa = made(folder.path(), &["-algorithm", "RSA", "-pkeyopt", "rsa_keygen_bits:2048"])?;
    let ec = made(folder.path(), &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"])?;
    let none = Spec::default();
    for [private, public, certificate] in [rsa, ec] {
        let der = process::run(
            Command::new("openssl").args(["x509", "-outform", "DER", "-in"]).arg(folder.path().join("certificate.pem")),
        )?;
        for (secret_type, payload, expected) in [
            (SecretType::Private, &private, "4"),
            (SecretType::Public, &public, "3"),
            (SecretType::Certificate, &certificate, "1"),
            (SecretType::Certificate, &der, "1"),
        ] {
            let place = fresh_place();
            let reference = put(&store, &place, (secret_type, &none), payload).await?;
            ensure!(get(&store, &place, &reference).await? == *payload, "{expected}: other bytes came back");
            ensure!(type_of(&server, &reference)? == expected, "{expected} became {}", type_of(&server, &reference)?);
        }
    }
    for (secret_type, spec, payload, expected) in [
        (SecretType::Symmetric, spec("AES", 256), vec![7; 32], "2"),
        (SecretType::Symmetric, spec("3des", 192), vec![7; 24], "2"),
        (SecretType::Passphrase, none, b"correct horse".to_vec(), "7"),
    ] {
        let place = fresh_place();
        let reference = put(&store, &place, (secret_type, &spec), &payload).await?;
        ensure!(get(&store, &place, &reference).await? == payload, "{expected}: other bytes came back");
        ensure!(type_of(&server, &reference)? == expected, "{expected} became {}", type_of(&server, &reference)?);
    }
    Ok(())
}

async fn what_is_not_of_its_type_becomes_opaque(server: Arc<PyKmip>) -> Result<()> {
    let store = KmipFixture::new(Arc::clone(&server), |_| ())?.open();
    let folder = tempfile::tempdir()?;
    let [private, public, certificate] =
        made(folder.path(), &["-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"])?;
    let crlf = String::from_utf8(certificate.clone())?.replace('\n', "\r\n").into_bytes();
    let ed25519 = made(folder.path(), &["-algorithm", "ED25519"])?[0].clone();
    let none = Spec::default();
    for (secret_type, spec, payload) in [
        (SecretType::Certificate, &none, crlf),
        (SecretType::Certificate, &none, [certificate.clone(), certificate.clone()].concat()),
        (SecretType::Certificate, &none, public.clone()),
        (SecretType::Certificate, &none, certificate[..certificate.len() - 1].to_vec()),
        (SecretType::Public, &none, private),
        (SecretType::Private, &none, ed25519),
        (SecretType::Private, &none, b"no key".to_vec()),
        (SecretType::Symmetric, &none, vec![7; 32]),
        (SecretType::Symmetric, &spec("aes", 128), vec![7; 32]),
        (SecretType::Symmetric, &spec("aes", 136), vec![7; 17]),
        (SecretType::Opaque, &none, certificate),
    ] {
        let place = fresh_place();
        let reference = put(&store, &place, (secret_type, spec), &payload).await?;
        ensure!(get(&store, &place, &reference).await? == payload, "{secret_type}: other bytes came back");
        let kept = type_of(&server, &reference)?;
        ensure!(kept == "8", "{secret_type} of {} bytes became {kept}", payload.len());
    }
    Ok(())
}

async fn keys_of_aes_are_made_by_the_server(server: Arc<PyKmip>) -> Result<()> {
    let fixture = KmipFixture::new(Arc::clone(&server), |_| ())?;
    let local = KmipFixture::new(Arc::clone(&server), |config| config.generation = Generation::Local)?;
    for (store, made) in [(fixture.open(), "Created a SymmetricKey"), (local.open(), "Registered a SymmetricKey")] {
        let place = fresh_place();
        let reference = store.generate_symmetric(&place, &spec("aes", 192)).await?;
        ensure!(get(&store, &place, &reference).await?.len() == 24, "a key of another length");
        let expected = format!("{made} with ID: {}", id(&reference));
        ensure!(server.log().lines().any(|line| line.ends_with(&expected)), "the server's log lacks `{expected}`");
        let listed = store.list(None, None, 10).await?;
        ensure!(listed.len() == 1 && listed[0].reference == reference, "it is listed as something else");
    }
    Ok(())
}

async fn changed_bytes_are_corrupt(server: Arc<PyKmip>) -> Result<()> {
    let fixture = KmipFixture::new(Arc::clone(&server), |_| ())?;
    let store = fixture.open();
    let (one, other) = (fresh_place(), fresh_place());
    let opaque = (SecretType::Opaque, &Spec::default());
    let first = put(&store, &one, opaque, b"the first payload").await?;
    let second = put(&store, &other, opaque, b"the other payload").await?;
    let (first_id, second_id) = (id(&first), id(&second));
    let value = |id: &str| format!("(SELECT value FROM managed_objects WHERE uid = {id})");
    for change in ["x'746865206669727374207061796c6f6165'".to_owned(), "x'74'".to_owned(), value(second_id)] {
        sql(&server, &format!("UPDATE managed_objects SET value = {change} WHERE uid = {first_id}"))?;
        let error = get(&store, &one, &first).await.err().context("changed bytes came back")?;
        ensure!(error.kind == StoreErrorKind::Corrupt, "{error}");
    }
    ensure!(get(&store, &other, &second).await? == b"the other payload", "the other one suffered");
    Ok(())
}

async fn two_installations_do_not_touch_each_other(server: Arc<PyKmip>) -> Result<()> {
    let (one, other) = (KmipFixture::new(Arc::clone(&server), |_| ())?, KmipFixture::new(server, |_| ())?);
    let (one, other) = (one.open(), other.open());
    let (place, opaque) = (fresh_place(), (SecretType::Opaque, &Spec::default()));
    let reference = put(&one, &place, opaque, b"of the first").await?;
    ensure!(other.list(None, None, 10).await?.is_empty(), "the other one lists it");
    let refused = get(&other, &place, &reference).await.err().context("the other one reads it")?;
    ensure!(refused.kind == StoreErrorKind::Corrupt, "{refused}");
    let refused = other.delete(&place, &reference).await.err().context("the other one destroys it")?;
    ensure!(refused.kind == StoreErrorKind::Corrupt, "{refused}");
    // Not even the same write id is the other's business.
    let theirs = put(&other, &place, opaque, b"of the other").await?;
    other.delete(&place, &theirs).await?;
    ensure!(get(&one, &place, &reference).await? == b"of the first", "it is gone");
    ensure!(one.list(None, None, 10).await?.len() == 1, "it isn't listed");
    Ok(())
}

async fn what_was_left_beside_an_object_goes_with_it(server: Arc<PyKmip>) -> Result<()> {
    let fixture = KmipFixture::new(Arc::clone(&server), |_| ())?;
    let (store, place) = (fixture.open(), fresh_place());
    let opaque = (SecretType::Opaque, &Spec::default());
    let first = put(&store, &place, opaque, b"twin").await?;
    // As a crash leaves it that comes between an object and the look for others: made under a name of its own.
    let elsewhere = Place { write: WriteId::new(), ..place.clone() };
    let twin = put(&store, &elsewhere, opaque, b"twin").await?;
    for table in ["managed_object_names", "app_specific_info"] {
        let column = if table == "app_specific_info" { "application_data" } else { "name" };
        let replace = format!("replace({column}, '{}', '{}')", elsewhere.write, place.write);
        sql(&server, &format!("UPDATE {table} SET {column} = {replace}"))?;
    }
    ensure!(store.list(None, None, 10).await?.len() == 1, "the write is listed twice");
    store.delete(&place, &first).await?;
    ensure!(type_of(&server, &first)?.is_empty() && type_of(&server, &twin)?.is_empty(), "something is left");
    Ok(())
}

async fn the_usual_mistakes_are_told(server: Arc<PyKmip>) -> Result<()> {
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

async fn connections_that_were_ended_are_made_again(_: Arc<PyKmip>) -> Result<()> {
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

async fn a_server_that_hangs_is_not_waited_for(_: Arc<PyKmip>) -> Result<()> {
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

async fn it_recovers_when_the_server_is_back(_: Arc<PyKmip>) -> Result<()> {
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
