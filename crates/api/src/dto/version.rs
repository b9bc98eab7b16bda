//! Version documents.

use serde::Serialize;
use utoipa::ToSchema;

use crate::extract::links::Links;
use crate::extract::microversion::Microversion;

/// `GET /`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Versions)]
pub struct VersionsBody {
    /// The versions, in the form that fits the microversion.
    versions: VersionsForm,
}

/// Up to microversion 1.0 wrapped in an object, then a plain list.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum VersionsForm {
    Wrapped { values: [VersionForm; 1] },
    Plain([VersionForm; 1]),
}

/// `GET /v1`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Version)]
pub struct VersionBody {
    /// The version, in the form that fits the microversion.
    version: VersionForm,
}

/// Up to microversion 1.0 with media types, then with the range of microversions.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
enum VersionForm {
    Stable {
        id: &'static str,
        status: &'static str,
        links: [LinkBody; 2],
        #[serde(rename = "media-types")]
        media_types: [MediaTypeBody; 1],
    },
    Current {
        id: &'static str,
        status: &'static str,
        min_version: String,
        max_version: String,
        links: [LinkBody; 2],
    },
}

/// Where to go on.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Link)]
struct LinkBody {
    rel: &'static str,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    media_type: Option<&'static str>,
    href: String,
}

/// A media type of the API.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = MediaType)]
struct MediaTypeBody {
    base: &'static str,
    #[serde(rename = "type")]
    media_type: &'static str,
}

/// `GET /?build`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Build)]
pub struct BuildBody {
    /// Bailey's version.
    pub build: &'static str,
}

impl VersionsBody {
    /// The versions for a client that speaks `version`.
    #[must_use]
    pub fn new(links: &Links, version: Microversion) -> Self {
        let v1 = [VersionForm::new(links, version)];
        let is_plain = version > Microversion::MIN;
        Self { versions: if is_plain { VersionsForm::Plain(v1) } else { VersionsForm::Wrapped { values: v1 } } }
    }
}

impl VersionBody {
    /// The version for a client that speaks `version`.
    #[must_use]
    pub fn new(links: &Links, version: Microversion) -> Self {
        Self { version: VersionForm::new(links, version) }
    }
}

impl VersionForm {
    fn new(links: &Links, version: Microversion) -> Self {
        let documentation = "https://docs.openstack.org/".to_owned();
        let links = [
            LinkBody { rel: "self", media_type: None, href: links.api() },
            LinkBody { rel: "describedby", media_type: Some("text/html"), href: documentation },
        ];
        if version > Microversion::MIN {
            let (min_version, max_version) = (Microversion::MIN.to_string(), Microversion::MAX.to_string());
            return Self::Current { id: "v1", status: "CURRENT", min_version, max_version, links };
        }
        let media_type = "application/vnd.openstack.key-manager-v1+json";
        let media_types = [MediaTypeBody { base: "application/json", media_type }];
        Self::Stable { id: "v1", status: "stable", links, media_types }
    }
}
