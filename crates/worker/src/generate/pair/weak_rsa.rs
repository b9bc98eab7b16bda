//! RSA of 1024 bits, which aws-lc-rs makes no more. Barbican does, so it is put together here
//! (FIPS 186-5, appendix A.1.3; RFC 8017, appendix A.1) from RustCrypto's primes.

use bailey_core::failure::Failure;
use crypto_bigint::{BoxedUint, ConcatenatingMul as _, NonZero, Resize as _};
use crypto_primes::{Flavor, random_prime};
use getrandom::SysRng;
use getrandom::rand_core::UnwrapErr;
use pkcs8::der::Encode as _;
use pkcs8::der::asn1::{AnyRef, BitStringRef, OctetStringRef, UintRef};
use pkcs8::spki::{AlgorithmIdentifierRef, SubjectPublicKeyInfoRef};
use pkcs8::{ObjectIdentifier, PrivateKeyInfoRef};
use zeroize::Zeroizing;

use super::{Der, broken};

const BITS: u32 = 1024;
const EXPONENT: u64 = 65537;
/// rsaEncryption (RFC 8017, appendix C), with NULL parameters.
const ALGORITHM: AlgorithmIdentifierRef<'static> = AlgorithmIdentifierRef {
    oid: ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1"),
    parameters: Some(AnyRef::NULL),
};

type Secret = Zeroizing<BoxedUint>;

/// Makes a key pair.
pub fn make() -> Result<Der, Failure> {
    loop {
        // Two of them too close to each other for safety are as likely as a guessed key.
        let (one, other) = (prime(), prime());
        let (p, q) = if *one > *other { (one, other) } else { (other, one) };
        if let Some(numbers) = Numbers::new(p, q) {
            return numbers.encode();
        }
    }
}

/// A random prime of half the bits. A random generator that fails ends the thread's job.
fn prime() -> Secret {
    Zeroizing::new(random_prime(&mut UnwrapErr(SysRng), Flavor::Any, BITS / 2))
}

/// The numbers of RSAPrivateKey, in its order but for the version, and without q^-1 mod p.
struct Numbers {
    n: BoxedUint,
    e: BoxedUint,
    d: Secret,
    p: Secret,
    q: Secret,
    d_mod_p: Secret,
    d_mod_q: Secret,
    q_inverse: Secret,
}

impl Numbers {
    /// From p > q, unless their product is too short or the exponent doesn't fit them.
    fn new(p: Secret, q: Secret) -> Option<Self> {
        let n = p.concatenating_mul(&*q);
        if n.bits() != BITS {
            return None;
        }
        let (p_less, q_less) = (less_one(&p)?, less_one(&q)?);
        let phi = Zeroizing::new(p_less.concatenating_mul(&**q_less));
        let phi = Zeroizing::new(phi.to_nz().into_option()?);
        let e = BoxedUint::from(EXPONENT).resize(BITS);
        let d = Zeroizing::new(e.invert_mod(&phi).into_option()?);
        let d_mod_p = Zeroizing::new(d.rem(&*p_less));
        let d_mod_q = Zeroizing::new(d.rem(&*q_less));
        let q_inverse = Zeroizing::new(q.invert_odd_mod(&Zeroizing::new(p.to_odd().into_option()?)).into_option()?);
        Some(Self { n, e, d, p, q, d_mod_p, d_mod_q, q_inverse })
    }

    fn encode(&self) -> Result<Der, Failure> {
        let Self { n, e, d, p, q, d_mod_p, d_mod_q, q_inverse } = self;
        let version = BoxedUint::zero();
        let private = Zeroizing::new(sequence(&[&version, n, e, d, p, q, d_mod_p, d_mod_q, q_inverse])?);
        let private = OctetStringRef::new(&private).map_err(broken("encode RSA key"))?;
        let private = PrivateKeyInfoRef::new(ALGORITHM, private).to_der();
        let public = sequence(&[n, e])?;
        let subject_public_key = BitStringRef::from_bytes(&public).map_err(broken("encode RSA key"))?;
        let public = SubjectPublicKeyInfoRef { algorithm: ALGORITHM, subject_public_key }.to_der();
        Ok(Der {
            private: private.map(Zeroizing::new).map_err(broken("encode RSA key"))?,
            public: public.map_err(broken("encode RSA key"))?,
        })
    }
}

fn less_one(number: &BoxedUint) -> Option<Zeroizing<NonZero<BoxedUint>>> {
    let less = Zeroizing::new(number.wrapping_sub(BoxedUint::one()));
    less.to_nz().into_option().map(Zeroizing::new)
}

fn sequence(numbers: &[&BoxedUint]) -> Result<Vec<u8>, Failure> {
    let numbers: Vec<_> = numbers.iter().map(|number| Zeroizing::new(number.to_be_bytes())).collect();
    let integers: Result<Vec<_>, _> = numbers.iter().map(|bytes| UintRef::new(bytes)).collect();
    integers.and_then(|integers| integers.to_der()).map_err(broken("encode RSA key"))
}
