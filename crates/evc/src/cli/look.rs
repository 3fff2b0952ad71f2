//! `evc get`: lists, named rows, and looking on; `evc describe`, and the controller at a glance.

use std::collections::HashSet;
use std::io::{self, IsTerminal as _};
use std::thread::sleep;
use std::time::Duration;

use cli::{Output, say};
use vault::text::plain;

use super::args::{DescribeWhat, GetWhat};
use super::client::{Client, Rows};
use super::describe;
use super::failed::Failed;
use super::table::Row;
use super::told::Told;
use crate::api::calls::{DEVICE, GLANCE, KNOCKS, REFERENCES, STATUS, VAULTS};
use crate::api::{
    Allowance, Code, Described, DeviceView, Glance, Knock, List, Paged, PolicyView, Problem, Reference,
    RuleView, Standing, VaultView,
};

type OrFailed<T> = Result<T, Failed>;

/// Between two looks.
const EVERY: Duration = Duration::from_secs(2);

/// Lists, once or on and on.
pub(super) fn get(client: &Client, what: &GetWhat, output: Output) -> OrFailed<Told> {
    let told = listed(client, what)?;
    if is_watched(what) {
        return watch(client, what, told, output);
    }
    Ok(told)
}

fn is_watched(what: &GetWhat) -> bool {
    match what {
        GetWhat::Devices { watch, .. }
        | GetWhat::Vaults { watch, .. }
        | GetWhat::Policies { watch, .. }
        | GetWhat::Rules { watch, .. }
        | GetWhat::References { watch, .. }
        | GetWhat::Onboarding { watch, .. }
        | GetWhat::Pending { watch, .. } => watch.watch,
    }
}

fn listed(client: &Client, what: &GetWhat) -> OrFailed<Told> {
    match what {
        GetWhat::Devices { names, selector, .. } if names.is_empty() => {
            let all = chosen(client, selector.as_deref())?;
            let none = all.whole.is_empty() && all.damaged.is_empty() && selector.is_none();
            Ok(rows(all)?.but_for_none(none.then(|| who_knocks(client)).flatten()))
        }
        GetWhat::Devices { names, .. } => {
            let described: OrFailed<Vec<_>> = names.iter().map(|name| device(client, name)).collect();
            rows(described?.into())
        }
        GetWhat::Vaults { names, device, selector, .. } => {
            vaults(client, names, device.as_ref(), selector.as_deref())
        }
        GetWhat::Policies { names, .. } => {
            let name = |policy: &PolicyView| vec![policy.name.to_string()];
            rows(named(client.list::<PolicyView>()?, names, name, no_policy)?)
        }
        GetWhat::Rules { names, .. } => {
            let name = |rule: &RuleView| vec![rule.name.to_string()];
            rows(named(client.list::<RuleView>()?, names, name, no_rule)?)
        }
        GetWhat::References { ids, device, .. } => references(client, ids, device.as_ref()),
        GetWhat::Onboarding { serials, .. } => rows(allowed(client, serials)?),
        GetWhat::Pending { serials, .. } => rows(knocks(client, serials)?),
    }
}

/// What needs somebody comes first; within that the order is always the same.
fn rows<T: Row>(mut rows: Rows<T>) -> OrFailed<Told> {
    rows.whole.sort_by_cached_key(|row| (!row.calls(), row.order()));
    Told::list(rows)
}

/// Devices with these labels, or all.
fn chosen(client: &Client, selector: Option<&str>) -> OrFailed<Rows<DeviceView>> {
    let all = client.list_of::<DeviceView>(selector);
    all.map_err(|failed| match selector {
        Some(labels) => failed.doing(&format!("`-l {}`", plain(labels))),
        None => failed,
    })
}

/// For who looks for a device that may not come in: it is in another list.
fn who_knocks(client: &Client) -> Option<String> {
    let knocks: Vec<Knock> = client.call(&KNOCKS, &[]).ok()?;
    let first = knocks.first()?;
    let more = if knocks.len() > 1 { format!(" and {} more", knocks.len() - 1) } else { String::new() };
    Some(format!(
        "no device is registered; serial {}{more} wants to register, and may not: see `evc get pending`",
        plain(&first.serial)
    ))
}

/// What is allowed to onboard, by serial.
fn allowed(client: &Client, serials: &[String]) -> OrFailed<Rows<Allowance>> {
    named(client.list()?, serials, |allowed: &Allowance| vec![allowed.serial.clone()], not_allowed)
}

/// Who wanted to register and may not, by serial.
fn knocks(client: &Client, serials: &[String]) -> OrFailed<Rows<Knock>> {
    let all: Rows<Knock> = client.call(&KNOCKS, &[])?.into();
    named(all, serials, |knock| vec![knock.serial.clone()], no_knock)
}

fn device(client: &Client, name: &str) -> OrFailed<DeviceView> {
    let Described { device, .. } = client.call(&DEVICE, &[name])?;
    Ok(DeviceView { report: None, ..device })
}

fn vaults(
    client: &Client,
    names: &[String],
    device: Option<&String>,
    selector: Option<&str>,
) -> OrFailed<Told> {
    let all = match device {
        None => of_chosen(client, all_vaults(client)?, selector)?,
        Some(_) => client.ask(&VAULTS, &[], &List { device: device.cloned(), ..List::default() })?.into(),
    };
    let name = |vault: &VaultView| vec![vault.name.to_string(), vault.id.to_string()];
    rows(named(all, names, name, |name| no_vault(device.map(String::as_str), name))?)
}

/// Those of devices with these labels.
fn of_chosen(client: &Client, mut all: Rows<VaultView>, selector: Option<&str>) -> OrFailed<Rows<VaultView>> {
    if selector.is_some() {
        let devices = chosen(client, selector)?.whole;
        all.whole.retain(|vault| devices.iter().any(|device| device.id == vault.device));
    }
    Ok(all)
}

/// Those that the controller keeps a row of, and those that only their nodes speak of: default ones, and orphans.
fn all_vaults(client: &Client) -> OrFailed<Rows<VaultView>> {
    let (mut all, devices) = (client.list::<VaultView>()?, client.list::<DeviceView>()?);
    let kept = all.whole.iter().filter(|vault| vault.standing != Standing::Gone);
    let kept: HashSet<_> = kept.map(Paged::place).collect();
    let reported = devices.flat_map(|device| device.default_vaults.into_iter().chain(device.orphans));
    // Of all devices no key is judged: what is known of some would look like what is known of all.
    let unjudged = |vault| VaultView { key: None, key_now: None, ..vault };
    let known: Vec<_> = reported.whole.into_iter().map(unjudged).collect();
    // What was removed, and its node has all the same, is told once: as its node has it.
    let told: HashSet<_> = known.iter().map(Paged::place).collect();
    all.whole.retain(|vault| vault.standing != Standing::Gone || !told.contains(&vault.place()));
    let unread = all.damaged.clone();
    let is_unread = |vault: &VaultView| {
        matches!(vault.standing, Standing::Orphan | Standing::Unlisted)
            && unread.iter().any(|row| row.may_be(vault.device, vault.id))
    };
    all.whole.extend(known.into_iter().filter(|vault| !kept.contains(&vault.place()) && !is_unread(vault)));
    // Default vaults of a device that does not read are in no list.
    all.damaged.extend(reported.damaged);
    Ok(all)
}

/// Reference values, of one device or of all; of these numbers only, where some are said.
pub(super) fn references(client: &Client, ids: &[i64], device: Option<&String>) -> OrFailed<Told> {
    let all: Rows<Reference> = match device {
        None => client.list()?,
        Some(_) => client.ask(&REFERENCES, &[], &List { device: device.cloned(), ..List::default() })?.into(),
    };
    let ids: Vec<String> = ids.iter().map(i64::to_string).collect();
    rows(named(all, &ids, |row| vec![row.id.to_string()], no_reference)?)
}

/// Those of these names, or all where none is named. Each that is named is there.
fn named<T>(
    mut all: Rows<T>,
    names: &[String],
    of: impl Fn(&T) -> Vec<String>,
    unknown: impl Fn(&str) -> Problem,
) -> OrFailed<Rows<T>> {
    if names.is_empty() {
        return Ok(all);
    }
    for name in names {
        let whole = all.whole.iter().any(|row| of(row).contains(name));
        if !whole && !all.damaged.iter().any(|row| row.is_called(name)) {
            return Err(unknown(name).into());
        }
    }
    all.whole.retain(|row| of(row).iter().any(|name| names.contains(name)));
    all.damaged.retain(|row| names.iter().any(|name| row.is_called(name)));
    Ok(all)
}

/// The one that is meant; said to be damaged where it does not read.
fn one<T>(
    all: Rows<T>,
    is_it: impl Fn(&T) -> bool,
    which: &str,
    unknown: impl Fn(&str) -> Problem,
) -> OrFailed<T> {
    match all.whole.into_iter().find(is_it) {
        Some(found) => Ok(found),
        None => Err(match all.damaged.into_iter().find(|row| row.is_called(which)) {
            Some(damaged) => Failed::Damaged(vec![damaged]),
            None => unknown(which).into(),
        }),
    }
}

/// Prints rows, and each again when it changes. Ends when its reader does, or a question fails.
fn watch(client: &Client, what: &GetWhat, first: Told, output: Output) -> OrFailed<Told> {
    let (mut before, mut told, mut headed) = (Vec::new(), first, false);
    loop {
        let lines = told.lines(output);
        let people = output.is_for_people();
        let new = told.news(&mut before);
        if people && !headed && !lines.is_empty() {
            print(&lines[0])?;
            headed = true;
        }
        for at in new {
            let line =
                if people { lines.get(at + 1).cloned().unwrap_or_default() } else { told.row(at, output) };
            print(&line)?;
        }
        if is_left() {
            return Told::whole(&(), String::new(), String::new());
        }
        sleep(EVERY);
        told = listed(client, what)?;
    }
}

fn print(line: &str) -> anyhow::Result<()> {
    say(&format!("{line}\n"))
}

/// Whether nobody reads any more: a pipe whose other end is closed.
fn is_left() -> bool {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    use std::os::fd::AsFd as _;
    let out = io::stdout();
    if out.is_terminal() {
        return false;
    }
    let mut fds = [PollFd::new(out.as_fd(), PollFlags::empty())];
    poll(&mut fds, PollTimeout::ZERO).is_ok()
        && fds[0].revents().is_some_and(|told| told.contains(PollFlags::POLLERR))
}

/// Shows one thing.
pub(super) fn describe(client: &Client, what: &DescribeWhat) -> OrFailed<Told> {
    match what {
        DescribeWhat::Device { name } => {
            let all = client.call(&DEVICE, &[name])?;
            let Rows { whole, damaged } = all.vaults.clone().into();
            let text = describe::device(&all.device, &whole, &damaged);
            Ok(Told::whole(&all, text, all.device.name())?.with_damaged(damaged))
        }
        DescribeWhat::Reference { id } => {
            let reference = reference(client, *id)?;
            Told::whole(&reference, describe::reference(&reference), reference.name())
        }
        DescribeWhat::Vault { name, device } => {
            let vault = vault(client, device, name)?;
            let document = VaultView::documents(std::slice::from_ref(&vault)).filter(|text| !text.is_empty());
            let in_none = || format!("# vault {} is in no document: it is not wanted\n", vault.name);
            let document = document.unwrap_or_else(in_none);
            Ok(Told::whole(&vault, describe::vault(&vault), vault.name())?.with_document(document))
        }
        DescribeWhat::Policy { name } => {
            let policy = policy(client, name)?;
            let mut vaults = client.list::<VaultView>()?.whole;
            vaults.retain(|vault| vault.policy.as_ref() == Some(&policy.name));
            let told = Told::whole(&policy, describe::policy(&policy, &vaults), policy.name())?;
            Ok(told.with_document(policy.policy.to_document()))
        }
        DescribeWhat::Rule { name } => rule(client, name),
        DescribeWhat::Onboarding { serial } => {
            let Rows { whole, damaged } = allowed(client, std::slice::from_ref(serial))?;
            let text = whole.iter().map(describe::allowance).collect::<Vec<_>>().join("\n");
            Ok(Told::whole(&whole, text, format!("onboarding/{serial}"))?.with_damaged(damaged))
        }
        DescribeWhat::Pending { serial } => {
            let whole = knocks(client, std::slice::from_ref(serial))?.whole;
            let text = whole.iter().map(describe::knock).collect::<Vec<_>>().join("\n");
            Told::whole(&whole, text, format!("pending/{serial}"))
        }
    }
}

/// A rule, the devices that have its labels, and the vaults of its name on them.
fn rule(client: &Client, name: &str) -> OrFailed<Told> {
    let rule = one(client.list::<RuleView>()?, |rule| rule.name.as_str() == name, name, no_rule)?;
    let devices = client.list_of::<DeviceView>(Some(&rule.devices.to_string()))?.whole;
    let mut vaults = client.list::<VaultView>()?.whole;
    vaults.retain(|vault| vault.name == rule.name && devices.iter().any(|device| device.id == vault.device));
    let document = RuleView::documents(std::slice::from_ref(&rule)).unwrap_or_default();
    Ok(Told::whole(&rule, describe::rule(&rule, &devices, &vaults), rule.name())?.with_document(document))
}

/// A vault of a device, by name or UUID.
pub(super) fn vault(client: &Client, device: &str, name: &str) -> OrFailed<VaultView> {
    let Described { device: of, vaults } = client.call(&DEVICE, &[device])?;
    let mut all = Rows::from(vaults);
    all.whole.extend(of.orphans);
    let is_it = |vault: &VaultView| vault.name.as_str() == name || vault.id.to_string() == name;
    one(all, is_it, name, |name| no_vault(Some(device), name))
}

/// A reference value by its number.
fn reference(client: &Client, id: i64) -> OrFailed<Reference> {
    one(client.list::<Reference>()?, |row| row.id == id, &id.to_string(), no_reference)
}

fn no_reference(id: &str) -> Problem {
    let (error, advice) = (format!("reference {id} is not known"), "see `evc reference list`".into());
    Problem { advice, code: Code::ReferenceUnknown, error, place: None }
}

fn not_allowed(serial: &str) -> Problem {
    let error = format!("no allowance for serial `{serial}` is known");
    Problem { advice: "see `evc get onboarding`".into(), code: Code::AllowanceUnknown, error, place: None }
}

fn no_knock(serial: &str) -> Problem {
    let error = format!("nobody with serial `{serial}` is known to have been turned away");
    let advice = "see `evc get pending`; it is kept in the controller's memory alone".into();
    Problem { advice, code: Code::AllowanceUnknown, error, place: None }
}

/// A policy by its name.
pub(super) fn policy(client: &Client, name: &str) -> OrFailed<PolicyView> {
    one(client.list::<PolicyView>()?, |policy| policy.name.as_str() == name, name, no_policy)
}

fn no_policy(name: &str) -> Problem {
    let error = format!("policy `{name}` is not known");
    Problem { advice: "see `evc get policies`".into(), code: Code::PolicyUnknown, error, place: None }
}

fn no_rule(name: &str) -> Problem {
    let error = format!("rule `{name}` is not known");
    Problem { advice: "see `evc get rules`".into(), code: Code::RuleUnknown, error, place: None }
}

fn no_vault(device: Option<&str>, name: &str) -> Problem {
    let lacks = match device {
        None => "no device has a vault".into(),
        Some(device) => format!("device `{device}` has no vault"),
    };
    Problem {
        advice: "see `evc get vaults`".into(),
        code: Code::VaultUnknown,
        error: format!("{lacks} `{name}`"),
        place: None,
    }
}

/// The controller at a glance: itself, how many of each there are, and what needs somebody.
pub(super) fn status(client: &Client) -> OrFailed<Told> {
    let server = client.call(&STATUS, &[])?;
    let Glance { counts, needs_somebody } = client.call(&GLANCE, &[])?;
    let text = describe::status(&server, counts, &needs_somebody);
    let whole = serde_json::json!({ "server": server, "counts": counts, "needs_somebody": needs_somebody });
    Told::whole(&whole, text, String::new())
}
