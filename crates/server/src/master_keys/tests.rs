#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;

use bailey_core::sensitive::SecretBytes;

use super::*;
use crate::assemble::Databases;
use crate::config::Config;

const PURPOSE: MasterKeyPurpose = MasterKeyPurpose::Worker;

/// A vault and the folder of a machine that uses it.
struct Case {
    folder: tempfile::TempDir,
    databases: Databases,
    clock: Clock,
}

impl Case {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let url = |name| bailey_db::Config::new(format!("sqlite://{}/{name}.db", folder.path().display()));
        let config = Config { database: url("metadata"), vault: url("vault"), ..Config::default() };
        let databases = Databases::connect(&config).await.unwrap();
        databases.migrate().await.unwrap();
        Self { folder, databases, clock: Clock::system() }
    }

    fn file(&self) -> KeyFile {
        key_file(self.folder.path(), None)
    }

    async fn open(&self, is_fresh: bool) -> Result<MasterKeys, Obstacle> {
        MasterKeys::open(&self.databases.vault, PURPOSE, self.file(), is_fresh, &self.clock).await
    }

    /// Makes the vault know a key.
    async fn register(&self, (id, key): &(MasterKeyId, SecretBytes)) {
        let check_value = key_check_value(PURPOSE, *id, key);
        self.databases.vault.add_master_key(PURPOSE, *id, check_value, self.clock.now()).await.unwrap();
    }

    /// Writes a file of these keys, in place of what is there.
    fn write(&self, keys: &[&(MasterKeyId, SecretBytes)]) {
        let _ = fs::remove_file(self.file().path());
        for (id, key) in keys {
            self.file().add(*id, key).unwrap();
        }
    }

    async fn states(&self) -> Vec<MasterKeyState> {
        self.databases.vault.list(PURPOSE).await.unwrap().iter().map(|key| key.state).collect()
    }
}

fn generate() -> (MasterKeyId, SecretBytes) {
    keyfile::generate().unwrap()
}

fn refusal(opened: Result<MasterKeys, Obstacle>) -> String {
    match opened {
        Err(Obstacle::Refused(error)) => error.to_string(),
        Err(Obstacle::OutOfReach(error)) => panic!("not refused: {error}"),
        Ok(_) => panic!("opened"),
    }
}

#[tokio::test]
async fn the_first_start_makes_a_key_and_later_ones_keep_it() {
    let case = Case::new().await;
    let first = case.open(true).await.unwrap().ring().ids();
    assert_eq!(case.states().await, [MasterKeyState::Active]);
    assert_eq!(case.open(false).await.unwrap().ring().ids(), first);
    assert_eq!(case.states().await, [MasterKeyState::Active]);
}

#[tokio::test]
async fn a_first_start_that_died_half_way_is_finished_by_the_next() {
    let case = Case::new().await;
    let key = generate();
    case.write(&[&key]);
    case.register(&key).await;
    assert_eq!(case.states().await, [MasterKeyState::Added]);
    assert_eq!(case.open(true).await.unwrap().ring().ids(), [key.0]);
    assert_eq!(case.states().await, [MasterKeyState::Active]);
}

#[tokio::test]
async fn no_key_is_made_beside_one_that_is_registered() {
    let case = Case::new().await;
    case.register(&generate()).await;
    assert!(refusal(case.open(true).await).contains("is missing"));
    assert!(!case.file().exists());
    assert_eq!(case.states().await, [MasterKeyState::Added]);
}

#[tokio::test]
async fn a_vault_without_the_keys_of_its_data_is_refused() {
    let case = Case::new().await;
    assert!(refusal(case.open(false).await).contains("restore it"));
    assert!(!case.file().exists() && case.states().await.is_empty());
}

#[tokio::test]
async fn of_two_first_starts_the_older_key_wins_and_the_other_waits() {
    let case = Case::new().await;
    let (older, newer) = (generate(), generate());
    assert!(older.0 < newer.0);
    case.register(&older).await;
    case.write(&[&newer]);
    assert!(matches!(case.open(true).await, Err(Obstacle::OutOfReach(_))));
    assert_eq!(case.states().await, [MasterKeyState::Added, MasterKeyState::Added]);

    case.write(&[&older]);
    case.open(true).await.unwrap();
    assert_eq!(case.states().await, [MasterKeyState::Active, MasterKeyState::Added]);
    case.write(&[&newer]);
    let lacking = refusal(case.open(true).await);
    assert!(lacking.contains(&format!("lacks the key {}", older.0)), "{lacking}");
}

#[tokio::test]
async fn a_file_without_a_version_in_use_is_not_taken_while_running() {
    let case = Case::new().await;
    let (first, second) = (generate(), generate());
    case.write(&[&first, &second]);
    let keys = case.open(true).await.unwrap();
    let vault = &case.databases.vault;
    assert_eq!(keys.ring().ids(), [first.0, second.0]);

    case.write(&[&first]);
    for _ in 0..2 {
        keys.reload(vault).await;
        assert_eq!(keys.ring().ids(), [first.0, second.0], "the active one stays");
    }
    assert!(keys.ring().get(MasterKeyId::new()).is_err(), "nor when an unknown version makes it be read");
    case.write(&[&second]);
    keys.look_after(vault).await;
    assert_eq!(keys.ring().ids(), [second.0], "the other one was never used");
}

#[tokio::test]
async fn a_decrypt_only_version_is_needed_until_it_is_retired() {
    let case = Case::new().await;
    let (first, second) = (generate(), generate());
    case.write(&[&first]);
    let keys = case.open(true).await.unwrap();
    let vault = &case.databases.vault;
    case.register(&second).await;
    vault.activate_master_key(second.0, case.clock.now()).await.unwrap();
    case.write(&[&second]);
    keys.look_after(vault).await;
    assert_eq!(keys.ring().ids(), [first.0]);

    vault.retire_master_key(first.0, 0).await.unwrap();
    keys.look_after(vault).await;
    assert_eq!(keys.ring().ids(), [second.0], "news from the vault alone make the file be read again");
}

#[tokio::test]
async fn a_new_version_is_held_once_the_vault_vouches_for_its_bytes() {
    let case = Case::new().await;
    let (first, second) = (generate(), generate());
    case.write(&[&first]);
    let keys = case.open(true).await.unwrap();
    let vault = &case.databases.vault;

    let wrong = (second.0, generate().1);
    case.write(&[&first, &wrong]);
    keys.reload(vault).await;
    assert_eq!(keys.ring().ids(), [first.0], "the vault doesn't know it");
    case.register(&second).await;
    keys.reload(vault).await;
    assert_eq!(keys.ring().ids(), [first.0], "the vault knows another key under its id");
    case.write(&[&first, &second]);
    keys.look_after(vault).await;
    assert_eq!(keys.ring().ids(), [first.0, second.0]);
}
