//! A Pebble, what proves names to it, and what processes of Bailey share.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use async_trait::async_trait;
use bailey_ca_plugin::Secret;
use bailey_ca_plugin::acme::{AcmeCa, ChallengeKind, Config, DnsKind};
use bailey_core::ca::{
    CaError, CaErrorKind, CertificateAuthority, Issuance, IssuanceRequest, IssuanceState, Issued, Pending,
};
use bailey_core::clock::Clock;
use bailey_core::ids::{CaId, IssuanceId, ProjectId};
use bailey_testkit::conformance::certificate_authority::CaFixture;
use bailey_testkit::knot::{KEY_NAME, Knot, ZONE};
use bailey_testkit::memory::{MemoryChallenges, MemoryKeys, names};
use bailey_testkit::pebble::{Gate, Pebble, Responder, Settings};
use chrono::{SubsecRound as _, TimeDelta, Utc};
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// What the webhook wants to be shown.
const TOKEN: &str = "webhook-token-canary";

/// How names are proved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Proof {
    Http,
    Webhook,
    Rfc2136,
}

pub struct World {
    pub pebble: Arc<Pebble>,
    pub keys: Arc<MemoryKeys>,
    pub challenges: Arc<MemoryChallenges>,
    pub config: Config,
    /// How many seconds later it is than it was.
    later: Arc<AtomicI64>,
    id: CaId,
    _responder: Responder,
    _knot: Option<Knot>,
    webhook: Option<JoinHandle<()>>,
}

impl World {
    pub async fn start(proof: Proof, settings: Settings) -> Result<Self> {
        let knot = if proof == Proof::Rfc2136 { Some(Knot::start()?) } else { None };
        let dns = knot.as_ref().map(Knot::address);
        let pebble = Arc::new(tokio::task::block_in_place(|| Pebble::start(Settings { dns, ..settings }))?);
        let (keys, challenges) = (Arc::new(MemoryKeys::default()), Arc::new(MemoryChallenges::default()));
        let responder = Responder::start(pebble.http_port(), Arc::clone(&challenges) as _).await?;
        let mut config = Config {
            directory: pebble.directory(),
            ca_file: pebble.ca_file(),
            contacts: vec!["mailto:operator@example.test".into()],
            terms_agreed: true,
            timeout_seconds: 10.0,
            dns_wait_seconds: 0,
            ..Config::default()
        };
        let mut webhook = None;
        match (&knot, proof) {
            (Some(knot), _) => config = updates(config, knot),
            (None, Proof::Webhook) => {
                let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
                config.webhook_url = format!("http://{}/records", listener.local_addr()?);
                config.webhook_token = Secret::new(TOKEN.to_owned());
                config.dns = DnsKind::Webhook;
                webhook = Some(tokio::spawn(records(listener, Arc::clone(&pebble))));
            }
            (None, _) => {}
        }
        if proof != Proof::Http {
            config.challenges = vec![ChallengeKind::Dns01];
        }
        let id = CaId::new();
        let later = Arc::default();
        Ok(Self { pebble, keys, challenges, config, later, id, _responder: responder, _knot: knot, webhook })
    }

    /// The CA as another process has it.
    pub fn ca(&self) -> Result<AcmeCa> {
        let (keys, challenges) = (Arc::clone(&self.keys) as _, Arc::clone(&self.challenges) as _);
        let later = Arc::clone(&self.later);
        let clock = Clock::from_fn(move || Utc::now() + TimeDelta::seconds(later.load(Ordering::Relaxed)));
        Ok(AcmeCa::new(self.id, "acme", self.config.clone(), keys, challenges, clock)?)
    }

    /// Lets time pass for Bailey.
    pub fn pass(&self, seconds: i64) {
        self.later.fetch_add(seconds, Ordering::Relaxed);
    }

    /// Something that goes wrong between the CA and Pebble.
    pub fn gate(&mut self) -> Result<Gate> {
        let gate = Gate::before(&self.pebble)?;
        self.config.directory = gate.directory();
        Ok(gate)
    }

    /// Goes on until there is an end, each step by another process, `times` times over; what passes is tried again.
    /// The states that were kept come with it.
    pub async fn follow(&self, request: &IssuanceRequest, times: usize) -> Result<(Issuance, Vec<String>)> {
        self.follow_from(None, request, times).await
    }

    /// The same, from where it stands.
    pub async fn follow_from(
        &self,
        mut state: Option<IssuanceState>,
        request: &IssuanceRequest,
        times: usize,
    ) -> Result<(Issuance, Vec<String>)> {
        let mut states = Vec::new();
        for _ in 0..400 {
            let mut last = None;
            for _ in 0..times {
                let ca = self.ca()?;
                let outcome = match &state {
                    None => ca.issue(request).await,
                    Some(state) => ca.poll(request, state).await,
                };
                match outcome {
                    Ok(issuance) => last = Some(issuance),
                    Err(error) => ensure!(error.kind == CaErrorKind::Unavailable, "{error}"),
                }
            }
            match last {
                None => tokio::time::sleep(Duration::from_millis(50)).await,
                Some(Issuance::Pending(pending)) => {
                    tokio::time::sleep(pending.retry_after.min(Duration::from_secs(1))).await;
                    states.push(pending.state.0.clone());
                    state = Some(pending.state);
                }
                Some(end) => return Ok((end, states)),
            }
        }
        bail!("there is no end: {states:?}")
    }

    pub async fn issued_for(&self, request: &IssuanceRequest, times: usize) -> Result<Issued> {
        match self.follow(request, times).await?.0 {
            Issuance::Issued(issued) => Ok(issued),
            other => bail!("{other:?} instead of a certificate"),
        }
    }

    /// The same for what has begun.
    pub async fn issued_from(&self, state: IssuanceState, request: &IssuanceRequest) -> Result<Issued> {
        match self.follow_from(Some(state), request, 1).await?.0 {
            Issuance::Issued(issued) => Ok(issued),
            other => bail!("{other:?} instead of a certificate"),
        }
    }

    pub async fn rejection(&self, request: &IssuanceRequest) -> Result<String> {
        match self.follow(request, 1).await?.0 {
            Issuance::Rejected(rejection) => Ok(rejection.reason),
            other => bail!("{other:?} instead of a rejection"),
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if let Some(webhook) = &self.webhook {
            webhook.abort();
        }
    }
}

#[async_trait]
impl CaFixture for World {
    async fn instance(&self) -> Result<Arc<dyn CertificateAuthority>> {
        Ok(Arc::new(self.ca()?))
    }

    fn name(&self) -> String {
        names()
    }

    async fn root(&self) -> Result<Vec<u8>> {
        self.pebble.root(0)
    }

    async fn issued(&self) -> Result<u64> {
        Ok(self.pebble.issued())
    }
}

/// What is to be kept and waited for.
pub fn pending(outcome: Result<Issuance, CaError>) -> Result<Pending> {
    match outcome? {
        Issuance::Pending(pending) => Ok(pending),
        other => bail!("{other:?} instead of something to wait for"),
    }
}

/// A request for these names.
pub fn request(names: &[&str]) -> Result<(IssuanceRequest, KeyPair)> {
    let key = KeyPair::generate()?;
    Ok((request_for(names, &key)?, key))
}

pub fn request_for(names: &[&str], key: &KeyPair) -> Result<IssuanceRequest> {
    let mut params = CertificateParams::new(names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    let csr = params.serialize_request(key)?.der().to_vec();
    let requested_at = Utc::now().trunc_subsecs(6);
    Ok(IssuanceRequest {
        id: IssuanceId::new(),
        project: ProjectId::new("p")?,
        profile: None,
        csr,
        requested_at,
        replaces: None,
    })
}

/// The DNS names of a certificate.
pub fn certified(issued: &Issued) -> Result<BTreeSet<String>> {
    let (_, certificate) = x509_parser::parse_x509_certificate(&issued.certificate)?;
    let names = certificate.subject_alternative_name()?.context("a certificate without names")?;
    let text = |name: &x509_parser::extensions::GeneralName<'_>| match name {
        x509_parser::extensions::GeneralName::DNSName(host) => (*host).to_owned(),
        other => format!("{other:?}"),
    };
    Ok(names.value.general_names.iter().map(text).collect())
}

fn updates(config: Config, knot: &Knot) -> Config {
    Config {
        dns: DnsKind::Rfc2136,
        dns_server: knot.address().to_string(),
        dns_zone: ZONE.into(),
        dns_key_name: KEY_NAME.into(),
        dns_key: Secret::new(knot.key().to_owned()),
        ..config
    }
}

/// Makes records when told, as an operator's program does.
async fn records(listener: TcpListener, pebble: Arc<Pebble>) {
    while let Ok((stream, _)) = listener.accept().await {
        let pebble = Arc::clone(&pebble);
        tokio::spawn(async move { told(stream, &pebble).await });
    }
}

async fn told(mut stream: TcpStream, pebble: &Pebble) -> Result<()> {
    let (mut request, mut part) = (Vec::new(), [0; 4096]);
    let body = loop {
        let read = stream.read(&mut part).await?;
        ensure!(read > 0, "the client hung up");
        request.extend_from_slice(&part[..read]);
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((_, body)) = text.split_once("\r\n\r\n") else { continue };
        if let Ok(body) = serde_json::from_str::<Value>(body) {
            break body;
        }
    };
    let is_known = String::from_utf8_lossy(&request).contains(&format!("authorization: Bearer {TOKEN}\r\n"));
    let (name, value) = (body["name"].as_str().unwrap_or_default(), body["value"].as_str().unwrap_or_default());
    let done = match body["action"].as_str() {
        _ if !is_known => bail!("the token is wrong"),
        Some("add") => tokio::task::block_in_place(|| pebble.set_txt(name, value)),
        Some("remove") => tokio::task::block_in_place(|| pebble.clear_txt(name)),
        other => bail!("an action {other:?}"),
    };
    let status = if done.is_ok() { "204 No Content" } else { "500 Oops" };
    stream.write_all(format!("HTTP/1.1 {status}\r\nConnection: close\r\n\r\n").as_bytes()).await?;
    Ok(stream.shutdown().await?)
}
