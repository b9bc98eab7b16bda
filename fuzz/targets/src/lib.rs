//! What is fuzzed: a function for each reader of bytes that others made or may have altered.
//!
//! Each takes any bytes, says whether they were taken for something, and panics when a promise is broken. libFuzzer
//! calls them (`fuzz/fuzz_targets/`), and so does a test that needs nothing but cargo (`tests/bounded.rs`).
//! `fuzz/README.md` tells how to run either. Start reading at [`TARGETS`].
//!
//! It is no place for parsers: those live in the crates that need them.

pub mod api;
pub mod auth;
pub mod certificate;
pub mod envelope;
mod fixture;
pub mod http;
pub mod kmip;
pub mod mutate;
pub mod pkcs11;
pub mod queue;
pub mod reference;

/// Takes any bytes; whether they were taken for something.
pub type Reader = fn(&[u8]) -> bool;

/// One thing that is fuzzed.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Names its program in `fuzz_targets/` and its folder in `corpus/`.
    pub name: &'static str,
    pub run: Reader,
    /// What a corpus begins with; some of it is taken.
    pub seeds: fn() -> Vec<Vec<u8>>,
    /// How many altered inputs the bounded run tries: what takes a second or two.
    pub rounds: u32,
}

const fn target(name: &'static str, run: Reader, seeds: fn() -> Vec<Vec<u8>>, rounds: u32) -> Target {
    Target { name, run, seeds, rounds }
}

/// Everything that is fuzzed.
pub static TARGETS: [Target; 21] = [
    target("accept", api::accept, api::accept_seeds, 20_000),
    target("certification_request", certificate::request, certificate::request_seeds, 20_000),
    target("expiration", api::expiration, api::expiration_seeds, 50_000),
    target("http", http::request, http::request_seeds, 2_000),
    target("json", api::json, api::json_seeds, 20_000),
    target("kmip_marks", kmip::marks, kmip::marks_seeds, 20_000),
    target("kmip_object", kmip::object, kmip::object_seeds, 5_000),
    target("kmip_reference", kmip::reference, kmip::reference_seeds, 20_000),
    target("kmip_ttlv", kmip::ttlv, kmip::ttlv_seeds, 20_000),
    target("pkcs11_ciphertext", pkcs11::ciphertext, pkcs11::ciphertext_seeds, 20_000),
    target("pkcs11_wrapping", pkcs11::wrapping, pkcs11::wrapping_seeds, 20_000),
    target("queue_content", queue::content, queue::content_seeds, 20_000),
    target("queue_keys", queue::keys, queue::keys_seeds, 5_000),
    target("queue_reply", queue::reply, queue::reply_seeds, 5_000),
    target("queue_request", queue::request, queue::request_seeds, 1_000),
    target("sealed_reference", reference::sealed, reference::sealed_seeds, 20_000),
    target("simple_ciphertext", envelope::ciphertext, envelope::ciphertext_seeds, 10_000),
    target("simple_reference", envelope::reference, envelope::reference_seeds, 10_000),
    target("simple_wrapping", envelope::wrapping, envelope::wrapping_seeds, 10_000),
    target("static_token", auth::static_token, auth::static_token_seeds, 50_000),
    target("traceparent", api::traceparent, api::traceparent_seeds, 50_000),
];
