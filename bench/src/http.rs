//! HTTP/1.1 over one connection, as little of it as a load generator needs: a generator that costs
//! as much as the server it drives would measure itself.

use std::net::SocketAddr;

use anyhow::{Context, Result, bail, ensure};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A connection that is kept alive; one request at a time.
pub struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

/// What a server answered.
pub struct Answer<'a> {
    /// The status code.
    pub status: u16,
    /// The whole body.
    pub body: &'a [u8],
}

impl Connection {
    /// Connects.
    pub async fn open(address: SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(address).await?;
        stream.set_nodelay(true)?;
        Ok(Connection { stream, buffer: Vec::with_capacity(16 * 1024) })
    }

    /// Sends a request and reads the answer to it.
    ///
    /// # Errors
    /// When the connection breaks, or the answer isn't HTTP/1.1 with a length.
    pub async fn exchange(&mut self, request: &[u8]) -> Result<Answer<'_>> {
        self.buffer.clear();
        self.stream.write_all(request).await?;
        let head = loop {
            self.fill().await?;
            if let Some(end) = find(&self.buffer, b"\r\n\r\n") {
                break Head::parse(&self.buffer[..end + 2], end + 4)?;
            }
        };
        let end = head.size + head.body_length;
        while self.buffer.len() < end {
            self.fill().await?;
        }
        ensure!(self.buffer.len() == end, "{} bytes after the end of the answer", self.buffer.len() - end);
        Ok(Answer { status: head.status, body: &self.buffer[head.size..end] })
    }

    async fn fill(&mut self) -> Result<()> {
        self.buffer.reserve(4096);
        ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server closed the connection");
        Ok(())
    }
}

struct Head {
    status: u16,
    size: usize,
    body_length: usize,
}

impl Head {
    fn parse(text: &[u8], size: usize) -> Result<Self> {
        let text = std::str::from_utf8(text).context("head isn't text")?;
        let mut lines = text.split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let status = status_line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)).context("not HTTP/1.1")?;
        let status = status.parse().with_context(|| format!("status line {status_line:?}"))?;
        let length =
            lines.filter_map(|line| line.split_once(':')).find(|(name, _)| name.eq_ignore_ascii_case("content-length"));
        let body_length = match length {
            Some((_, value)) => value.trim().parse().context("content-length")?,
            None if status == 204 => 0,
            None => bail!("status {status} without content-length"),
        };
        Ok(Head { status, size, body_length })
    }
}

/// Where `needle` begins in `haystack`.
pub fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    let (first, rest) = needle.split_first()?;
    let mut from = 0;
    while let Some(at) = haystack[from..].iter().position(|byte| byte == first) {
        let after = from + at + 1;
        if haystack[after..].starts_with(rest) {
            return Some(after - 1);
        }
        from = after;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn heads_say_status_and_length() {
        let head = Head::parse(b"HTTP/1.1 200 OK\r\nDate: x\r\ncontent-length: 32\r\n", 50).unwrap();
        assert_eq!((head.status, head.size, head.body_length), (200, 50, 32));
        assert_eq!(Head::parse(b"HTTP/1.1 204 No Content\r\n", 27).unwrap().body_length, 0);
        assert!(Head::parse(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n", 47).is_err());
        assert!(Head::parse(b"SSH-2.0-x\r\n", 11).is_err());
    }

    #[test]
    fn find_sees_what_overlaps() {
        assert_eq!(find(b"aab", b"ab"), Some(1));
        assert_eq!(find(b"\r\r\n\r\n", b"\r\n\r\n"), Some(1));
        assert_eq!(find(b"abc", b"abcd"), None);
    }
}
