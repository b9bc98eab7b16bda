//! The traits' contracts as code that can be read in one sitting: everything is kept in memory, and
//! encryption is a look-up, so nothing holds but what the contract says.

mod authority;
mod backend;
mod challenges;
mod cipher;
mod keys;
mod ledger;
mod store;
mod vault;

pub(crate) use authority::read_request;
pub use authority::{MemoryAuthority, MemoryCa, MemoryCaFixture, Signing, names};
pub use backend::{MemoryBackend, MemoryDevice};
pub use challenges::MemoryChallenges;
pub use cipher::random;
pub use keys::MemoryKeys;
pub use ledger::MemoryLedger;
pub use store::{MemoryShelf, MemoryStore};
pub use vault::MemoryVault;
