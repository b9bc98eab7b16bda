//! Answers `http-01` challenges from where Bailey's processes keep the answers.

use std::net::Ipv4Addr;
use std::sync::Arc;

use anyhow::Result;
use bailey_core::ca::Challenges;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

const PREFIX: &str = "/.well-known/acme-challenge/";

/// Listens until it is dropped.
pub struct Responder(JoinHandle<()>);

impl Responder {
    /// On a port of 127.0.0.1.
    ///
    /// # Errors
    /// When somebody else listens there.
    pub async fn start(port: u16, challenges: Arc<dyn Challenges>) -> Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        Ok(Self(tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let challenges = Arc::clone(&challenges);
                tokio::spawn(async move { serve(stream, &*challenges).await.ok() });
            }
        })))
    }
}

impl Drop for Responder {
    fn drop(&mut self) {
        self.0.abort();
    }
}

async fn serve(stream: TcpStream, challenges: &dyn Challenges) -> Result<()> {
    let mut stream = BufReader::new(stream);
    let mut first = String::new();
    stream.read_line(&mut first).await?;
    let mut line = String::from("-");
    while !line.trim().is_empty() {
        line.clear();
        stream.read_line(&mut line).await?;
    }
    let token = first.split(' ').nth(1).and_then(|target| target.strip_prefix(PREFIX)).unwrap_or_default();
    let (status, body) = match challenges.find(token).await? {
        Some(answer) => ("200 OK", answer),
        None => ("404 Not Found", String::new()),
    };
    let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    Ok(stream.shutdown().await?)
}
