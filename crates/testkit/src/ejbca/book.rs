//! What the stand-in knows: end entities, requests for approval and certificates.

use std::collections::BTreeMap;

use super::api::Complaint;

/// Whether a certificate can be had for an end entity.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status {
    New,
    Generated,
}

pub(super) struct EndEntity {
    pub(super) password: String,
    pub(super) status: Status,
    pub(super) csr: Vec<u8>,
}

/// What became of a request for approval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Decision {
    Waiting,
    Approved,
    Rejected,
    Expired,
}

pub(super) struct Approval {
    pub(super) username: String,
    pub(super) decision: Decision,
    pub(super) entity: EndEntity,
}

pub(super) struct Certificate {
    pub(super) der: Vec<u8>,
    pub(super) username: String,
    /// What its key says, to tell it from others.
    pub(super) key: Vec<u8>,
    /// Upper-case hexadecimal.
    pub(super) serial: String,
    /// Why it was revoked.
    pub(super) revoked: Option<String>,
}

#[derive(Default)]
pub(super) struct Book {
    pub(super) entities: BTreeMap<String, EndEntity>,
    pub(super) approvals: BTreeMap<i32, Approval>,
    pub(super) certificates: Vec<Certificate>,
    last_request: i32,
}

impl Book {
    /// Enters a request for approval, unless an equal one waits already.
    pub(super) fn ask_for_approval(&mut self, username: &str, entity: EndEntity) -> Result<i32, Complaint> {
        let waits = |known: &Approval| known.username == username && known.decision == Decision::Waiting;
        if self.approvals.values().any(waits) {
            return Err(Complaint::of(400, "Approval Request 1836403 already exists in database."));
        }
        self.last_request += 1;
        let approval = Approval { username: username.to_owned(), decision: Decision::Waiting, entity };
        self.approvals.insert(self.last_request, approval);
        Ok(self.last_request)
    }

    /// Decides every request that waits; an approved one is carried out at once: the end entity is added.
    pub(super) fn decide(&mut self, decision: Decision) {
        for approval in self.approvals.values_mut().filter(|approval| approval.decision == Decision::Waiting) {
            approval.decision = decision;
            if decision == Decision::Approved {
                let EndEntity { password, csr, .. } = &approval.entity;
                let entity = EndEntity { password: password.clone(), status: Status::New, csr: csr.clone() };
                self.entities.insert(approval.username.clone(), entity);
            }
        }
    }

    /// Refuses a key that an end entity of another name has a certificate for.
    pub(super) fn check_key(&self, username: &str, key: &[u8]) -> Result<(), Complaint> {
        let taken = self.certificates.iter().any(|known| known.key == key && known.username != username);
        if taken {
            let message = format!("User '{username}' is not allowed to use the same key as another user is using.");
            return Err(Complaint::of(400, &message));
        }
        Ok(())
    }

    pub(super) fn certificate(&mut self, serial: &str) -> Option<&mut Certificate> {
        let serial = serial.trim_start_matches("0x").trim_start_matches('0').to_ascii_uppercase();
        self.certificates.iter_mut().find(|known| known.serial.trim_start_matches('0') == serial)
    }
}
