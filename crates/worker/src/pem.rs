//! PEM (RFC 7468), as certificates and lists of revocations are handed out.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// DER under a label such as `X509 CRL`.
#[must_use]
pub fn block(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut text = format!("-----BEGIN {label}-----\n");
    for line in body.as_bytes().chunks(64) {
        text.extend(line.iter().map(|byte| char::from(*byte)));
        text.push('\n');
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Certificates, one after the other.
#[must_use]
pub fn certificates(all: &[Vec<u8>]) -> String {
    all.iter().map(|der| block("CERTIFICATE", der)).collect()
}

#[cfg(test)]
mod tests {
    use super::certificates;

    #[test]
    fn pem_has_lines_of_64() {
        let text = certificates(&[vec![0; 49], vec![1]]);
        let expected = format!(
            "-----BEGIN CERTIFICATE-----\n{}\nAA==\n-----END CERTIFICATE-----\n\
             -----BEGIN CERTIFICATE-----\nAQ==\n-----END CERTIFICATE-----\n",
            "A".repeat(64)
        );
        assert_eq!(text, expected);
        assert_eq!(certificates(&[]), "");
    }
}
