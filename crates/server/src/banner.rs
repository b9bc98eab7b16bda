//! What a process says once it works.

use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

use bailey_core::sensitive::SecretText;

/// How the first request is to prove who asks.
#[derive(Debug)]
pub enum FirstStep<'a> {
    /// With the token just made, which is shown this once.
    Token(&'a SecretText),
    /// With the token just made, which is in this file.
    TokenFile(&'a Path),
    /// Not at all: Bailey believes whoever asks.
    NoAuthentication,
    /// As before: there was a token at an earlier start.
    Known,
}

/// The banner of a process that serves the API alone.
#[must_use]
pub fn of_api(base: &str) -> String {
    format!("Bailey {} listens on {base}, and asks workers over NATS", env!("CARGO_PKG_VERSION"))
}

/// What URLs of an API that listens there begin with.
#[must_use]
pub fn base(address: SocketAddr, has_tls: bool) -> String {
    format!("{}://{}", if has_tls { "https" } else { "http" }, reachable(address))
}

/// The banner's text, which ends without a line break; without a base of URLs, that of a worker.
#[must_use]
pub fn text(base: Option<&str>, folder: &Path, first: &FirstStep<'_>) -> String {
    let what = base.map_or_else(|| "works for API processes".to_owned(), |base| format!("listens on {base}"));
    let mut text = format!("Bailey {} {what}, its data is in {}", env!("CARGO_PKG_VERSION"), folder.display());
    let header = match first {
        FirstStep::Known => return text,
        FirstStep::Token(token) => {
            let token = token.expose();
            let _ = write!(text, "\n\nAdmin token, shown this once:\n\n    {token}");
            format!("'X-Auth-Token: {token}'")
        }
        FirstStep::TokenFile(file) => {
            let _ = write!(text, "\n\nThe admin token is in {}", file.display());
            format!("\"X-Auth-Token: $(cat {})\"", quoted(&file.display().to_string()))
        }
        FirstStep::NoAuthentication => {
            text.push_str("\n\nNO AUTHENTICATION: whoever reaches the API is believed to be whoever they say.");
            "'X-Project-Id: default'".to_owned()
        }
    };
    let Some(base) = base else { return text };
    let _ = write!(
        text,
        "\n\nStore a secret, then list what is stored:\n\n    \
         curl -s -H {header} -H 'Content-Type: application/json' {base}/v1/secrets \
         -d '{{\"name\": \"first\", \"payload\": \"hello\", \"payload_content_type\": \"text/plain\"}}'\n    \
         curl -s -H {header} {base}/v1/secrets\n"
    );
    text
}

/// An address to connect to: "any" is none.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}

/// As one word of a shell's command line.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "/._-".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_shown_only_where_it_belongs() {
        let show = |first| text(Some(&base(([0, 0, 0, 0], 9311).into(), false)), Path::new("/data"), &first);
        let token = SecretText::new("id.canary".to_owned());
        let shown = show(FirstStep::Token(&token));
        assert_eq!(shown.matches("id.canary").count(), 3);
        assert!(shown.contains("http://127.0.0.1:9311/v1/secrets"), "{shown}");
        let in_file = show(FirstStep::TokenFile(Path::new("/my data/admin.token")));
        assert!(in_file.contains("$(cat '/my data/admin.token')"), "{in_file}");
        assert_eq!(show(FirstStep::Known).lines().count(), 1);
    }

    #[test]
    fn a_worker_has_no_address_to_ask() {
        let shown = text(None, Path::new("/data"), &FirstStep::TokenFile(Path::new("/data/admin.token")));
        assert!(shown.ends_with("The admin token is in /data/admin.token"), "{shown}");
    }

    #[test]
    fn a_path_is_one_word() {
        assert_eq!(quoted("/a/b-c.d"), "/a/b-c.d");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }
}
