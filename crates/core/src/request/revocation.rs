//! Revoking certificates, and telling everybody.

use crate::ca::{RevocationReason, StatusAnswer};
use crate::failure::Parsed;
use crate::ids::CaId;
use crate::request::OrderPath;

request!(/// Has the certificate that an order made revoked. Idempotent.
    RevokeCertificate {
        /// Which order.
        pub id: OrderPath,
        /// Why.
        pub reason: Parsed<RevocationReason>,
    } -> (), "certificate.revoke.v1", "Certificate revocation", mutates);

request!(/// A CA's list of what it has revoked (RFC 5280), DER. Needs no credentials.
    GetRevocationList {
        /// Which CA.
        pub ca: Parsed<CaId>,
        /// Which of its generations.
        pub generation: Parsed<u32>,
    } -> Vec<u8>, "crl.get.v1", "CRL retrieval");

request!(/// A CA's answer on single certificates (OCSP, RFC 6960). Needs no credentials.
    AskStatus {
        /// Which CA.
        pub ca: Parsed<CaId>,
        /// The question, DER.
        pub question: Vec<u8>,
    } -> StatusAnswer, "ocsp.ask.v2", "Certificate status retrieval");
