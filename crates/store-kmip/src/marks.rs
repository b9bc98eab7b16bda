//! What an object says of itself at the server: attributes by which it is found again, and its place.

use bailey_core::ids::{ProjectId, StoreId, WriteId};
use bailey_core::store::Place;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::error::Fault;
use crate::message::{Fields, attribute, enumeration, structure, tag, text};
use crate::object::Shape;
use crate::seal::{Code, Owner, Salt};
use crate::ttlv::{Item, Value};

/// Names of attributes (KMIP 1.4, section 3).
pub(crate) const NAME: &str = "Name";
pub(crate) const OBJECT_GROUP: &str = "Object Group";
pub(crate) const APPLICATION: &str = "Application Specific Information";
/// Whose application specific information it is.
const NAMESPACE: &str = "bailey";
/// The first word of it: the version of its format.
const VERSION: &str = "1";
/// What is escaped in a project id, beside all that isn't ASCII: there are servers that read no other text.
const ESCAPED: &AsciiSet = &CONTROLS.add(b' ').add(b'%');
/// In the place of what isn't known yet when an object is made.
const UNKNOWN: &str = "-";

/// An object's place and what its code is made with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marks {
    pub(crate) store: StoreId,
    pub(crate) place: Place,
    pub(crate) shape: Shape,
    pub(crate) salt: Salt,
    /// The code, unless the server itself drew the payload.
    pub(crate) code: Option<Code>,
}

impl Marks {
    /// The attributes of an object with these marks.
    pub(crate) fn attributes(&self, owner: &Owner) -> Vec<Item> {
        let information =
            vec![text(tag::APPLICATION_NAMESPACE, NAMESPACE), text(tag::APPLICATION_DATA, self.to_text())];
        vec![
            name_attribute(owner, self.place.write),
            group_attribute(owner),
            attribute(APPLICATION, Value::Structure(information)),
        ]
    }

    /// The marks of an object, if a server's answer about its attributes has any.
    pub(crate) fn read(answer: &mut Fields) -> Result<Option<Self>, Fault> {
        while let Some(mut attribute) = answer.take_fields(tag::ATTRIBUTE)? {
            if attribute.take_text(tag::ATTRIBUTE_NAME)?.as_deref() != Some(APPLICATION) {
                continue;
            }
            let Some(mut information) = attribute.take_fields(tag::ATTRIBUTE_VALUE)? else { continue };
            if information.take_text(tag::APPLICATION_NAMESPACE)?.as_deref() != Some(NAMESPACE) {
                continue;
            }
            let text = information.take_text(tag::APPLICATION_DATA)?;
            return Ok(text.as_deref().and_then(Self::parse));
        }
        Ok(None)
    }

    /// One line of ASCII.
    #[must_use]
    pub fn to_text(&self) -> String {
        let [kind, outer] = self.shape.to_bytes();
        let code = self.code.map_or_else(|| UNKNOWN.to_owned(), |code| URL_SAFE_NO_PAD.encode(code));
        let salt = URL_SAFE_NO_PAD.encode(self.salt.0);
        let Place { project, secret, write } = &self.place;
        let project = utf8_percent_encode(project.as_str(), ESCAPED);
        format!("{VERSION} {} {secret} {write} {kind} {outer} {salt} {code} {project}", self.store)
    }

    /// Reads what [`to_text`](Self::to_text) wrote; `None` when it is nothing like that.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        words.next().filter(|version| *version == VERSION)?;
        let store = words.next()?.parse().ok()?;
        let (secret, write) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let shape = Shape::from_bytes([words.next()?.parse().ok()?, words.next()?.parse().ok()?])?;
        let salt = Salt(decoded(words.next()?)?);
        let code = match words.next()? {
            UNKNOWN => None,
            code => Some(decoded(code)?),
        };
        let project = percent_decode_str(words.next()?).decode_utf8().ok()?;
        let project = ProjectId::new(project.into_owned()).ok()?;
        if words.next().is_some() {
            return None;
        }
        Some(Self { store, place: Place { project, secret, write }, shape, salt, code })
    }
}

fn decoded(text: &str) -> Option<[u8; 32]> {
    URL_SAFE_NO_PAD.decode(text).ok()?.try_into().ok()
}

/// The name of a write's object: of the installation, then of the write.
pub(crate) fn name_attribute(owner: &Owner, write: WriteId) -> Item {
    /// Uninterpreted text (KMIP 1.4, section 9.1.3.2.11).
    const TEXT: u32 = 1;
    let name = format!("{}/{write}", owner.deployment);
    attribute(NAME, Value::Structure(vec![text(tag::NAME_VALUE, name), enumeration(tag::NAME_TYPE, TEXT)]))
}

/// The group of a store's objects: of the installation, then of the store.
pub(crate) fn group_attribute(owner: &Owner) -> Item {
    attribute(OBJECT_GROUP, Value::Text(format!("{}/{}", owner.deployment, owner.store)))
}

/// What a new object is described by.
pub(crate) fn template(attributes: Vec<Item>) -> Item {
    structure(tag::TEMPLATE_ATTRIBUTE, attributes)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use bailey_core::ids::{DeploymentId, SecretId};

    use super::*;

    fn marks(project: &str) -> Marks {
        let project = ProjectId::new(project.to_owned()).unwrap();
        let place = Place { project, secret: SecretId::new(), write: WriteId::new() };
        Marks { store: StoreId::new(), place, shape: Shape::OPAQUE, salt: Salt([3; 32]), code: Some([4; 32]) }
    }

    #[test]
    fn marks_are_read_as_they_were_written() {
        let owner = Owner { deployment: DeploymentId::new(), store: StoreId::new() };
        for project in ["p", "with spaces - and päron", "%C3 1 2 3", "a\tb"] {
            for marks in [marks(project), Marks { code: None, ..marks(project) }] {
                let answer = structure(tag::RESPONSE_PAYLOAD, marks.attributes(&owner));
                let mut answer = Fields::of(answer, tag::RESPONSE_PAYLOAD).unwrap();
                assert_eq!(Marks::read(&mut answer).unwrap(), Some(marks));
            }
        }
    }

    #[test]
    fn what_is_cut_or_of_another_version_are_no_marks() {
        let text = marks("p").to_text();
        for length in 0..text.len() {
            assert_eq!(Marks::parse(&text[..length]), None, "{length}");
        }
        assert_eq!(Marks::parse(&format!("{text} more")), None);
        assert_eq!(Marks::parse(&format!("2{}", &text[1..])), None);
    }
}
