#![allow(clippy::unwrap_used)]

use bailey_core::spec::Spec;

use super::{Curve, DsaSize, KeyPairPlan, Refusal, RsaSize, asymmetric, symmetric};

fn spec(algorithm: &str, bits: i32, mode: Option<&str>) -> Spec {
    Spec { algorithm: Some(algorithm.into()), bit_length: Some(bits), mode: mode.map(ToOwned::to_owned) }
}

/// How many bits are made of so many ordered, or the code.
fn made(algorithm: &str, bits: i32, mode: Option<&str>, allow_weak: bool) -> Result<i32, &'static str> {
    let ordered = spec(algorithm, bits, mode);
    let planned = symmetric(&ordered, allow_weak).map_err(code)?;
    assert_eq!((&planned.algorithm, &planned.mode), (&ordered.algorithm, &ordered.mode));
    Ok(planned.bit_length.unwrap())
}

fn pair(algorithm: &str, bits: i32, allow_weak: bool) -> Result<KeyPairPlan, &'static str> {
    asymmetric(&spec(algorithm, bits, None), allow_weak).map_err(code)
}

fn code(Refusal { code, reason }: Refusal) -> &'static str {
    assert!((1..=255).contains(&reason.chars().count()), "{reason}");
    code
}

const BARBICANS: [&str; 6] = ["aes", "des", "hmacsha1", "hmacsha256", "hmacsha384", "hmacsha512"];

#[test]
fn what_barbican_makes_is_made() {
    for algorithm in BARBICANS {
        for bits in [64, 128, 192, 256] {
            for mode in [None, Some("cbc"), Some("")] {
                assert_eq!(made(algorithm, bits, mode, true), Ok(bits), "{algorithm}-{bits}");
            }
            assert_eq!(made(&algorithm.to_uppercase(), bits, None, true), Ok(bits), "{algorithm}-{bits}");
            assert_eq!(made(algorithm, bits * 2, Some("XtS"), true), Ok(bits * 2), "{algorithm}-{bits} XTS");
        }
    }
}

#[test]
fn other_sizes_are_refused_with_barbicans_code() {
    for algorithm in BARBICANS {
        for bits in [1, 8, 56, 120, 1024, 4096, 32767] {
            assert_eq!(made(algorithm, bits, None, true), Err("500"), "{algorithm}-{bits}");
        }
        for bits in [64, 192, 1024] {
            assert_eq!(made(algorithm, bits, Some("xts"), true), Err("500"), "{algorithm}-{bits} XTS");
        }
    }
    assert_eq!(made("aes", 512, None, true), Err("500"));
    assert_eq!(made("hmacsha256", 512, None, true), Err("500"));
}

#[test]
fn hmac_keys_have_their_native_sizes_too() {
    for (algorithm, native) in [("hmacsha1", 160), ("hmacsha384", 384), ("HMACSHA512", 512)] {
        for bits in [160, 384, 512] {
            let expected = if bits == native { Ok(bits) } else { Err("500") };
            assert_eq!(made(algorithm, bits, None, false), expected, "{algorithm}-{bits}");
        }
    }
}

#[test]
fn triple_des_is_made_with_its_parity_bits_however_it_is_spelt() {
    for algorithm in ["3des", "3DES", "desede", "DESede"] {
        for (bits, bytes) in [(112, 16), (128, 16), (168, 24), (192, 24)] {
            assert_eq!(made(algorithm, bits, Some("cbc"), false), Ok(bytes * 8), "{algorithm}-{bits}");
        }
        for bits in [56, 64, 256, 512] {
            assert_eq!(made(algorithm, bits, None, true), Err("400"), "{algorithm}-{bits}");
        }
        assert_eq!(made(algorithm, 192, Some("xts"), true), Err("400"));
    }
}

#[test]
fn other_algorithms_make_no_symmetric_key() {
    for algorithm in ["rsa", "dsa", "ec", "ed25519", "diffie_hellman", "unheard of", "", " aes", &"x".repeat(255)] {
        assert_eq!(made(algorithm, 256, None, true), Err("400"), "{algorithm}");
    }
    assert_eq!(symmetric(&Spec::default(), true).map_err(code), Err("400"));
}

#[test]
fn key_pairs_are_of_known_sizes() {
    let rsa = [RsaSize::Bits1024, RsaSize::Bits2048, RsaSize::Bits3072, RsaSize::Bits4096];
    let dsa = [DsaSize::Bits1024, DsaSize::Bits2048, DsaSize::Bits3072, DsaSize::Bits4096];
    for (bits, (rsa, dsa)) in [1024, 2048, 3072, 4096].into_iter().zip(rsa.into_iter().zip(dsa)) {
        assert_eq!(pair("rsa", bits, true), Ok(KeyPairPlan::Rsa(rsa)));
        assert_eq!(pair("RSA", bits, true), Ok(KeyPairPlan::Rsa(rsa)));
        assert_eq!(pair("dsa", bits, true), Ok(KeyPairPlan::Dsa(dsa)));
    }
    for (bits, curve) in [(256, Curve::P256), (384, Curve::P384), (521, Curve::P521)] {
        assert_eq!(pair("Ec", bits, false), Ok(KeyPairPlan::Ec(curve)));
    }
    assert_eq!(pair("ED25519", 256, false), Ok(KeyPairPlan::Ed25519));
}

#[test]
fn other_key_pairs_are_refused_with_barbicans_code() {
    for bits in [8, 512, 1032, 8192, 16384] {
        assert_eq!(pair("rsa", bits, true), Err("500"));
        assert_eq!(pair("dsa", bits, true), Err("500"));
    }
    for (algorithm, bits) in [("ec", 224), ("ec", 520), ("ec", 528), ("ed25519", 255), ("ed25519", 512)] {
        assert_eq!(pair(algorithm, bits, true), Err("400"), "{algorithm}-{bits}");
    }
    for algorithm in ["aes", "diffie_hellman", "ed448", "", &"\u{1f511}".repeat(255)] {
        assert_eq!(pair(algorithm, 2048, true), Err("400"), "{algorithm}");
    }
    assert_eq!(asymmetric(&Spec::default(), true).map_err(code), Err("400"));
}

#[test]
fn weak_keys_are_made_only_where_allowed() {
    for bits in [64, 128, 192, 256] {
        assert_eq!(made("des", bits, None, false), Err("400"));
    }
    for (algorithm, bits, mode) in [("aes", 64, None), ("hmacsha256", 64, None), ("aes", 128, Some("xts"))] {
        assert_eq!(made(algorithm, bits, mode, false), Err("400"), "{algorithm}-{bits}");
    }
    for (algorithm, bits, mode) in [("aes", 128, None), ("hmacsha1", 128, None), ("aes", 256, Some("xts"))] {
        assert_eq!(made(algorithm, bits, mode, false), Ok(bits), "{algorithm}-{bits}");
    }
    for (algorithm, bits) in [("rsa", 1024), ("dsa", 1024)] {
        assert_eq!(pair(algorithm, bits, false), Err("400"), "{algorithm}-{bits}");
    }
    assert_eq!(pair("rsa", 2048, false), Ok(KeyPairPlan::Rsa(RsaSize::Bits2048)));
    // A size that is never made is refused as such.
    assert_eq!(pair("rsa", 512, false), Err("500"));
}
