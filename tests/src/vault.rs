//! Payloads past Bailey: what whoever has the vault and the key files can read. Written from `docs/formats.md`.

use aes_gcm::aead::{Aead as _, KeyInit as _, Payload};
use aes_gcm::{Aes256Gcm, Nonce};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::app::{Database, TestApp};
use crate::sql::Which;

/// The project that keys of Bailey's own are kept for.
pub const OWN: &str = "bailey:own";

impl TestApp {
    /// Every payload that the simple store keeps for a project, those of orders that have not ended among them.
    ///
    /// # Panics
    /// When one can't be read.
    #[must_use]
    pub fn payloads_of(&self, project: &str) -> Vec<Vec<u8>> {
        let [deployment] = self.rows(Which::Metadata, ["deployment_id"], "installation").remove(0);
        let columns = ["c.bytes", "c.kek_id", "c.secret_id", "c.write_id", "k.wrapped", "k.mkek_id", "k.store_id"];
        let from = format!("ciphertexts c JOIN project_keks k ON k.id = c.kek_id WHERE c.project = '{project}'");
        let rows = self.rows(Which::Vault, columns, &from).into_iter();
        rows.map(|[bytes, kek, secret, write, wrapped, mkek, store]| {
            let project = project.as_bytes();
            let about = [&deployment, &store, project, &kek, &mkek, b"AES-256-GCM", &wrapped[1..13]];
            let key = open(&self.mkek(&mkek), &context("bailey wrapped KEK", &about), &wrapped);
            open(&key, &context("bailey payload", &[&store, project, &secret, &write, &kek]), &bytes)
        })
        .collect()
    }

    /// Rows of bytes and of UUIDs.
    fn rows<const N: usize>(&self, which: Which, columns: [&str; N], from: &str) -> Vec<[Vec<u8>; N]> {
        let hex = |column: &str| match self.database() {
            Database::Sqlite => format!("hex({column})"),
            Database::Postgres | Database::Split if column.ends_with("_id") => {
                format!("replace({column}::text, '-', '')")
            }
            Database::Postgres | Database::Split => format!("encode({column}, 'hex')"),
        };
        let printed = self.sql(which, &format!("SELECT {} FROM {from}", columns.map(hex).join(", ")));
        let cells = |row: &str| row.split('|').map(bytes).collect::<Vec<_>>().try_into().expect("as many cells");
        printed.lines().map(cells).collect()
    }

    /// A version of the MKEK, of whichever store has it.
    fn mkek(&self, id: &[u8]) -> Vec<u8> {
        let files = std::fs::read_dir(self.keys_dir()).expect("key files").map_while(Result::ok);
        let texts = files.map(|file| std::fs::read_to_string(file.path()).unwrap_or_default());
        let keys = texts.flat_map(|text| text.lines().map(str::to_owned).collect::<Vec<_>>());
        let key =
            keys.filter_map(|line| line.split_once(' ').map(|(id, key)| (bytes(&id.replace('-', "")), key.to_owned())));
        let key = key.into_iter().find_map(|(known, key)| (known == id).then_some(key)).expect("the MKEK");
        STANDARD.decode(key.trim()).expect("base64")
    }
}

/// Nothing of what is no hex.
fn bytes(hex: &str) -> Vec<u8> {
    let pairs = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).ok());
    pairs.map_while(|pair| u8::from_str_radix(pair?, 16).ok()).collect()
}

/// "What is authenticated".
fn context(domain: &str, fields: &[&[u8]]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).expect("a short field").to_be_bytes();
    let mut context = [&length(domain.as_bytes())[..], domain.as_bytes(), &[1]].concat();
    for field in fields {
        context.extend(length(field));
        context.extend(*field);
    }
    context
}

/// A version byte, a nonce, ciphertext and tag.
fn open(key: &[u8], aad: &[u8], bytes: &[u8]) -> Vec<u8> {
    let nonce: [u8; 12] = bytes[1..13].try_into().expect("a nonce");
    let cipher = Aes256Gcm::new_from_slice(key).expect("a key of 32 bytes");
    cipher.decrypt(&Nonce::from(nonce), Payload { msg: &bytes[13..], aad }).expect("what was encrypted")
}
