//! A stand-in for Keystone that knows one token for each project. Warm, Bailey asks it once for each: what is
//! measured is what Bailey does with tokens that it knows.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};

use anyhow::Result;

/// Characters of a token, as many as Keystone's have.
const LENGTH: usize = 183;

/// A running stand-in. Its thread ends with the program.
pub struct Keystone {
    address: SocketAddr,
}

impl Keystone {
    /// Starts it.
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        std::thread::spawn(move || {
            for connection in listener.incoming().flatten() {
                std::thread::spawn(move || serve(&connection));
            }
        });
        Ok(Keystone { address })
    }

    /// What has Bailey ask it, as environment.
    pub fn settings(&self) -> [(&'static str, String); 4] {
        [
            ("BAILEY_AUTH__METHODS", "static-token,keystone".into()),
            ("BAILEY_AUTH__KEYSTONE__URL", format!("http://{}", self.address)),
            ("BAILEY_AUTH__KEYSTONE__USERNAME", "bailey".into()),
            ("BAILEY_AUTH__KEYSTONE__PASSWORD", "whatever".into()),
        ]
    }

    /// Tokens for so many projects, named as a client's are.
    pub fn tokens(projects: usize) -> Vec<String> {
        (0..projects).map(|project| format!("{:A<LENGTH$}", format!("gAAAAA-project-{project}-"))).collect()
    }
}

/// Answers until the client goes.
fn serve(connection: &TcpStream) {
    let mut reader = BufReader::new(connection);
    while let Ok(Some((is_login, project, length))) = read_head(&mut reader) {
        let mut body = vec![0; length];
        if io::Read::read_exact(&mut reader, &mut body).is_err() {
            return;
        }
        let expires_at = (chrono::Utc::now() + chrono::TimeDelta::hours(1)).to_rfc3339();
        let token = serde_json::json!({"token": {
            "methods": ["password"], "expires_at": expires_at, "is_domain": false,
            "user": {"id": "bench", "name": "bench", "domain": {"id": "default", "name": "Default"}},
            "project": {"id": project, "name": project, "domain": {"id": "default", "name": "Default"}},
            "roles": [{"id": "1", "name": "creator"}, {"id": "2", "name": "member"}, {"id": "3", "name": "reader"}],
        }});
        let status = if is_login { "201 Created\r\nX-Subject-Token: gAAAAA-bailey" } else { "200 OK" };
        let body = token.to_string();
        let answer = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        if (&*connection).write_all(answer.as_bytes()).is_err() {
            return;
        }
    }
}

/// Whether a token is asked for, the project of the one that is asked about, and the length of the body.
fn read_head(reader: &mut impl io::BufRead) -> io::Result<Option<(bool, String, usize)>> {
    let (mut is_login, mut project, mut length) = (false, String::new(), 0);
    for (number, line) in reader.lines().enumerate() {
        let line = line?;
        if line.is_empty() {
            return Ok(Some((is_login, project, length)));
        }
        if number == 0 {
            is_login = line.starts_with("POST ");
        }
        let (name, value) = line.split_once(": ").unwrap_or_default();
        match name.to_ascii_lowercase().as_str() {
            "x-subject-token" => project = project_of(value),
            "content-length" => length = value.parse().unwrap_or(0),
            _ => {}
        }
    }
    Ok(None)
}

fn project_of(token: &str) -> String {
    token.trim_start_matches("gAAAAA-").trim_end_matches('A').trim_end_matches('-').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_has_its_project_in_it() {
        let tokens = Keystone::tokens(12);
        assert!(tokens.iter().all(|token| token.len() == LENGTH));
        assert_eq!((project_of(&tokens[0]).as_str(), project_of(&tokens[11]).as_str()), ("project-0", "project-11"));
    }
}
