//! A decryptor written from `docs/formats.md` alone: raw rows, the key file, plain AES-GCM. It uses
//! nothing of Bailey's own to read what Bailey wrote.

use std::sync::Arc;

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use anyhow::{Context as _, Result, anyhow, ensure};
use bailey_core::ids::{ProjectId, SecretId, WriteId};
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::{SecretType, Spec};
use bailey_core::store::{Place, StoreRequest};
use bailey_sql::{ConnectionTrait as _, Sql};
use bailey_testkit::conformance::crypto_backend::BackendFixture as _;
use bailey_testkit::conformance::secret_store::StoreFixture as _;
use bailey_testkit::envelope::EnvelopeFixture;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, Mac as _};
use sha2::Sha256;
use uuid::Uuid;

use crate::fixture::{SqlVault, simple};

/// "What is authenticated".
fn context(domain: &str, version: u8, fields: &[&[u8]]) -> Vec<u8> {
    let length = |bytes: &[u8]| (bytes.len() as u32).to_be_bytes().to_vec();
    let mut context = [length(domain.as_bytes()), domain.as_bytes().to_vec(), vec![version]].concat();
    for field in fields {
        context.extend(length(field));
        context.extend(*field);
    }
    context
}

/// "Key files".
fn key_in(file: &str, wanted: Uuid) -> Option<Vec<u8>> {
    let lines = file.lines().map(|line| line.split('#').next().unwrap_or_default().trim());
    let mut keys = lines.filter_map(|line| line.split_once(char::is_whitespace));
    let (_, key) = keys.find(|(id, _)| id.parse() == Ok(wanted))?;
    STANDARD.decode(key.trim()).ok()
}

/// A version byte, a nonce, ciphertext and tag: what "Ciphertext" and "Wrapped KEK" have in common.
fn open(key: &[u8], associated: &[u8], bytes: &[u8]) -> Result<Vec<u8>> {
    ensure!(bytes[0] == 1, "an unknown version");
    let (nonce, sealed) = (<[u8; 12]>::try_from(&bytes[1..13])?, &bytes[13..]);
    let cipher = Aes256Gcm::new_from_slice(key)?;
    let opened = cipher.decrypt(&Nonce::from(nonce), Payload { msg: sealed, aad: associated });
    opened.map_err(|_| anyhow!("it doesn't open"))
}

pub async fn a_reader_of_the_document_decrypts_a_payload(sql: Arc<SqlVault>) -> Result<()> {
    let backend = Arc::new(simple(Arc::clone(&sql)).await?);
    let fixture = EnvelopeFixture::new(backend.clone(), Arc::clone(&sql) as _);
    let place =
        Place { project: ProjectId::new("a project / päron")?, secret: SecretId::new(), write: WriteId::new() };
    let payload = SecretBytes::new(b"what the client stored".to_vec());
    let (secret_type, spec) = (SecretType::Opaque, &Spec::default());
    let request = StoreRequest { place: &place, secret_type, spec, payload: &payload };
    let reference = fixture.instance().await?.store(request).await?;
    let mut key_file = "# Keys of Bailey\n\n".to_owned();
    for (id, key) in backend.keys() {
        key_file.push_str(&format!("{id} {} # one of several\n", STANDARD.encode(key)));
    }

    const CIPHERTEXT: Sql =
        Sql::both("SELECT bytes, kek_id, secret_id, write_id, project FROM ciphertexts WHERE write_id = $1");
    const CHECK: Sql = Sql::both("SELECT check_value FROM master_keys WHERE id = $1");
    const KEK: Sql = Sql::both("SELECT wrapped, mkek_id, store_id FROM project_keks WHERE id = $1");
    let reader = sql.vault.db().reader();
    let write = Uuid::from_slice(&reference.0[1..])?;
    ensure!(reference.0[0] == 1 && reference.0.len() == 17, "not a reference as documented");
    let row = reader.query_one_raw(CIPHERTEXT.with(reader, [write.into()])).await?.context("no ciphertext")?;
    let (bytes, kek, secret): (Vec<u8>, Uuid, Uuid) =
        (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);
    let (write, project): (Uuid, String) = (row.try_get_by_index(3)?, row.try_get_by_index(4)?);
    let row = reader.query_one_raw(KEK.with(reader, [kek.into()])).await?.context("no KEK")?;
    let (wrapped, mkek, store): (Vec<u8>, Uuid, Uuid) =
        (row.try_get_by_index(0)?, row.try_get_by_index(1)?, row.try_get_by_index(2)?);

    let deployment = fixture.deployment.uuid();
    let fields: [&[u8]; 7] = [
        deployment.as_bytes(),
        store.as_bytes(),
        project.as_bytes(),
        kek.as_bytes(),
        mkek.as_bytes(),
        b"AES-256-GCM",
        &wrapped[1..13],
    ];
    ensure!(wrapped.len() == 61, "a wrapped KEK of {} bytes", wrapped.len());
    let row = reader.query_one_raw(CHECK.with(reader, [mkek.into()])).await?.context("no MKEK")?;
    let check_value: Vec<u8> = row.try_get_by_index(0)?;
    let check = context("bailey key check MKEK", 1, &[store.as_bytes(), mkek.as_bytes()]);
    let mkek = key_in(&key_file, mkek).context("the key file lacks the MKEK")?;
    let mac = Hmac::<Sha256>::new_from_slice(&mkek)?.chain_update(check).finalize().into_bytes();
    ensure!(check_value == mac[..16], "another key-check value");
    let key = open(&mkek, &context("bailey wrapped KEK", 1, &fields), &wrapped).context("unwrap the KEK")?;
    let fields: [&[u8]; 5] =
        [store.as_bytes(), project.as_bytes(), secret.as_bytes(), write.as_bytes(), kek.as_bytes()];
    let opened = open(&key, &context("bailey payload", 1, &fields), &bytes).context("decrypt the payload")?;
    ensure!(opened == b"what the client stored", "another payload");
    ensure!(bytes.len() == 1 + 12 + opened.len() + 16, "a ciphertext of {} bytes", bytes.len());
    ensure!(store == backend.store().uuid() && write == place.write.uuid(), "other coordinates");
    Ok(())
}
