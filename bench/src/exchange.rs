//! A request with the answer it must get.

use std::fmt::Write;
use std::net::SocketAddr;

use anyhow::{Result, ensure};

use crate::http::{Answer, find};

/// Digits of a number that makes each request of its kind unique.
const DIGITS: usize = 16;
const PLACE: &str = "################";

/// A request and what a right answer to it looks like.
#[derive(Clone)]
pub struct Exchange {
    request: Vec<u8>,
    number_at: Option<usize>,
    status: u16,
    body: Body,
}

/// What the body of a right answer looks like.
#[derive(Clone)]
pub enum Body {
    /// These bytes.
    Exactly(Vec<u8>),
    /// These bytes somewhere in it.
    Containing(Vec<u8>),
    /// So many secrets.
    Secrets(usize),
}

impl Exchange {
    /// A request whose answer has `status` and `body`. Where the target contains [`Exchange::NUMBER`],
    /// every sending of it carries another number.
    pub fn new(request: Vec<u8>, status: u16, body: Body) -> Self {
        let number_at = find(&request, PLACE.as_bytes());
        Exchange { request, number_at, status, body }
    }

    /// Stands in a request for a number that differs from one sending to the next.
    pub const NUMBER: &str = PLACE;

    /// Writes the request into `buffer`.
    pub fn write(&self, number: u64, buffer: &mut Vec<u8>) {
        buffer.clear();
        buffer.extend_from_slice(&self.request);
        if let Some(at) = self.number_at {
            let mut rest = number;
            for digit in buffer[at..at + DIGITS].iter_mut().rev() {
                *digit = b'0' + (rest % 10) as u8;
                rest /= 10;
            }
        }
    }

    /// Fails unless the answer is a right one.
    pub fn check(&self, answer: &Answer<'_>) -> Result<()> {
        let body = answer.body;
        ensure!(
            answer.status == self.status,
            "status {} instead of {}: {}",
            answer.status,
            self.status,
            String::from_utf8_lossy(body)
        );
        let right = match &self.body {
            Body::Exactly(bytes) => body == bytes,
            Body::Containing(bytes) => find(body, bytes).is_some(),
            Body::Secrets(count) => occurrences(body, b"\"secret_ref\"") == *count,
        };
        ensure!(right, "wrong body of {} bytes", body.len());
        Ok(())
    }
}

fn occurrences(mut haystack: &[u8], needle: &[u8]) -> usize {
    let mut count = 0;
    while let Some(at) = find(haystack, needle) {
        count += 1;
        haystack = &haystack[at + needle.len()..];
    }
    count
}

/// A request as it goes over the wire.
pub fn request(address: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)], body: &str) -> Vec<u8> {
    let mut text = format!("{method} {target} HTTP/1.1\r\nHost: {address}\r\n");
    for (name, value) in headers {
        let _ = write!(text, "{name}: {value}\r\n");
    }
    if !body.is_empty() {
        let _ = write!(text, "Content-Type: application/json\r\nContent-Length: {}\r\n", body.len());
    }
    text.push_str("\r\n");
    text.push_str(body);
    text.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &[u8]) -> Answer<'_> {
        Answer { status, body }
    }

    #[test]
    fn wrong_answers_do_not_count() {
        let exact = Exchange::new(vec![], 200, Body::Exactly(b"abc".to_vec()));
        assert!(exact.check(&answer(200, b"abc")).is_ok());
        assert!(exact.check(&answer(200, b"abd")).is_err());
        assert!(exact.check(&answer(200, b"abcd")).is_err());
        assert!(exact.check(&answer(503, b"abc")).is_err());
        let part = Exchange::new(vec![], 201, Body::Containing(b"bc".to_vec()));
        assert!(part.check(&answer(201, b"abcd")).is_ok());
        assert!(part.check(&answer(201, b"acbd")).is_err());
        let two = Exchange::new(vec![], 200, Body::Secrets(2));
        assert!(two.check(&answer(200, br#"[{"secret_ref":1},{"secret_ref":2}]"#)).is_ok());
        assert!(two.check(&answer(200, br#"[{"secret_ref":1}]"#)).is_err());
    }

    #[test]
    fn numbers_are_filled_in() {
        let address = ([127, 0, 0, 1], 80).into();
        let target = format!("/a{}", Exchange::NUMBER);
        let exchange = Exchange::new(request(address, "PUT", &target, &[], "{}"), 200, Body::Exactly(vec![]));
        let mut buffer = Vec::new();
        exchange.write(1234, &mut buffer);
        let text = String::from_utf8(buffer).unwrap();
        assert!(text.starts_with("PUT /a0000000000001234 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n"), "{text}");
        assert!(text.ends_with("Content-Length: 2\r\n\r\n{}"), "{text}");
    }
}
