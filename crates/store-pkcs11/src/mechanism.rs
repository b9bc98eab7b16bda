//! What a token can do, and which of it is used.

use cryptoki::context::Pkcs11;
use cryptoki::error::{Error, RvError};
use cryptoki::mechanism::{Mechanism, MechanismInfo, MechanismType};
use cryptoki::slot::Slot;
use serde::{Deserialize, Serialize};

use crate::config::{Config, GcmIv, PayloadMechanism};
use crate::error::{Failure, Fault, Operation, failure};

/// Length of an AES block, and so of an IV of CBC, in bytes.
pub(crate) const BLOCK: usize = 16;

/// How a KEK is wrapped. Recorded with each one: what was wrapped one way is unwrapped that way.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum WrapMechanism {
    /// `CKM_AES_KEY_WRAP`: RFC 3394.
    AesKeyWrap,
    /// `CKM_AES_KEY_WRAP_PAD`: the same with padding, of which tokens know two kinds.
    AesKeyWrapPad,
    /// `CKM_AES_CBC_PAD`: authenticates nothing by itself.
    AesCbcPad,
}

impl WrapMechanism {
    /// In the order of preference: what authenticates, and is the same with every vendor, first.
    pub const ALL: [Self; 3] = [Self::AesKeyWrap, Self::AesKeyWrapPad, Self::AesCbcPad];

    /// Its byte in a wrapping.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::AesKeyWrap => 1,
            Self::AesKeyWrapPad => 2,
            Self::AesCbcPad => 3,
        }
    }

    /// As PKCS#11 names it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AesKeyWrap => "CKM_AES_KEY_WRAP",
            Self::AesKeyWrapPad => "CKM_AES_KEY_WRAP_PAD",
            Self::AesCbcPad => "CKM_AES_CBC_PAD",
        }
    }

    /// Length of its IV in bytes.
    pub(crate) const fn iv_length(self) -> usize {
        match self {
            Self::AesKeyWrap | Self::AesKeyWrapPad => 0,
            Self::AesCbcPad => BLOCK,
        }
    }

    pub(crate) const fn kind(self) -> MechanismType {
        match self {
            Self::AesKeyWrap => MechanismType::AES_KEY_WRAP,
            Self::AesKeyWrapPad => MechanismType::AES_KEY_WRAP_PAD,
            Self::AesCbcPad => MechanismType::AES_CBC_PAD,
        }
    }

    /// With its IV; `None` if the IV is not as long as it must be.
    pub(crate) fn with_iv(self, iv: &[u8]) -> Option<Mechanism<'static>> {
        match self {
            Self::AesKeyWrap => iv.is_empty().then_some(Mechanism::AesKeyWrap),
            Self::AesKeyWrapPad => iv.is_empty().then_some(Mechanism::AesKeyWrapPad),
            Self::AesCbcPad => iv.try_into().ok().map(Mechanism::AesCbcPad),
        }
    }
}

impl PayloadMechanism {
    pub(crate) const ALL: [Self; 2] = [Self::AesGcm, Self::AesCbcHmac];

    /// How many keys a KEK consists of.
    pub(crate) const fn keys(self) -> usize {
        match self {
            Self::AesGcm => 1,
            Self::AesCbcHmac => 2,
        }
    }

    /// Its byte in a wrapping.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::AesGcm => 1,
            Self::AesCbcHmac => 2,
        }
    }

    /// As what a wrapping authenticates names it.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::AesGcm => "AES-256-GCM",
            Self::AesCbcHmac => "AES-256-CBC+HMAC-SHA-256",
        }
    }
}

/// What is used of what a token can.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Mechanisms {
    pub(crate) wrap: WrapMechanism,
    /// Whether the token makes IVs by the message functions of PKCS#11 3.0; otherwise it overwrites the IV
    /// that C_Encrypt is given.
    pub(crate) iv_by_message: bool,
}

impl Mechanisms {
    /// Finds a way to wrap, and refuses a token that lacks what the configuration asks for.
    pub(crate) fn detect(config: &Config, library: &Pkcs11, slot: Slot) -> Result<Self, Failure> {
        let mut lacking = Vec::new();
        for need in needs(config) {
            if !need.is_met(library, slot)? {
                lacking.push(need.sentence);
            }
        }
        if !lacking.is_empty() {
            return Err(Failure::new(Operation::FindToken, Fault::Unsupported, lacking.join("; ")));
        }
        let wrap = wrap_mechanism(config, library, slot)?;
        let wrap = wrap.ok_or_else(|| Failure::new(Operation::FindToken, Fault::Unsupported, no_wrapping(config)))?;
        let iv_by_message = config.gcm_iv == GcmIv::Token
            && find(library, slot, MechanismType::AES_GCM)?.is_some_and(|info| info.message_encrypt());
        Ok(Self { wrap, iv_by_message })
    }
}

/// A mechanism that is needed, and what it takes to have it.
pub(crate) struct Need {
    pub(crate) kind: MechanismType,
    is_enough: fn(&MechanismInfo) -> bool,
    /// What is missing without it.
    pub(crate) sentence: &'static str,
}

impl Need {
    pub(crate) fn is_met(&self, library: &Pkcs11, slot: Slot) -> Result<bool, Failure> {
        Ok(find(library, slot, self.kind)?.is_some_and(|info| (self.is_enough)(&info)))
    }
}

/// What every token needs under this configuration, beside a way to wrap.
pub(crate) fn needs(config: &Config) -> Vec<Need> {
    let mut needs = vec![
        Need {
            kind: MechanismType::AES_KEY_GEN,
            is_enough: |info| info.generate(),
            sentence: "the token can't make AES keys (CKM_AES_KEY_GEN)",
        },
        Need {
            kind: MechanismType::SHA256_HMAC,
            is_enough: |info| info.sign() && info.verify(),
            sentence: "the token can't authenticate wrapped keys (CKM_SHA256_HMAC, sign and verify)",
        },
    ];
    match config.payload_mechanism {
        PayloadMechanism::AesGcm => needs.push(Need {
            kind: MechanismType::AES_GCM,
            is_enough: |info| info.encrypt() && info.decrypt(),
            sentence: "the token can't encrypt with AES-GCM (CKM_AES_GCM): set payload_mechanism = \"aes-cbc-hmac\" \
                       for such a token",
        }),
        PayloadMechanism::AesCbcHmac => needs.extend([
            Need {
                kind: MechanismType::AES_CBC_PAD,
                is_enough: |info| info.encrypt() && info.decrypt(),
                sentence: "the token can't encrypt with AES-CBC (CKM_AES_CBC_PAD, encrypt and decrypt)",
            },
            Need {
                kind: MechanismType::GENERIC_SECRET_KEY_GEN,
                is_enough: |info| info.generate(),
                sentence: "the token can't make the keys that authenticate payloads (CKM_GENERIC_SECRET_KEY_GEN)",
            },
        ]),
    }
    needs
}

/// The configured way to wrap, or the first that the token can.
pub(crate) fn wrap_mechanism(config: &Config, library: &Pkcs11, slot: Slot) -> Result<Option<WrapMechanism>, Failure> {
    let candidates = config.wrap_mechanism.map_or(WrapMechanism::ALL.to_vec(), |asked| vec![asked]);
    for candidate in candidates {
        if find(library, slot, candidate.kind())?.is_some_and(|info| info.wrap() && info.unwrap()) {
            return Ok(Some(candidate));
        }
    }
    Ok(None)
}

/// What is missing without a way to wrap.
pub(crate) fn no_wrapping(config: &Config) -> String {
    match config.wrap_mechanism {
        Some(asked) => {
            format!("the token can't wrap and unwrap keys with {}, which wrap_mechanism asks for", asked.as_str())
        }
        None => "the token can't wrap and unwrap keys with any of CKM_AES_KEY_WRAP, CKM_AES_KEY_WRAP_PAD and \
                 CKM_AES_CBC_PAD"
            .to_owned(),
    }
}

/// What the token says of a mechanism; `None` when it hasn't got it.
fn find(library: &Pkcs11, slot: Slot, kind: MechanismType) -> Result<Option<MechanismInfo>, Failure> {
    match library.get_mechanism_info(slot, kind) {
        Ok(info) => Ok(Some(info)),
        Err(Error::Pkcs11(RvError::MechanismInvalid, _)) => Ok(None),
        Err(error) => Err(failure(Operation::FindToken, &error)),
    }
}
