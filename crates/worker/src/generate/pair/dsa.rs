//! DSA (FIPS 186-4) over fixed domain parameters.
//!
//! Domain parameters are public, as good shared as one's own, and take minutes to find. These are
//! `openssl genpkey -genparam -algorithm DSA -pkeyopt type:fips186_4 -pkeyopt dsa_paramgen_md:SHA256` of
//! each size; the test computes them again from the seeds it printed.

use bailey_core::failure::Failure;
use crypto_bigint::modular::{BoxedMontyForm, BoxedMontyParams};
use crypto_bigint::{BoxedUint, NonZero, Odd, RandomMod as _};
use getrandom::SysRng;
use pkcs8::der::asn1::{AnyRef, BitStringRef, OctetStringRef, UintRef};
use pkcs8::der::{Decode as _, Encode as _, pem};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::{Der, broken};
use crate::generate::plan::DsaSize;

/// id-dsa (RFC 3279, section 2.3.2).
const OID: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10040.4.1");

/// Makes a key pair.
pub fn make(size: DsaSize) -> Result<Der, Failure> {
    let parameters = encoded_parameters(size)?;
    let Parameters { p, q, g } = Parameters::decode(&parameters)?;
    let x = Zeroizing::new(private_number(&q)?);
    let g = BoxedMontyForm::new(g, &BoxedMontyParams::new(p));
    let y = g.pow_bounded_exp(&x, q.bits()).retrieve();

    let algorithm = AlgorithmIdentifierRef {
        oid: OID,
        parameters: Some(AnyRef::from_der(&parameters).map_err(broken("encode DSA parameters"))?),
    };
    let x = Zeroizing::new(integer(&x)?);
    let private = PrivateKeyInfoRef::new(algorithm, octets(&x)?).to_der();
    let y = integer(&y)?;
    let subject_public_key = BitStringRef::from_bytes(&y).map_err(broken("encode DSA key"))?;
    let public = SubjectPublicKeyInfoRef { algorithm, subject_public_key }.to_der();
    Ok(Der {
        private: private.map(Zeroizing::new).map_err(broken("encode DSA key"))?,
        public: public.map_err(broken("encode DSA key"))?,
    })
}

/// Uniform in 1 to q - 1.
fn private_number(q: &NonZero<BoxedUint>) -> Result<BoxedUint, Failure> {
    loop {
        let x = BoxedUint::try_random_mod_vartime(&mut SysRng, q).map_err(broken("draw DSA key"))?;
        if bool::from(x.is_nonzero()) {
            return Ok(x);
        }
    }
}

struct Parameters {
    p: Odd<BoxedUint>,
    q: NonZero<BoxedUint>,
    /// As wide as p.
    g: BoxedUint,
}

impl Parameters {
    /// Reads Dss-Parms (RFC 3279, section 2.3.2).
    fn decode(der: &[u8]) -> Result<Self, Failure> {
        let numbers = Vec::<UintRef<'_>>::from_der(der).map_err(broken("decode DSA parameters"))?;
        let [p, q, g] = numbers[..] else { return Err(Failure::internal("DSA parameters are not three numbers")) };
        let p = BoxedUint::from_be_slice_vartime(p.as_bytes());
        let g = BoxedUint::from_be_slice(g.as_bytes(), p.bits_precision()).map_err(broken("decode DSA parameters"))?;
        let q = BoxedUint::from_be_slice_vartime(q.as_bytes());
        let (p, q) = p.into_odd().into_option().zip(q.into_nz().into_option()).ok_or_else(unfit)?;
        Ok(Self { p, q, g })
    }
}

fn unfit() -> Failure {
    Failure::internal("DSA parameters are even or zero")
}

fn encoded_parameters(size: DsaSize) -> Result<Vec<u8>, Failure> {
    let text = match size {
        DsaSize::Bits1024 => include_str!("dsa/1024.pem"),
        DsaSize::Bits2048 => include_str!("dsa/2048.pem"),
        DsaSize::Bits3072 => include_str!("dsa/3072.pem"),
        DsaSize::Bits4096 => include_str!("dsa/4096.pem"),
    };
    let (_, der) = pem::decode_vec(text.as_bytes()).map_err(broken("decode DSA parameters"))?;
    Ok(der)
}

fn octets(bytes: &[u8]) -> Result<&OctetStringRef, Failure> {
    OctetStringRef::new(bytes).map_err(broken("encode DSA key"))
}

fn integer(number: &BoxedUint) -> Result<Vec<u8>, Failure> {
    let bytes = Zeroizing::new(number.to_be_bytes());
    UintRef::new(&bytes).and_then(|number| number.to_der()).map_err(broken("encode DSA key"))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::process::Command;

    use aws_lc_rs::digest::{SHA256, digest};
    use crypto_bigint::Resize as _;
    use crypto_primes::{Flavor, is_prime};

    use super::*;

    /// Bits of p and of q, the seed, and how many candidates for p came before.
    const SEEDS: [(DsaSize, u32, u32, &str, u32); 4] = [
        (DsaSize::Bits1024, 1024, 160, "cffb3f113ed5419f4fb4430addf41c6951bc7782ebb6ec52e1270a18619cf35d", 429),
        (DsaSize::Bits2048, 2048, 256, "829e7411947d3eff2b164adaa24673f0d84f8aa93b8114b17e4501b9d8f80118", 937),
        (DsaSize::Bits3072, 3072, 256, "2c363ee8d29c6cf11bb8d733d1354fa07854467ae00ef9b8e21443c23b58198d", 5718),
        (DsaSize::Bits4096, 4096, 256, "65da606cd0e89da95724f0421990e2dc276b2c01c9fd80d1c0f84c11017593e4", 46),
    ];

    fn number(bytes: &[u8], bits: u32) -> BoxedUint {
        BoxedUint::from_be_slice_truncated(bytes, bits)
    }

    /// SHA-256 of the seed plus so much, the sum as long as the seed.
    fn hash(seed: &str, plus: u32) -> BoxedUint {
        let digits = seed.len();
        let seed = BoxedUint::from_be_hex(&format!("{seed:0>64}"), 256).unwrap();
        let sum = seed.wrapping_add(BoxedUint::from(plus).resize(256)).to_be_bytes();
        number(digest(&SHA256, &sum[sum.len() - digits / 2..]).as_ref(), 256)
    }

    fn two_to(exponent: u32, bits: u32) -> BoxedUint {
        BoxedUint::one().resize(bits).wrapping_shl(exponent)
    }

    /// q and the p that so many candidates came before (FIPS 186-4, appendix A.1.1.2), then g.
    fn computed(bits: u32, q_bits: u32, seed: &str, counter: u32) -> [BoxedUint; 3] {
        let top = two_to(q_bits - 1, 256);
        let u = hash(seed, 0).rem_vartime(&top.clone().into_nz().unwrap());
        let q = u.wrapping_add(&top) | BoxedUint::one().resize(256);

        let (wide, blocks) = (bits + 64, bits / 256);
        let offset = 1 + counter * blocks;
        let mut x = BoxedUint::zero_with_precision(wide);
        for block in 0..blocks {
            x |= hash(seed, offset + block).resize(wide).wrapping_shl(block * 256);
        }
        x |= two_to(bits - 1, wide);
        let twice_q = q.clone().resize(wide).wrapping_shl(1).into_nz().unwrap();
        let excess = x.rem_vartime(&twice_q);
        let p = x.wrapping_sub(&excess).wrapping_add(BoxedUint::one().resize(wide)).resize(bits);

        let (exponent, _) =
            p.wrapping_sub(BoxedUint::one()).div_rem_vartime(&q.clone().resize(bits).into_nz().unwrap());
        let parameters = BoxedMontyParams::new(p.clone().into_odd().unwrap());
        let g = BoxedMontyForm::new(two_to(1, bits), &parameters).pow(&exponent).retrieve();
        [p, q, g]
    }

    #[test]
    fn the_parameters_come_from_their_seeds() {
        for (size, bits, q_bits, seed, counter) in SEEDS {
            let Parameters { p, q, g } = Parameters::decode(&encoded_parameters(size).unwrap()).unwrap();
            let [expected_p, expected_q, expected_g] = computed(bits, q_bits, seed, counter);
            assert_eq!(q.bits(), q_bits);
            assert!(*q == expected_q, "{bits}: q is another one");
            assert!(*p == expected_p, "{bits}: p is another one");
            assert!(g == expected_g, "{bits}: g is another one");
            assert!(is_prime(Flavor::Any, &*p) && is_prime(Flavor::Any, &*q), "{bits}: not prime");
        }
    }

    #[test]
    fn openssl_finds_the_parameters_in_order() {
        for name in ["1024", "2048", "3072", "4096"] {
            let path = format!("{}/src/generate/pair/dsa/{name}.pem", env!("CARGO_MANIFEST_DIR"));
            let output =
                Command::new("openssl").args(["pkeyparam", "-noout", "-check", "-in", &path]).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            assert!(output.status.success() && text.contains("Parameters are valid"), "{name}: {output:?}");
        }
    }

    #[test]
    fn private_numbers_are_below_q_and_never_zero() {
        let q = BoxedUint::from(3_u64).into_nz().unwrap();
        let mut drawn: Vec<_> = (0..64).map(|_| private_number(&q).unwrap().to_string_radix_vartime(10)).collect();
        drawn.sort_unstable();
        drawn.dedup();
        assert_eq!(drawn, ["1", "2"]);
    }
}
