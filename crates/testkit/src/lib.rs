//! What tests need beside the code they test: real servers ([`postgres`], [`nats`], [`keystone`], [`pykmip`],
//! [`pebble`], [`knot`]), real PKCS#11 tokens ([`softhsm`], [`kryoptic`]), a token and a KMIP server that go wrong when
//! told to ([`faulty`], [`hostile_kmip`]), a stand-in for one server that can't run here ([`ejbca`]), real clients
//! ([`clients`]), the built binary ([`binary`]), child processes that never outlive a test ([`process`]), certificates
//! ([`certificates`]) and free ports ([`ports`]).
//!
//! It is no place for tests of Bailey itself: those live beside the code and in `tests/`.

pub mod binary;
pub mod broken;
pub mod certificates;
pub mod clients;
pub mod conformance;
pub mod ejbca;
pub mod envelope;
pub mod faulty;
pub mod hostile_kmip;
pub mod keystone;
pub mod knot;
pub mod kryoptic;
pub mod memory;
pub mod nats;
pub mod openssl;
pub mod pebble;
pub mod ports;
pub mod postgres;
pub mod process;
pub mod pykmip;
pub mod softhsm;
pub mod token;
