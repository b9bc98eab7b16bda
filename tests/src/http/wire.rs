//! HTTP/1.1 as bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::http::Answer;

/// How long a server may take to answer.
const PATIENCE: Duration = Duration::from_secs(60);

/// Sends bytes, reads an answer.
///
/// # Errors
/// When the connection breaks or what comes back is no HTTP.
pub fn exchange(address: SocketAddr, bytes: &[u8]) -> io::Result<Answer> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    // A server may answer and close before it has read everything; its answer counts then.
    let sent = stream.write_all(bytes);
    match read_answer(&mut stream) {
        Err(error) => Err(sent.err().unwrap_or(error)),
        answer => answer,
    }
}

/// Reads one answer from a connection that closes after it or tells its length.
///
/// # Errors
/// When the connection breaks or what comes is no HTTP.
pub fn read_answer(stream: &mut impl Read) -> io::Result<Answer> {
    let mut read = Vec::new();
    let head_end = loop {
        if let Some(end) = read.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        more(stream, &mut read)?;
    };
    let head = String::from_utf8_lossy(&read[..head_end]).into_owned();
    let mut lines = head.split("\r\n");
    let status = lines.next().and_then(|line| line.strip_prefix("HTTP/1.1 ")?.get(..3)?.parse().ok());
    let status = status.ok_or_else(|| io::Error::other("no HTTP/1.1 status line"))?;
    let headers = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned()))
        .collect();
    let mut answer = Answer { request: String::new(), status, headers, body: read.split_off(head_end + 4) };
    if answer.header("transfer-encoding") == Some("chunked") {
        answer.body = read_chunks(stream, answer.body)?;
    } else if status != 204 {
        let length = answer.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
        while answer.body.len() < length {
            more(stream, &mut answer.body)?;
        }
    }
    Ok(answer)
}

fn read_chunks(stream: &mut impl Read, mut read: Vec<u8>) -> io::Result<Vec<u8>> {
    let mut body = Vec::new();
    loop {
        let Some(line_end) = read.windows(2).position(|two| two == b"\r\n") else {
            more(stream, &mut read)?;
            continue;
        };
        let line = String::from_utf8_lossy(&read[..line_end]).into_owned();
        let length = usize::from_str_radix(line.trim(), 16).map_err(io::Error::other)?;
        let chunk = line_end + 2;
        while read.len() < chunk + length + 2 {
            more(stream, &mut read)?;
        }
        body.extend(&read[chunk..chunk + length]);
        read.drain(..chunk + length + 2);
        if length == 0 {
            return Ok(body);
        }
    }
}

fn more(stream: &mut impl Read, read: &mut Vec<u8>) -> io::Result<()> {
    let mut buffer = [0; 16 * 1024];
    match stream.read(&mut buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        count => {
            read.extend(&buffer[..count]);
            Ok(())
        }
    }
}
