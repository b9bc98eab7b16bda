//! Schema of the metadata database and of the vault
