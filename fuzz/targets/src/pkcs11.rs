//! What a vault keeps for a store under an HSM: all that is read before a token is asked.

use bailey_store_pkcs11::{CbcHmac, Gcm, Wrapping};

/// Length of the HMAC of a wrapping.
const TAG: usize = 32;

/// A wrapped KEK: what is read is written as the same bytes.
pub fn wrapping(bytes: &[u8]) -> bool {
    let Some(wrapping) = Wrapping::read(bytes) else { return false };
    assert_eq!(wrapping.bytes().as_deref(), Some(bytes), "two wrappings that mean the same");
    true
}

/// What a corpus of wrapped KEKs begins with: each way to wrap, with each kind of KEK.
pub fn wrapping_seeds() -> Vec<Vec<u8>> {
    let key = |wrap: u8, fill: u8| match wrap {
        3 => [&[fill; 16][..], &[48], &[fill; 48]].concat(),
        _ => [&[40][..], &[fill; 40]].concat(),
    };
    let whole = |wrap: u8, payload: u8| {
        let keys = (0..payload).flat_map(|number| key(wrap, number));
        [1, wrap, payload].into_iter().chain(keys).chain([9; TAG]).collect::<Vec<_>>()
    };
    let mut seeds: Vec<_> = (1..=3).flat_map(|wrap| [whole(wrap, 1), whole(wrap, 2)]).collect();
    seeds.push([&[2], &whole(1, 1)[1..]].concat());
    seeds
}

/// A ciphertext of either kind: its parts are all of it.
pub fn ciphertext(bytes: &[u8]) -> bool {
    let gcm = Gcm::read(bytes);
    if let Some(Gcm { iv, body }) = gcm {
        assert_eq!([iv.as_slice(), body].concat(), bytes);
    }
    if let Some(CbcHmac { iv, body, tag }) = CbcHmac::read(bytes) {
        assert!(gcm.is_some() && body.len() % 16 == 0);
        assert_eq!([iv.as_slice(), body, tag].concat(), bytes);
    }
    gcm.is_some()
}

/// What a corpus of ciphertexts begins with.
pub fn ciphertext_seeds() -> Vec<Vec<u8>> {
    [0, 27, 28, 29, 48, 63, 64, 65, 80].map(|length: u8| (0..length).collect()).to_vec()
}
