//! DSA (FIPS 186-4) over fixed domain parameters.
//!
//! Domain parameters are public, as good shared as one's own, and take minutes to find. These are
//! `openssl genpkey -genparam -algorithm DSA -pkeyopt dsa_paramgen_md:SHA256` of each size, whose seeds
//! the test computes them from again.

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
    let private = PrivateKeyInfoRef::new(algorithm.clone(), octets(&x)?).to_der();
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
