//! The configured secret stores.

use std::collections::HashMap;
use std::sync::Arc;

use bailey_core::failure::Failure;
use bailey_core::ids::{ProjectId, StoreId};
use bailey_core::store::SecretStore;

/// The secret stores of this process, of which one is the default.
pub struct Stores {
    by_id: HashMap<StoreId, Arc<dyn SecretStore>>,
    default: Arc<dyn SecretStore>,
    assigned: HashMap<ProjectId, Arc<dyn SecretStore>>,
}

impl Stores {
    /// All stores; `default` is one of them.
    #[must_use]
    pub fn new(default: Arc<dyn SecretStore>, others: impl IntoIterator<Item = Arc<dyn SecretStore>>) -> Self {
        let by_id =
            others.into_iter().chain([Arc::clone(&default)]).map(|store| (store.descriptor().id, store)).collect();
        Self { by_id, default, assigned: HashMap::new() }
    }

    /// Has new payloads of projects go to these stores, whatever the projects prefer.
    ///
    /// # Errors
    /// `Unavailable` when one of them isn't among the stores.
    pub fn assign(&mut self, projects: impl IntoIterator<Item = (ProjectId, StoreId)>) -> Result<(), Failure> {
        for (project, store) in projects {
            let store = Arc::clone(self.get(store)?);
            self.assigned.insert(project, store);
        }
        Ok(())
    }

    /// Where new payloads of a project go, if that was decided for it.
    #[must_use]
    pub fn assigned(&self, project: &ProjectId) -> Option<&Arc<dyn SecretStore>> {
        self.assigned.get(project)
    }

    /// Whether new payloads go to this store of their own accord, or because that was decided for a project.
    #[must_use]
    pub fn receives(&self, id: StoreId) -> bool {
        self.assigned.values().chain([&self.default]).any(|store| store.descriptor().id == id)
    }

    /// Where new payloads go, unless their project has another store.
    #[must_use]
    pub fn default(&self) -> &Arc<dyn SecretStore> {
        &self.default
    }

    /// How many there are; one is the default.
    #[must_use]
    pub fn count(&self) -> usize {
        self.by_id.len()
    }

    /// The store that was recorded with a payload.
    ///
    /// # Errors
    /// `Unavailable` when it isn't configured any more: its secrets are not lost, only out of reach.
    pub fn get(&self, id: StoreId) -> Result<&Arc<dyn SecretStore>, Failure> {
        let missing = || Failure::unavailable("The secret's store is not configured").with_detail(id.to_string());
        self.by_id.get(&id).ok_or_else(missing)
    }

    /// Every store, in no particular order.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<dyn SecretStore>> {
        self.by_id.values()
    }
}
