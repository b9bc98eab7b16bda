//! What payloads are at the server.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{Halves, Inventory as _, SecretStore as _, StoreErrorKind};
use bailey_store_kmip::Generation;
use bailey_testkit::process;
use bailey_testkit::pykmip::PyKmip;

use super::{fresh_place, get, id, put, spec, sql, type_of};
use crate::fixture::KmipFixture;

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

pub async fn payloads_become_objects_of_their_type(server: Arc<PyKmip>) -> Result<()> {
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

pub async fn what_is_not_of_its_type_becomes_opaque(server: Arc<PyKmip>) -> Result<()> {
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

pub async fn keys_of_aes_are_made_by_the_server(server: Arc<PyKmip>) -> Result<()> {
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

pub async fn key_pairs_are_made_by_the_server(server: Arc<PyKmip>) -> Result<()> {
    let store = KmipFixture::new(Arc::clone(&server), |_| ())?.open();
    let (private, public) = (fresh_place(), fresh_place());
    let pairs = store.key_pairs().context("it makes none")?;
    let made = pairs.generate_asymmetric(Halves { private: &private, public: &public }, &spec("RSA", 2_048)).await?;
    for (kind, reference) in [("PublicKey", &made.public), ("PrivateKey", &made.private)] {
        let expected = format!("Created a {kind} with ID: {}", id(reference));
        ensure!(server.log().lines().any(|line| line.ends_with(&expected)), "the server's log lacks `{expected}`");
    }
    for (place, reference, label) in [(&private, &made.private, "PRIVATE KEY"), (&public, &made.public, "PUBLIC KEY")] {
        let pem = String::from_utf8(get(&store, place, reference).await?)?;
        ensure!(pem.starts_with(&format!("-----BEGIN {label}-----\n")), "no {label}");
    }
    let mut listed = store.list(None, None, 10).await?;
    listed.sort_by_key(|stored| stored.place != private);
    let listed: Vec<_> = listed.into_iter().map(|stored| stored.reference).collect();
    ensure!(listed == [made.private, made.public], "they are listed as something else");
    let local = KmipFixture::new(server, |config| config.generation = Generation::Local)?.open();
    ensure!(local.key_pairs().is_none(), "the server makes them, though it isn't to");
    Ok(())
}

pub async fn changed_bytes_are_corrupt(server: Arc<PyKmip>) -> Result<()> {
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
