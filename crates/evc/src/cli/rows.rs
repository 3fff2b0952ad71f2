//! What the tables of answers show of each row.

use serde_json::{Value, json};

use super::table::Row;
use crate::api::{Allowance, Applied, DeviceView, Done, PolicyView, Reference, VaultView};

impl Row for DeviceView {
    const COLUMNS: &'static [&'static str] =
        &["NAME", "ID", "TPM", "ATTESTATION", "LAST SEEN", "CONDITION", "SECTION"];
    fn cells(&self) -> Vec<Value> {
        vec![
            json!(self.name),
            json!(self.id),
            json!(self.tpm),
            json!(self.attestation.as_ref().map(|fared| fared.outcome)),
            json!(self.seen),
            json!(self.condition),
            json!(self.section_version),
        ]
    }
}

impl Row for VaultView {
    const COLUMNS: &'static [&'static str] =
        &["DEVICE", "NAME", "POLICY", "STANDING", "STATE", "EPOCH", "NODE AT", "UNTIL", "KEY", "NOTES"];
    fn cells(&self) -> Vec<Value> {
        vec![
            json!(self.device),
            json!(self.name),
            json!(self.policy),
            json!(self.standing),
            json!(self.state_now),
            json!(self.current_epoch),
            json!(self.reported_epoch),
            json!(self.delete_at),
            json!(self.key),
            json!(self.notes),
        ]
    }
}

impl Row for PolicyView {
    const COLUMNS: &'static [&'static str] = &["NAME", "CUSTODY", "SEAL", "REQUIRE", "OPERATION", "CHANGED"];
    fn cells(&self) -> Vec<Value> {
        let policy = &self.policy;
        vec![
            json!(self.name),
            json!(policy.node.custody),
            json!(policy.node.seal),
            json!(policy.attest.require),
            json!(policy.operation),
            json!(self.changed),
        ]
    }
}

impl Row for Reference {
    const COLUMNS: &'static [&'static str] = &["ID", "DEVICE", "STATE", "DIFFERS", "LEARNED", "DECIDED"];
    fn cells(&self) -> Vec<Value> {
        vec![
            json!(self.id),
            json!(self.device),
            json!(self.state),
            json!(self.differs),
            json!(self.learned),
            json!(self.decided),
        ]
    }
}

impl Row for Allowance {
    const COLUMNS: &'static [&'static str] = &["CERTIFICATE", "SERIAL", "NAME", "ADDED", "DEVICE"];
    fn cells(&self) -> Vec<Value> {
        vec![
            json!(self.certificate),
            json!(self.serial),
            json!(self.name),
            json!(self.added),
            json!(self.device),
        ]
    }
}

impl Row for Applied {
    const COLUMNS: &'static [&'static str] = &["KIND", "NAME", "OUTCOME", "NOTES"];
    fn cells(&self) -> Vec<Value> {
        vec![json!(self.kind), json!(self.name), json!(self.outcome), json!(self.notes)]
    }
}

impl Row for Done {
    const COLUMNS: &'static [&'static str] = &["DONE", "NOTES"];
    fn cells(&self) -> Vec<Value> {
        vec![json!(self.done), json!(self.notes)]
    }
}
