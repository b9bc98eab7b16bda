//! Certificates of a CA of Bailey's own: orders for them beside key orders, and beside rcgen on nothing but threads.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow};
use rcgen::{CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use serde_json::{Value, json};

use crate::orders;
use crate::run::Stage;
use crate::subject::PROJECTS;

const CAS: &str = r#"
    [[cas]]
    name = "root"
    kind = "local"
    subject = "CN=Root,O=Bench"

    [[cas]]
    name = "issuing"
    kind = "local"
    parent = "root"
    path_length = 0
    subject = "CN=Issuing,O=Bench"
    [[cas.profiles]]
    name = "server"
    dns = ["*.example.test"]
"#;
/// Whose all certificates are.
const HOST: &str = "www.example.test";

/// What several rounds measured; all of it a second, of the same Bailey in turns.
#[derive(Default)]
pub struct CertificateFigures {
    /// Orders for a certificate with an EC P-256 key that is made for it.
    pub made: Vec<f64>,
    /// The same, all for one project.
    pub of_one: Vec<f64>,
    /// Orders for a certificate that the client has a key and a request for.
    pub requested: Vec<f64>,
    /// Key orders.
    pub keys: Vec<f64>,
    /// Certificates that as many threads as processors sign, each for a key that is made for it.
    pub bare: Vec<f64>,
}

/// Measures all of it.
pub(crate) async fn measure(stage: &Stage<'_>) -> Result<CertificateFigures> {
    let installation = stage.installation("certificates")?.with_file(CAS)?;
    let _process = installation.start().await?;
    for name in ["root", "issuing"] {
        installation.run(&["ca", "init", name])?;
    }
    let cas: Value = serde_json::from_str(&installation.run(&["ca", "list", "--json"])?)?;
    let ca = cas.as_array().and_then(|cas| cas.iter().find(|ca| ca["name"] == "issuing"));
    let ca = &ca.context("the CA isn't there")?["id"];
    let made = json!({ "type": "certificate", "meta": {
        "name": "ordered", "ca_id": ca, "subject_dn": format!("CN={HOST}"), "subject_alt_names": [HOST] } });
    let requested = json!({ "type": "certificate", "meta": {
        "name": "ordered", "ca_id": ca, "request_type": "simple-cmc", "request_data": request()? } });
    let (client, count) = (installation.client(PROJECTS)?, stage.options().orders);
    let one = installation.client(1)?;
    let mut figures = CertificateFigures::default();
    for round in 0..stage.options().rounds {
        stage.say(&format!("certificates, round {} of {}", round + 1, stage.options().rounds));
        let (key, CertificateFigures { made: of_made, of_one, requested: of_requested, keys, .. }) =
            (orders::key(), &mut figures);
        let mut turns = [
            (&client, &made, of_made),
            (&one, &made, of_one),
            (&client, &requested, of_requested),
            (&client, &key, keys),
        ];
        // Nobody always comes first.
        turns.rotate_left(round % 4);
        for (client, order, figures) in turns {
            figures.push(orders::rate(client, order, count).await?);
        }
        figures.bare.push(bare_rate(stage.options().turn())?);
    }
    Ok(figures)
}

/// A client's request, in PEM.
fn request() -> Result<String> {
    Ok(params()?.serialize_request(&KeyPair::generate()?)?.pem()?)
}

fn params() -> Result<CertificateParams> {
    let mut params = CertificateParams::new([HOST.to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, HOST);
    Ok(params)
}

/// Certificates a second with nothing around them, by a thread for each processor for `time`.
///
/// # Errors
/// When one can't be signed.
pub fn bare_rate(time: Duration) -> Result<f64> {
    let threads = thread::available_parallelism()?.get();
    thread::scope(|scope| {
        let signers: Vec<_> = (0..threads).map(|_| scope.spawn(move || sign(time))).collect();
        signers.into_iter().map(|signer| signer.join().map_err(|_| anyhow!("a thread failed"))?).sum()
    })
}

/// What one thread signs a second. The last certificate it began counts, with the time it took.
fn sign(time: Duration) -> Result<f64> {
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let issuer = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let (begin, mut count) = (Instant::now(), 0.0);
    while begin.elapsed() < time {
        let key = KeyPair::generate()?;
        let _ = (params()?.signed_by(&key, &issuer)?.pem(), key.serialize_pem());
        count += 1.0;
    }
    Ok(count / begin.elapsed().as_secs_f64())
}
