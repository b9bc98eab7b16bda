//! `docs/formats.md`, read by somebody who has the token, its PIN and the vault, and nothing of Bailey's code.
//! That is also what such a person can do.

use aes_gcm::aead::{Aead as _, Payload};
use aes_gcm::{Aes256Gcm, KeyInit as _, Nonce};
use anyhow::{Context as _, Result, ensure};
use bailey_store_pkcs11::PayloadMechanism;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use sha2::{Digest as _, Sha256};

use crate::bench::{AAD, Kek};
use crate::fixture::TokenFixture;
use crate::{Case, fixture};

/// `len(domain) || domain || version || len(field 1) || field 1 || …`
fn authenticated(domain: &str, fields: &[&[u8]]) -> Vec<u8> {
    let field = |bytes: &[u8]| [&u32::try_from(bytes.len()).unwrap().to_be_bytes(), bytes].concat();
    let mut input = field(domain.as_bytes());
    input.push(1);
    fields.iter().for_each(|bytes| input.extend(field(bytes)));
    input
}

fn find(session: &Session, kek: &Kek, label: &str) -> Result<ObjectHandle> {
    let id = kek.wrapped.mkek.uuid().as_bytes().to_vec();
    let found = session.find_objects(&[Attribute::Id(id), Attribute::Label(label.as_bytes().to_vec())])?;
    found.first().copied().context("no such key")
}

/// The KEK's keys as objects that can be read, out of a wrapping by RFC 3394.
fn unwrap(fixture: &TokenFixture, session: &Session, kek: &Kek, payload: (u8, &str)) -> Result<Vec<ObjectHandle>> {
    let (head, rest) = kek.wrapped.bytes.split_at(3);
    ensure!(head == [1, 1, payload.0], "{head:?}");
    let (keys, tag) = rest.split_at(rest.len() - 32);
    let keys: Vec<_> = keys.chunks(41).map(|key| &key[1..]).collect();
    ensure!(rest.len() == keys.len() * 41 + 32 && rest[0] == 40, "{} bytes", rest.len());

    let mechanism = format!("CKM_AES_KEY_WRAP/{}", payload.1);
    let (context, mkek) = (&kek.context, kek.wrapped.mkek.uuid());
    let ids = [context.deployment.uuid(), context.store.uuid(), context.kek.uuid()];
    let project = context.project.as_str().as_bytes();
    let mut fields: Vec<&[u8]> = vec![ids[0].as_bytes(), ids[1].as_bytes(), project, ids[2].as_bytes()];
    fields.extend([mkek.as_bytes().as_slice(), mechanism.as_bytes(), b""]);
    fields.extend(&keys);
    let hmac = find(session, kek, &fixture.config.hmac_label)?;
    session.verify(&Mechanism::Sha256Hmac, hmac, &authenticated("bailey wrapped KEK", &fields), tag)?;

    let mkek = find(session, kek, &fixture.config.mkek_label)?;
    let unwrap = |(key, kind): (&&[u8], KeyType)| {
        let is_aes = kind == KeyType::AES;
        let template = [
            Attribute::Class(ObjectClass::SECRET_KEY),
            Attribute::KeyType(kind),
            Attribute::Token(false),
            Attribute::Sensitive(false),
            Attribute::Extractable(true),
            Attribute::Decrypt(is_aes),
            Attribute::Verify(!is_aes),
        ];
        session.unwrap_key(&Mechanism::AesKeyWrap, mkek, key, &template)
    };
    let kinds = [KeyType::AES, KeyType::GENERIC_SECRET];
    keys.iter().zip(kinds).map(unwrap).collect::<Result<_, _>>().context("unwrap")
}

/// A payload and what follows it.
fn expected() -> Vec<u8> {
    [b"payload".as_slice(), &Sha256::digest(b"payload")[..16]].concat()
}

pub async fn the_page_on_formats_is_enough_to_decrypt(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let kek = fixture.kek().await?;
    let ciphertext = kek.encrypt(b"payload").await?;

    let session = fixture.session()?;
    let keys = unwrap(&fixture, &session, &kek, (1, "AES-256-GCM"))?;
    let value = session.get_attributes(keys[0], &[AttributeType::Value])?;
    let [Attribute::Value(key)] = value.as_slice() else { anyhow::bail!("the key can't be read") };
    let (iv, body) = ciphertext.split_first_chunk::<12>().context("no IV")?;
    let cipher = Aes256Gcm::new_from_slice(key)?;
    let opened = cipher.decrypt(&Nonce::from(*iv), Payload { msg: body, aad: AAD });
    let opened = opened.ok().context("it doesn't open")?;
    ensure!(opened == expected(), "another payload");
    keys.into_iter().try_for_each(|key| session.destroy_object(key))?;
    Ok(())
}

pub async fn it_is_enough_where_there_is_no_gcm(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |config| config.payload_mechanism = PayloadMechanism::AesCbcHmac).await?;
    let kek = fixture.kek().await?;
    let ciphertext = kek.encrypt(b"payload").await?;

    let session = fixture.session()?;
    let keys = unwrap(&fixture, &session, &kek, (2, "AES-256-CBC+HMAC-SHA-256"))?;
    let (iv, rest) = ciphertext.split_first_chunk::<16>().context("no IV")?;
    let (body, tag) = rest.split_last_chunk::<32>().context("no tag")?;
    let input = authenticated("bailey payload MAC", &[AAD, iv, body]);
    session.verify(&Mechanism::Sha256Hmac, keys[1], &input, tag)?;
    let opened = session.decrypt(&Mechanism::AesCbcPad(*iv), keys[0], body)?;
    ensure!(opened == expected(), "another payload");
    keys.into_iter().try_for_each(|key| session.destroy_object(key))?;
    Ok(())
}

pub async fn the_key_check_value_is_as_described(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let kek = fixture.kek().await?;
    let session = fixture.session()?;
    let hmac = find(&session, &kek, &fixture.config.hmac_label)?;
    let ids = [kek.context.store.uuid(), kek.wrapped.mkek.uuid()];
    let input = authenticated("bailey key check MKEK in a token", &[ids[0].as_bytes(), ids[1].as_bytes()]);
    let value = session.sign(&Mechanism::Sha256Hmac, hmac, &input)?;
    ensure!(fixture.hsm.check_value(fixture.store, kek.wrapped.mkek).await? == value[..16], "another value");
    Ok(())
}
