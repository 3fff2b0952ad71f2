//! Words on what needs somebody, a line each, as the fleet at a glance tells it.

use vault::report::State;

use crate::api::{Condition, DeviceView, Knock, Reference, StateNow, VaultView};
use crate::store::VaultRow;

/// How a device is; of a lost one also what is open in it, and how it is told to be found.
pub(crate) fn of_device<'a>(device: &DeviceView, vaults: impl Iterator<Item = &'a VaultView>) -> String {
    let DeviceView { name, condition, .. } = device;
    if device.condition_kind != Condition::Lost {
        return format!("device {name}: {condition}");
    }
    let is_open = |vault: &&VaultView| {
        let told = vault.last_state.map(StateNow::Said).or(vault.state);
        matches!(told, Some(StateNow::Said(State::Unlocked | State::LockIncomplete)))
    };
    let open: Vec<_> = vaults.filter(is_open).map(|vault| vault.name.to_string()).collect();
    let open = if open.is_empty() { "no vault".to_owned() } else { open.join(", ") };
    format!(
        "device {name}: {condition}; open on it by its last report: {open}; if it is in good hands again: `evc device found {name:#}`"
    )
}

pub(crate) fn of_vault(vault: &VaultView, device: &DeviceView) -> String {
    let key = vault.key.iter().filter(|_| vault.withheld);
    let words: Vec<_> = vault.notes.iter().chain(&vault.state_now).chain(key).map(String::as_str).collect();
    let words = if words.is_empty() { "not reported yet".to_owned() } else { words.join("; ") };
    format!("vault {} of {}: {words}", vault.name, device.name)
}

/// A device that puts nothing more into escrow before some of its vaults were opened.
pub(crate) fn of_escrow(device: &DeviceView, listed: &[VaultView]) -> Option<String> {
    let told = device.report.iter().flat_map(|report| &report.vaults);
    let told = told.chain(listed.iter().filter_map(|vault| vault.report.as_ref()));
    let told = told.filter(|_| device.is_there());
    let names: Vec<_> =
        told.filter(|vault| vault.holds_escrow_up).map(|vault| vault.name.to_string()).collect();
    let (first, more) = (names.first()?, names.len() - 1);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    let device = &device.name;
    Some(format!(
        "device {device}: its escrow waits for vault {first}{more}: no key has opened its key files since the boot, and no other bundle is made before it opens; see `evc describe device {device:#}`"
    ))
}

/// A device whose escrow stands still, by its own word; where it says of no vault what that waits for.
pub(crate) fn of_behind(device: &DeviceView, behind: &[&VaultRow]) -> Option<String> {
    let held_up = |row: &&VaultRow| row.report.get().is_some_and(|report| report.holds_escrow_up);
    let first = behind.first().filter(|_| device.is_there() && !behind.iter().any(held_up))?;
    let more = if behind.len() > 1 { format!(" and {} more", behind.len() - 1) } else { String::new() };
    let (device, first) = (&device.name, &first.name);
    Some(format!(
        "device {device}: it says of vault {first}{more} that what is in escrow is not what it has: no bundle of it came since, and what is sealed to the boot of now may not open after an update; see `evc describe device {device:#}`"
    ))
}

pub(crate) fn of_reference(row: &Reference) -> String {
    let device = row.device_name.as_ref().map_or_else(|| row.device.to_string(), ToString::to_string);
    format!("reference {} of {device} waits: `evc reference approve {}`", row.id, row.id)
}

pub(crate) fn of_knock(row: &Knock) -> String {
    let serial = vault::text::quoted(&row.serial);
    format!("serial {serial} at {} may not onboard: `evc get pending`", row.from)
}
