//! An HTTP client that adds nothing to what it is told to send: the API distinguishes an absent
//! `Accept` from `*/*`, and half of what is tested is what no ordinary client would send.

mod wire;

use std::fmt;
use std::io;
use std::net::SocketAddr;

use serde_json::Value;

pub use wire::{exchange, read_answer};

/// A server, and who asks it.
#[derive(Debug, Clone)]
pub struct Client {
    address: SocketAddr,
    headers: Vec<(String, String)>,
}

impl Client {
    /// A client that says nothing of itself.
    #[must_use]
    pub fn anonymous(address: SocketAddr) -> Self {
        Self { address, headers: Vec::new() }
    }

    /// A client that sends this header with each request.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same client of another server.
    #[must_use]
    pub fn at(mut self, address: SocketAddr) -> Self {
        self.address = address;
        self
    }

    /// The same client with other roles; they are believed in no-auth mode only.
    #[must_use]
    pub fn with_roles(&self, roles: &str) -> Self {
        self.clone().with("X-Roles", roles)
    }

    /// The same client asking for a microversion.
    #[must_use]
    pub fn with_microversion(&self, version: &str) -> Self {
        self.clone().with("OpenStack-API-Version", &format!("key-manager {version}"))
    }

    /// Where the server listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What hrefs begin with when they follow the request.
    #[must_use]
    pub fn base(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A request for `target`: a path, or an href of this server.
    #[must_use]
    pub fn request(&self, method: &str, target: &str) -> Request {
        let target = target.strip_prefix(&self.base()).unwrap_or(target);
        Request {
            address: self.address,
            method: method.to_owned(),
            target: target.to_owned(),
            headers: self.headers.clone(),
            body: None,
        }
    }

    /// A GET request.
    #[must_use]
    pub fn get(&self, target: &str) -> Request {
        self.request("GET", target)
    }

    /// A POST request.
    #[must_use]
    pub fn post(&self, target: &str) -> Request {
        self.request("POST", target)
    }

    /// A PUT request.
    #[must_use]
    pub fn put(&self, target: &str) -> Request {
        self.request("PUT", target)
    }

    /// A DELETE request.
    #[must_use]
    pub fn delete(&self, target: &str) -> Request {
        self.request("DELETE", target)
    }
}

/// A request that is being put together.
#[derive(Debug, Clone)]
pub struct Request {
    address: SocketAddr,
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

impl Request {
    /// Sets a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.retain(|(present, _)| !present.eq_ignore_ascii_case(name));
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sets body and content type.
    #[must_use]
    pub fn payload(self, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        self.header("Content-Type", content_type).body(body)
    }

    /// Sets a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.payload("application/json", body.to_string())
    }

    /// The request as it goes over the wire.
    #[must_use]
    pub fn bytes(&self) -> Vec<u8> {
        let mut head = format!("{} {} HTTP/1.1\r\n", self.method, self.target);
        if !self.headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("Host")) {
            head += &format!("Host: {}\r\n", self.address);
        }
        for (name, value) in &self.headers {
            head += &format!("{name}: {value}\r\n");
        }
        if let Some(body) = &self.body {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        let mut bytes = (head + "Connection: close\r\n\r\n").into_bytes();
        bytes.extend(self.body.iter().flatten());
        bytes
    }

    /// Sends it and reads the answer.
    ///
    /// # Errors
    /// When the connection breaks or what comes back is no HTTP.
    pub fn try_send(&self) -> io::Result<Answer> {
        exchange(self.address, &self.bytes()).map(|answer| Answer { request: self.to_string(), ..answer })
    }

    /// Sends it and reads the answer.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    pub fn send(&self) -> Answer {
        self.try_send().unwrap_or_else(|error| panic!("{self}: {error}"))
    }
}

impl fmt::Display for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let target: String = self.target.chars().take(200).collect();
        write!(f, "{} {target}", self.method)?;
        let body = self.body.as_deref().unwrap_or_default();
        let shown = &body[..body.len().min(200)];
        write!(f, " {:?} {:?}", self.headers, String::from_utf8_lossy(shown))
    }
}

/// What a server answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// What was asked, to be shown when the answer is not as expected.
    pub request: String,
    /// The status.
    pub status: u16,
    /// Names in lower case, and values.
    pub headers: Vec<(String, String)>,
    /// The body, with the transfer coding undone.
    pub body: Vec<u8>,
}

impl Answer {
    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let name = name.to_ascii_lowercase();
        self.headers.iter().find(|(present, _)| *present == name).map(|(_, value)| value.as_str())
    }

    /// The body as text.
    #[must_use]
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{self}: {error}"))
    }

    /// The answer itself, if its status is this one.
    ///
    /// # Panics
    /// When it isn't.
    #[must_use]
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self}");
        self
    }

    /// The string at `key` of the JSON body.
    ///
    /// # Panics
    /// When there is none.
    #[must_use]
    #[track_caller]
    pub fn string(&self, key: &str) -> String {
        self.json()[key].as_str().unwrap_or_else(|| panic!("no string `{key}` in {self}")).to_owned()
    }
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text: String = self.text().chars().take(600).collect();
        write!(f, "{} -> {} {text}", self.request, self.status)
    }
}
