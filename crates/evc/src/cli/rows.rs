//! What the tables of answers show of each row. A device goes by its name, a certificate by the first digits of its digest, a time by how long
//! ago it is; a wide table has all of it.

use cli::age;
use serde_json::{Value, json};
use vault::ids::{DeviceId, Epoch, Name};
use vault::policy::{VaultRule, VaultSpec};
use vault::report::State;

use super::table::Row;
use crate::api::{
    Allowance, Applied, DeletedDevice, DeviceView, InEscrow, Knock, Outcome, PolicyView, Reference, RuleView,
    Standing, StateNow, VaultView,
};
use crate::store::ReferenceState;

/// Digits of a digest that tell it from others.
const SHORT: usize = 12;

impl Row for DeviceView {
    const COLUMNS: &'static [&'static str] = &["NAME", "CONDITION", "TPM", "ATTESTATION", "LAST SEEN"];
    const WIDE: &'static [&'static str] = &["LABELS", "SERIAL", "REGISTERED", "LIST SENT", "ESCROW", "ID"];

    fn cells(&self) -> Vec<Value> {
        vec![
            json!(self.name),
            json!(self.condition),
            json!(self.tpm),
            json!(self.attestation.as_ref().map(|fared| fared.outcome)),
            json!(seen(self)),
        ]
    }

    fn wide(&self) -> Vec<Value> {
        let labels = (!self.labels.is_empty()).then(|| self.labels.to_string());
        let list = json!(self.section_version);
        let escrow = json!(self.escrow.as_ref().map(in_escrow));
        vec![json!(labels), json!(self.serial), json!(self.registered), list, escrow, json!(self.id)]
    }

    fn name(&self) -> String {
        format!("device/{}", self.name)
    }

    fn calls(&self) -> bool {
        self.needs_somebody()
    }
}

impl Row for RuleView {
    const COLUMNS: &'static [&'static str] = &["NAME", "DEVICES", "POLICY", "CHANGED"];

    fn cells(&self) -> Vec<Value> {
        vec![json!(self.name), json!(self.devices.to_string()), json!(self.policy), json!(age(&self.changed))]
    }

    fn name(&self) -> String {
        format!("rule/{}", self.name)
    }

    fn documents(rows: &[Self]) -> Option<String> {
        let rule = |RuleView { name, devices, policy, .. }: RuleView| VaultRule { name, devices, policy };
        Some(joined(rows.iter().cloned().map(|row| rule(row).to_document())))
    }
}

impl Row for VaultView {
    const COLUMNS: &'static [&'static str] =
        &["DEVICE", "NAME", "POLICY", "STATE", "EPOCH", "REMOVAL", "KEY", "NOTES"];
    const OPTIONAL: &'static [&'static str] = &["REMOVAL", "KEY", "NOTES"];
    const WIDE: &'static [&'static str] = &["NODE'S EPOCH", "OPENED BY", "STORAGE", "REPORTED", "ID"];

    fn cells(&self) -> Vec<Value> {
        vec![
            json!(named(self.device_name.as_ref(), self.device)),
            json!(self.name),
            json!(policy(self)),
            json!(self.state_now),
            json!(Some(self.current_epoch).filter(|epoch| *epoch != Epoch(0))),
            json!(removal(self)),
            json!(key(self)),
            json!(self.notes),
        ]
    }

    fn wide(&self) -> Vec<Value> {
        let opened = self.opened.as_ref().map(ToString::to_string);
        let storage = self.storage.map(|storage| storage.to_string());
        vec![json!(self.reported_epoch), json!(opened), json!(storage), json!(self.reported), json!(self.id)]
    }

    fn name(&self) -> String {
        format!("vault/{}/{}", named(self.device_name.as_ref(), self.device), self.name)
    }

    fn calls(&self) -> bool {
        self.needs_somebody()
    }

    fn order(&self) -> Vec<String> {
        vec![named(self.device_name.as_ref(), self.device), self.name.to_string(), self.id.to_string()]
    }

    /// A default vault under its default policy is in no document, and what is being removed would be kept by one.
    fn documents(rows: &[Self]) -> Option<String> {
        let documents = rows.iter().filter(|row| row.standing == Standing::Active).map(|row| {
            let device = named(row.device_name.as_ref(), row.device);
            match &row.policy {
                Some(policy) => {
                    VaultSpec { name: row.name.clone(), device, policy: policy.clone() }.to_document()
                }
                None => format!("# vault {} of {device} is under its default policy\n", row.name),
            }
        });
        Some(joined(documents))
    }
}

/// When it last proved that it is there; and when it was heard since, by what may be replays.
fn seen(device: &DeviceView) -> Option<String> {
    let seen = device.seen.as_ref()?;
    Some(match &device.heard {
        None => seen.clone(),
        Some(heard) => format!("{seen} (heard {})", age(heard)),
    })
}

/// What is done about a key, in a few words; as a controller of before says it.
fn key(vault: &VaultView) -> Option<&str> {
    vault.key_now.as_ref().map(|key| key.short.as_str()).or(vault.key.as_deref())
}

pub(super) fn named(name: Option<&Name>, id: DeviceId) -> String {
    name.map_or_else(|| id.to_string(), ToString::to_string)
}

/// A vault that left the list, or was never on it, is under none: only a default one that is listed is under the default.
pub(super) fn policy(vault: &VaultView) -> Option<String> {
    let default = || vault.standing.is_listed().then(|| "(default)".to_owned());
    vault.policy.as_ref().map(ToString::to_string).or_else(default)
}

/// Whether and when it goes.
pub(super) fn removal(vault: &VaultView) -> Option<String> {
    match (vault.standing, &vault.delete_at) {
        (Standing::Active | Standing::Orphan | Standing::Unlisted, _) => None,
        (Standing::Removing, Some(at)) if vault.held => {
            Some(format!("{}, held; erased after {at} at the earliest", locked(vault)))
        }
        (Standing::Removing, Some(at)) => Some(format!("{}, erased after {at}", locked(vault))),
        (Standing::Removing, None) => Some(format!("{}, to be erased", locked(vault))),
        (Standing::Retained, _) => Some(format!("{}, retained", locked(vault))),
        (Standing::Gone, _) => Some("its node is to erase it".into()),
    }
}

/// An order is not yet done: its node says when it is.
fn locked(vault: &VaultView) -> &'static str {
    match (vault.state, vault.last_state) {
        (Some(StateNow::Said(State::Locked)), _) => "locked",
        (_, Some(State::Locked)) => "locked when last heard",
        _ => "to be locked",
    }
}

/// Documents as a file.
pub(super) fn joined(documents: impl Iterator<Item = String>) -> String {
    documents.collect::<Vec<_>>().join("---\n")
}

impl Row for PolicyView {
    const COLUMNS: &'static [&'static str] = &["NAME", "CUSTODY", "SEAL", "REQUIRE", "OPERATION", "CHANGED"];
    const WIDE: &'static [&'static str] =
        &["ENCRYPTION", "ATTEST EVERY", "ON REMOVAL", "STORAGE LIMIT", "CHANGED AT"];

    fn cells(&self) -> Vec<Value> {
        let policy = &self.policy;
        vec![
            json!(self.name),
            json!(policy.node.custody),
            json!(policy.node.custody.needs_tpm().then_some(policy.node.seal)),
            json!(policy.attest.require),
            json!(policy.operation),
            json!(age(&self.changed)),
        ]
    }

    fn wide(&self) -> Vec<Value> {
        let of = |name: &str| {
            let fields = self.policy.fields();
            fields.into_iter().find(|(field, _)| field.starts_with(name)).map(|(_, value)| value)
        };
        let fields =
            ["encryption", "attest.every", "on_removal", "storage_limit"].map(|name| json!(of(name)));
        fields.into_iter().chain([json!(self.changed)]).collect()
    }

    fn name(&self) -> String {
        format!("policy/{}", self.name)
    }

    fn documents(rows: &[Self]) -> Option<String> {
        Some(joined(rows.iter().map(|row| row.policy.to_document())))
    }
}

impl Row for Reference {
    const COLUMNS: &'static [&'static str] =
        &["ID", "DEVICE", "STATE", "BANK", "DIFFERS", "LEARNED", "DECIDED"];
    const WIDE: &'static [&'static str] = &["LEARNED AT", "DECIDED AT", "DEVICE ID"];

    fn cells(&self) -> Vec<Value> {
        vec![
            json!(self.id),
            json!(named(self.device_name.as_ref(), self.device)),
            json!(self.state),
            json!(self.bank),
            json!(self.differs),
            json!(age(&self.learned)),
            json!(self.decided.as_deref().map(age)),
        ]
    }

    fn wide(&self) -> Vec<Value> {
        vec![json!(self.learned), json!(self.decided), json!(self.device)]
    }

    fn name(&self) -> String {
        format!("reference/{}", self.id)
    }

    fn calls(&self) -> bool {
        self.state == ReferenceState::Pending
    }
}

impl Row for Allowance {
    const COLUMNS: &'static [&'static str] = &["SERIAL", "NAME", "DEVICE", "ADDED", "CERTIFICATE"];
    const WIDE: &'static [&'static str] = &["LABELS", "ADDED AT", "SHA-256"];

    fn cells(&self) -> Vec<Value> {
        let device = self.device.map(|id| named(self.device_name.as_ref(), id));
        vec![
            json!(self.serial),
            json!(self.name),
            json!(device),
            json!(age(&self.added)),
            json!(short(&self.certificate)),
        ]
    }

    fn wide(&self) -> Vec<Value> {
        let labels = (!self.labels.is_empty()).then(|| self.labels.to_string());
        vec![json!(labels), json!(self.added), json!(self.certificate)]
    }

    fn name(&self) -> String {
        format!("onboarding/{}/{}", short(&self.certificate), self.serial)
    }
}

impl Row for DeletedDevice {
    const COLUMNS: &'static [&'static str] =
        &["NAME", "DELETED", "KEPT UNTIL", "VAULTS", "BUNDLES", "SERIAL"];
    const WIDE: &'static [&'static str] = &["ID"];

    fn cells(&self) -> Vec<Value> {
        let removed = self.removed.iter().map(|name| format!("{name} (removed)"));
        let vaults: Vec<_> = self.vaults.iter().map(ToString::to_string).chain(removed).collect();
        let vaults = (!vaults.is_empty()).then(|| vaults.join(", "));
        let (deleted, until) = (age(&self.deleted), json!(self.kept_until));
        vec![json!(self.name), json!(deleted), until, json!(vaults), json!(self.bundles), json!(self.serial)]
    }

    fn wide(&self) -> Vec<Value> {
        vec![json!(self.id)]
    }

    fn name(&self) -> String {
        format!("deleted-device/{}", self.name)
    }
}

impl Row for Knock {
    const COLUMNS: &'static [&'static str] = &["SERIAL", "FROM", "LAST SEEN", "TIMES", "CERTIFICATE"];
    const WIDE: &'static [&'static str] = &["FIRST", "LAST", "SHA-256"];

    fn cells(&self) -> Vec<Value> {
        let certificate = short(&self.certificate);
        vec![json!(self.serial), json!(self.from), json!(self.seen), json!(self.times), json!(certificate)]
    }

    fn wide(&self) -> Vec<Value> {
        vec![json!(self.first), json!(self.last), json!(self.certificate)]
    }

    fn name(&self) -> String {
        format!("pending/{}/{}", short(&self.certificate), self.serial)
    }
}

impl Row for Applied {
    const COLUMNS: &'static [&'static str] = &["KIND", "NAME", "OUTCOME", "CHANGES", "NOTES"];
    const OPTIONAL: &'static [&'static str] = &["CHANGES", "NOTES"];

    fn cells(&self) -> Vec<Value> {
        let changes: Vec<String> = match self.outcome {
            // All of it is new.
            Outcome::Created | Outcome::Unchanged => Vec::new(),
            Outcome::Changed => self.changes.iter().map(change).collect(),
        };
        vec![json!(self.kind), json!(self.name), json!(self.outcome), json!(changes), json!(self.notes)]
    }

    fn name(&self) -> String {
        format!("{}/{}", self.kind, self.name)
    }
}

fn change(change: &crate::api::Change) -> String {
    let word = |value: &Option<String>| value.clone().unwrap_or_else(|| "nothing".into());
    format!("{}: {} -> {}", change.field, word(&change.old), word(&change.new))
}

/// A bundle in a few words.
pub(super) fn in_escrow(InEscrow { generation, digest, received, .. }: &InEscrow) -> String {
    format!("generation {generation}, {}, {}", short(digest), age(received))
}

/// The first digits of a digest.
pub(super) fn short(digest: &str) -> String {
    if digest.len() > SHORT { digest.chars().take(SHORT).collect() } else { digest.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A vault whose grace is over is under no policy, and not under the default one.
    #[test]
    fn a_vault_that_is_gone_is_under_no_policy() {
        let shown = |standing: &str, policy: Option<&str>| {
            let vault = json!({ "device": DeviceId(uuid::Uuid::nil()), "id": uuid::Uuid::nil(), "name": "v", "policy": policy,
                "standing": standing, "delete_at": null, "created": true, "recreate": false, "current_epoch": 1, "last_epoch": 1,
                "reported_epoch": null, "state": null, "state_now": null, "notes": [], "key": null, "reported": null });
            super::policy(&serde_json::from_value(vault).expect("a view"))
        };
        assert_eq!(shown("gone", None), None);
        assert_eq!(shown("active", None).as_deref(), Some("(default)"));
        assert_eq!(shown("active", Some("p")).as_deref(), Some("p"));
    }
}
