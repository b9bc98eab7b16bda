//! The PIN: a few wrong ones lock a token.

use anyhow::{Result, ensure};
use bailey_core::store::StoreErrorKind::Unavailable;
use bailey_store_pkcs11::{Hsm, Pin};
use bailey_testkit::faulty::Faulty;

use crate::{Case, expect_failure, fixture};

pub async fn a_wrong_pin_is_presented_once(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    // One in which nobody has logged in yet.
    let library = Faulty::before(&case.inner)?;
    let mut config = fixture.config.clone();
    config.module = library.module();
    config.pin = Pin::new("wrong-pin-canary".to_owned());
    let hsm = Hsm::connect(&config);
    expect_failure(hsm.keys().await, Unavailable, "PinIncorrect")?;
    for _ in 0..5 {
        expect_failure(hsm.keys().await, Unavailable, "the token refused this PIN before")?;
    }
    let presented = library.calls("C_Login");
    ensure!(presented == 1, "presented {presented} times");
    Ok(())
}

pub async fn a_pin_that_is_put_right_is_found(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    // One in which nobody has logged in yet.
    let library = Faulty::before(&case.inner)?;
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("pin");
    let mut config = fixture.config.clone();
    config.module = library.module();
    config.pin = Pin::new(format!("file:{}", file.display()));
    let hsm = Hsm::connect(&config);
    expect_failure(hsm.keys().await, Unavailable, "can't be read")?;
    std::fs::write(&file, "wrong-pin-canary\n")?;
    expect_failure(hsm.keys().await, Unavailable, "PinIncorrect")?;
    std::fs::write(&file, format!("{}\n", case.target.pin))?;
    ensure!(hsm.keys().await?.len() == 2, "other keys than the fixture's");
    Ok(())
}
