//! What servers newer than the Pebble that there is also do: renewal information (RFC 9773) and profiles.
//!
//! Pebble passes over fields that it doesn't know, and a request that was signed can't be changed on its way. So what
//! stands before it checks `replaces` and `profile` of new orders, as such a server would, and lets them through as
//! they came; what Pebble issues has no trace of them.

use std::collections::BTreeSet;

use anyhow::{Context as _, Result};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, SecondsFormat, Utc};
use serde_json::{Value, json};

/// Where renewal information is.
const INFORMATION: &str = "/renewal-info/";
/// Where Pebble takes orders.
const NEW_ORDER: &str = "/order-plz";

#[derive(Default)]
pub(super) struct Newer {
    profiles: Vec<String>,
    pub(super) window: Option<(DateTime<Utc>, DateTime<Utc>)>,
    pub(super) retry_after: u32,
    /// What was asked about.
    pub(super) asked: Vec<String>,
    /// The payloads of orders that Pebble took.
    pub(super) ordered: Vec<Value>,
    replaced: BTreeSet<String>,
}

impl Newer {
    pub(super) fn new(profiles: &[&str]) -> Self {
        Self { profiles: profiles.iter().map(|name| (*name).to_owned()).collect(), ..Self::default() }
    }

    /// The answer to what Pebble isn't asked.
    pub(super) fn answer(&mut self, path: &str, request: &[u8]) -> Result<Option<Vec<u8>>> {
        if let Some(name) = path.strip_prefix(INFORMATION) {
            self.asked.push(name.to_owned());
            let time = |time: DateTime<Utc>| time.to_rfc3339_opts(SecondsFormat::Secs, true);
            return Ok(Some(match self.window {
                Some((start, end)) => {
                    let window = json!({"suggestedWindow": {"start": time(start), "end": time(end)}});
                    let retry = format!("Retry-After: {}\r\n", self.retry_after);
                    answer("200 OK", "application/json", &retry, &window)
                }
                None => problem("500 Internal Server Error", "serverInternal", "It is out of order"),
            }));
        }
        let Some(order) = order(path, request)? else { return Ok(None) };
        let refused = match (order["profile"].as_str(), order["replaces"].as_str()) {
            (Some(profile), _) if !self.profiles.iter().any(|known| known == profile) => {
                Some(problem("400 Bad Request", "invalidProfile", "There is no such profile"))
            }
            (_, Some(name)) if !is_name(name) => Some(problem("400 Bad Request", "malformed", "No certificate's name")),
            (_, Some(name)) if self.replaced.contains(name) => {
                Some(problem("409 Conflict", "alreadyReplaced", "Another order takes its place"))
            }
            _ => None,
        };
        Ok(refused)
    }

    /// Pebble's answer, with what a newer server would have said, too.
    pub(super) fn amend(&mut self, path: &str, host: &str, request: &[u8], told: Vec<u8>) -> Result<Vec<u8>> {
        if let Some(order) = order(path, request)?
            && told.starts_with(b"HTTP/1.1 201")
        {
            self.replaced.extend(order["replaces"].as_str().map(str::to_owned));
            self.ordered.push(order);
        }
        if path != "/dir" {
            return Ok(told);
        }
        let at = told.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("no answer")? + 4;
        let mut directory: Value = serde_json::from_slice(&told[at..])?;
        directory["renewalInfo"] = format!("https://{host}{}", INFORMATION.trim_end_matches('/')).into();
        let profiles = self.profiles.iter().map(|name| (name.clone(), json!("what it is for")));
        directory["meta"]["profiles"] = Value::Object(profiles.collect());
        Ok(answer("200 OK", "application/json", "", &directory))
    }
}

/// The payload of a new order, if a request is one.
fn order(path: &str, request: &[u8]) -> Result<Option<Value>> {
    if path != NEW_ORDER {
        return Ok(None);
    }
    let at = request.windows(4).position(|bytes| bytes == b"\r\n\r\n").context("no request")? + 4;
    let signed: Value = serde_json::from_slice(&request[at..])?;
    let payload = URL_SAFE_NO_PAD.decode(signed["payload"].as_str().context("no payload")?)?;
    Ok(Some(serde_json::from_slice(&payload)?))
}

/// Whether it is the base64 of a key's identifier and of a serial number (RFC 9773, section 4.1).
fn is_name(name: &str) -> bool {
    let is_part = |part: &str| URL_SAFE_NO_PAD.decode(part).is_ok_and(|bytes| !bytes.is_empty());
    name.split_once('.').is_some_and(|(issuer, serial)| is_part(issuer) && is_part(serial))
}

fn problem(status: &str, kind: &str, detail: &str) -> Vec<u8> {
    let problem = json!({"type": format!("urn:ietf:params:acme:error:{kind}"), "detail": detail});
    answer(status, "application/problem+json", "", &problem)
}

fn answer(status: &str, kind: &str, headers: &str, body: &Value) -> Vec<u8> {
    let body = body.to_string();
    let length = body.len();
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n{headers}Connection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
