//! One thing for people: name first, then how it is, then what was said of it.

use std::collections::BTreeMap;

use cli::{aged, cell};
use serde_json::json;
use vault::decide::TpmPin;
use vault::report::{State, VaultReport};
use vault::text::{Typed, plain};

use super::escrow::drilled;
use super::rows::{self, in_escrow, named, removal, short};
use super::table;
use crate::api::{
    Accepted, Allowance, Attestation, Condition, Counts, CoverView, Damaged, DeviceView, InEscrow, Knock,
    NodeReport, PolicyView, Reference, RuleView, ServerStatus, Standing, ThreatView, VaultView,
};
use crate::words::condition::SEE;

/// Fields and lists, line by line.
#[derive(Default)]
struct Page(String);

impl Page {
    fn field(&mut self, name: &str, value: impl Into<String>) {
        self.0 += &format!("{:<15}{}\n", format!("{name}:"), plain(&aged(&value.into())));
    }

    fn maybe(&mut self, name: &str, value: Option<impl Into<String>>) {
        if let Some(value) = value {
            self.field(name, value);
        }
    }

    /// A list with a blank line before it.
    fn part(&mut self, name: &str, lines: &[String]) {
        if !lines.is_empty() {
            self.0 += "\n";
            self.list(name, lines);
        }
    }

    fn list(&mut self, name: &str, lines: &[String]) {
        if !lines.is_empty() {
            self.0 += &format!("{name}:\n");
            lines.iter().for_each(|line| self.0 += &format!("  {}\n", plain(&aged(line))));
        }
    }
}

/// A device and its vaults.
pub(super) fn device(device: &DeviceView, vaults: &[VaultView], damaged: &[Damaged]) -> String {
    let mut page = Page::default();
    page.field("Name", device.name.to_string());
    page.field("Condition", without_see(&device.condition));
    page.maybe("Alarm", device.alarm.clone());
    identity(&mut page, device);
    if let Some(fared) = &device.attestation {
        attestation(&mut page, fared);
    }
    escrow(&mut page, device);
    if let Some(report) = &device.report {
        node(&mut page, report, device);
    }
    page.0 += "\nVaults:\n";
    let table = table::table(vaults, damaged, false);
    page.0 += if table.is_empty() { "none\n" } else { &table };
    page.part("Keys that are withheld", &withheld(vaults));
    let of_all = said_of_all(vaults);
    for vault in vaults {
        let own: Vec<String> = said(vault).into_iter().filter(|line| !of_all.contains(line)).collect();
        page.part(&format!("Vault {}", vault.name), &own);
    }
    page.part("Each of these vaults", &of_all);
    let (removed, others) = strays(device, vaults);
    page.part("Removed, and remembered by the node", &removed);
    page.part("Orphans, and vaults of no list here", &others);
    page.0
}

/// Why, with what to do, which the table has no room for: once for all vaults of which it is so.
fn withheld(vaults: &[VaultView]) -> Vec<String> {
    let mut whose: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for vault in vaults {
        // A controller of before says it in one sentence.
        let before = || vault.key.as_deref().filter(|_| vault.withheld);
        let now = vault.key_now.as_ref();
        if let Some(why) = now.map_or_else(before, |key| key.withheld.as_deref()) {
            whose.entry(why).or_default().push(vault.name.to_string());
        }
    }
    whose.into_iter().map(|(why, names)| format!("{}: {why}", names.join(", "))).collect()
}

/// What a list advises: who reads this has done it.
fn without_see(condition: &str) -> &str {
    condition.strip_suffix(SEE).map_or(condition, |words| words.trim_end_matches([' ', ':', ',']))
}

fn identity(page: &mut Page, device: &DeviceView) {
    page.maybe("Labels", (!device.labels.is_empty()).then(|| device.labels.to_string()));
    page.field("TPM", cell(&json!(device.tpm)));
    page.field("Serial", &device.serial);
    page.field("ID", device.id.to_string());
    page.field("Registered", &device.registered);
    page.maybe("Last seen", device.last_seen.clone());
    page.maybe("Heard since", device.heard.as_ref().map(|at| format!("{at}, by what may be replays")));
}

fn of_session(session: &str, of_now: bool) -> String {
    let before = if of_now {
        ""
    } else {
        ", which is not the one that it was heard by last since the controller started"
    };
    format!("{session}{before}")
}

/// Until its node has done so.
fn ordered_anew(vault: &VaultView) -> String {
    let device = vault.device_name.as_ref().map_or_else(|| vault.device.to_string(), ToString::to_string);
    let (vault, device) = (&vault.name, Typed(&device));
    format!(
        "to be made anew, empty; `evc recreate vault {vault:#} --device {device:#} --withdraw` takes the order back"
    )
}

fn attestation(page: &mut Page, fared: &Attestation) {
    page.0 += "\n";
    page.field("Attestation", cell(&json!(fared.outcome)));
    page.field("  At", &fared.at);
    page.maybe("  From", fared.from.map(|from| from.to_string()));
    page.maybe("  Session", fared.session.as_ref().map(|session| of_session(session, fared.of_now)));
    page.maybe("  PCRs", fared.pcrs.clone());
    fared.words.iter().for_each(|words| page.0 += &format!("  {}\n", plain(words)));
}

/// What is done about a drill that failed.
const SENT_AGAIN: &str = "the node is asked for another bundle, and that is tried at once";

/// Of a node without a TPM there is nothing to be in escrow.
fn escrow(page: &mut Page, device: &DeviceView) {
    if device.tpm != TpmPin::Present {
        return;
    }
    page.0 += "\n";
    page.field("Escrow", device.escrow.as_ref().map_or_else(|| "nothing yet".into(), in_escrow));
    let Some(escrow) = &device.escrow else { return };
    page.maybe("  Full", escrow.no_room.clone());
    page.maybe("  Given back", escrow.given_back.clone());
    page.maybe("  Older alone", (!escrow.older_alone.is_empty()).then(|| older_alone(device, escrow)));
    page.field("  Drill", drilled(&escrow.drill));
    page.maybe(
        "  Because",
        escrow.drill.failed.as_ref().map(|why| format!("{}; {}", plain(why), SENT_AGAIN)),
    );
    page.maybe("  On bundle", escrow.drill.digest.as_ref().map(|digest| short(digest)));
}

/// What a table that was begun anew leaves to older bundles.
fn older_alone(device: &DeviceView, escrow: &InEscrow) -> String {
    let (vaults, name) = (escrow.older_alone.join(", "), &device.name);
    format!(
        "something of {vaults} lies in an older bundle alone: `evc escrow list {name:#}`, and `evc escrow offer {name:#}` to give it back"
    )
}

fn node(page: &mut Page, report: &NodeReport, device: &DeviceView) {
    page.0 += "\n";
    page.field("Node's report", &report.received);
    page.maybe("  TPM", Some(report.tpm_info.clone()).filter(|words| !words.is_empty()));
    page.maybe("  Attestation", report.attestation_error.clone());
    page.maybe("  Vault list", report.accepted.as_ref().map(|accepted| taken(accepted, device)));
    report.notes.iter().for_each(|note| page.0 += &format!("  {}\n", plain(note)));
}

/// Which of the controller's lists of vaults the node took last.
fn taken(Accepted { version, of_this_life, .. }: &Accepted, device: &DeviceView) -> String {
    let sent = device.section_version;
    if *of_this_life == Some(false) {
        return format!(
            "the node took number {version} from before or after `evc begin-anew`, or from another controller; number {sent} was sent since"
        );
    }
    match device.condition_kind {
        Condition::Ahead | Condition::PutBack => format!(
            "the node took number {version}, which may be of a newer copy of this database; number {sent} is the last that this one knows of"
        ),
        _ if *version == sent => format!("the node took number {version}, the newest that was sent"),
        _ => format!("the node took number {version}, and number {sent} was sent"),
    }
}

/// What the node says of vaults that are in no list here: of those that it erased, and of the others.
fn strays(device: &DeviceView, listed: &[VaultView]) -> (Vec<String>, Vec<String>) {
    let reports = device.report.iter().flat_map(|report| &report.vaults);
    // Of one that its node is still to erase its row says so.
    let is_over = |vault: &VaultReport| matches!(vault.state, State::Orphan | State::Removed);
    let is_stray = |row: &VaultView, vault| row.standing == Standing::Gone && is_over(vault);
    let strays = reports.filter(|vault| listed.iter().all(|row| row.id != vault.id || is_stray(row, vault)));
    let (removed, others): (Vec<_>, Vec<_>) = strays.partition(|vault| vault.state == State::Removed);
    let line = |vault: &VaultReport| {
        format!("{} ({}): {}; {}", vault.name, vault.id, vault.state, vault.detail.join("; "))
    };
    (removed.into_iter().map(line).collect(), others.into_iter().map(line).collect())
}

/// What the node says of each of several vaults in the same words: it is said once.
fn said_of_all(vaults: &[VaultView]) -> Vec<String> {
    let mut told = vaults.iter().filter_map(|vault| vault.report.as_ref());
    let Some(first) = told.next() else { return Vec::new() };
    let others: Vec<_> = told.collect();
    let mut lines = first.detail.clone();
    lines.retain(|line| !others.is_empty() && others.iter().all(|other| other.detail.contains(line)));
    lines
}

/// A reference value, PCR by PCR.
pub(super) fn reference(reference: &Reference) -> String {
    let mut page = Page::default();
    page.field("Reference", reference.id.to_string());
    page.field("Device", named(reference.device_name.as_ref(), reference.device));
    page.field("State", cell(&json!(reference.state)));
    page.maybe("Bank", reference.bank.clone());
    page.field("Differs", &reference.differs);
    page.field("Learned", &reference.learned);
    page.maybe("Decided", reference.decided.clone());
    let pcrs: Vec<String> = reference.pcrs.iter().map(|(pcr, value)| format!("{pcr:>2}: {value}")).collect();
    page.list("PCRs", &pcrs);
    page.0
}

/// What is allowed to onboard.
pub(super) fn allowance(allowed: &Allowance) -> String {
    let mut page = Page::default();
    page.field("Serial", &allowed.serial);
    page.maybe("Name", allowed.name.as_ref().map(ToString::to_string));
    page.maybe("Labels", (!allowed.labels.is_empty()).then(|| allowed.labels.to_string()));
    page.field(
        "Device",
        allowed
            .device
            .map_or_else(|| "none registered by it yet".into(), |id| named(allowed.device_name.as_ref(), id)),
    );
    page.field("Added", &allowed.added);
    page.field("Certificate", &allowed.certificate);
    page.0
}

/// Who wanted to register, and may not.
pub(super) fn knock(knock: &Knock) -> String {
    let mut page = Page::default();
    page.field("Serial", &knock.serial);
    page.field("From", cell(&json!(knock.from)));
    page.field("First", &knock.first);
    page.field("Last", &knock.last);
    page.field("Times", knock.times.to_string());
    page.field("Certificate", &knock.certificate);
    page.field("To let it in", "`evc onboard add` with that certificate and serial");
    page.0
}

/// What the node says of one vault.
fn said(vault: &VaultView) -> Vec<String> {
    let Some(report) = &vault.report else { return Vec::new() };
    let last = report.last.as_ref().map(|last| match &last.error {
        None => format!("last operation: {}, done", last.operation),
        Some(error) => format!("last operation: {}, failed: {error}", last.operation),
    });
    last.into_iter().chain(report.detail.iter().cloned()).collect()
}

/// A vault.
pub(super) fn vault(vault: &VaultView) -> String {
    let mut page = Page::default();
    page.field("Name", vault.name.to_string());
    page.field("Device", named(vault.device_name.as_ref(), vault.device));
    page.field("State", vault.state_now.clone().unwrap_or_else(|| "its node has not spoken of it".into()));
    page.field("Policy", rows::policy(vault).unwrap_or_else(|| "none".into()));
    page.maybe("Opened by", vault.opened.as_ref().map(ToString::to_string));
    page.maybe("Storage", vault.storage.map(|storage| storage.to_string()));
    page.maybe("Removal", removal(vault));
    page.maybe("Key", vault.key.clone());
    if vault.current_epoch.0 > 0 {
        let node =
            vault.reported_epoch.map_or_else(|| "none reported".into(), |epoch| format!("epoch {epoch}"));
        page.field("Epoch", format!("{} is the newest; the node is at: {node}", vault.current_epoch));
    }
    page.maybe("Ordered", vault.recreate.then(|| ordered_anew(vault)));
    page.maybe("Made", (!vault.created).then_some("not yet"));
    page.maybe("Reported", vault.reported.clone());
    page.field("ID", vault.id.to_string());
    page.list("Notes", &vault.notes);
    page.list("The node says", &said(vault));
    page.0
}

/// A policy and the vaults that name it.
pub(super) fn policy(policy: &PolicyView, vaults: &[VaultView]) -> String {
    let mut page = Page::default();
    page.field("Name", policy.name.to_string());
    page.field("Changed", &policy.changed);
    page.0 += "\n";
    for (field, value) in policy.policy.fields() {
        page.0 += &format!("{:<26}{value}\n", format!("{field}:"));
    }
    let cautions: Vec<String> =
        policy.policy.cautions().into_iter().map(crate::words::notes::of_caution).collect();
    page.list("Notes", &cautions);
    page.list("Threats", &policy.threats.iter().flat_map(threat).collect::<Vec<_>>());
    page.0 += "\nVaults:\n";
    let table = table::table(vaults, &[], false);
    page.0 += if table.is_empty() { "none\n" } else { &table };
    page.0
}

/// What becomes of a vault under a threat; where a node has no TPM, said apart only if it differs.
fn threat(threat: &ThreatView) -> Vec<String> {
    let says = |cover: &CoverView| match cover.vault.as_str() {
        "once" => format!("closed {}", cover.because),
        vault => format!("{vault}: {}", cover.because),
    };
    let of_all = format!("{}  {}: {}", threat.id, threat.threat, says(&threat.with_tpm));
    let other = threat.without_tpm.as_ref().filter(|other| **other != threat.with_tpm);
    let other = other.map(|other| format!("      without a TPM: {}", says(other)));
    [of_all].into_iter().chain(other).collect()
}

/// A rule, the devices that have its labels, and the vaults of its name on them.
pub(super) fn rule(rule: &RuleView, devices: &[DeviceView], vaults: &[VaultView]) -> String {
    let mut page = Page::default();
    page.field("Name", rule.name.to_string());
    page.field("Devices", rule.devices.to_string());
    page.field("Policy", rule.policy.to_string());
    page.field("Changed", &rule.changed);
    let without = devices.iter().filter(|device| vaults.iter().all(|vault| vault.device != device.id));
    let without: Vec<String> = without.map(|device| device.name.to_string()).collect();
    page.list("Have its labels, and no vault of its name", &without);
    page.0 += "\nVaults:\n";
    let table = table::table(vaults, &[], false);
    page.0 += if table.is_empty() { "none\n" } else { &table };
    page.0
}

/// The controller at a glance.
pub(super) fn status(server: &ServerStatus, counts: Counts, calls: &[String]) -> String {
    let mut page = Page::default();
    page.field("Controller", format!("answers, version {}", server.version));
    page.field("Root SHA-256", &server.root_fingerprint);
    page.field("Its clock", &server.now);
    for (what, count) in
        [("Devices", counts.devices), ("Policies", counts.policies), ("Vaults", counts.vaults)]
    {
        page.field(what, count.to_string());
    }
    page.maybe("Drills failed", (counts.drills_failed > 0).then(|| counts.drills_failed.to_string()));
    page.0 += "\n";
    match calls {
        [] => page.0 += "nothing needs anybody\n",
        calls => page.list("Somebody should look at", calls),
    }
    page.0
}
