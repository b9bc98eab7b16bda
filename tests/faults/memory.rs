//! What lies in the memory of a worker whose keys are in a token, once it is idle: no MKEK, and no KEK.
//!
//! To be searched for, both must be known: the MKEK is one that was made outside and put into the token's files,
//! as if the token had made it, and the KEK is unwrapped with it here.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use aes_gcm::aes::Aes256;
use aes_gcm::aes::cipher::{BlockCipherDecrypt as _, KeyInit as _};
use anyhow::{Context as _, ensure};
use bailey_core::ids::MasterKeyId;
use bailey_testkit::process;
use bailey_testkit::softhsm::SoftHsm;
use bailey_tests::app::Token;
use bailey_tests::search::Haystack;
use bailey_tests::sql::Which;
use bailey_tests::{Database, Store, TestApp, cases};

pub const CASES: &[(&str, fn())] = cases![an_idle_worker_has_no_key_of_its_token_in_memory];

const PATIENCE: Duration = Duration::from_secs(60);
/// Read at once.
const PART: usize = 1 << 22;
/// Parts overlap by so much, so that nothing lies between two.
const OVERLAP: usize = 256;

fn an_idle_worker_has_no_key_of_its_token_in_memory() {
    let simple = TestApp::builder(Database::Sqlite).store(Store::Simple).start().unwrap();
    let client = simple.client();
    assert_eq!(client.payload(&client.store("used")), b"used");
    let mkek = key_in(&simple.data_dir().join("keys/mkek-simple.key"));
    assert!(is_in_memory(simple.pid(), &mkek), "the search doesn't find an MKEK that is there");

    let (app, mkek) = with_known_mkek();
    let client = app.client();
    assert_eq!(client.payload(&client.store("used")), b"used");
    let kek = unwrap(&mkek, &wrapped(&app));
    // Each look at its health has the token destroy what nobody has used for a second.
    for _ in 0..4 {
        std::thread::sleep(Duration::from_secs(1));
        let _ = client.get("/healthcheck").send().expect(200);
    }

    let (server, children) = (app.pid(), children(app.pid()));
    assert!(!children.is_empty(), "the token's library runs in a process of its own");
    let worker_key = key_in(&app.data_dir().join("keys/worker.key"));
    assert!(is_in_memory(server, &worker_key), "the search doesn't find a key that is there");
    let (_, known) = softhsm(&app).environment().remove(0);
    let known = known.as_encoded_bytes();
    assert!(children.iter().all(|child| is_in_memory(*child, known)), "the search doesn't find what a child was given");
    for pid in children.into_iter().chain([server]) {
        for (what, key) in [("MKEK", &mkek), ("KEK", &kek)] {
            assert!(!is_in_memory(pid, key), "the {what} is in the memory of process {pid}");
        }
    }
    assert_eq!(client.payload(&client.store("used again")), b"used again");
}

fn softhsm(app: &TestApp) -> &SoftHsm {
    match app.token_of_store() {
        Token::SoftHsm(softhsm) => softhsm,
        Token::Kryoptic(_) | Token::Kmip(_) => panic!("another token"),
    }
}

/// A Bailey over SoftHSM, and the MKEK that it uses.
fn with_known_mkek() -> (TestApp, Vec<u8>) {
    let settings = "isolation = \"process\"\nkek_idle_seconds = 1.0";
    let builder = TestApp::builder(Database::Sqlite).store(Store::SoftHsm).store_settings(settings);
    let app = builder.prepare().unwrap();
    app.launch().unwrap();
    process::until(PATIENCE, || {
        let known: u64 = app.sql(Which::Vault, "SELECT COUNT(*) FROM master_keys").trim().parse()?;
        ensure!(known > 0, "it hasn't begun");
        Ok(())
    })
    .unwrap();
    app.stop().unwrap();

    let version = MasterKeyId::new().uuid();
    let mkek = [*uuid::Uuid::new_v4().as_bytes(), *uuid::Uuid::new_v4().as_bytes()].concat();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("mkek");
    fs::write(&file, &mkek).unwrap();
    let import =
        ["--type", "secrkey", "--key-type", "AES:32", "--label", "bailey-mkek", "--usage-wrap", "--write-object"];
    put(softhsm(&app), version, [&import[..], &[file.to_str().unwrap()]].concat().as_slice());
    put(softhsm(&app), version, &["--keygen", "--key-type", "GENERIC:32", "--label", "bailey-hmac", "--usage-sign"]);
    let store = app.sql(Which::Metadata, "SELECT hex(id) FROM stores");
    // As `bailey hsm generate` leaves it when it dies after it has made the keys.
    let announce = format!(
        "INSERT INTO master_keys (id, purpose, store_id, state, check_value, reserved, created_at) \
         SELECT x'{}', 'mkek', x'{}', 'added', x'', 0, created_at FROM master_keys LIMIT 1",
        version.simple(),
        store.trim()
    );
    let _ = app.sql(Which::Vault, &announce);
    app.admin(&["hsm", "generate"]).unwrap();
    app.restart().unwrap();
    (app, mkek)
}

/// Puts a key into the token as if Bailey had made it there.
fn put(softhsm: &SoftHsm, version: uuid::Uuid, arguments: &[&str]) {
    let mut tool = softhsm.tool(softhsm.token_label());
    tool.args(["--login", "--pin", softhsm.pin(), "--id", &version.simple().to_string(), "--private", "--sensitive"]);
    process::run(tool.args(arguments)).unwrap();
    let (_, configuration) = softhsm.environment().remove(0);
    let tokens = Path::new(&configuration).parent().unwrap().join("tokens");
    let mut find = Command::new("find");
    let objects = process::run(find.arg(tokens).args(["-name", "*.object"])).unwrap();
    String::from_utf8(objects).unwrap().lines().for_each(|object| pretend(Path::new(object)));
}

/// Attributes as they are of a key that the token made for this purpose.
fn pretend(object: &Path) {
    const TYPES: [(u64, u8); 8] = [
        (0x103, 0xff), // CKA_SENSITIVE
        (0x106, 0xff), // CKA_WRAP
        (0x107, 0xff), // CKA_UNWRAP
        (0x108, 0xff), // CKA_SIGN
        (0x10a, 0xff), // CKA_VERIFY
        (0x162, 0x00), // CKA_EXTRACTABLE
        (0x164, 0xff), // CKA_NEVER_EXTRACTABLE
        (0x165, 0xff), // CKA_ALWAYS_SENSITIVE
    ];
    /// What follows the type of an attribute that is a boolean.
    const BOOLEAN: u64 = 1;
    let mut bytes = fs::read(object).unwrap();
    for (kind, value) in TYPES {
        let head = [kind.to_be_bytes(), BOOLEAN.to_be_bytes()].concat();
        if let Some(place) = bytes.windows(head.len()).position(|window| window == head) {
            bytes[place + head.len()] = value;
        }
    }
    fs::write(object, bytes).unwrap();
}

/// The wrapped key of the only KEK there is, as docs/formats.md has it.
fn wrapped(app: &TestApp) -> Vec<u8> {
    let hex = app.sql(Which::Vault, "SELECT hex(wrapped) FROM project_keks");
    let hex = hex.trim();
    let bytes = (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
    let bytes: Vec<u8> = bytes.collect();
    let [1, 1, 1, length, rest @ ..] = bytes.as_slice() else { panic!("wrapped otherwise: {bytes:02x?}") };
    rest[..usize::from(*length)].to_vec()
}

/// RFC 3394, section 2.2.2.
fn unwrap(mkek: &[u8], wrapped: &[u8]) -> Vec<u8> {
    let cipher = Aes256::new_from_slice(mkek).unwrap();
    let (mut head, mut key) = (wrapped[..8].to_vec(), wrapped[8..].to_vec());
    let blocks = key.len() / 8;
    for step in (1..=6 * blocks).rev() {
        let place = (step - 1) % blocks * 8;
        let counted = u64::from_be_bytes(head[..].try_into().unwrap()) ^ step as u64;
        let mut block: [u8; 16] = [&counted.to_be_bytes()[..], &key[place..place + 8]].concat().try_into().unwrap();
        cipher.decrypt_block((&mut block).into());
        head.copy_from_slice(&block[..8]);
        key[place..place + 8].copy_from_slice(&block[8..]);
    }
    assert_eq!(head, [0xa6; 8], "it was wrapped under another MKEK");
    key
}

/// The only key in a key file.
fn key_in(file: &Path) -> Vec<u8> {
    use base64::Engine as _;
    use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
    let text = fs::read_to_string(file).unwrap();
    let line = text.lines().find(|line| !line.starts_with('#')).unwrap();
    let (_, key) = line.split_once(' ').unwrap();
    STANDARD.decode(key).or_else(|_| URL_SAFE_NO_PAD.decode(key)).unwrap()
}

fn children(pid: u32) -> Vec<u32> {
    let parent = |status: &str| status.lines().find_map(|line| line.strip_prefix("PPid:")?.trim().parse::<u32>().ok());
    let processes = fs::read_dir("/proc").unwrap().filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let is_child = |child: &u32| {
        fs::read_to_string(format!("/proc/{child}/status")).ok().and_then(|text| parent(&text)) == Some(pid)
    };
    processes.filter(is_child).collect()
}

/// Whether these bytes are anywhere in what a process may write to, raw, in hex or in base64.
fn is_in_memory(pid: u32, needle: &[u8]) -> bool {
    let memory = File::open(format!("/proc/{pid}/mem")).context("only root reads another process's memory").unwrap();
    let maps = fs::read_to_string(format!("/proc/{pid}/maps")).unwrap();
    let zeros = vec![0; PART];
    maps.lines().filter(|line| line.split(' ').nth(1).is_some_and(|may| may.starts_with("rw"))).any(|line| {
        let (begin, end) = line.split(' ').next().unwrap().split_once('-').unwrap();
        let [begin, end] = [begin, end].map(|address| u64::from_str_radix(address, 16).unwrap());
        (begin..end).step_by(PART - OVERLAP).any(|at| {
            let mut part = vec![0; PART.min(usize::try_from(end - at).unwrap())];
            // What is only reserved is zeros, and there is much of it.
            let is_there = memory.read_exact_at(&mut part, at).is_ok() && part != zeros[..part.len()];
            is_there && Haystack::new("memory", &part).find(needle).is_some()
        })
    })
}
