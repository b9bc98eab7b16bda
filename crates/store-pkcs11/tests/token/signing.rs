//! Keys that sign for CAs.

use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use bailey_core::ca::{CaErrorKind, CaKey, CaKeyType};
use bailey_testkit::process;
use cryptoki::object::{Attribute, AttributeType, ObjectClass};

use crate::{Case, fixture};

const MESSAGE: &[u8] = b"a certificate that is to be signed";

pub async fn a_cas_key_signs_and_never_leaves(case: Case) -> Result<()> {
    let fixture = fixture(&case.target, |_| {}).await?;
    let keys = fixture.hsm.signing_keys("a CA's ");
    for (key_type, digest) in
        [(CaKeyType::EcP256, "-sha256"), (CaKeyType::EcP384, "-sha384"), (CaKeyType::Rsa3072, "-sha256")]
    {
        let name = format!("{key_type:?}");
        ensure!(keys.find(&name).await.is_err_and(|error| error.kind == CaErrorKind::NotFound), "it is there already");
        let (made, again) = (keys.make(&name, key_type).await?, keys.make(&name, key_type).await?);
        ensure!(made.public_key() == again.public_key(), "{name} is made twice");
        let found = keys.find(&name).await?;
        ensure!(found.public_key() == made.public_key(), "another {name} is found");
        verify(&*found, digest).await.context(name.clone())?;

        let private =
            [Attribute::Class(ObjectClass::PRIVATE_KEY), Attribute::Label(format!("a CA's {name}").into_bytes())];
        fixture.again(|session| {
            let private = session.find_objects(&private)?;
            let wanted = [AttributeType::Sensitive, AttributeType::Extractable, AttributeType::Token];
            let told = session.get_attributes(private[0], &wanted)?;
            let expected = [Attribute::Sensitive(true), Attribute::Extractable(false), Attribute::Token(true)];
            assert!(private.len() == 1 && expected.iter().all(|expected| told.contains(expected)), "{told:?}");
            Ok(())
        })?;
        keys.destroy(&name).await?;
        keys.destroy(&name).await?;
        ensure!(keys.find(&name).await.is_err(), "{name} is there after it was destroyed");
    }
    Ok(())
}

/// That OpenSSL takes what the key signs for its signature.
async fn verify(key: &dyn CaKey, digest: &str) -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = |name: &str, bytes: &[u8]| -> Result<_> {
        let path = folder.path().join(name);
        std::fs::write(&path, bytes)?;
        Ok(path)
    };
    let (public, message) = (file("public.der", key.public_key())?, file("message", MESSAGE)?);
    let signature = file("signature", &key.sign(MESSAGE).await?)?;
    let mut openssl = Command::new("openssl");
    openssl.args(["dgst", digest, "-keyform", "DER", "-verify"]).arg(public).arg("-signature").arg(signature);
    process::run(openssl.arg(message)).map(drop)
}
