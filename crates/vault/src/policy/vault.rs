//! A `Vault`: of one device, or of each with some labels. What it is, the fields that are written of it, and how each is checked.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};
use serde_saphyr::Spanned;

use super::parts::{Checked, name, needed};
use super::raw::fields;
use super::{BadFile, Document};
use crate::defaults;
use crate::ids::{Name, VaultId};
use crate::labels::{BadLabels, Labels, Word};

/// A vault of one device, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultSpec {
    /// Its name, unique on its device; `config` and `image` are the default vaults (DF-4).
    pub name: Name,
    /// The device, by name or UUID.
    pub device: String,
    /// The policy, by name.
    pub policy: Name,
}

/// A vault of each device that has all of some labels, now or later, as the operator writes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VaultRule {
    /// The vault's name on each of them, and its own.
    pub name: Name,
    /// The labels, at least one.
    pub devices: Labels,
    /// The policy, by name.
    pub policy: Name,
}

impl VaultRule {
    /// The vault of one of them.
    #[must_use]
    pub fn of(&self, device: impl fmt::Display) -> VaultSpec {
        VaultSpec { name: self.name.clone(), device: device.to_string(), policy: self.policy.clone() }
    }
}

impl VaultSpec {
    /// The fixed identity when the name is that of a default vault.
    #[must_use]
    pub fn default_vault(&self) -> Option<VaultId> {
        defaults::named(&self.name)
    }
}

/// Devices by their labels.
pub(super) type RawLabels = BTreeMap<String, Spanned<Option<String>>>;

fields! {
    /// What a Vault has beside its head.
    RawVault { device: String, devices: RawLabels, policy: String }
}

/// A Vault of one device, or of each with some labels.
pub(super) fn vault(own: &Spanned<String>, raw: RawVault) -> Checked<Document> {
    let policy = raw.policy;
    let policy = || {
        let advice = "name the policy: `policy: berlin-lines`";
        name(&needed("policy", policy, own.referenced, advice)?)
    };
    match (raw.device, raw.devices) {
        (Some(_), Some(devices)) => Err(BadFile::at(
            devices.referenced,
            "a Vault has `device` or `devices`, not both",
            "keep `device` for one device, or `devices` for each that has these labels",
        )),
        (None, Some(devices)) => {
            let devices = selector(&devices)?;
            Ok(Document::Rule(VaultRule { name: rule_name(own)?, devices, policy: policy()? }))
        }
        (device, None) => {
            let advice = "name the device, or give its UUID: `device: edge-1`; or name devices by their labels: `devices: { site: berlin }`";
            let device = needed("device", device, own.referenced, advice)?;
            let device = name(&device)?.to_string();
            Ok(Document::Vault(VaultSpec { name: name(own)?, device, policy: policy()? }))
        }
    }
}

/// A rule makes what is not there, and every node has its default vaults already: a label would take one over, and give nothing back.
fn rule_name(given: &Spanned<String>) -> Checked<Name> {
    let checked = name(given)?;
    if defaults::named(&checked).is_none() {
        return Ok(checked);
    }
    Err(BadFile::at(
        given.referenced,
        format!("`{checked}` is a default vault, which no labels change"),
        "name one device: `device: edge-1`, in a document of its own for each",
    ))
}

/// The labels of a Vault for many devices. One of none would be every device, and is no slip of the pen's to decide.
fn selector(devices: &Spanned<RawLabels>) -> Checked<Labels> {
    let refused = |place, why: BadLabels| {
        BadFile::at(place, "`devices` does not name devices by their labels", why.to_string())
    };
    if devices.value.is_empty() {
        let problem = "`devices` has no label, and would name no device";
        return Err(BadFile::at(
            devices.referenced,
            problem,
            "write at least one: `devices: { site: berlin }`",
        ));
    }
    let mut all = BTreeMap::<Word, Word>::new();
    for (key, value) in &devices.value {
        let word = |text: &str| text.parse().map_err(|why| refused(value.referenced, why));
        all.insert(word(key)?, word(value.value.as_deref().unwrap_or_default())?);
    }
    all.try_into().map_err(|why| refused(devices.referenced, why))
}

#[cfg(test)]
mod tests;
