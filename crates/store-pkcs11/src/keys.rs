//! Keys that stay on the token: what they must be, what they are, and how they are made.

use bailey_core::ids::MasterKeyId;
use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass, ObjectHandle};
use cryptoki::session::Session;
use cryptoki::types::Ulong;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::config::Config;
use crate::error::{Failure, Fault, Operation, failure};

/// Length of every key in bytes.
pub(crate) const KEY_LENGTH: usize = 32;

/// What a key on the token is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum KeyRole {
    /// Wraps KEKs.
    Mkek,
    /// Authenticates wrapped KEKs.
    Hmac,
}

impl KeyRole {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Mkek, Self::Hmac];

    /// As messages name it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Mkek => "MKEK",
            Self::Hmac => "HMAC key",
        }
    }

    /// Its configured label.
    #[must_use]
    pub fn label(self, config: &Config) -> &str {
        match self {
            Self::Mkek => &config.mkek_label,
            Self::Hmac => &config.hmac_label,
        }
    }
}

/// A key on the token with what the token says of it. `None` where it says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyObject {
    /// What it is for, by its label.
    pub role: KeyRole,
    /// Its version; `None` when its `CKA_ID` is no id of Bailey's.
    pub version: Option<MasterKeyId>,
    /// Its `CKA_ID`.
    pub id: Vec<u8>,
    /// Whether it is AES, or a generic secret that HMAC takes.
    pub has_right_type: bool,
    /// Its length in bytes.
    pub length: Option<usize>,
    /// `CKA_TOKEN`.
    pub token: Option<bool>,
    /// `CKA_PRIVATE`.
    pub private: Option<bool>,
    /// `CKA_SENSITIVE`.
    pub sensitive: Option<bool>,
    /// `CKA_EXTRACTABLE`.
    pub extractable: Option<bool>,
    /// `CKA_ALWAYS_SENSITIVE`.
    pub always_sensitive: Option<bool>,
    /// `CKA_NEVER_EXTRACTABLE`.
    pub never_extractable: Option<bool>,
    /// `CKA_TRUSTED`: whether keys that only trusted keys may wrap can be wrapped with it.
    pub trusted: Option<bool>,
    /// `CKA_WRAP`, `CKA_UNWRAP`, `CKA_SIGN`, `CKA_VERIFY`, `CKA_ENCRYPT`, `CKA_DECRYPT`, `CKA_DERIVE`, as far as they are on.
    pub usages: Vec<String>,
}

/// Attributes that say what a key may be used for.
const USAGES: [(AttributeType, &str); 7] = [
    (AttributeType::Wrap, "wrap"),
    (AttributeType::Unwrap, "unwrap"),
    (AttributeType::Sign, "sign"),
    (AttributeType::Verify, "verify"),
    (AttributeType::Encrypt, "encrypt"),
    (AttributeType::Decrypt, "decrypt"),
    (AttributeType::Derive, "derive"),
];

const READ: [AttributeType; 11] = [
    AttributeType::KeyType,
    AttributeType::Id,
    AttributeType::ValueLen,
    AttributeType::Token,
    AttributeType::Private,
    AttributeType::Sensitive,
    AttributeType::Extractable,
    AttributeType::AlwaysSensitive,
    AttributeType::NeverExtractable,
    AttributeType::Trusted,
    AttributeType::Class,
];

impl KeyObject {
    /// Asks the token about a key.
    pub(crate) fn read(session: &Session, handle: ObjectHandle, role: KeyRole) -> Result<Self, Failure> {
        let told = |error| failure(Operation::Inspect, &error);
        let mut object = Self {
            role,
            version: None,
            id: Vec::new(),
            has_right_type: false,
            length: None,
            token: None,
            private: None,
            sensitive: None,
            extractable: None,
            always_sensitive: None,
            never_extractable: None,
            trusted: None,
            usages: Vec::new(),
        };
        for attribute in session.get_attributes(handle, &READ).map_err(told)? {
            match attribute {
                Attribute::KeyType(kind) => object.has_right_type = role.takes(kind),
                Attribute::Id(id) => object.id = id,
                Attribute::ValueLen(length) => object.length = Some(length.into()),
                Attribute::Token(is) => object.token = Some(is),
                Attribute::Private(is) => object.private = Some(is),
                Attribute::Sensitive(is) => object.sensitive = Some(is),
                Attribute::Extractable(is) => object.extractable = Some(is),
                Attribute::AlwaysSensitive(is) => object.always_sensitive = Some(is),
                Attribute::NeverExtractable(is) => object.never_extractable = Some(is),
                Attribute::Trusted(is) => object.trusted = Some(is),
                _ => {}
            }
        }
        object.version = Uuid::from_slice(&object.id).ok().map(MasterKeyId::from);
        object.usages = usages(session, handle)?;
        Ok(object)
    }

    /// What keeps this key from being used, each in a sentence's end: `is extractable`.
    #[must_use]
    pub fn complaints(&self) -> Vec<String> {
        let mut complaints = Vec::new();
        let mut complain = |is_wrong: bool, what: &str| {
            if is_wrong {
                complaints.push(what.to_owned());
            }
        };
        complain(self.version.is_none(), "has a CKA_ID that is no version");
        complain(!self.has_right_type, "is a key of another type");
        complain(self.length.is_some_and(|length| length != KEY_LENGTH), "is not 32 bytes long");
        complain(self.token != Some(true), "is not kept on the token");
        complain(self.private != Some(true), "can be used without logging in");
        complain(self.sensitive != Some(true), "is not sensitive");
        complain(self.extractable != Some(false), "is extractable");
        complain(self.always_sensitive == Some(false), "was not sensitive at some time");
        complain(self.never_extractable == Some(false), "was extractable at some time");
        for usage in self.role.usages() {
            complain(!self.usages.iter().any(|has| has == usage), &format!("may not {usage}"));
        }
        complaints
    }
}

impl KeyRole {
    fn takes(self, kind: KeyType) -> bool {
        match self {
            Self::Mkek => kind == KeyType::AES,
            Self::Hmac => kind == KeyType::GENERIC_SECRET || kind == KeyType::SHA256_HMAC,
        }
    }

    const fn generation(self) -> Mechanism<'static> {
        match self {
            Self::Mkek => Mechanism::AesKeyGen,
            Self::Hmac => Mechanism::GenericSecretKeyGen,
        }
    }

    const fn usages(self) -> [&'static str; 2] {
        match self {
            Self::Mkek => ["wrap", "unwrap"],
            Self::Hmac => ["sign", "verify"],
        }
    }
}

fn usages(session: &Session, handle: ObjectHandle) -> Result<Vec<String>, Failure> {
    let kinds = USAGES.map(|(kind, _)| kind);
    let read = session.get_attributes(handle, &kinds).map_err(|error| failure(Operation::Inspect, &error))?;
    let is_on = |attribute: &Attribute| {
        matches!(
            attribute,
            Attribute::Wrap(true)
                | Attribute::Unwrap(true)
                | Attribute::Sign(true)
                | Attribute::Verify(true)
                | Attribute::Encrypt(true)
                | Attribute::Decrypt(true)
                | Attribute::Derive(true)
        )
    };
    let on: Vec<_> = read.iter().filter(|attribute| is_on(attribute)).map(Attribute::attribute_type).collect();
    Ok(USAGES.iter().filter(|(kind, _)| on.contains(kind)).map(|(_, name)| (*name).to_owned()).collect())
}

/// Something about the token or its keys that an operator should know.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// Whether the store can't be used because of it.
    pub is_fatal: bool,
    /// What is so, and what to do about it.
    pub sentence: String,
}

/// Keys with the label of a role, of one version or of all.
pub(crate) fn find(
    session: &Session,
    config: &Config,
    role: KeyRole,
    version: Option<MasterKeyId>,
) -> Result<Vec<ObjectHandle>, Failure> {
    let mut template = vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::Token(true),
        Attribute::Label(role.label(config).as_bytes().to_vec()),
    ];
    template.extend(version.map(|version| Attribute::Id(version.uuid().as_bytes().to_vec())));
    session.find_objects(&template).map_err(|error| failure(Operation::FindMkek, &error))
}

/// Makes both keys of a version, or the one that is missing where that was cut short. Nothing that it made is left
/// when one can't be made, unless the token goes away.
pub(crate) fn generate(session: &Session, config: &Config, version: MasterKeyId) -> Result<(), Failure> {
    let mut missing = Vec::new();
    // The HMAC key first: an MKEK without one could look like one that is ready.
    for role in [KeyRole::Hmac, KeyRole::Mkek] {
        if find(session, config, role, Some(version))?.is_empty() {
            missing.push(role);
        }
    }
    if missing.is_empty() {
        let context = format!("the token has both keys of version {version} already");
        return Err(Failure::new(Operation::GenerateKeys, Fault::WrongKey, context));
    }
    let mut made = Vec::new();
    for role in missing {
        match session.generate_key(&role.generation(), &template(role, config, version)) {
            Ok(key) => made.push(key),
            Err(error) => {
                for key in made {
                    // What is left behind is listed as half a version, and said so.
                    let _destroyed = session.destroy_object(key);
                }
                return Err(failure(Operation::GenerateKeys, &error));
            }
        }
    }
    Ok(())
}

/// Every boolean is said: what is left out, tokens decide differently.
fn template(role: KeyRole, config: &Config, version: MasterKeyId) -> Vec<Attribute> {
    let (is_mkek, kind) = match role {
        KeyRole::Mkek => (true, KeyType::AES),
        KeyRole::Hmac => (false, KeyType::GENERIC_SECRET),
    };
    vec![
        Attribute::Class(ObjectClass::SECRET_KEY),
        Attribute::KeyType(kind),
        Attribute::ValueLen(Ulong::from(KEY_LENGTH as u64)),
        Attribute::Label(role.label(config).as_bytes().to_vec()),
        Attribute::Id(version.uuid().as_bytes().to_vec()),
        Attribute::Token(true),
        Attribute::Private(true),
        Attribute::Modifiable(false),
        Attribute::Sensitive(true),
        Attribute::Extractable(false),
        Attribute::Wrap(is_mkek),
        Attribute::Unwrap(is_mkek),
        Attribute::Sign(!is_mkek),
        Attribute::Verify(!is_mkek),
        Attribute::Encrypt(false),
        Attribute::Decrypt(false),
        Attribute::Derive(false),
    ]
}
