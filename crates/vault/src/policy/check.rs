//! Turns a raw document into a checked one: names, words, durations, combinations.
//! What later work adds is refused by name, so that nobody believes in a protection that is not there.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_saphyr::{Location, Spanned};

use super::raw::{Place, Raw, RawAttest, RawRemoval, Text};
use super::{
    Attest, BadFile, Check, DEFAULT_ATTEST_EVERY, DEFAULT_DELETE_AFTER, Document, Door, VaultPolicy,
    VaultRule, VaultSpec,
};
use crate::defaults;
use crate::ids::Name;
use crate::labels::{BadLabels, Labels, Word};
use crate::lease::Lease;
use crate::section::{Custody, Encryption, NodePolicy, Seal};

/// Bounds of `attest.every`.
const EVERY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30 * 86_400));
/// Bounds of `on_removal.delete_after`.
const DELETE_AFTER: (Duration, Duration) = (Duration::ZERO, Duration::from_secs(366 * 86_400));

type Checked<T> = Result<T, BadFile>;

/// Checks a document of either kind.
pub(super) fn document(raw: Raw) -> Checked<Document> {
    match raw.kind.value.as_str() {
        "VaultPolicy" => policy(raw).map(Document::Policy),
        "Vault" => vault(raw),
        other => Err(BadFile::at(
            raw.kind.referenced,
            format!("`{other}` is not a kind"),
            "write `kind: VaultPolicy` or `kind: Vault`",
        )),
    }
}

fn vault(raw: Raw) -> Checked<Document> {
    let texts = [
        ("encryption", &raw.encryption),
        ("custody", &raw.custody),
        ("seal", &raw.seal),
        ("operation", &raw.operation),
        ("lease", &raw.lease),
    ];
    for (field, value) in texts {
        foreign(field, place_of(value), "Vault", "put it into the VaultPolicy that this vault names")?;
    }
    foreign(
        "attest",
        raw.attest.as_ref().map(|a| a.referenced),
        "Vault",
        "put it into the VaultPolicy that this vault names",
    )?;
    foreign(
        "on_removal",
        raw.on_removal.as_ref().map(|a| a.referenced),
        "Vault",
        "put it into the VaultPolicy that this vault names",
    )?;
    not_built(&raw)?;
    let policy = |raw: &Raw| {
        let advice = "name the policy: `policy: berlin-lines`";
        name(&needed("policy", raw.policy.clone(), raw.name.referenced, advice)?)
    };
    match (&raw.device, &raw.devices) {
        (Some(_), Some(devices)) => Err(BadFile::at(
            devices.referenced,
            "a Vault has `device` or `devices`, not both",
            "keep `device` for one device, or `devices` for each that has these labels",
        )),
        (None, Some(devices)) => {
            let devices = selector(devices)?;
            Ok(Document::Rule(VaultRule { name: rule_name(&raw.name)?, devices, policy: policy(&raw)? }))
        }
        (device, None) => {
            let advice = "name the device, or give its UUID: `device: edge-1`; or name devices by their labels: `devices: { site: berlin }`";
            let device = needed("device", device.clone(), raw.name.referenced, advice)?;
            let device = name(&device)?.to_string();
            Ok(Document::Vault(VaultSpec { name: name(&raw.name)?, device, policy: policy(&raw)? }))
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
fn selector(devices: &Spanned<BTreeMap<String, Spanned<Option<String>>>>) -> Checked<Labels> {
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

fn policy(raw: Raw) -> Checked<VaultPolicy> {
    foreign(
        "device",
        place_of(&raw.device),
        "VaultPolicy",
        "a policy is for any device; name the device in a `kind: Vault` document",
    )?;
    foreign(
        "devices",
        raw.devices.as_ref().map(|d| d.referenced),
        "VaultPolicy",
        "a policy is for any device; name devices in a `kind: Vault` document",
    )?;
    foreign("policy", place_of(&raw.policy), "VaultPolicy", "name the policy in a `kind: Vault` document")?;
    not_built(&raw)?;
    let custody = custody(&raw)?;
    Ok(VaultPolicy {
        name: name(&raw.name)?,
        node: NodePolicy {
            encryption: encryption(raw.encryption)?,
            custody,
            seal: seal(raw.seal, custody)?,
            lease: lease(raw.lease)?,
        },
        attest: attest(raw.attest, custody)?,
        delete_after: removal(raw.on_removal)?,
        operation: operation(raw.operation)?,
    })
}

fn not_built(raw: &Raw) -> Checked<()> {
    let fields: [(&str, &Place, &str); 4] = [
        ("rotate", &raw.rotate, "leave it out and rotate with `evc rotate vault NAME --device DEVICE`"),
        ("geofence", &raw.geofence, "leave it out; location is not checked"),
        ("ip", &raw.ip, "leave it out; the address is not checked"),
        ("storage_limit", &raw.storage_limit, "leave it out; the size of a vault is not limited"),
    ];
    for (field, place, advice) in fields {
        if let Some(at) = place {
            return Err(later(at.referenced, field, advice));
        }
    }
    Ok(())
}

fn later(place: Location, what: &str, advice: &str) -> BadFile {
    BadFile::at(place, format!("`{what}` is not built yet"), advice)
}

fn foreign(field: &str, place: Option<Location>, kind: &str, advice: &str) -> Checked<()> {
    match place {
        Some(at) => Err(BadFile::at(at, format!("`{field}` does not belong in a {kind}"), advice)),
        None => Ok(()),
    }
}

fn place_of(text: &Text) -> Option<Location> {
    text.as_ref().map(|t| t.referenced)
}

fn needed(field: &str, value: Text, place: Location, advice: &str) -> Checked<Spanned<String>> {
    value.ok_or_else(|| BadFile::at(place, format!("`{field}` is missing"), advice))
}

fn name(text: &Spanned<String>) -> Checked<Name> {
    Name::try_from(text.value.clone()).map_err(|why| {
        BadFile::at(text.referenced, format!("`{}` is not a name", text.value), why.to_string())
    })
}

fn custody(raw: &Raw) -> Checked<Custody> {
    let advice = "write `custody: tpm+controller`, `tpm` or `controller`";
    let text = needed("custody", raw.custody.clone(), raw.name.referenced, advice)?;
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

fn removal(raw: Option<Spanned<RawRemoval>>) -> Checked<Duration> {
    let Some(raw) = raw else { return Ok(DEFAULT_DELETE_AFTER) };
    let advice = "write `on_removal: { delete_after: 72h }`";
    match raw.value {
        RawRemoval::Map(map) => duration(&map.delete_after, "on_removal.delete_after", DELETE_AFTER),
        RawRemoval::Word(word) if word == "retain" => {
            Err(later(raw.referenced, "on_removal: retain", advice))
        }
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
