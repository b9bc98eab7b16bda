//! Records made by a name server that takes updates (RFC 2136) signed with a key that it shares (TSIG, RFC 8945).

use std::time::Duration;

use async_trait::async_trait;
use bailey_core::ca::{CaError, CaErrorKind};
use bailey_core::sensitive::SecretBytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hickory_proto::op::{Message, ResponseCode, update_message};
use hickory_proto::rr::rdata::TXT;
use hickory_proto::rr::rdata::tsig::TsigAlgorithm;
use hickory_proto::rr::{Name, RData, Record, RecordSet, TSigVerifier, TSigner};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::super::client::unavailable;
use super::super::config::Config;
use super::Records;

const OPERATION: &str = "update DNS";
/// How far the server's clock may be off, as RFC 8945 recommends.
const FUDGE: u16 = 300;

pub(in super::super) struct Rfc2136 {
    server: String,
    zone: Name,
    key_name: Name,
    algorithm: TsigAlgorithm,
    key: SecretBytes,
    ttl: u32,
    wait: Duration,
    timeout: Duration,
}

impl Rfc2136 {
    /// # Errors
    /// What is wrong with the configuration, with its key.
    pub(in super::super) fn new(config: &Config) -> Result<Self, (&'static str, String)> {
        let server = config.dns_server.rsplit_once(':');
        if !server.is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok()) {
            return Err(("dns_server", "not HOST:PORT".to_owned()));
        }
        let name = |key: &'static str, text: &str| match text {
            "" | "." => Err((key, "there is none".to_owned())),
            text => absolute(text).ok_or_else(|| (key, "no name".to_owned())),
        };
        let algorithm = match config.dns_key_algorithm.as_str() {
            "hmac-sha256" => TsigAlgorithm::HmacSha256,
            "hmac-sha384" => TsigAlgorithm::HmacSha384,
            "hmac-sha512" => TsigAlgorithm::HmacSha512,
            _ => return Err(("dns_key_algorithm", "none of hmac-sha256, hmac-sha384, hmac-sha512".to_owned())),
        };
        let key = STANDARD.decode(config.dns_key.expose()).ok().filter(|key| !key.is_empty());
        Ok(Self {
            server: config.dns_server.clone(),
            zone: name("dns_zone", &config.dns_zone)?,
            key_name: name("dns_key_name", &config.dns_key_name)?,
            algorithm,
            key: SecretBytes::new(key.ok_or_else(|| ("dns_key", "not base64".to_owned()))?),
            ttl: config.dns_ttl_seconds,
            wait: Duration::from_secs(config.dns_wait_seconds.into()),
            timeout: config.timeout(),
        })
    }

    fn record(&self, name: &str, value: &str) -> Result<RecordSet, CaError> {
        let outside = || CaError::new(CaErrorKind::Internal, OPERATION, format!("{name} isn't in the zone"));
        let name = absolute(name).filter(|name| self.zone.zone_of(name)).ok_or_else(outside)?;
        Ok(Record::from_rdata(name, self.ttl, RData::TXT(TXT::new(vec![value.to_owned()]))).into())
    }

    async fn update(&self, mut message: Message) -> Result<(), CaError> {
        let internal = |what: String| CaError::new(CaErrorKind::Internal, OPERATION, what);
        let key = self.key.expose().to_vec();
        let signer = TSigner::new(key, self.algorithm.clone(), self.key_name.clone(), FUDGE);
        let signer = signer.map_err(|error| internal(error.to_string()))?;
        // The name server has a clock of its own: a test's can't stand for it.
        let now = u64::try_from(chrono::Utc::now().timestamp()).unwrap_or_default();
        let verifier = message.finalize(&signer, now).map_err(|error| internal(error.to_string()))?;
        let mut verifier = verifier.ok_or_else(|| internal("nothing was signed".to_owned()))?;
        let sent = message.to_vec().map_err(|error| internal(error.to_string()))?;
        let late = |_| unavailable(OPERATION, format!("{} gives no answer in time", self.server));
        let heard = tokio::time::timeout(self.timeout, exchange(&self.server, &sent)).await.map_err(late)?;
        let heard = heard.map_err(|error| unavailable(OPERATION, format!("{}: {error}", self.server)))?;
        judge(&heard, message.id, &mut verifier)
    }
}

#[async_trait]
impl Records for Rfc2136 {
    fn covers(&self, host: &str) -> bool {
        absolute(host).is_some_and(|name| self.zone.zone_of(&name))
    }

    fn wait(&self) -> Duration {
        self.wait
    }

    async fn add(&self, name: &str, value: &str) -> Result<(), CaError> {
        let record = self.record(name, value)?;
        self.update(update_message::append(record, self.zone.clone(), false, false)).await
    }

    async fn remove(&self, name: &str, value: &str) -> Result<(), CaError> {
        let record = self.record(name, value)?;
        self.update(update_message::delete_by_rdata(record, self.zone.clone(), false)).await
    }
}

fn absolute(text: &str) -> Option<Name> {
    let mut name = Name::from_ascii(text).ok()?;
    name.set_fqdn(true);
    Some(name)
}

/// Over TCP (RFC 7766): what is signed is longer than what every network lets through in a datagram.
async fn exchange(server: &str, sent: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(sent.len()).map_err(std::io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), sent].concat()).await?;
    let mut heard = vec![0; stream.read_u16().await?.into()];
    stream.read_exact(&mut heard).await?;
    Ok(heard)
}

/// What the server said. Only what it has signed with the same key counts as done.
fn judge(heard: &[u8], id: u16, verifier: &mut TSigVerifier) -> Result<(), CaError> {
    let plain = Message::from_vec(heard).map_err(|error| unavailable(OPERATION, error.to_string()))?;
    let code = plain.metadata.response_code;
    if plain.id != id {
        return Err(unavailable(OPERATION, "the answer is to another question"));
    }
    match code {
        ResponseCode::NoError => {
            let verified = verifier.verify(heard);
            verified.map_err(|error| unavailable(OPERATION, format!("the answer isn't the server's: {error}")))?;
            Ok(())
        }
        ResponseCode::ServFail => Err(unavailable(OPERATION, "the name server failed")),
        refused => Err(CaError::new(CaErrorKind::Internal, OPERATION, format!("the name server answers {refused}"))),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::secret::Secret;

    fn config() -> Config {
        Config {
            dns_server: "127.0.0.1:53".into(),
            dns_zone: "example.test".into(),
            dns_key_name: "bailey".into(),
            dns_key: Secret::new(STANDARD.encode([1; 32])),
            ..Config::default()
        }
    }

    #[test]
    fn only_names_in_the_zone_are_covered() {
        let dns = Rfc2136::new(&config()).map_err(|(key, _)| key).unwrap();
        assert!(dns.covers("example.test") && dns.covers("a.b.Example.test"));
        assert!(!dns.covers("example.org") && !dns.covers("notexample.test") && !dns.covers("test"));
        assert_eq!(dns.record("_acme-challenge.example.org", "v").unwrap_err().kind, CaErrorKind::Internal);
    }

    #[test]
    fn what_is_wrong_is_told_with_its_key() {
        let wrong = |change: fn(&mut Config)| {
            let mut config = config();
            change(&mut config);
            Rfc2136::new(&config).err().unwrap().0
        };
        assert_eq!(wrong(|config| config.dns_server = "ns.example.org".into()), "dns_server");
        assert_eq!(wrong(|config| config.dns_zone = String::new()), "dns_zone");
        assert_eq!(wrong(|config| config.dns_key_name = String::new()), "dns_key_name");
        assert_eq!(wrong(|config| config.dns_key_algorithm = "hmac-md5".into()), "dns_key_algorithm");
        assert_eq!(wrong(|config| config.dns_key = Secret::new("not base64!".into())), "dns_key");
    }
}
