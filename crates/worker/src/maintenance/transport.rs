//! Keeps the stores' transport keys in step with the worker key.

use bailey_core::failure::Failure;
use bailey_db::transport_key;

use crate::Worker;
use crate::error::store_failure;

impl Worker {
    /// Makes the transport key of each store that has none under the active version of the worker key, and
    /// deletes those under retired versions; returns how many it deleted.
    ///
    /// # Errors
    /// `Unavailable`; what was done so far stays done.
    pub async fn look_after_transport_keys(&self) -> Result<u64, Failure> {
        for store in self.stores.iter() {
            self.transport_key_of(store.as_ref()).await?;
        }
        let mut deleted = 0;
        for retired in self.sealer.retired().await.map_err(|error| store_failure(&error))? {
            let delete = self.db.write(move |tx| Box::pin(transport_key::delete_under(tx, retired)));
            deleted += delete.await?;
        }
        Ok(deleted)
    }
}
