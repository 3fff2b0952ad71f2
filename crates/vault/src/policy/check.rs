//! Turns the fields of a raw document into a checked one: names, words, durations, combinations.
//! What later work adds is refused by name, so that nobody believes in a protection that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::kind::{later, needed};
use super::raw::{RawAttest, RawLabels, RawPolicy, RawRecovery, RawRemoval, RawVault, Text};
use super::removal::Removal;
use super::{
    Attest, BadFile, Check, DEFAULT_ATTEST_EVERY, DEFAULT_DELETE_AFTER, Document, Door, VaultPolicy,
    VaultRule, VaultSpec,
};
use crate::defaults;
use crate::ids::Name;
use crate::labels::{BadLabels, Labels, Word};
use crate::lease::Lease;
use crate::recovery::{BadRecipients, Recipient, Recipients};
use crate::section::{Custody, Encryption, NodePolicy, Seal};
use crate::space::{BadLimit, StorageLimit};

/// Bounds of `attest.every`.
const EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30 * 86_400));
/// Bounds of `on_removal.delete_after`, and of the same where it is said when a vault is deleted.
pub const DELETE_AFTER: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(366 * 86_400));

type Checked<T> = Result<T, BadFile>;

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

pub(super) fn policy(own: &Spanned<String>, raw: RawPolicy) -> Checked<VaultPolicy> {
    let custody = custody(raw.custody, own.referenced)?;
    Ok(VaultPolicy {
        name: name(own)?,
        node: NodePolicy {
            encryption: encryption(raw.encryption)?,
            custody,
            seal: seal(raw.seal, custody)?,
            lease: lease(raw.lease)?,
            recovery: recovery(raw.recovery)?,
            storage_limit: storage_limit(raw.storage_limit)?,
        },
        attest: attest(raw.attest, custody)?,
        on_removal: removal(raw.on_removal)?,
        operation: operation(raw.operation)?,
    })
}

fn name(text: &Spanned<String>) -> Checked<Name> {
    Name::try_from(text.value.clone()).map_err(|why| {
        BadFile::at(text.referenced, format!("`{}` is not a name", text.value), why.to_string())
    })
}

fn custody(text: Text, place: Location) -> Checked<Custody> {
    let advice = "write `custody: tpm+controller`, `tpm` or `controller`";
    let text = needed("custody", text, place, advice)?;
    match text.value.as_str() {
        "tpm" => Ok(Custody::Tpm),
        "controller" => Ok(Custody::Controller),
        "tpm+controller" => Ok(Custody::TpmAndController),
        other => Err(BadFile::at(text.referenced, format!("`{other}` is not a custody"), advice)),
    }
}

fn encryption(text: Text) -> Checked<Encryption> {
    let Some(text) = text else { return Ok(Encryption::Aes256Xts) };
    let advice = "write `encryption: aes-256-xts` or `adiantum`";
    match text.value.as_str() {
        "aes-256-xts" => Ok(Encryption::Aes256Xts),
        "adiantum" => Ok(Encryption::Adiantum),
        "off" | "false" => Err(later(text.referenced, "encryption: off", advice)),
        other => Err(BadFile::at(text.referenced, format!("`{other}` is not an encryption"), advice)),
    }
}

/// Absent means `tpm`: until the escrow is built, a seal to PCRs would not survive an update of the firmware.
fn seal(text: Text, custody: Custody) -> Checked<Seal> {
    let Some(text) = text else { return Ok(Seal::Tpm) };
    if !custody.needs_tpm() {
        let problem = "`seal` has no meaning with `custody: controller`, where the TPM holds no share";
        return Err(BadFile::at(
            text.referenced,
            problem,
            "leave `seal` out, or write `custody: tpm+controller`",
        ));
    }
    match text.value.as_str() {
        "tpm" => Ok(Seal::Tpm),
        "pcrs" => Ok(Seal::Pcrs),
        other => Err(BadFile::at(
            text.referenced,
            format!("`{other}` is not a seal"),
            "write `seal: tpm` or `seal: pcrs`",
        )),
    }
}

fn lease(text: Text) -> Checked<Option<Lease>> {
    let Some(text) = text else { return Ok(None) };
    let given = duration(&text, "lease", Lease::BOUNDS)?;
    Ok(u32::try_from(given.as_secs()).ok().and_then(Lease::of_seconds))
}

/// With every custody: the recovery key is there for when what the custody asks for is gone.
fn recovery(raw: Option<Spanned<RawRecovery>>) -> Checked<Recipients> {
    let Some(raw) = raw else { return Ok(Recipients::NONE) };
    let list = raw.value.recipients;
    if list.value.is_empty() {
        let advice = "name a recipient: `recovery: { recipients: [age1...] }`; or leave `recovery` out";
        return Err(BadFile::at(list.referenced, "`recovery` has no recipient", advice));
    }
    let mut all = Vec::new();
    for text in &list.value {
        let bad = |why: BadRecipients| {
            BadFile::at(
                text.referenced,
                format!("`{}` is not an X25519 recipient of age", text.value),
                why.to_string(),
            )
        };
        let recipient: Recipient = text.value.parse().map_err(bad)?;
        if all.contains(&recipient) {
            let problem = format!("`{}` is a recipient twice", text.value);
            return Err(BadFile::at(text.referenced, problem, BadRecipients::Twice.to_string()));
        }
        all.push(recipient);
    }
    Recipients::try_from(all)
        .map_err(|why| BadFile::at(list.referenced, "`recovery` has too many recipients", why.to_string()))
}

fn storage_limit(text: Text) -> Checked<Option<StorageLimit>> {
    let Some(text) = text else { return Ok(None) };
    let value = text.value.trim();
    value.parse().map(Some).map_err(|why: BadLimit| {
        BadFile::at(text.referenced, format!("`{value}` is not a storage limit"), why.to_string())
    })
}

fn attest(raw: Option<Spanned<RawAttest>>, custody: Custody) -> Checked<Attest> {
    let Some(raw) = raw else { return Ok(Attest { every: DEFAULT_ATTEST_EVERY, require: BTreeSet::new() }) };
    let place = raw.referenced;
    let require = checks(raw.value.require.map(|list| list.value).unwrap_or_default())?;
    if !require.is_empty() && !custody.needs_controller() {
        let problem =
            "`attest.require` has no key to withhold with `custody: tpm`, which opens without the controller";
        return Err(BadFile::at(place, problem, "write `custody: tpm+controller`, or leave `require` out"));
    }
    on_failure(raw.value.on_failure)?;
    let every =
        raw.value.every.map_or(Ok(DEFAULT_ATTEST_EVERY), |text| duration(&text, "attest.every", EVERY))?;
    Ok(Attest { every, require })
}

fn checks(list: Vec<Spanned<String>>) -> Checked<BTreeSet<Check>> {
    let mut checks = BTreeSet::new();
    for text in list {
        let check = match text.value.as_str() {
            "pcrs" => Check::Pcrs,
            "geofence" | "ip" => {
                let what = format!("attest.require: [{}]", text.value);
                return Err(later(text.referenced, &what, "require `pcrs`, or nothing"));
            }
            other => {
                return Err(BadFile::at(
                    text.referenced,
                    format!("`{other}` is not a check"),
                    "write `require: [pcrs]` or `[]`",
                ));
            }
        };
        if !checks.insert(check) {
            return Err(BadFile::at(
                text.referenced,
                format!("`{}` is required twice", text.value),
                "name each check once",
            ));
        }
    }
    Ok(checks)
}

fn on_failure(text: Text) -> Checked<()> {
    let Some(text) = text else { return Ok(()) };
    let advice = "write `on_failure: withhold`";
    match text.value.as_str() {
        "withhold" => Ok(()),
        "lock" | "erase" => {
            Err(later(text.referenced, &format!("attest.on_failure: {}", text.value), advice))
        }
        other => {
            Err(BadFile::at(text.referenced, format!("`{other}` is not an answer to a failure"), advice))
        }
    }
}

fn removal(raw: Option<Spanned<RawRemoval>>) -> Checked<Removal> {
    let Some(raw) = raw else { return Ok(Removal::DeleteAfter(DEFAULT_DELETE_AFTER)) };
    let advice = "write `on_removal: { delete_after: 72h }` or `on_removal: retain`";
    match raw.value {
        RawRemoval::Map(map) => {
            duration(&map.delete_after, "on_removal.delete_after", DELETE_AFTER).map(Removal::DeleteAfter)
        }
        RawRemoval::Word(word) if word == "retain" => Ok(Removal::Retain),
        RawRemoval::Word(word) => {
            Err(BadFile::at(raw.referenced, format!("`{word}` is not a way of removal"), advice))
        }
    }
}

fn operation(text: Text) -> Checked<Door> {
    let Some(text) = text else { return Ok(Door::Unlock) };
    match text.value.as_str() {
        "unlock" => Ok(Door::Unlock),
        "lock" => Ok(Door::Lock),
        "change-key" => {
            let problem = "`change-key` is not a lasting state";
            Err(BadFile::at(
                text.referenced,
                problem,
                "write `operation: unlock` and run `evc rotate vault NAME --device DEVICE`",
            ))
        }
        other => Err(BadFile::at(
            text.referenced,
            format!("`{other}` is not an operation"),
            "write `operation: unlock` or `lock`",
        )),
    }
}

fn duration(text: &Spanned<String>, field: &str, (least, most): (Duration, Duration)) -> Checked<Duration> {
    let place = text.referenced;
    let value = text.value.trim();
    let parsed = if value == "0" { Ok(Duration::ZERO) } else { humantime::parse_duration(value) };
    let parsed = parsed.map_err(|_| {
        BadFile::at(place, format!("`{value}` is not a duration"), "write it like `15m`, `6h` or `3days`")
    })?;
    if parsed.subsec_nanos() != 0 {
        return Err(BadFile::at(
            place,
            format!("`{field}: {value}` is not in whole seconds"),
            "round it to seconds",
        ));
    }
    if parsed < least || parsed > most {
        let bounds =
            format!("write {} to {}", humantime::format_duration(least), humantime::format_duration(most));
        return Err(BadFile::at(place, format!("`{field}: {value}` is out of bounds"), bounds));
    }
    Ok(parsed)
}
