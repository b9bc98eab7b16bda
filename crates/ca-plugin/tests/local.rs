//! What a local CA grants, and what may be below one.

#![allow(clippy::panic, clippy::unwrap_used, reason = "a test program")]

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use async_trait::async_trait;
use bailey_ca_plugin::local::{Config, LocalCa, Parts, ProfileConfig, SoftwareKeys, Usage};
use bailey_core::ca::{
    CaError, CaErrorKind, CaKey, CaKeyType, CertificateAuthority, Issuance, IssuanceRequest, Issued, Keys,
    NewSubAuthority, Revocation, RevocationLists as _, RevocationReason, SigningKeys,
};
use bailey_core::clock::Clock;
use bailey_core::ids::{CaId, IssuanceId, ProjectId};
use bailey_testkit::memory::{MemoryKeys, MemoryLedger};
use bailey_testkit::process;
use chrono::{DateTime, TimeDelta, Utc};
use rcgen::{CertificateParams, DnType, KeyPair, SanType};
use x509_parser::parse_x509_certificate;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

const MAILBOX: &[u64] = &[1, 2, 840, 113_549, 1, 9, 1];

fn wait<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn parts() -> Parts {
    let keys: Arc<dyn Keys> = Arc::new(MemoryKeys::default());
    let signing = Arc::new(SoftwareKeys(Arc::clone(&keys)));
    Parts { keys, signing, ledger: Arc::new(MemoryLedger::default()), clock: Clock::system() }
}

fn profile(usage: Usage, subject: &[&str]) -> ProfileConfig {
    ProfileConfig {
        usage,
        dns: vec!["*.example.test".into()],
        email: vec!["*@example.test".into()],
        uri: vec!["spiffe://example.test/**".into()],
        subject: subject.iter().map(|text| (*text).to_owned()).collect(),
        ..ProfileConfig::default()
    }
}

/// A CA with its first generation, below another one if there is one.
fn made(profile: ProfileConfig, path_length: u8, above: Option<&LocalCa>) -> LocalCa {
    let id = CaId::new();
    let subject = format!("CN={id}");
    let config = Config { subject, path_length, profiles: vec![profile], ..Config::default() };
    let ca = LocalCa::new(id, "ca", &config, parts()).unwrap();
    wait(ca.init(&config.authority(Utc::now() - TimeDelta::minutes(5)).unwrap(), above)).unwrap();
    ca
}

fn request(subject: &[(&[u64], &str)], names: Vec<SanType>) -> Vec<u8> {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    for (oid, value) in subject {
        params.distinguished_name.push(DnType::from_oid(oid), *value);
    }
    params.subject_alt_names = names;
    params.serialize_request(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
}

fn hosts(count: usize) -> Vec<SanType> {
    (0..count).map(|at| SanType::DnsName(format!("h{at}.example.test").try_into().unwrap())).collect()
}

fn asked(ca: &dyn CertificateAuthority, csr: Vec<u8>, at: DateTime<Utc>) -> Result<Issued, String> {
    let project = ProjectId::new("project").unwrap();
    let request =
        IssuanceRequest { id: IssuanceId::new(), project, profile: None, csr, requested_at: at, replaces: None };
    match wait(ca.issue(&request)).unwrap() {
        Issuance::Issued(issued) => Ok(issued),
        Issuance::Rejected(rejection) => Err(rejection.reason),
        Issuance::Pending(_) => panic!("nobody is asked"),
    }
}

#[test]
fn a_common_name_is_a_name_or_of_a_pattern() {
    const CN: &[u64] = &[2, 5, 4, 3];
    let long = format!("{}.example.test", "h".repeat(60));
    for usage in [Usage::Server, Usage::Client, Usage::Both, Usage::Code, Usage::Email] {
        let serves = matches!(usage, Usage::Server | Usage::Both);
        let plain = made(profile(usage, &["CN"]), 0, None);
        let patterned = made(profile(usage, &["CN=Ann *"]), 0, None);
        for (name, count, expected) in [
            ("postgres", 0, [false, false]),
            ("postgres", 1, [false, false]),
            ("h0.example.test", 1, [true, false]),
            ("h1.example.test", 1, [false, false]),
            ("h0.example.test", 0, [true, false]),
            ("Ann Other", 0, [false, !serves]),
            ("Ann Other", 1, [false, !serves]),
            (long.as_str(), 0, [false, false]),
        ] {
            let granted = [&plain, &patterned].map(|ca| asked(ca, request(&[(CN, name)], hosts(count)), Utc::now()));
            assert_eq!(granted.each_ref().map(Result::is_ok), expected, "{usage:?} {name} {count}: {granted:?}");
        }
    }
}

#[test]
fn subjects_are_of_their_patterns() {
    const O: &[u64] = &[2, 5, 4, 10];
    const C: &[u64] = &[2, 5, 4, 6];
    let ca = made(profile(Usage::Client, &["O=Example*", "O=Other", "C", "EMAILADDRESS"]), 0, None);
    for (oid, value, expected) in [
        (O, "Example Inc.", true),
        (O, "Example", false),
        (O, "Other", true),
        (O, "Others", false),
        (O, &*format!("Example{}", "x".repeat(249)), false),
        (C, "SE", true),
        (C, "Sweden", false),
        (MAILBOX, "ann@example.test", true),
        (MAILBOX, "ann@example.org", false),
        (MAILBOX, "änn@example.test", false),
        (&[2, 5, 4, 11], "Unit", false),
    ] {
        let granted = asked(&ca, request(&[(oid, value)], hosts(1)), Utc::now());
        assert_eq!(granted.is_ok(), expected, "{value}: {granted:?}");
    }
}

#[test]
fn requests_name_somebody_and_not_everybody() {
    let ca = made(profile(Usage::Client, &["CN"]), 0, None);
    assert!(asked(&ca, request(&[], Vec::new()), Utc::now()).unwrap_err().contains("nobody"));
    assert!(asked(&ca, request(&[], hosts(101)), Utc::now()).unwrap_err().contains("100"));
    asked(&ca, request(&[], hosts(100)), Utc::now()).unwrap();
}

#[test]
fn what_has_ended_is_not_issued() {
    let ca = made(ProfileConfig { valid_hours: 1, ..profile(Usage::Client, &[]) }, 0, None);
    let at = |minutes| asked(&ca, request(&[], hosts(1)), Utc::now() - TimeDelta::minutes(minutes));
    at(59).unwrap();
    assert!(at(61).unwrap_err().contains("too old"));
}

/// Makes a CA below another one, as projects do, has it issue, and has OpenSSL verify that.
fn verified_below(above: &LocalCa) -> Result<(), CaErrorKind> {
    let (id, name) = (CaId::new(), "below".to_owned());
    let new = NewSubAuthority { id, name, subject: "CN=Below".into(), requested_at: Utc::now() };
    let below = above.sub_authorities().unwrap();
    wait(below.create(&new)).map_err(|error| error.kind)?;
    let issued = asked(&*below.open(id, "below"), request(&[], hosts(1)), Utc::now()).unwrap();
    let root = wait(above.chain()).unwrap().pop().unwrap();
    let folder = tempfile::tempdir().unwrap();
    let pem = |name: &str, all: &[Vec<u8>]| {
        let certificates = all.iter().map(|der| {
            let mut openssl = process::command("openssl");
            let file = folder.path().join("der");
            std::fs::write(&file, der).unwrap();
            process::run(openssl.args(["x509", "-inform", "DER", "-in"]).arg(file)).unwrap()
        });
        let (path, text) = (folder.path().join(name), certificates.collect::<Vec<_>>().concat());
        std::fs::write(&path, text).unwrap();
        path
    };
    let mut openssl = process::command("openssl");
    openssl.arg("verify").arg("-CAfile").arg(pem("root", &[root]));
    openssl.arg("-untrusted").arg(pem("between", &issued.intermediates)).arg(pem("leaf", &[issued.certificate]));
    process::run(&mut openssl).unwrap();
    Ok(())
}

#[test]
fn every_ca_above_leaves_room_for_one_below() {
    let made = |path_length, above: Option<&LocalCa>| made(profile(Usage::Client, &[]), path_length, above);
    let none = made(0, None);
    assert_eq!(verified_below(&none), Err(CaErrorKind::Unsupported));
    let one = made(1, None);
    verified_below(&one).unwrap();
    assert_eq!(verified_below(&made(1, Some(&one))), Err(CaErrorKind::Unsupported));
    let two = made(2, None);
    let between = made(7, Some(&two));
    verified_below(&between).unwrap();
    assert_eq!(verified_below(&made(7, Some(&between))), Err(CaErrorKind::Unsupported));
}

/// What a CA's list tells: serial numbers, codes of reasons (RFC 5280, section 5.3.1) and times.
fn listed(ca: &LocalCa) -> Vec<(Vec<u8>, Option<u8>, i64)> {
    let list = wait(ca.revocation_list(None)).unwrap();
    let (_, read) = CertificateRevocationList::from_der(&list.der).unwrap();
    let told = read.iter_revoked_certificates();
    told.map(|one| {
        let reason = one.reason_code().map(|(_, reason)| reason.0);
        (one.raw_serial().to_vec(), reason, one.revocation_date.timestamp())
    })
    .collect()
}

fn serial(certificate: &[u8]) -> Vec<u8> {
    parse_x509_certificate(certificate).unwrap().1.raw_serial().to_vec()
}

#[test]
fn what_was_revoked_is_listed_for_a_period_after_its_end() {
    const DAY: i64 = 24 * 60;
    let (begun_at, minutes) = (Utc::now(), Arc::new(AtomicI64::new(0)));
    let passed = Arc::clone(&minutes);
    let clock = Clock::from_fn(move || begun_at + TimeDelta::minutes(passed.load(Ordering::SeqCst)));
    let profiles = vec![ProfileConfig { valid_hours: 1, ..profile(Usage::Client, &[]) }];
    let config = Config { subject: "CN=ca".into(), crl_days: 2, profiles, ..Config::default() };
    let ca = LocalCa::new(CaId::new(), "ca", &config, Parts { clock, ..parts() }).unwrap();
    wait(ca.init(&config.authority(begun_at).unwrap(), None)).unwrap();
    let certificate = asked(&ca, request(&[], hosts(1)), begun_at).unwrap().certificate;
    // Long after its end, and not in any list before: one is there all the same.
    minutes.store(60 + DAY, Ordering::SeqCst);
    let revocation = Revocation { certificate: certificate.clone(), reason: RevocationReason::Superseded };
    assert_eq!([(); 2].map(|()| wait(ca.revoke(&revocation)).unwrap()), [true, false]);
    for (at, is_listed) in [(60 + DAY, true), (60 + 2 * DAY - 1, true), (60 + 2 * DAY + 1, false)] {
        minutes.store(at, Ordering::SeqCst);
        let serials: Vec<_> = listed(&ca).into_iter().map(|(serial, ..)| serial).collect();
        let expected = if is_listed { vec![serial(&certificate)] } else { Vec::new() };
        assert_eq!(serials, expected, "{at} minutes later");
    }
}

/// Signing keys that can't be destroyed for a while.
struct Stuck {
    inner: SoftwareKeys,
    is_stuck: AtomicBool,
}

#[async_trait]
impl SigningKeys for Stuck {
    async fn make(&self, name: &str, key_type: CaKeyType) -> Result<Arc<dyn CaKey>, CaError> {
        self.inner.make(name, key_type).await
    }

    async fn find(&self, name: &str) -> Result<Arc<dyn CaKey>, CaError> {
        self.inner.find(name).await
    }

    async fn destroy(&self, name: &str) -> Result<(), CaError> {
        if self.is_stuck.load(Ordering::SeqCst) {
            return Err(CaError::new(CaErrorKind::Unavailable, "destroy CA key", "it is stuck"));
        }
        self.inner.destroy(name).await
    }
}

/// Where a certificate says that its revocation would be told.
fn pointers(certificate: &[u8]) -> BTreeSet<String> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), certificate).unwrap();
    let mut openssl = process::command("openssl");
    openssl.args(["x509", "-inform", "DER", "-noout", "-text", "-in"]).arg(file.path());
    let text = String::from_utf8(process::run(&mut openssl).unwrap()).unwrap();
    text.lines().filter(|line| line.contains("URI:")).map(|line| line.trim().to_owned()).collect()
}

#[test]
fn a_ca_is_revoked_before_its_key_is_destroyed() {
    let keys: Arc<dyn Keys> = Arc::new(MemoryKeys::default());
    let stuck = Arc::new(Stuck { inner: SoftwareKeys(Arc::clone(&keys)), is_stuck: AtomicBool::new(true) });
    let signing = Arc::clone(&stuck) as Arc<dyn SigningKeys>;
    let profiles = vec![profile(Usage::Client, &[])];
    let public_url = "http://keys.example.test/".to_owned();
    let config = Config { subject: "CN=root".into(), public_url, profiles, ..Config::default() };
    let (id, root) = (CaId::new(), CaId::new());
    let ca = LocalCa::new(root, "root", &config, Parts { keys, signing, ..parts() }).unwrap();
    wait(ca.init(&config.authority(Utc::now() - TimeDelta::minutes(5)).unwrap(), None)).unwrap();
    let new = NewSubAuthority { id, name: "below".into(), subject: "CN=Below".into(), requested_at: Utc::now() };
    let above = ca.sub_authorities().unwrap();
    let chain = wait(above.create(&new)).unwrap().chain;
    let url = "http://keys.example.test";
    let told = BTreeSet::from([format!("URI:{url}/crl/{root}/1"), format!("OCSP - URI:{url}/ocsp/{root}")]);
    assert_eq!([0, 1].map(|at: usize| pointers(&chain[at])), [told.clone(), BTreeSet::new()]);
    // One that an operator makes.
    let below = Config { subject: "CN=servers".into(), ..Config::default() };
    let servers = LocalCa::new(CaId::new(), "servers", &below, parts()).unwrap();
    wait(servers.init(&below.authority(Utc::now()).unwrap(), Some(&ca))).unwrap();
    assert_eq!(pointers(&wait(servers.chain()).unwrap()[0]), told);

    assert_eq!(listed(&ca), []);
    assert_eq!(wait(above.delete(id)).map_err(|error| error.kind), Err(CaErrorKind::Unavailable));
    let revoked = listed(&ca);
    let (serials, reasons): (Vec<_>, Vec<_>) =
        revoked.iter().map(|(serial, reason, _)| (serial.clone(), *reason)).unzip();
    assert_eq!((serials, reasons), (vec![serial(&chain[0])], vec![Some(5)]));
    wait(above.open(id, "below").health()).unwrap();
    stuck.is_stuck.store(false, Ordering::SeqCst);
    for _ in 0..2 {
        wait(above.delete(id)).unwrap();
    }
    wait(above.open(id, "below").health()).unwrap_err();
    assert_eq!(listed(&ca), revoked);
}
