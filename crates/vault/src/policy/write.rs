//! Policies and vaults as the operator's documents: what is shown can be edited and applied again. The inverse of `read`, and the one list of a
//! policy's fields: what differs between two policies is told by it too.

use std::time::Duration;

use super::{Door, Removal, VaultPolicy, VaultRule, VaultSpec};
use crate::ids::Name;
use crate::section::{Custody, Seal};

/// A field of a document, and what stands in it.
pub type Field = (&'static str, String);

impl VaultPolicy {
    /// Every field but the name, as it is written in a document. A seal is none where no share lies in the TPM.
    #[must_use]
    pub fn fields(&self) -> Vec<Field> {
        let seal = self.node.custody.needs_tpm().then(|| ("seal", seal(self.node.seal).to_owned()));
        let require: Vec<&str> = self.attest.require.iter().map(|_| "pcrs").collect();
        let head = [("custody", custody(self.node.custody).to_owned())];
        let tail = [
            ("encryption", self.node.encryption.to_string()),
            ("attest.every", duration(self.attest.every)),
            ("attest.require", format!("[{}]", require.join(", "))),
            removal(self.on_removal),
            ("operation", door(self.operation).to_owned()),
        ];
        let lease = self.node.lease.map(|lease| ("lease", duration(lease.duration())));
        let recipients: Vec<String> = self.node.recovery.all().iter().map(ToString::to_string).collect();
        let recovery =
            (!recipients.is_empty()).then(|| ("recovery.recipients", format!("[{}]", recipients.join(", "))));
        let limit = self.node.storage_limit.map(|limit| ("storage_limit", limit.to_string()));
        head.into_iter().chain(seal).chain(tail).chain(lease).chain(recovery).chain(limit).collect()
    }

    /// As a document.
    #[must_use]
    pub fn to_document(&self) -> String {
        let mut text = format!("kind: VaultPolicy\nname: {}\n", scalar(&self.name));
        for (field, value) in self.fields() {
            text += &match field {
                "attest.every" => format!("attest: {{ every: {value}, require: "),
                "attest.require" => format!("{value}, on_failure: withhold }}\n"),
                "on_removal.delete_after" => format!("on_removal: {{ delete_after: {value} }}\n"),
                "recovery.recipients" => format!("recovery: {{ recipients: {value} }}\n"),
                field => format!("{field}: {value}\n"),
            };
        }
        text
    }
}

impl VaultSpec {
    /// As a document. A device that is no name can't be written, and none of those is applied.
    #[must_use]
    pub fn to_document(&self) -> String {
        let (name, policy) = (scalar(&self.name), scalar(&self.policy));
        let device = self.device.parse::<Name>().map_or_else(|_| self.device.clone(), |name| scalar(&name));
        format!("kind: Vault\nname: {name}\ndevice: {device}\npolicy: {policy}\n")
    }
}

impl VaultRule {
    /// As a document.
    #[must_use]
    pub fn to_document(&self) -> String {
        let (name, policy) = (scalar(&self.name), scalar(&self.policy));
        let labels: Vec<String> =
            self.devices.iter().map(|(key, value)| format!("\"{key}\": \"{value}\"")).collect();
        format!("kind: Vault\nname: {name}\ndevices: {{ {} }}\npolicy: {policy}\n", labels.join(", "))
    }
}

/// A name as YAML: in quotes where it could read as something else than a text.
fn scalar(name: &Name) -> String {
    let name = name.as_str();
    let is_word = |word: &str| word.eq_ignore_ascii_case(name);
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].into_iter().any(is_word);
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}

fn custody(custody: Custody) -> &'static str {
    match custody {
        Custody::Tpm => "tpm",
        Custody::Controller => "controller",
        Custody::TpmAndController => "tpm+controller",
    }
}

fn seal(seal: Seal) -> &'static str {
    match seal {
        Seal::Tpm => "tpm",
        Seal::Pcrs => "pcrs",
    }
}

fn door(door: Door) -> &'static str {
    match door {
        Door::Unlock => "unlock",
        Door::Lock => "lock",
    }
}

fn removal(removal: Removal) -> Field {
    match removal {
        Removal::DeleteAfter(grace) => ("on_removal.delete_after", duration(grace)),
        Removal::Retain => ("on_removal", "retain".to_owned()),
    }
}

/// In the greatest unit that it is whole in, but for days: `72h` is what people write.
fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    match seconds {
        0 => "0s".into(),
        s if s.is_multiple_of(3600) => format!("{}h", s / 3600),
        s if s.is_multiple_of(60) => format!("{}m", s / 60),
        s => format!("{s}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Document, read};
    use super::*;

    /// Seen-by-users 2: what is shown is applied again, and changes nothing.
    #[test]
    fn what_is_written_reads_back_as_what_it_was() {
        for custody in ["tpm", "controller", "tpm+controller"] {
            for rest in [
                "",
                "seal: pcrs",
                "encryption: adiantum\noperation: lock",
                "attest: { every: 90s, require: [pcrs] }\non_removal: { delete_after: 0s }",
                "lease: 6h\nstorage_limit: 20GiB",
                "on_removal: retain",
                "attest: { every: 30days }\non_removal: { delete_after: 366days }",
                "attest: { every: 61m }\non_removal: { delete_after: 86401s }",
                "recovery: { recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p] }",
            ] {
                let Ok(documents) =
                    read(&format!("kind: VaultPolicy\nname: p\ncustody: {custody}\n{rest}\n"))
                else {
                    continue; // No such policy.
                };
                let Document::Policy(policy) = &documents[0].document else { panic!("a policy") };
                let again = read(&policy.to_document()).expect("what is written reads");
                assert_eq!(again[0].document, documents[0].document, "{}", policy.to_document());
            }
        }
        for name in ["payments", "true", "No", "1", "1e3", "2026-11-28", "a b", "0x1f", "a.b_c-d", "nUll"] {
            let name: Name = name.parse().expect("a name");
            let spec = VaultSpec { name: name.clone(), device: name.to_string(), policy: name.clone() };
            let again = read(&spec.to_document()).expect("what is written reads");
            assert_eq!(again[0].document, Document::Vault(spec));
            let devices = "site=berlin,true=null,1=2.0".parse().expect("labels");
            let rule = VaultRule { name: name.clone(), devices, policy: name.clone() };
            let again = read(&rule.to_document()).expect("what is written reads");
            assert_eq!(again[0].document, Document::Rule(rule));
            let policy = VaultPolicy { name, ..VaultPolicy::of_default_vault(true) };
            let again = read(&policy.to_document()).expect("what is written reads");
            assert_eq!(again[0].document, Document::Policy(policy));
        }
    }
}
