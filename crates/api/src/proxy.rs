//! What proxies in front tell of a request, and which of them are believed: anybody can send the
//! headers, so they count only when the connection comes from a trusted address.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use actix_web::dev::RequestHead;
use actix_web::http::header::HeaderName;
use serde::{Deserialize, Serialize};

use crate::extract::header;

/// The scheme that the client used.
pub const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// The `Host` that the client sent.
pub const HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
/// The path below which a proxy shows this service.
pub const PREFIX: HeaderName = HeaderName::from_static("x-forwarded-prefix");
const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// Addresses with the same beginning, such as `10.0.0.0/8`; a single one without the slash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network {
    address: IpAddr,
    length: u32,
}

impl Network {
    /// Whether the address is one of them. IPv4 addresses written as IPv6 count as what they are.
    #[must_use]
    pub fn contains(self, address: IpAddr) -> bool {
        match (self.address, address.to_canonical()) {
            (IpAddr::V4(ours), IpAddr::V4(other)) => (ours.to_bits() ^ other.to_bits()).leading_zeros() >= self.length,
            (IpAddr::V6(ours), IpAddr::V6(other)) => (ours.to_bits() ^ other.to_bits()).leading_zeros() >= self.length,
            _ => false,
        }
    }

    /// Whether no bit is set that the length says nothing about: those are typing errors.
    fn is_exact(self) -> bool {
        match self.address {
            IpAddr::V4(address) => address.to_bits().trailing_zeros() >= 32 - self.length,
            IpAddr::V6(address) => address.to_bits().trailing_zeros() >= 128 - self.length,
        }
    }
}

impl FromStr for Network {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither an address nor a network such as 10.0.0.0/8");
        let (address, length) = text.split_once('/').map_or((text, None), |(address, length)| (address, Some(length)));
        let address: IpAddr = address.parse().map_err(|_| wrong())?;
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let length = length.map_or(Ok(longest), str::parse).map_err(|_| wrong())?;
        let network = Self { address, length };
        if length > longest || !network.is_exact() { Err(wrong()) } else { Ok(network) }
    }
}

impl TryFrom<String> for Network {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.to_string()
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.address, self.length)
    }
}

/// What the proxy says in one of its headers; `None` unless it is trusted and says something. Of a list,
/// the first entry is what the proxy next to the client saw.
#[must_use]
pub fn told(head: &RequestHead, trusted: &[Network], name: HeaderName) -> Option<String> {
    if trusted.is_empty() || !is_trusted(trusted, head.peer_addr?.ip()) {
        return None;
    }
    let list = header(head.headers(), name)?;
    let first = list.split(',').next().unwrap_or_default().trim();
    (!first.is_empty()).then(|| first.to_owned())
}

/// The client's address: the nearest one that is not a trusted proxy's. What stands left of it in
/// `X-Forwarded-For` anybody may have written.
#[must_use]
pub fn client(head: &RequestHead, trusted: &[Network]) -> Option<IpAddr> {
    let mut client = head.peer_addr?.ip().to_canonical();
    let hops = head.headers().get_all(FOR).filter_map(|value| value.to_str().ok());
    let hops: Vec<&str> = hops.flat_map(|list| list.split(',')).collect();
    let mut hops = hops.into_iter().rev();
    while is_trusted(trusted, client) {
        match hops.next().and_then(address) {
            Some(before) => client = before,
            None => break,
        }
    }
    Some(client)
}

fn is_trusted(trusted: &[Network], address: IpAddr) -> bool {
    trusted.iter().any(|network| network.contains(address))
}

/// An address, perhaps with a port: some proxies write it.
fn address(text: &str) -> Option<IpAddr> {
    let text = text.trim();
    let with_port = || text.parse().map(|address: std::net::SocketAddr| address.ip());
    let bracketed = || text.trim_start_matches('[').trim_end_matches(']').parse();
    text.parse().or_else(|_| with_port()).or_else(|_| bracketed()).ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::net::SocketAddr;

    use actix_web::test::TestRequest;

    use super::*;

    fn networks(texts: &[&str]) -> Vec<Network> {
        texts.iter().map(|text| text.parse().unwrap()).collect()
    }

    fn request(peer: &str, headers: &[(&'static str, &str)]) -> actix_web::HttpRequest {
        let peer = SocketAddr::new(peer.parse().unwrap(), 1);
        let request = TestRequest::default().peer_addr(peer);
        headers.iter().fold(request, |request, header| request.append_header(*header)).to_http_request()
    }

    #[test]
    fn networks_contain_what_begins_alike() {
        for (network, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("192.0.2.7", "192.0.2.7", "192.0.2.6"),
            ("192.0.2.4/31", "::ffff:192.0.2.5", "192.0.2.6"),
            ("0.0.0.0/0", "1.2.3.4", "::1"),
            ("fd00::/8", "fdff::1", "fe00::"),
            ("::/0", "2001:db8::1", "1.2.3.4"),
            ("::1", "::1", "::2"),
        ] {
            let network: Network = network.parse().unwrap();
            assert!(network.contains(inside.parse().unwrap()), "{inside} in {network}");
            assert!(!network.contains(outside.parse().unwrap()), "{outside} not in {network}");
            assert_eq!(network.to_string().parse(), Ok(network));
        }
        for text in ["", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0/8", "::1/64", "proxy", "10.0.0.0/8/8"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }

    #[test]
    fn only_a_trusted_proxy_is_believed() {
        let trusted = networks(&["10.0.0.0/8"]);
        for (peer, value, expected) in [
            ("10.0.0.1", "https", Some("https")),
            ("10.0.0.1", " https , http", Some("https")),
            ("10.0.0.1", "", None),
            ("192.0.2.1", "https", None),
        ] {
            let request = request(peer, &[("x-forwarded-proto", value)]);
            assert_eq!(told(request.head(), &trusted, PROTO).as_deref(), expected, "{peer} {value}");
            assert_eq!(told(request.head(), &[], PROTO), None, "{peer} {value}");
        }
    }

    #[test]
    fn the_client_is_the_nearest_that_is_not_trusted() {
        let trusted = networks(&["10.0.0.0/8", "fd00::/8"]);
        let cases: [(&str, &[&str], &str); 9] = [
            ("192.0.2.1", &["198.51.100.1"], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.1"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.1, 10.0.0.2"], "198.51.100.1"),
            ("10.0.0.1", &["203.0.113.9", "198.51.100.1,fd00::1"], "198.51.100.1"),
            ("10.0.0.1", &["198.51.100.1:4711"], "198.51.100.1"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.1, unknown"], "10.0.0.1"),
        ];
        for (peer, lines, expected) in cases {
            let headers: Vec<_> = lines.iter().map(|line| ("x-forwarded-for", *line)).collect();
            let client = client(request(peer, &headers).head(), &trusted);
            assert_eq!(client, Some(expected.parse().unwrap()), "{peer} {lines:?}");
        }
    }
}
