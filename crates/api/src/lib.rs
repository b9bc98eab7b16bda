//! The Key Manager API over HTTP
