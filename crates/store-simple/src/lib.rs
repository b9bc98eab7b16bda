//! Software crypto backend: AES-256-GCM under a key file
