//! Certificate authorities, and which of them a project has.

use crate::ca::{CaQuery, DescribedCa, GivenSubAuthority};
use crate::failure::Parsed;
use crate::idempotency::IdempotencyKey;
use crate::ids::{CaId, ProjectId};
use crate::secret::Page;

/// A CA's id as it stood in the path, or the complaint that it is none.
pub type CaPath = Parsed<CaId>;

request!(/// Whether CAs are offered. Asked for a caller who will be refused for another reason.
    FindCas {} -> (), "ca.offered.v1", "Certificate Authorities retrieval");

request!(/// Whether there is a CA. Asked for a caller who will be refused for another reason.
    FindCa {
        /// Which CA.
        pub id: CaPath,
    } -> (), "ca.find.v1", "Certificate Authority retrieval");

request!(/// Lists the CAs that orders of the caller's project may name: its own, and those that it has chosen or, if it
    /// has chosen none, all.
    ListCas {
        /// Which ones.
        pub query: Parsed<CaQuery>,
    } -> Page<CaId>, "ca.list.v1", "Certificate Authorities retrieval (limited)");

request!(/// Lists the CAs that the caller's project may choose from, and its own.
    ListAllCas {
        /// Which ones.
        pub query: Parsed<CaQuery>,
    } -> Page<CaId>, "ca.list-all.v1", "Certificate Authorities retrieval");

request!(/// One CA.
    GetCa {
        /// Which CA.
        pub id: CaPath,
    } -> DescribedCa, "ca.get.v1", "Certificate Authority retrieval");

request!(/// A CA's certificate, then its issuer's, up to the root; PEM, one after the other.
    GetCaChain {
        /// Which CA.
        pub id: CaPath,
    } -> String, "ca.chain.v1", "CA Cert Chain retrieval");

request!(/// The certificate that a CA signs with; PEM.
    GetCaCertificate {
        /// Which CA.
        pub id: CaPath,
    } -> String, "ca.certificate.v1", "CA Signing Cert retrieval");

request!(/// The projects that have chosen a CA.
    ListCaProjects {
        /// Which CA.
        pub id: CaPath,
    } -> Vec<ProjectId>, "ca.projects.v1", "CA projects retrieval");

request!(/// The CA that the caller's project prefers or, if it prefers none, that all do.
    GetPreferredCa {} -> CaId, "ca.preferred.v1", "Retrieve project preferred CA");

request!(/// The CA that all prefer that prefer none themselves.
    GetGlobalPreferredCa {} -> CaId, "ca.global-preferred.v1", "Retrieve global preferred CA");

request!(/// Has the caller's project choose a CA; the first one becomes the preferred one.
    ChooseCa {
        /// Which CA.
        pub id: CaPath,
    } -> (), "ca.choose.v1", "Add CA to project", mutates);

request!(/// Takes a choice of the caller's project back.
    DismissCa {
        /// Which CA.
        pub id: CaPath,
    } -> (), "ca.dismiss.v1", "Remove CA from project", mutates);

request!(/// Makes a CA that the caller's project has chosen its preferred one.
    PreferCa {
        /// Which CA.
        pub id: CaPath,
    } -> (), "ca.prefer.v1", "Set preferred project CA", mutates);

request!(/// Makes a CA the preferred one of all projects that prefer none themselves.
    PreferCaGlobally {
        /// Which CA.
        pub id: CaPath,
    } -> (), "ca.prefer-globally.v1", "Set global preferred CA", mutates);

request!(/// Has all prefer no CA that prefer none themselves.
    PreferNoCaGlobally {} -> (), "ca.prefer-none-globally.v1", "Unset global preferred CA", mutates);

request!(/// Makes a CA of the caller's project's below another.
    CreateSubAuthority {
        /// What it is to be.
        pub authority: Parsed<GivenSubAuthority>,
        /// The key under which it is made once, if the client sent one.
        pub idempotency: Parsed<Option<IdempotencyKey>>,
    } -> CaId, "ca.create.v1", "CA creation", mutates);

request!(/// Deletes a CA of the caller's project's. What it issued stays valid.
    DeleteSubAuthority {
        /// Which CA.
        pub id: CaPath,
    } -> (), "ca.delete.v1", "CA deletion", mutates);
