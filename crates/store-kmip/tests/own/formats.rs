//! Reads what is at the server by what `docs/formats.md` says, with nothing of Bailey's own.

use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use bailey_core::spec::{SecretType, Spec};
use bailey_testkit::pykmip::PyKmip;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use super::{fresh_place, put, sql};
use crate::fixture::KmipFixture;

/// "What is authenticated".
fn context(domain: &str, fields: &[&[u8]]) -> Vec<u8> {
    let length = |bytes: &[u8]| u32::try_from(bytes.len()).unwrap_or_default().to_be_bytes();
    let mut context = [&length(domain.as_bytes())[..], domain.as_bytes(), &[1]].concat();
    for field in fields {
        context.extend(length(field));
        context.extend(*field);
    }
    context
}

pub async fn reference_and_attributes_are_as_the_page_says(server: Arc<PyKmip>) -> Result<()> {
    let fixture = KmipFixture::new(Arc::clone(&server), |_| ())?;
    let (place, payload) = (fresh_place(), b"correct horse");
    let reference = put(&fixture.open(), &place, (SecretType::Passphrase, &Spec::default()), payload).await?.0;
    ensure!(reference[..3] == [1, 2, 0] && reference[3..19] == *place.write.uuid().as_bytes(), "{reference:?}");
    let (code, id) = (&reference[19..51], std::str::from_utf8(&reference[51..])?);

    let (write, deployment, store) = (place.write, fixture.deployment, fixture.store);
    let named = format!("SELECT name FROM managed_object_names WHERE mo_uid = {id}");
    ensure!(sql(&server, &named)? == format!("{deployment}/{write}"), "another name");
    let described = format!("SELECT application_data FROM app_specific_info WHERE application_data LIKE '%{write}%'");
    let described = sql(&server, &described)?;
    let words: Vec<_> = described.split(' ').collect();
    let [version, of_store, secret, of_write, kind, outer, salt, of_code, project] = words[..] else {
        anyhow::bail!("{described}")
    };
    let told = [version, of_store, secret, of_write, kind, outer, project].map(str::to_owned);
    let project = place.project.as_str().replace(' ', "%20");
    let expected = ["1", &store.to_string(), &place.secret.to_string(), &write.to_string(), "2", "0", &project];
    ensure!(told == expected.map(str::to_owned), "{described}");
    ensure!(URL_SAFE_NO_PAD.decode(of_code)? == code, "another code than in the reference");

    let ids = [deployment.uuid(), store.uuid(), place.secret.uuid(), write.uuid()].map(|id| id.into_bytes());
    let [deployment, store, secret, write] = &ids;
    let fields: [&[u8]; 6] = [deployment, store, place.project.as_str().as_bytes(), secret, write, &[2, 0]];
    let mut mac = Hmac::<Sha256>::new_from_slice(&URL_SAFE_NO_PAD.decode(salt)?).context("a key of any length")?;
    mac.update(&[&context("bailey kmip payload", &fields)[..], payload].concat());
    mac.verify_slice(code).context("the code isn't over context and payload")
}
