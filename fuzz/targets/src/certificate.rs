//! Requests for certificates, which whoever may give orders sends.

use std::sync::{Arc, LazyLock};

use bailey_ca_plugin::local::{Config, LocalCa, Parts, ProfileConfig, SoftwareKeys};
use bailey_core::ca::{CaKeyType, CertificateAuthority as _, Issuance, IssuanceRequest, Keys};
use bailey_core::clock::Clock;
use bailey_testkit::memory::{MemoryKeys, MemoryLedger};
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{
    BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
    PKCS_ECDSA_P256_SHA256, PKCS_ED25519,
};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::FromDer as _;

use crate::fixture::{id, project, wait};

/// What the one profile grants.
const VALID_HOURS: u32 = 24;
const DOMAIN: &str = ".example.test";
/// A private key that signs every seed with Ed25519, so that they are always the same; PKCS#8.
const ED25519: &str = "-----BEGIN PRIVATE KEY-----
MC4CAQAwBQYDK2VwBCIEIAUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFBQUF
-----END PRIVATE KEY-----";

static CA: LazyLock<(LocalCa, DateTime<Utc>)> = LazyLock::new(|| wait(ca()));

async fn ca() -> (LocalCa, DateTime<Utc>) {
    let profile = ProfileConfig {
        dns: vec![format!("**{DOMAIN}")],
        valid_hours: VALID_HOURS,
        backdate_seconds: 0,
        ..ProfileConfig::default()
    };
    let config = Config {
        subject: "CN=Fuzzed".to_owned(),
        key_type: CaKeyType::EcP256,
        profiles: vec![profile],
        ..Config::default()
    };
    let keys: Arc<dyn Keys> = Arc::new(MemoryKeys::default());
    let signing = Arc::new(SoftwareKeys(Arc::clone(&keys)));
    let parts = Parts { keys, signing, ledger: Arc::new(MemoryLedger::default()), clock: Clock::system() };
    let ca = LocalCa::new(id(3), "fuzzed", &config, parts).expect("a CA");
    let now = Utc::now();
    ca.init(&config.authority(now - TimeDelta::hours(1)).expect("a subject"), None).await.expect("a first generation");
    (ca, now)
}

/// A request to a CA of Bailey's own: nothing is in the certificate but what the profile grants, whatever was asked for.
pub fn request(bytes: &[u8]) -> bool {
    let (ca, now) = &*CA;
    let request = IssuanceRequest {
        id: id(4),
        project: project(),
        profile: None,
        csr: bytes.to_vec(),
        requested_at: *now,
        replaces: None,
    };
    match wait(ca.issue(&request)).expect("a CA that answers") {
        Issuance::Issued(issued) => {
            is_granted(bytes, &issued.certificate, *now);
            true
        }
        Issuance::Rejected(_) => false,
        Issuance::Pending(_) => panic!("nobody is asked"),
    }
}

/// Panics unless the certificate says what was asked for as far as that is granted, and nothing beyond.
fn is_granted(csr: &[u8], certificate: &[u8], requested_at: DateTime<Utc>) {
    let (_, asked) = X509CertificationRequest::from_der(csr).expect("a request");
    let (rest, made) = parse_x509_certificate(certificate).expect("a certificate");
    assert!(rest.is_empty());
    assert_eq!(made.public_key().raw, asked.certification_request_info.subject_pki.raw, "another key");
    let (from, until) = (requested_at.timestamp(), requested_at.timestamp() + i64::from(VALID_HOURS) * 3600);
    let validity = made.validity();
    assert_eq!((validity.not_before.timestamp(), validity.not_after.timestamp()), (from, until));
    assert!(made.subject().iter().count() <= 1 && made.subject().iter_common_name().count() <= 1);
    let mut names = 0;
    for extension in made.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::BasicConstraints(constraints) => assert!(!constraints.ca, "a CA"),
            ParsedExtension::KeyUsage(usage) => assert_eq!(usage.flags, 1, "more than signatures"),
            ParsedExtension::ExtendedKeyUsage(usage) => {
                assert!(usage.server_auth && !usage.client_auth && !usage.any && !usage.code_signing);
                assert!(
                    !usage.email_protection && !usage.time_stamping && !usage.ocsp_signing && usage.other.is_empty()
                );
            }
            ParsedExtension::SubjectAlternativeName(told) => {
                let is_ours =
                    |name: &GeneralName<'_>| matches!(name, GeneralName::DNSName(host) if host.ends_with(DOMAIN));
                assert!(told.general_names.iter().all(is_ours), "{:?}", told.general_names);
                names += told.general_names.len();
            }
            ParsedExtension::AuthorityKeyIdentifier(_) | ParsedExtension::SubjectKeyIdentifier(_) => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(names > 0, "a server without a name");
}

/// What a corpus of requests begins with: some that are granted, some that ask for more, and some that are none.
pub fn request_seeds() -> Vec<Vec<u8>> {
    let key = KeyPair::from_pkcs8_pem_and_sign_algo(ED25519, &PKCS_ED25519).expect("a key");
    let seed = |names: &[&str], change: &dyn Fn(&mut CertificateParams)| {
        let names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(names).expect("names");
        params.distinguished_name.remove(DnType::CommonName);
        change(&mut params);
        params.serialize_request(&key).expect("a request").der().to_vec()
    };
    let plain = seed(&["a.example.test"], &|_| {});
    let ca = seed(&["b.example.test"], &|params| {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::Any, ExtendedKeyUsagePurpose::CodeSigning];
    });
    let called = seed(&[], &|params| params.distinguished_name.push(DnType::CommonName, "c.example.test"));
    let elsewhere = seed(&["a.example.org", "a.example.test", "10.0.0.1"], &|_| {});
    let another =
        seed(&["a.example.test"], &|params| params.distinguished_name.push(DnType::OrganizationName, "Other"));
    let mut unsigned = plain.clone();
    unsigned[40] ^= 1;
    let followed = [&plain[..], &[0]].concat();
    let curve = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).expect("a key");
    let names = CertificateParams::new(vec!["d.example.test".to_owned()]).expect("names");
    let curve = names.serialize_request(&curve).expect("a request").der().to_vec();
    vec![plain, ca, called, elsewhere, another, unsigned, followed, curve]
}
