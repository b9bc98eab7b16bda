//! Payloads are readable nowhere but in the answer.

use super::*;

pub(super) fn cases() -> Vec<StoreCase> {
    vec![
        case!(Needs::Nothing, no_payload_is_readable_outside),
        case!(Needs::Tampering, equal_payloads_are_stored_as_different_bytes),
    ]
}

async fn no_payload_is_readable_outside(fixture: Fixture) -> Result<()> {
    let store = fixture.instance().await?;
    let kept = keep(&*store, &fresh_project(), CANARY).await?;
    ensure!(!mentions(&kept.reference.0, CANARY), "the reference tells the payload");
    let dump = fixture.dump().await?;
    ensure!(!dump.iter().any(|part| mentions(part, CANARY)), "what it keeps tells the payload");
    // The search above means something only if the dump has what was stored.
    if let Some(tampering) = fixture.tampering() {
        let stored = tampering.read(kept.place.write).await?;
        ensure!(dump.iter().any(|part| mentions(part, &stored)), "the dump lacks what was stored");
    }
    Ok(())
}

async fn equal_payloads_are_stored_as_different_bytes(fixture: Fixture) -> Result<()> {
    let (store, project) = (fixture.instance().await?, fresh_project());
    let tampering = fixture.tampering().context("no way to what is stored")?;
    let mut stored = Vec::new();
    for _ in 0..3 {
        let kept = keep(&*store, &project, &[0x5a; 64]).await?;
        stored.push(tampering.read(kept.place.write).await?);
    }
    for (one, other) in [(0, 1), (0, 2), (1, 2)] {
        let shared = stored[one].windows(12).any(|part| stored[other].windows(12).any(|window| window == part));
        ensure!(!shared, "what is stored tells that two payloads are equal");
    }
    Ok(())
}
