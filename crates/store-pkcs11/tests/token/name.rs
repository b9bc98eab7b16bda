//! Which token is meant.

use anyhow::{Context as _, Result, ensure};
use bailey_core::store::StoreErrorKind::Unavailable;
use bailey_store_pkcs11::Hsm;

use crate::fixture::slot;
use crate::{Case, expect_failure, fixture};

pub async fn a_token_is_found_by_its_serial_number(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let (library, slot) = slot(&case.target.module, &case.target.label)?.context("no such token")?;
    let mut config = fixture.config.clone();
    config.token_label.clear();
    config.token_serial = library.get_token_info(slot)?.serial_number().to_owned();
    ensure!(Hsm::connect(&config).keys().await?.len() == 2, "other keys than the fixture's");
    config.token_serial.push('0');
    expect_failure(Hsm::connect(&config).keys().await, Unavailable, "has no token with the serial number")
}

pub async fn a_label_that_two_tokens_have_names_neither(case: Case) -> Result<()> {
    let mut config = fixture(&case.target, |_| {}).await?.config;
    crate::TWINS.clone_into(&mut config.token_label);
    expect_failure(Hsm::connect(&config).keys().await, Unavailable, "name it by its serial number")
}
