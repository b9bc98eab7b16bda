//! What an order asks for, decided without making anything.

use std::borrow::Cow;

use bailey_core::spec::Spec;

#[cfg(test)]
mod tests;

/// Why an order's key isn't made, as the order shows it: Barbican's codes where Barbican refuses too.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The order's error status code: `400` for what can't be made at all, `500` for a size.
    pub code: &'static str,
    /// One sentence of at most 255 characters.
    pub reason: Cow<'static, str>,
}

/// A key pair to make.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum KeyPairPlan {
    /// RSA, exponent 65537.
    Rsa(RsaSize),
    /// DSA over fixed domain parameters.
    Dsa(DsaSize),
    /// ECDSA and ECDH.
    Ec(Curve),
    /// EdDSA.
    Ed25519,
}

/// Size of an RSA modulus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RsaSize {
    /// 1024 bits: weak.
    Bits1024,
    /// 2048 bits.
    Bits2048,
    /// 3072 bits.
    Bits3072,
    /// 4096 bits.
    Bits4096,
}

/// Size of a DSA modulus.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DsaSize {
    /// 1024 bits: weak.
    Bits1024,
    /// 2048 bits.
    Bits2048,
    /// 3072 bits.
    Bits3072,
    /// 4096 bits.
    Bits4096,
}

/// A NIST curve over a prime field (SP 800-186).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Curve {
    /// P-256.
    P256,
    /// P-384.
    P384,
    /// P-521.
    P521,
}

impl KeyPairPlan {
    /// The algorithm in lower case: the type of the container that holds the pair.
    #[must_use]
    pub const fn algorithm(self) -> &'static str {
        match self {
            Self::Rsa(_) => "rsa",
            Self::Dsa(_) => "dsa",
            Self::Ec(_) => "ec",
            Self::Ed25519 => "ed25519",
        }
    }
}

/// Algorithms that Barbican makes at each of its sizes, with the sizes native to them that it doesn't.
const SYMMETRIC: [(&str, &[i32]); 6] = [
    ("aes", &[]),
    ("des", &[]),
    ("hmacsha1", &[160]),
    ("hmacsha256", &[]),
    ("hmacsha384", &[384]),
    ("hmacsha512", &[512]),
];
/// Barbican's sizes; XTS takes two keys of one of them.
const SYMMETRIC_BITS: [i32; 4] = [64, 128, 192, 256];
/// Sizes of triple-DES keys as they are ordered and as they are made: by bytes, or without parity bits.
const TRIPLE_DES_BITS: [(i32, i32); 4] = [(112, 128), (128, 128), (168, 192), (192, 192)];

/// What to ask a store for.
pub(super) fn symmetric(ordered: &Spec, allow_weak: bool) -> Result<Spec, Refusal> {
    let (algorithm, bits) = requested(ordered)?;
    let is_xts = ordered.mode.as_ref().is_some_and(|mode| mode.eq_ignore_ascii_case("xts"));
    if matches!(algorithm.as_str(), "3des" | "desede") {
        let made = TRIPLE_DES_BITS.iter().find(|(ordered, _)| *ordered == bits && !is_xts).map(|(_, made)| *made);
        let made = made.ok_or_else(|| refused("400", "Triple-DES keys have 112, 128, 168 or 192 bits, and no XTS"))?;
        return Ok(Spec { bit_length: Some(made), ..ordered.clone() });
    }
    let (algorithm, native) = match SYMMETRIC.into_iter().find(|(name, _)| *name == algorithm) {
        Some(found) => found,
        None if matches!(algorithm.as_str(), "rsa" | "dsa" | "ec" | "ed25519") => {
            return Err(refused("400", "Key pairs are made by orders of type asymmetric"));
        }
        None => {
            let reason = "The algorithm of a symmetric key is one of aes, des, 3des, desede, hmacsha1, hmacsha256, \
                          hmacsha384 and hmacsha512";
            return Err(refused("400", reason));
        }
    };
    let keys = if is_xts { 2 } else { 1 };
    let sizes: Vec<i32> = SYMMETRIC_BITS.iter().map(|bits| bits * keys).chain(native.iter().copied()).collect();
    if !sizes.contains(&bits) {
        let with = if is_xts { "keys in XTS mode" } else { "keys" };
        return Err(refused("500", format!("The sizes of {algorithm} {with} are {} bits", listed(sizes))));
    }
    if !allow_weak && (algorithm == "des" || bits / keys < 112) {
        return Err(weak("DES and 64-bit keys"));
    }
    Ok(ordered.clone())
}

/// Which key pair to make.
pub(super) fn asymmetric(ordered: &Spec, allow_weak: bool) -> Result<KeyPairPlan, Refusal> {
    let (algorithm, bits) = requested(ordered)?;
    let plan = match (algorithm.as_str(), bits) {
        ("rsa", 1024) => KeyPairPlan::Rsa(RsaSize::Bits1024),
        ("rsa", 2048) => KeyPairPlan::Rsa(RsaSize::Bits2048),
        ("rsa", 3072) => KeyPairPlan::Rsa(RsaSize::Bits3072),
        ("rsa", 4096) => KeyPairPlan::Rsa(RsaSize::Bits4096),
        ("dsa", 1024) => KeyPairPlan::Dsa(DsaSize::Bits1024),
        ("dsa", 2048) => KeyPairPlan::Dsa(DsaSize::Bits2048),
        ("dsa", 3072) => KeyPairPlan::Dsa(DsaSize::Bits3072),
        ("dsa", 4096) => KeyPairPlan::Dsa(DsaSize::Bits4096),
        ("rsa" | "dsa", _) => {
            return Err(refused("500", format!("The sizes of {algorithm} key pairs are 1024, 2048, 3072, 4096 bits")));
        }
        ("ec", 256) => KeyPairPlan::Ec(Curve::P256),
        ("ec", 384) => KeyPairPlan::Ec(Curve::P384),
        ("ec", 521) => KeyPairPlan::Ec(Curve::P521),
        ("ec", _) => return Err(refused("400", "The sizes of ec key pairs are 256, 384 and 521 bits")),
        ("ed25519", 256) => KeyPairPlan::Ed25519,
        ("ed25519", _) => return Err(refused("400", "The size of an ed25519 key pair is 256 bits")),
        _ => return Err(refused("400", "The algorithm of a key pair is one of rsa, dsa, ec and ed25519")),
    };
    let is_weak = matches!(plan, KeyPairPlan::Rsa(RsaSize::Bits1024) | KeyPairPlan::Dsa(DsaSize::Bits1024));
    if is_weak && !allow_weak {
        return Err(weak("RSA and DSA key pairs of 1024 bits"));
    }
    Ok(plan)
}

fn requested(ordered: &Spec) -> Result<(String, i32), Refusal> {
    match (&ordered.algorithm, ordered.bit_length) {
        (Some(algorithm), Some(bits)) => Ok((algorithm.to_lowercase(), bits)),
        _ => Err(refused("400", "An order names an algorithm and a bit_length")),
    }
}

fn listed(mut sizes: Vec<i32>) -> String {
    sizes.sort_unstable();
    let sizes: Vec<String> = sizes.iter().map(ToString::to_string).collect();
    sizes.join(", ")
}

fn weak(what: &'static str) -> Refusal {
    refused("400", format!("{what} are too weak and are made only where generation.allow_weak_keys is true"))
}

fn refused(code: &'static str, reason: impl Into<Cow<'static, str>>) -> Refusal {
    Refusal { code, reason: reason.into() }
}
