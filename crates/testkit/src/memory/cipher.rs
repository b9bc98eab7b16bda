//! An ideal cipher: what it makes is 32 random bytes that mean something to it alone.

use std::collections::HashMap;
use std::sync::Mutex;

use uuid::Uuid;

/// Length of everything the cipher makes.
pub const LENGTH: usize = 32;

/// Remembers what each of its outputs stands for.
#[derive(Default)]
pub struct IdealCipher(Mutex<HashMap<[u8; LENGTH], Sealed>>);

struct Sealed {
    key: Vec<u8>,
    associated: Vec<u8>,
    plain: Vec<u8>,
}

impl IdealCipher {
    /// Fresh bytes that stand for `plain`, to whoever knows `key` and `associated`.
    pub fn encrypt(&self, key: &[u8], associated: &[u8], plain: &[u8]) -> Vec<u8> {
        let made = random();
        let sealed = Sealed { key: key.into(), associated: associated.into(), plain: plain.into() };
        self.0.lock().unwrap().insert(made, sealed);
        made.to_vec()
    }

    /// What these bytes stand for; `None` if anything is not as it was.
    pub fn decrypt(&self, key: &[u8], associated: &[u8], bytes: &[u8]) -> Option<Vec<u8>> {
        let table = self.0.lock().unwrap();
        let sealed = table.get(bytes)?;
        (sealed.key == key && sealed.associated == associated).then(|| sealed.plain.clone())
    }
}

/// Random bytes.
pub fn random() -> [u8; LENGTH] {
    let mut bytes = [0; LENGTH];
    for half in bytes.chunks_exact_mut(16) {
        half.copy_from_slice(&Uuid::new_v4().as_bytes()[..]);
    }
    bytes
}
