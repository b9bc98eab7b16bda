//! Microversions: which revision of the API the client speaks.

use std::fmt;
use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header::{HeaderMap, HeaderName};
use actix_web::{FromRequest, HttpMessage, HttpRequest};
use bailey_core::failure::{Failure, FailureKind};

use crate::error::ApiError;

/// The header that asks for a microversion, and tells which one was used.
pub const HEADER: HeaderName = HeaderName::from_static("openstack-api-version");

const SERVICE: &str = "key-manager";

/// A revision of the API: `1.N`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Microversion(u32);

impl Microversion {
    /// What clients speak that don't say.
    pub const MIN: Self = Self(0);
    /// From here on secrets show their consumers, and version documents their range.
    pub const CONSUMERS: Self = Self(1);
    /// From here on consumers protect a secret from deletion.
    pub const PROTECTION: Self = Self(2);
    /// The newest.
    pub const MAX: Self = Self::PROTECTION;

    /// Reads the header; other services' entries are ignored, of several the last counts.
    ///
    /// # Errors
    /// `Invalid` when the version can't be read, `NotAcceptable` when it isn't offered.
    pub fn read(headers: &HeaderMap) -> Result<Self, Failure> {
        let mut wanted = Self::MIN;
        for header in headers.get_all(HEADER) {
            let header = String::from_utf8_lossy(header.as_bytes());
            for entry in header.split(',') {
                if let Some((service, version)) = entry.trim().split_once(char::is_whitespace)
                    && service.eq_ignore_ascii_case(SERVICE)
                {
                    wanted = Self::parse(version.trim())?;
                }
            }
        }
        Ok(wanted)
    }

    fn parse(version: &str) -> Result<Self, Failure> {
        if version == "latest" {
            return Ok(Self::MAX);
        }
        let number = |text: &str| text.parse::<u32>().ok();
        let (major, minor) = version
            .split_once('.')
            .and_then(|(major, minor)| Some((number(major)?, number(minor)?)))
            .ok_or_else(|| Failure::invalid("The microversion can't be read; it looks like 'key-manager 1.2'"))?;
        if major == 1 && minor <= Self::MAX.0 {
            Ok(Self(minor))
        } else {
            let reason = format!("The microversion is not offered; there are {} to {}", Self::MIN, Self::MAX);
            Err(Failure::new(FailureKind::NotAcceptable, reason))
        }
    }

    /// The header's value in an answer.
    #[must_use]
    pub fn header_value(self) -> String {
        format!("{SERVICE} {self}")
    }
}

impl fmt::Display for Microversion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "1.{}", self.0)
    }
}

/// The microversion that was negotiated.
impl FromRequest for Microversion {
    type Error = ApiError;
    type Future = Ready<Result<Self, ApiError>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(request.extensions().get::<Self>().copied().unwrap_or_default()))
    }
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_header_is_read_as_the_contract_says() {
        let (invalid, unknown) = (Err(FailureKind::Invalid), Err(FailureKind::NotAcceptable));
        let cases = [
            ("", Ok(0)),
            ("abc", Ok(0)),
            ("key-manager", Ok(0)),
            ("compute 2.1", Ok(0)),
            ("key-manager 1.0", Ok(0)),
            ("key-manager 1.1", Ok(1)),
            ("Key-Manager 1.01", Ok(1)),
            ("compute 2.1, key-manager latest", Ok(2)),
            ("key-manager 1.1, key-manager 1.2", Ok(2)),
            ("key-manager 1.9", unknown),
            ("key-manager 2.0", unknown),
            ("key-manager 0.1", unknown),
            ("key-manager 1", invalid),
            ("key-manager abc", invalid),
            ("key-manager Latest", invalid),
            ("key-manager 1.1.1", invalid),
            ("key-manager -1.1", invalid),
        ];
        for (header, expected) in cases {
            let request = TestRequest::default().insert_header((HEADER, header)).to_http_request();
            let read = Microversion::read(request.headers()).map_err(|failure| failure.kind);
            assert_eq!(read, expected.map(Microversion), "{header}");
        }
    }
}
