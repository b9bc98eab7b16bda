//! `bailey hsm init`

use anyhow::{Context as _, Result, ensure};
use bailey_core::clock::Clock;
use bailey_core::sensitive::SecretText;
use bailey_store_pkcs11::{Hsm, Pin};

use super::Found;
use crate::audit_sink::{self, operator_event};
use crate::commands::admin::with_audit_trouble;
use crate::config::Config;
use crate::folder;

/// Makes a token of a free slot. Asks no database: there may be none yet.
pub fn run(config: &Config, (store, token): &Found, so_pin: &str) -> Result<()> {
    folder::prepare(&config.data_dir)?;
    let audit = audit_sink::open_for_command(&config.audit)?;
    let done = init(token, so_pin);
    let trouble = done.as_ref().err().map(|error| format!("{error:#}"));
    let target = Some(format!("stores/{}", store.name));
    let event = operator_event(Clock::system().now(), "hsm init", target, trouble);
    let done = done.inspect(|()| {
        eprintln!("there is a token {} for the store `{}` now: next, `bailey hsm generate`", token.token(), store.name);
    });
    with_audit_trouble(done, audit.write(&event).err())
}

fn init(token: &bailey_store_pkcs11::Config, so_pin: &str) -> Result<()> {
    let so_pin = read(so_pin)?;
    Ok(Hsm::init_token(token, &so_pin)?)
}

/// A PIN on the command line itself would be seen by whoever lists processes, and stay in the shell's history.
fn read(so_pin: &str) -> Result<SecretText> {
    let is_elsewhere = so_pin.starts_with("file:") || so_pin.starts_with("env:");
    ensure!(is_elsewhere, "say where the security officer's PIN is, as file:PATH or env:NAME, not the PIN itself");
    Pin::new(so_pin.to_owned()).read().context("the security officer's PIN can't be read")
}
