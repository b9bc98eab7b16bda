//! User metadata of secrets.

use crate::failure::Parsed;
use crate::request::SecretPath;
use crate::secret::{Metadatum, UserMetadata};

request!(/// A secret's user metadata.
    GetMetadata {
        /// Which secret.
        pub id: SecretPath,
    } -> UserMetadata, "secret.metadata.get.v1", "Secret metadata retrieval");

request!(/// Replaces a secret's user metadata.
    PutMetadata {
        /// Which secret.
        pub id: SecretPath,
        /// The new metadata.
        pub metadata: Parsed<UserMetadata>,
    } -> (), "secret.metadata.put.v1", "Secret metadata creation", mutates);

request!(/// Adds one key to a secret's user metadata.
    AddMetadatum {
        /// Which secret.
        pub id: SecretPath,
        /// Key and value.
        pub metadatum: Parsed<Metadatum>,
    } -> Metadatum, "secret.metadatum.add.v1", "Secret metadatum creation", mutates);

request!(/// One key of a secret's user metadata.
    GetMetadatum {
        /// Which secret.
        pub id: SecretPath,
        /// The key as it stood in the path; compared as given.
        pub key: String,
    } -> Metadatum, "secret.metadatum.get.v1", "Secret metadatum retrieval");

request!(/// Changes one existing key of a secret's user metadata.
    PutMetadatum {
        /// Which secret.
        pub id: SecretPath,
        /// The key as it stood in the path; compared as given.
        pub key: String,
        /// Key and value; the key must be the path's.
        pub metadatum: Parsed<Metadatum>,
    } -> Metadatum, "secret.metadatum.put.v1", "Secret metadatum update", mutates);

request!(/// Removes one key of a secret's user metadata, if it is there.
    DeleteMetadatum {
        /// Which secret.
        pub id: SecretPath,
        /// The key as it stood in the path; compared as given.
        pub key: String,
    } -> (), "secret.metadatum.delete.v1", "Secret metadatum removal", mutates);
