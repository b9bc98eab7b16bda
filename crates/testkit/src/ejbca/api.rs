//! The REST interface, as EJBCA's description has it: paths, required fields, error codes.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use chrono::Utc;
use rcgen::{CertificateParams, CertificateSigningRequestParams, KeyPair, PublicKeyData as _, SanType};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use x509_parser::parse_x509_certificate;

use super::book::{Book, Certificate, Decision, EndEntity, Status};
use super::http::{Answer, Request};
use super::{ADMINISTRATOR, AUTHORITY, CERTIFICATE_PROFILE, END_ENTITY_PROFILE, Inner, Operation, SUBJECT};
use crate::memory::{Signing, read_request};

/// What EJBCA says when it doesn't do what was asked.
pub(super) struct Complaint {
    status: u16,
    message: String,
}

impl Complaint {
    pub(super) fn of(status: u16, message: &str) -> Self {
        Self { status, message: message.to_owned() }
    }

    fn answer(self) -> Answer {
        told(self.status, &json!({ "error_code": self.status, "error_message": self.message }))
    }
}

fn told(status: u16, body: &Value) -> Answer {
    Answer { status, content_type: "application/json", body: body.to_string().into_bytes() }
}

/// EJBCA's own refusal.
pub(super) fn refused(status: u16) -> Answer {
    Complaint::of(status, "CA with ID 1 is offline.").answer()
}

/// The same answer with a certificate for another key in it.
pub(super) fn other_key(inner: &Inner, answer: Answer) -> Answer {
    let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let key = KeyPair::generate().expect("a key");
    let signed = inner.authority.sign(CertificateParams::default(), &key, Signing::proper(), Utc::now());
    body["certificate"] = json!(STANDARD.encode(signed.expect("a certificate").certificate));
    told(answer.status, &body)
}

type Said = Result<Answer, Complaint>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrol {
    certificate_request: Option<String>,
    certificate_profile_name: Option<String>,
    end_entity_profile_name: Option<String>,
    certificate_authority_name: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(default)]
    include_chain: bool,
    #[serde(default = "der")]
    response_format: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CertificateRequest {
    certificate_request: Option<String>,
    certificate_authority_name: Option<String>,
    certificate_request_type: Option<String>,
    username: Option<String>,
    password: Option<String>,
    #[serde(default)]
    include_chain: bool,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Finalize {
    response_format: Option<String>,
    password: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Search {
    max_number_of_results: Option<u32>,
    #[serde(default)]
    criteria: Vec<Criterion>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Criterion {
    property: String,
    value: String,
    operation: String,
}

fn der() -> String {
    "DER".to_owned()
}

/// Which operation a request is for.
pub(super) fn operation(request: &Request) -> Option<Operation> {
    let path: Vec<&str> = request.path.iter().map(String::as_str).collect();
    let ["ejbca", "ejbca-rest-api", "v1", rest @ ..] = path.as_slice() else { return None };
    Some(match (request.method.as_str(), rest) {
        ("GET", ["certificate", "status"]) => Operation::Status,
        ("POST", ["certificate", "pkcs10enroll"]) => Operation::Enrol,
        ("POST", ["certificate", "certificaterequest"]) => Operation::Request,
        ("POST", ["certificate", "search"]) => Operation::Search,
        ("POST", ["certificate", _, "finalize"]) => Operation::Finalize,
        ("GET", ["certificate", _, _, "revocationstatus"]) => Operation::RevocationStatus,
        ("PUT", ["certificate", _, _, "revoke"]) => Operation::Revoke,
        ("GET", ["ca"]) => Operation::Authorities,
        ("GET", ["ca", _, "certificate", "download"]) => Operation::Chain,
        _ => return None,
    })
}

/// Does what a request asks for. `client` is the common name of the certificate that the client showed.
pub(super) fn answer(inner: &Inner, operation: Operation, request: &Request, client: Option<&str>) -> Answer {
    let said = match client {
        None => Err(Complaint::of(403, "Error no client certificate received for authentication.")),
        Some(ADMINISTRATOR) => carry_out(inner, operation, request),
        Some(_) => Err(Complaint::of(403, "Not authorized to resource /administrator.")),
    };
    said.unwrap_or_else(Complaint::answer)
}

fn carry_out(inner: &Inner, operation: Operation, request: &Request) -> Said {
    let segment = |index: usize| request.path.get(index).map(String::as_str).unwrap_or_default();
    let mut book = inner.book();
    match operation {
        Operation::Status => Ok(told(200, &json!({ "status": "OK", "version": "1.0", "revision": "stand-in" }))),
        Operation::Enrol => enrol(inner, &mut book, &body(request)?),
        Operation::Request => request_certificate(inner, &mut book, &body(request)?),
        Operation::Finalize => finalize(inner, &mut book, segment(4), &body(request)?),
        Operation::Search => search(&book, &body(request)?),
        Operation::RevocationStatus => revocation_status(&mut book, segment(4), segment(5)),
        Operation::Revoke => revoke(&mut book, segment(4), segment(5), request),
        Operation::Authorities => Ok(told(
            200,
            &json!({ "certificate_authorities": [{
                "id": 1, "name": AUTHORITY, "subject_dn": SUBJECT, "issuer_dn": "CN=memory root",
                "expiration_date": "4095-12-31T23:00:00Z", "external": false,
            }] }),
        )),
        Operation::Chain if segment(4) == SUBJECT => {
            let certificates = [inner.authority.intermediate(), inner.authority.root()];
            let text: String = certificates.iter().map(|der| pem(der)).collect();
            Ok(Answer { status: 200, content_type: "application/octet-stream", body: text.into_bytes() })
        }
        Operation::Chain => Err(no_such_ca(segment(4))),
    }
}

fn body<T: DeserializeOwned>(request: &Request) -> Result<T, Complaint> {
    if request.header("content-type").is_none_or(|kind| !kind.starts_with("application/json")) {
        return Err(Complaint::of(415, "HTTP 415 Unsupported Media Type"));
    }
    serde_json::from_slice(&request.body).map_err(|error| Complaint::of(400, &format!("Invalid JSON: {error}")))
}

fn required<'a>(value: &'a Option<String>, name: &str) -> Result<&'a str, Complaint> {
    let value = value.as_deref().filter(|value| !value.is_empty());
    value.ok_or_else(|| Complaint::of(400, &format!("Invalid or missing parameter: {name}")))
}

fn no_such_ca(name: &str) -> Complaint {
    Complaint::of(404, &format!("CA '{name}' does not exist."))
}

/// A request in PEM that its key has signed.
fn csr(text: &str) -> Result<(Vec<u8>, CertificateSigningRequestParams), Complaint> {
    let malformed = || Complaint::of(400, "The certificate request can't be parsed.");
    let text = text.trim().strip_prefix("-----BEGIN CERTIFICATE REQUEST-----").ok_or_else(malformed)?;
    let text = text.strip_suffix("-----END CERTIFICATE REQUEST-----").ok_or_else(malformed)?;
    let text: String = text.split_whitespace().collect();
    let der = STANDARD.decode(text).map_err(|_| malformed())?;
    let read = read_request(&der).map_err(|reason| Complaint::of(400, &reason))?;
    Ok((der, read))
}

fn enrol(inner: &Inner, book: &mut Book, given: &Enrol) -> Said {
    let (username, password) = (required(&given.username, "username")?, required(&given.password, "password")?);
    let (der, read) = csr(required(&given.certificate_request, "certificate_request")?)?;
    let authority = required(&given.certificate_authority_name, "certificate_authority_name")?;
    if authority != AUTHORITY {
        return Err(no_such_ca(authority));
    }
    let profile = required(&given.certificate_profile_name, "certificate_profile_name")?;
    if profile != CERTIFICATE_PROFILE {
        return Err(Complaint::of(404, &format!("Certificate profile '{profile}' does not exist.")));
    }
    let profile = required(&given.end_entity_profile_name, "end_entity_profile_name")?;
    if profile != END_ENTITY_PROFILE {
        return Err(Complaint::of(404, &format!("End entity profile '{profile}' does not exist.")));
    }
    if given.response_format != "DER" || given.include_chain {
        return Err(Complaint::of(400, "The stand-in answers in DER without a chain."));
    }
    check_names(&read.params)?;
    book.check_key(username, read.public_key.der_bytes())?;
    let entity = EndEntity { password: password.to_owned(), status: Status::New, csr: der };
    if inner.needs_approval() {
        let id = book.ask_for_approval(username, entity)?;
        return Ok(waiting(inner, id, "The request has been sent for approval."));
    }
    // An end entity that is there already is edited, and becomes new once more: nothing hinders a second certificate.
    book.entities.insert(username.to_owned(), entity);
    generate(inner, book, username)
}

/// What the end entity profile grants.
fn check_names(params: &CertificateParams) -> Result<(), Complaint> {
    let granted = |name: &SanType| matches!(name, SanType::DnsName(host) if host.as_str().ends_with(".example.test"));
    if params.subject_alt_names.iter().all(granted) {
        return Ok(());
    }
    Err(Complaint::of(422, "Wrong subject alternative name: the end entity profile does not grant it."))
}

fn waiting(inner: &Inner, id: i32, message: &str) -> Answer {
    let link = format!("{}/v1/certificate/{id}/finalize", inner.url());
    told(202, &json!({ "status_code": 202, "info_message": message, "request_id": id, "link": link }))
}

/// Issues what an end entity's request asks for.
fn generate(inner: &Inner, book: &mut Book, username: &str) -> Said {
    let entity = book.entities.get_mut(username).ok_or_else(|| no_such_entity(username))?;
    let read = read_request(&entity.csr).map_err(|reason| Complaint::of(400, &reason))?;
    let mut params = CertificateParams::default();
    params.distinguished_name = read.params.distinguished_name;
    params.subject_alt_names = read.params.subject_alt_names;
    let issued = inner.authority.sign(params, &read.public_key, Signing::proper(), Utc::now());
    let der = issued.map_err(|_| Complaint::of(500, "General failure."))?.certificate;
    entity.status = Status::Generated;
    let key = read.public_key.der_bytes().to_vec();
    let (serial, username) = (serial(&der), username.to_owned());
    let answer =
        told(201, &json!({ "certificate": STANDARD.encode(&der), "serial_number": serial, "response_format": "DER" }));
    book.certificates.push(Certificate { der, username, key, serial, revoked: None });
    Ok(answer)
}

fn serial(der: &[u8]) -> String {
    let (_, parsed) = parse_x509_certificate(der).expect("a certificate that was just signed");
    parsed.raw_serial().iter().map(|byte| format!("{byte:02X}")).collect()
}

fn no_such_entity(username: &str) -> Complaint {
    Complaint::of(404, &format!("The end entity '{username}' does not exist"))
}

/// A certificate for an end entity that is there: once, until somebody makes it new again.
fn request_certificate(inner: &Inner, book: &mut Book, given: &CertificateRequest) -> Said {
    let (username, password) = (required(&given.username, "username")?, required(&given.password, "password")?);
    let (der, _) = csr(required(&given.certificate_request, "certificate_request")?)?;
    let authority = required(&given.certificate_authority_name, "certificate_authority_name")?;
    if authority != AUTHORITY {
        return Err(no_such_ca(authority));
    }
    if required(&given.certificate_request_type, "certificate_request_type")? != "PKCS10" || given.include_chain {
        return Err(Complaint::of(400, "The stand-in takes PKCS10 and answers without a chain."));
    }
    let entity = book.entities.get_mut(username).ok_or_else(|| no_such_entity(username))?;
    if entity.status != Status::New {
        let message = format!("Got request with status GENERATED, NEW, FAILED or INPROCESS required: {username}.");
        return Err(Complaint::of(403, &message));
    }
    if entity.password != password {
        return Err(Complaint::of(403, "Got invalid password for end entity."));
    }
    entity.csr = der;
    generate(inner, book, username)
}

fn finalize(inner: &Inner, book: &mut Book, id: &str, given: &Finalize) -> Said {
    let id: i32 = id.parse().map_err(|_| Complaint::of(404, "HTTP 404 Not Found"))?;
    let password = required(&given.password, "password")?;
    let approval = book.approvals.get(&id);
    let approval = approval.ok_or_else(|| Complaint::of(400, &format!("Could not find request with Id '{id}'")))?;
    if required(&given.response_format, "response_format")? != "DER" {
        return Err(Complaint::of(400, "Invalid parameter: response_format"));
    }
    let about = |what: &str| format!("Request with Id '{id}' {what}");
    match approval.decision {
        Decision::Waiting => return Ok(waiting(inner, id, &about("is still waiting for approval"))),
        Decision::Rejected => return Err(Complaint::of(400, &about("has been rejected"))),
        Decision::Expired => return Err(Complaint::of(400, &about("has expired"))),
        Decision::Approved => {}
    }
    let username = approval.username.clone();
    let entity = book.entities.get(&username).ok_or_else(|| no_such_entity(&username))?;
    if entity.status == Status::Generated {
        return Err(Complaint::of(400, &format!("Enrollment with Id '{id}' has already been finalized")));
    }
    if entity.password != password {
        return Err(Complaint::of(403, "Got invalid password for end entity."));
    }
    generate(inner, book, &username)
}

fn search(book: &Book, given: &Search) -> Said {
    let malformed = |what: &str| Complaint::of(400, &format!("Invalid search criteria content, {what}."));
    let most = given.max_number_of_results.filter(|most| (1..=1000).contains(most));
    let most = most.ok_or_else(|| malformed("max number of results"))? as usize;
    let mut query = None;
    for criterion in &given.criteria {
        match (criterion.property.as_str(), criterion.operation.as_str()) {
            ("QUERY", "EQUAL") if query.is_none() => query = Some(criterion.value.as_str()),
            ("CA", "EQUAL") if criterion.value == AUTHORITY => {}
            ("CA", "EQUAL") => return Err(malformed("unknown CA")),
            (property, _) => return Err(malformed(property)),
        }
    }
    let query = query.ok_or_else(|| malformed("no criteria"))?;
    let hits: Vec<&Certificate> =
        book.certificates.iter().filter(|known| known.username == query || known.serial == query).collect();
    // EJBCA encodes what it found twice.
    let shown = |known: &&Certificate| {
        json!({
            "certificate": STANDARD.encode(STANDARD.encode(&known.der)), "serial_number": known.serial,
            "response_format": "DER", "certificate_profile": CERTIFICATE_PROFILE,
            "end_entity_profile": END_ENTITY_PROFILE,
        })
    };
    let shown: Vec<Value> = hits.iter().take(most).map(shown).collect();
    Ok(told(200, &json!({ "certificates": shown, "more_results": hits.len() > most })))
}

/// The certificate that a path names.
fn named<'a>(book: &'a mut Book, issuer: &str, serial: &str) -> Result<&'a mut Certificate, Complaint> {
    if issuer != SUBJECT {
        return Err(no_such_ca(issuer));
    }
    if serial.is_empty() || !serial.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(Complaint::of(400, "Invalid serial number format. Should be HEX encoded"));
    }
    let message = format!("Certificate with serial number '{serial}' and issuer DN '{issuer}' was not found");
    book.certificate(serial).ok_or_else(|| Complaint::of(404, &message))
}

fn revocation_status(book: &mut Book, issuer: &str, serial: &str) -> Said {
    let known = named(book, issuer, serial)?;
    let reason = known.revoked.as_deref().unwrap_or("NOT_REVOKED");
    let revoked = known.revoked.is_some();
    Ok(told(
        200,
        &json!({ "issuer_dn": issuer, "serial_number": serial, "revocation_reason": reason, "revoked": revoked }),
    ))
}

const REASONS: [&str; 7] = [
    "UNSPECIFIED",
    "KEY_COMPROMISE",
    "CA_COMPROMISE",
    "AFFILIATION_CHANGED",
    "SUPERSEDED",
    "CESSATION_OF_OPERATION",
    "PRIVILEGES_WITHDRAWN",
];

fn revoke(book: &mut Book, issuer: &str, serial: &str, request: &Request) -> Said {
    let reason = request.parameter("reason").filter(|reason| REASONS.contains(reason));
    let reason = reason.ok_or_else(|| Complaint::of(400, "Invalid revocation reason."))?;
    let known = named(book, issuer, serial)?;
    if known.revoked.is_some() {
        return Err(Complaint::of(409, "Certificate with serial number is already revoked."));
    }
    known.revoked = Some(reason.to_owned());
    Ok(told(
        200,
        &json!({
            "issuer_dn": issuer, "serial_number": serial, "revocation_reason": reason,
            "revoked": true, "message": "Successfully revoked",
        }),
    ))
}

fn pem(der: &[u8]) -> String {
    format!("Subject: -\n-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", STANDARD.encode(der))
}
