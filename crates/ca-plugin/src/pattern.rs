//! Patterns of names.

/// A part of a pattern.
#[derive(Clone, Copy)]
enum Token {
    Is(char),
    /// One character or more of those that a part may have.
    Part,
    /// One character or more.
    Any,
}

/// Whether a name matches: `*` is characters that a part may have, `**` is anything at all; neither is nothing.
///
/// Takes time by the lengths of both, whatever whoever chose the name had in mind.
pub(crate) fn matches(pattern: &str, name: &str, is_part: impl Fn(char) -> bool) -> bool {
    let tokens = tokens(pattern);
    let mut reached = vec![false; tokens.len() + 1];
    reached[0] = true;
    for character in name.chars() {
        let mut next = vec![false; reached.len()];
        for (at, token) in tokens.iter().enumerate().filter(|(at, _)| reached[*at]) {
            let (stays, goes_on) = match *token {
                Token::Is(expected) => (false, character == expected),
                Token::Part => (is_part(character), is_part(character)),
                Token::Any => (true, true),
            };
            next[at] |= stays;
            next[at + 1] |= goes_on;
        }
        reached = next;
    }
    reached[tokens.len()]
}

fn tokens(pattern: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    let mut rest = pattern;
    while let Some(first) = rest.chars().next() {
        let (token, length) = match first {
            '*' if rest.starts_with("**") => (Token::Any, 2),
            '*' => (Token::Part, 1),
            other => (Token::Is(other), other.len_utf8()),
        };
        tokens.push(token);
        rest = rest.get(length..).unwrap_or_default();
    }
    tokens
}

/// A network: an address and how many of its bits count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Network {
    bytes: Vec<u8>,
    bits: usize,
}

impl Network {
    pub(crate) fn read(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let bytes = octets(address.parse().ok()?);
        let all = bytes.len() * 8;
        let bits = bits.map_or(Some(all), |bits| bits.parse().ok())?;
        (bits <= all).then_some(Self { bytes, bits })
    }

    pub(crate) fn contains(&self, address: std::net::IpAddr) -> bool {
        let other = octets(address);
        let bit = |bytes: &[u8], index: usize| bytes.get(index / 8).map(|byte| byte >> (7 - index % 8) & 1);
        other.len() == self.bytes.len() && (0..self.bits).all(|index| bit(&self.bytes, index) == bit(&other, index))
    }
}

fn octets(address: std::net::IpAddr) -> Vec<u8> {
    match address {
        std::net::IpAddr::V4(address) => address.octets().to_vec(),
        std::net::IpAddr::V6(address) => address.octets().to_vec(),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_star_is_one_part_and_two_are_any() {
        for (pattern, name, expected) in [
            ("a.example", "a.example", true),
            ("a.example", "b.a.example", false),
            ("*.example", "a.example", true),
            ("*.example", "a.b.example", false),
            ("*.example", ".example", false),
            ("**.example", "a.b.example", true),
            ("**.example", "example", false),
            ("**", "anything.at.all", true),
            ("web-*.example", "web-1.example", true),
            ("web-*.example", "web-.example", false),
            ("*.example", "a.example.evil", false),
        ] {
            assert_eq!(matches(pattern, name, |character| character != '.'), expected, "{pattern} {name}");
        }
    }

    #[test]
    fn networks_contain_their_addresses() {
        let network = |text| Network::read(text).unwrap();
        assert!(network("10.0.0.0/8").contains([10, 1, 2, 3].into()));
        assert!(!network("10.0.0.0/8").contains([11, 1, 2, 3].into()));
        assert!(network("127.0.0.1").contains([127, 0, 0, 1].into()));
        assert!(!network("127.0.0.1").contains([127, 0, 0, 2].into()));
        assert!(network("fd00::/8").contains("fd00::1".parse().unwrap()));
        assert!(!network("0.0.0.0/0").contains("::1".parse().unwrap()));
        for text in ["", "10.0.0.0/33", "a/8", "10.0.0.0/"] {
            assert!(Network::read(text).is_none(), "{text}");
        }
    }
}
