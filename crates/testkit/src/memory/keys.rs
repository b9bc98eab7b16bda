//! A CA's keys in memory, which several instances of the CA share.

use std::collections::BTreeMap;
use std::sync::Mutex;

use async_trait::async_trait;
use bailey_core::ca::{CaError, Keys};
use bailey_core::sensitive::SecretBytes;

/// Keeps a CA's keys for as long as the test lives.
#[derive(Default)]
pub struct MemoryKeys(Mutex<BTreeMap<String, Vec<u8>>>);

impl MemoryKeys {
    /// The names under which there are keys.
    pub fn names(&self) -> Vec<String> {
        self.0.lock().unwrap().keys().cloned().collect()
    }

    /// Every key there is, to search for where none may be.
    pub fn canaries(&self) -> Vec<Vec<u8>> {
        self.0.lock().unwrap().values().cloned().collect()
    }
}

#[async_trait]
impl Keys for MemoryKeys {
    async fn load(&self, name: &str) -> Result<Option<SecretBytes>, CaError> {
        Ok(self.0.lock().unwrap().get(name).cloned().map(SecretBytes::new))
    }

    async fn keep(&self, name: &str, key: &SecretBytes) -> Result<(), CaError> {
        self.0.lock().unwrap().entry(name.to_owned()).or_insert_with(|| key.expose().to_vec());
        Ok(())
    }

    async fn forget(&self, name: &str) -> Result<(), CaError> {
        self.0.lock().unwrap().remove(name);
        Ok(())
    }
}
