//! HTTP/1.1 as far as a stand-in needs it.

use std::io;

use percent_encoding::percent_decode_str;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

/// Longest request that is read.
const LONGEST: usize = 1 << 20;

pub(super) struct Request {
    pub(super) method: String,
    /// The path's segments, decoded.
    pub(super) path: Vec<String>,
    pub(super) query: Vec<(String, String)>,
    headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Request {
    /// A header's value.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// A parameter of the query.
    pub(super) fn parameter(&self, name: &str) -> Option<&str> {
        self.query.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// What an application server says where the application says nothing.
    pub(super) fn html(status: u16) -> Self {
        let body = format!("<html><head><title>Error</title></head><body>{status}</body></html>");
        Self { status, content_type: "text/html;charset=UTF-8", body: body.into_bytes() }
    }
}

/// The next request of a connection; none when the client has closed it.
pub(super) async fn read(stream: &mut (impl AsyncRead + Unpin), kept: &mut Vec<u8>) -> io::Result<Option<Request>> {
    loop {
        if let Some(end) = kept.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8_lossy(&kept[..end]).into_owned();
            let headers = headers(&head);
            let length = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
            let length: usize = length.and_then(|(_, value)| value.parse().ok()).unwrap_or(0);
            let whole = end + 4 + length;
            if kept.len() >= whole {
                let body = kept[end + 4..whole].to_vec();
                kept.drain(..whole);
                return Ok(Some(request(&head, headers, body)));
            }
        }
        if kept.len() > LONGEST || stream.read_buf(kept).await? == 0 {
            return Ok(None);
        }
    }
}

fn headers(head: &str) -> Vec<(String, String)> {
    let pairs = head.lines().skip(1).filter_map(|line| line.split_once(':'));
    pairs.map(|(name, value)| (name.trim().to_owned(), value.trim().to_owned())).collect()
}

fn request(head: &str, headers: Vec<(String, String)>, body: Vec<u8>) -> Request {
    let mut line = head.lines().next().unwrap_or_default().split(' ');
    let method = line.next().unwrap_or_default().to_owned();
    let target = line.next().unwrap_or_default();
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let decoded = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let path = path.split('/').skip(1).map(decoded).collect();
    let pairs = query.split('&').filter_map(|pair| pair.split_once('='));
    let query = pairs.map(|(name, value)| (decoded(name), decoded(&value.replace('+', " ")))).collect();
    Request { method, path, query, headers, body }
}

/// Sends an answer, or the first half of it.
pub(super) async fn write(stream: &mut (impl AsyncWrite + Unpin), answer: &Answer, is_whole: bool) -> io::Result<()> {
    let Answer { status, content_type, body } = answer;
    let length = body.len();
    let head = format!("HTTP/1.1 {status} -\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(if is_whole { body } else { &body[..length / 2] }).await?;
    stream.flush().await
}
