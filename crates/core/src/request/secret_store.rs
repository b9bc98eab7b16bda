//! Secret stores, and which one a project prefers.

use crate::failure::Parsed;
use crate::ids::StoreId;
use crate::store::ConfiguredStore;

/// A store's id as it stood in the path, or the complaint that it is none.
pub type StorePath = Parsed<StoreId>;

request!(/// Whether there is a store. Asked for a caller who will be refused for another reason.
    FindStore {
        /// Which store.
        pub id: StorePath,
    } -> (), "secret-store.find.v1", "Secret store retrieval");

request!(/// Every configured store.
    ListStores {} -> Vec<ConfiguredStore>, "secret-store.list.v1", "Secret store(s) retrieval");

request!(/// One configured store.
    GetStore {
        /// Which store.
        pub id: StorePath,
    } -> ConfiguredStore, "secret-store.get.v1", "Secret store retrieval");

request!(/// The store of all projects without a preference.
    GetDefaultStore {} -> ConfiguredStore, "secret-store.default.v1", "Global default secret store retrieval");

request!(/// The store that the caller's project prefers.
    GetPreferredStore {} -> ConfiguredStore, "secret-store.preferred.v1", "Preferred secret store retrieval");

request!(/// Makes a store the preferred one of the caller's project.
    PreferStore {
        /// Which store.
        pub id: StorePath,
    } -> (), "secret-store.prefer.v1", "Preferred secret store update", mutates);

request!(/// Makes the caller's project prefer no store any more.
    PreferNoStore {
        /// Any store.
        pub id: StorePath,
    } -> (), "secret-store.prefer-none.v1", "Preferred secret store removal", mutates);
