//! The key under which a client wants a payload encrypted, from the query string.

use bailey_core::failure::Failure;
use bailey_core::transport_key::WrappedSessionKey;

use crate::dto::{base64, upload};
use crate::extract::params::Params;

/// Reads `trans_wrapped_session_key` and `transport_key_id`; `None` without the former.
///
/// # Errors
/// `Invalid` when either is malformed, or the former comes alone.
pub fn read(params: &Params) -> Result<Option<WrappedSessionKey>, Failure> {
    let Some(text) = params.one("trans_wrapped_session_key")? else { return Ok(None) };
    let key = upload::transport_key(params)?;
    let key = key.ok_or_else(|| Failure::invalid("A session key needs the id of the transport key that wraps it"))?;
    // An unescaped plus sign arrives as a blank.
    let bytes = base64::decode(text.replace(' ', "+").as_bytes()).and_then(|bytes| bytes.expose().try_into().ok());
    let bytes = bytes.ok_or_else(|| Failure::invalid("The session key is not base64 of 32 bytes in their wrapping"))?;
    Ok(Some(WrappedSessionKey { key, bytes }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::ids::TransportKeyId;

    use super::*;

    #[test]
    fn a_session_key_comes_with_its_transport_key() {
        let id = TransportKeyId::new();
        let wrapped = "+/+/".repeat(26) + "+/8=";
        let read = |query: &str| super::read(&Params::read(query));
        let bytes = [[0xfb, 0xff, 0xbf]; 27].concat()[..80].try_into().unwrap();
        for text in [wrapped.clone(), wrapped.replace('+', "%2B")] {
            let query = format!("trans_wrapped_session_key={text}&transport_key_id={id}");
            assert_eq!(read(&query).unwrap(), Some(WrappedSessionKey { key: id, bytes }));
        }
        assert_eq!(read(&format!("transport_key_id={id}")).unwrap(), None);
        for query in [
            format!("trans_wrapped_session_key={wrapped}"),
            format!("trans_wrapped_session_key={wrapped}&transport_key_id=junk"),
            format!("trans_wrapped_session_key=YWJj&transport_key_id={id}"),
            format!("trans_wrapped_session_key=!&transport_key_id={id}"),
        ] {
            assert!(read(&query).is_err(), "{query}");
        }
    }
}
