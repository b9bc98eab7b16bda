//! What nearly every test does with secrets and containers first.

use std::process::Command;
use std::time::{Duration, SystemTime};

use bailey_testkit::process;
use serde_json::{Value, json};

use crate::http::{Answer, Client};

impl Client {
    /// Creates a secret and returns its href.
    ///
    /// # Panics
    /// When it is not created.
    #[must_use]
    #[track_caller]
    pub fn create(&self, secret: &Value) -> String {
        let answer = self.post("/v1/secrets").json(secret).send().expect(201);
        let href = answer.string("secret_ref");
        assert_eq!(answer.header("Location"), Some(href.as_str()), "{answer}");
        href
    }

    /// Creates a secret with a text for payload and returns its href.
    ///
    /// # Panics
    /// When it is not created.
    #[must_use]
    #[track_caller]
    pub fn store(&self, text: &str) -> String {
        self.create(&json!({ "payload": text, "payload_content_type": "text/plain" }))
    }

    /// Creates a secret with bytes for payload, in one step, and returns its href.
    ///
    /// # Panics
    /// When it is not created.
    #[must_use]
    #[track_caller]
    pub fn store_bytes(&self, bytes: &[u8]) -> String {
        self.create(&json!({
            "payload": base64(bytes),
            "payload_content_type": "application/octet-stream",
            "payload_content_encoding": "base64",
        }))
    }

    /// Creates a container and returns its href.
    ///
    /// # Panics
    /// When it is not created.
    #[must_use]
    #[track_caller]
    pub fn contain(&self, container: &Value) -> String {
        let answer = self.post("/v1/containers").json(container).send().expect(201);
        let href = answer.string("container_ref");
        assert_eq!(answer.header("Location"), Some(href.as_str()), "{answer}");
        assert_eq!(answer.json(), json!({ "container_ref": href }));
        href
    }

    /// Gives a secret its payload.
    #[must_use]
    pub fn put_payload(&self, href: &str, content_type: &str, payload: &[u8]) -> Answer {
        self.put(href).payload(content_type, payload).send()
    }

    /// A secret's metadata.
    ///
    /// # Panics
    /// When there is no such secret.
    #[must_use]
    #[track_caller]
    pub fn describe(&self, href: &str) -> Value {
        self.get(href).send().expect(200).json()
    }

    /// A secret's payload as bytes.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn payload(&self, href: &str) -> Vec<u8> {
        self.get(&format!("{href}/payload")).header("Accept", "application/octet-stream").send().expect(200).body
    }
}

/// Bytes in base64 as JSON bodies carry them.
#[must_use]
pub fn base64(bytes: &[u8]) -> String {
    use base64::Engine;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}

/// A moment so many seconds from now, as a request gives an expiration.
///
/// # Panics
/// When there is no `date`.
#[must_use]
pub fn in_seconds(seconds: u64) -> String {
    let at = SystemTime::now() + Duration::from_secs(seconds);
    let seconds = at.duration_since(SystemTime::UNIX_EPOCH).expect("a time after 1970").as_secs();
    let command = ["-u", "-d", &format!("@{seconds}"), "+%Y-%m-%dT%H:%M:%S"];
    let text = process::run(Command::new("date").args(command)).expect("what date prints");
    String::from_utf8_lossy(&text).trim().to_owned()
}
