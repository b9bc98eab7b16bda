//! Base64 as clients send it: line breaks are fine, anything else outside the alphabet is not.

use bailey_core::sensitive::SecretBytes;
use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};
use zeroize::Zeroizing;

/// Unused bits of the last character are ignored, as Python does.
const ENGINE: GeneralPurpose =
    GeneralPurpose::new(&STANDARD, GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true));

/// The decoded bytes; `None` if the text isn't base64 or stands for nothing.
#[must_use]
pub fn decode(text: &[u8]) -> Option<SecretBytes> {
    let mut compact = Zeroizing::new(Vec::with_capacity(text.len()));
    compact.extend(text.iter().filter(|byte| !byte.is_ascii_whitespace() && **byte != 0x0b));
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(compact.len())]);
    let length = ENGINE.decode_slice(compact.as_slice(), bytes.as_mut_slice()).ok()?;
    bytes.truncate(length);
    (length > 0).then(|| SecretBytes::new(std::mem::take(&mut *bytes)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn white_space_is_tolerated_and_nothing_else() {
        let cases: [(&[u8], Option<&[u8]>); 14] = [
            (b"YWJjZA==", Some(b"abcd")),
            (b"YWJj\r\nZA==\n", Some(b"abcd")),
            (b" YW Jj ZA = = ", Some(b"abcd")),
            (b"YR==", Some(b"a")),
            (b"+/+/", Some(&[0xfb, 0xff, 0xbf])),
            (b"", None),
            (b" \n", None),
            (b"!!!!", None),
            (b"Y", None),
            (b"YQ", None),
            (b"YQ=", None),
            (b"YQ==YQ==", None),
            (b"_-_-", None),
            ("\u{1111}\u{fffd}".as_bytes(), None),
        ];
        for (text, expected) in cases {
            let decoded = decode(text);
            assert_eq!(decoded.as_ref().map(SecretBytes::expose), expected, "{}", String::from_utf8_lossy(text));
        }
    }
}
