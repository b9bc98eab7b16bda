//! Key pairs are what OpenSSL takes for key pairs.

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::thread::available_parallelism;

use bailey_core::failure::FailureKind;
use bailey_core::sensitive::SecretBytes;
use bailey_core::spec::Spec;
use bailey_testkit::memory::MemoryStore;
use bailey_worker::Generator;
use bailey_worker::generate::{GenerationConfig, KeyPair, KeyPairPlan, RsaSize};
use bailey_worker::policy::Compat;
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::harness::Harness;

const PASSPHRASE: &str = "correct horse ÄÖÜ \" battery";

fn openssl(folder: &Path, arguments: &[&str]) -> Output {
    Command::new("openssl").args(arguments).current_dir(folder).output().unwrap()
}

/// What OpenSSL prints, to either channel; it must succeed.
fn text(folder: &Path, arguments: &[&str]) -> String {
    let Output { status, stdout, stderr } = openssl(folder, arguments);
    let text = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "openssl {arguments:?}: {text}");
    text
}

fn write(pair: &KeyPair) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("private"), pair.private.expose()).unwrap();
    fs::write(folder.path().join("public"), pair.public.expose()).unwrap();
    folder
}

async fn make(algorithm: &str, bits: i32, passphrase: Option<&str>) -> KeyPair {
    let generator = Generator::new(&GenerationConfig::default(), Compat::Barbican);
    let ordered = Spec { algorithm: Some(algorithm.into()), bit_length: Some(bits), mode: None };
    let plan = generator.asymmetric(&ordered).unwrap();
    let passphrase = passphrase.map(|passphrase| SecretBytes::new(passphrase.into()));
    generator.key_pair(plan, passphrase.as_ref()).await.unwrap()
}

/// Each algorithm and size with the words by which `openssl pkey -text` names it.
const PAIRS: [(&str, i32, &[&str]); 12] = [
    ("rsa", 1024, &["Private-Key: (1024 bit, 2 primes)", "publicExponent: 65537 "]),
    ("RSA", 2048, &["Private-Key: (2048 bit, 2 primes)", "publicExponent: 65537 "]),
    ("rsa", 3072, &["Private-Key: (3072 bit, 2 primes)", "publicExponent: 65537 "]),
    ("rsa", 4096, &["Private-Key: (4096 bit, 2 primes)", "publicExponent: 65537 "]),
    ("dsa", 1024, &["Private-Key: (1024 bit)"]),
    ("DSA", 2048, &["Private-Key: (2048 bit)"]),
    ("dsa", 3072, &["Private-Key: (3072 bit)"]),
    ("dsa", 4096, &["Private-Key: (4096 bit)"]),
    ("ec", 256, &["NIST CURVE: P-256"]),
    ("EC", 384, &["NIST CURVE: P-384"]),
    ("ec", 521, &["NIST CURVE: P-521"]),
    ("Ed25519", 256, &["ED25519 Private-Key:"]),
];

#[tokio::test]
async fn openssl_finds_each_key_pair_in_order() {
    for (algorithm, bits, words) in PAIRS {
        let pair = make(algorithm, bits, None).await;
        let folder = write(&pair);
        let form = if algorithm.eq_ignore_ascii_case("dsa") { "DER" } else { "PEM" };
        let shown = text(folder.path(), &["pkey", "-in", "private", "-inform", form, "-noout", "-check", "-text"]);
        assert!(shown.contains("Key is valid"), "{algorithm}-{bits}: {shown}");
        for word in words {
            assert!(shown.contains(word), "{algorithm}-{bits}: no `{word}` in {shown}");
        }
        text(folder.path(), &["pkey", "-pubin", "-in", "public", "-inform", form, "-noout", "-pubcheck"]);
        let derived = ["pkey", "-in", "private", "-inform", form, "-pubout", "-outform", form, "-out", "derived"];
        text(folder.path(), &derived);
        let derived = fs::read(folder.path().join("derived")).unwrap();
        assert_eq!(derived, pair.public.expose(), "{algorithm}-{bits}: the public key is another one");
    }
}

#[tokio::test]
async fn openssl_opens_encrypted_private_keys_with_the_passphrase_only() {
    let right = format!("pass:{PASSPHRASE}");
    for (algorithm, bits) in [("rsa", 2048), ("dsa", 1024), ("ec", 521), ("ed25519", 256)] {
        let pair = make(algorithm, bits, Some(PASSPHRASE)).await;
        let folder = write(&pair);
        let form = if algorithm == "dsa" { "DER" } else { "PEM" };
        if form == "PEM" {
            let label = b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n";
            assert!(pair.private.expose().starts_with(label), "{algorithm}-{bits}");
        }
        let open = ["pkcs8", "-in", "private", "-inform", form, "-out", "open", "-passin"];
        text(folder.path(), &[open.as_slice(), &[&right]].concat());
        text(folder.path(), &["pkey", "-in", "open", "-noout", "-check"]);
        text(folder.path(), &["pkey", "-in", "open", "-pubout", "-outform", form, "-out", "derived"]);
        assert_eq!(fs::read(folder.path().join("derived")).unwrap(), pair.public.expose(), "{algorithm}-{bits}");
        assert!(!openssl(folder.path(), &[open.as_slice(), &["pass:correct horse"]].concat()).status.success());
    }
}

#[tokio::test]
async fn each_key_pair_is_another_one_and_no_passphrase_means_no_encryption() {
    for (algorithm, bits) in [("rsa", 1024), ("dsa", 1024), ("ec", 256), ("ed25519", 256)] {
        let (one, other) = (make(algorithm, bits, None).await, make(algorithm, bits, Some("")).await);
        assert_ne!(one.public.expose(), other.public.expose(), "{algorithm}");
        for pair in [one, other] {
            let form = if algorithm == "dsa" { "DER" } else { "PEM" };
            text(write(&pair).path(), &["pkey", "-in", "private", "-inform", form, "-noout", "-passin", "pass:none"]);
        }
    }
}

#[tokio::test]
async fn a_passphrase_that_openssl_reads_no_more_is_refused() {
    let generator = Generator::new(&GenerationConfig::default(), Compat::Barbican);
    let longest = "p".repeat(1023);
    let folder = write(&make("ed25519", 256, Some(&longest)).await);
    text(folder.path(), &["pkey", "-in", "private", "-noout", "-passin", &format!("pass:{longest}")]);
    let longer = SecretBytes::new(vec![b'p'; 1024]);
    let failure = generator.key_pair(KeyPairPlan::Ed25519, Some(&longer)).await.unwrap_err();
    assert_eq!(failure.kind, FailureKind::Invalid);
}

#[test]
fn strict_compatibility_makes_no_weak_keys_unless_told_to() {
    let weak = Spec { algorithm: Some("rsa".into()), bit_length: Some(1024), mode: None };
    for (compat, allow_weak_keys, is_made) in [
        (Compat::Barbican, None, true),
        (Compat::Barbican, Some(false), false),
        (Compat::Strict, None, false),
        (Compat::Strict, Some(true), true),
    ] {
        let config = GenerationConfig { allow_weak_keys, ..GenerationConfig::default() };
        let planned = Generator::new(&config, compat).asymmetric(&weak);
        assert_eq!(planned.is_ok(), is_made, "{compat:?}, {allow_weak_keys:?}: {planned:?}");
    }
}

/// All of it on one thread of tokio: had key generation any part in it, no read would end before it.
#[tokio::test]
async fn secrets_are_read_while_every_thread_makes_keys() {
    let harness = Harness::new(|id, _, _| Arc::new(MemoryStore::new(id, Arc::default()))).await;
    let secret = harness.create(Some("payload")).await.unwrap();
    let pairs: Vec<_> = (0..4 * available_parallelism().unwrap().get())
        .map(|_| {
            let worker = Arc::clone(&harness.worker);
            tokio::spawn(async move { worker.generator.key_pair(KeyPairPlan::Rsa(RsaSize::Bits4096), None).await })
        })
        .collect();
    let mut reads = 0;
    while !pairs.iter().all(JoinHandle::is_finished) {
        assert_eq!(harness.read(secret).await.unwrap(), "payload");
        reads += 1;
    }
    assert!(reads >= 10, "{reads} reads");
    for pair in pairs {
        pair.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn encryption_is_pbes2_with_many_iterations_and_salt_of_its_own() {
    let mut shown = Vec::new();
    for _ in 0..2 {
        let folder = write(&make("ec", 256, Some(PASSPHRASE)).await);
        shown.push(text(folder.path(), &["asn1parse", "-in", "private", "-i"]));
    }
    for word in [":PBES2", ":PBKDF2", ":hmacWithSHA256", ":aes-256-cbc", ":0927C0"] {
        assert!(shown[0].contains(word), "no {word} in {}", shown[0]);
    }
    let octets = |shown: &str| -> Vec<String> {
        shown.lines().filter(|line| line.contains("OCTET STRING")).map(ToOwned::to_owned).collect()
    };
    let (one, other) = (octets(&shown[0]), octets(&shown[1]));
    assert_eq!(one.len(), 3, "salt, IV and key of {one:?}");
    for (one, other) in one.iter().zip(&other).take(2) {
        assert_ne!(one, other, "the same salt or IV twice");
    }
}
