//! Transport keys.

use crate::failure::Parsed;
use crate::ids::TransportKeyId;
use crate::secret::Page;
use crate::transport_key::{NewTransportKey, TransportKey, TransportKeyQuery};

/// A transport key's id as it stood in the path, or the complaint that it is none.
pub type TransportKeyPath = Parsed<TransportKeyId>;

request!(/// Whether there is a transport key. Asked for a caller who will be refused for another reason.
    FindTransportKey {
        /// Which key.
        pub id: TransportKeyPath,
    } -> (), "transport-key.find.v1", "Transport Key retrieval");

request!(/// Lists transport keys.
    ListTransportKeys {
        /// Which, and which part.
        pub query: Parsed<TransportKeyQuery>,
    } -> Page<TransportKeyId>, "transport-key.list.v1", "Transport Key(s) retrieval");

request!(/// Registers a transport key.
    CreateTransportKey {
        /// The key.
        pub key: Parsed<NewTransportKey>,
    } -> TransportKeyId, "transport-key.create.v1", "Transport Key creation", mutates);

request!(/// One transport key.
    GetTransportKey {
        /// Which key.
        pub id: TransportKeyPath,
    } -> TransportKey, "transport-key.get.v1", "Transport Key retrieval");

request!(/// Withdraws a transport key.
    DeleteTransportKey {
        /// Which key.
        pub id: TransportKeyPath,
    } -> (), "transport-key.delete.v1", "Transport Key deletion", mutates);
