//! What a running controller is asked: a function for each kind of command, over the table of calls.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use vault::ids::Epoch;
use vault::policy::MAX_FILE_BYTES;
use vault::text::plain;

use super::Told;
use super::args::{
    AdoptWhat, Asked, DeleteWhat, DescribeWhat, DeviceAct, GetWhat, Onboard, RecreateWhat, ReferenceAct,
    RehomeWhat, RotateWhat,
};
use super::client::Client;
use super::failed::Failed;
use crate::api::calls::{
    ADOPT, ALLOW, APPLY, APPROVE, DELETE_DEVICE, DELETE_POLICY, DELETE_VAULT, DEVICE, DISALLOW, FIND, LEARN,
    LOSE, RECREATE, REFERENCES, REHOME, REJECT, ROTATE, SETTLE, VAULTS,
};
use crate::api::{
    Adoption, Allow, Allowance, Applied, Applying, Code, Deletion, Described, DeviceView, Done, List, Paged,
    PolicyView, Problem, Recreation, Reference, Rehoming, Rotation, VaultView,
};

type Answer<T> = Result<T, Failed>;

/// Asks, and tells what was answered.
pub(super) fn ask(client: &Client, what: Asked) -> Answer<Told> {
    match what {
        Asked::Onboard(what) => onboard(client, what),
        Asked::Apply { file, dry_run } => apply(client, &file, dry_run),
        Asked::Get(what) => get(client, what),
        Asked::Describe(what) => describe(client, &what),
        Asked::Device(act) => Told::done(device(client, &act)?),
        Asked::Adopt(what) => Told::done(adopt(client, &what)?),
        Asked::Rehome(what) => Told::done(rehome(client, what)?),
        Asked::Delete(what) => Told::done(delete(client, &what)?),
        Asked::Rotate(what) => Told::done(rotate(client, &what)?),
        Asked::Recreate(what) => Told::done(recreate(client, &what)?),
        Asked::Reference(act) => reference(client, act),
    }
}

fn onboard(client: &Client, what: Onboard) -> Answer<Told> {
    match what {
        Onboard::Add { cert, serial, name } => {
            let cert_pem = fs::read_to_string(&cert).with_context(|| unreadable(&cert))?;
            Told::one(&client.tell(&ALLOW, &[], &Allow { cert_pem, serial, name })?)
        }
        Onboard::List => Told::list(&client.list::<Allowance>()?),
        Onboard::Remove { cert, digest, serial } => {
            let digest = match cert {
                Some(cert) => digest_of(&cert)?,
                None => digest.unwrap_or_default(),
            };
            Told::done(client.call(&DISALLOW, &[&digest, &serial])?)
        }
    }
}

/// SHA-256 of a certificate file's DER.
fn digest_of(cert: &Path) -> anyhow::Result<String> {
    let pem = fs::read(cert).with_context(|| unreadable(cert))?;
    let read = wire::Certificate::from_pem(&pem);
    let read = read.with_context(|| format!("{} is no onboarding certificate", cert.display()))?;
    Ok(hex::encode(read.digest().0))
}

fn unreadable(cert: &Path) -> String {
    format!("can't read the certificate {}", cert.display())
}

fn apply(client: &Client, file: &str, dry_run: bool) -> Answer<Told> {
    let text = if file == "-" { io::read_to_string(io::stdin()) } else { fs::read_to_string(file) };
    let text = text.with_context(|| format!("can't read {file}"))?;
    if text.len() > MAX_FILE_BYTES {
        return Err(anyhow!(
            "{file} has {} bytes, and at most {MAX_FILE_BYTES} are taken at once\n  what to do: split it",
            text.len()
        )
        .into());
    }
    let applied = client.send(&APPLY, &[], &Applying { dry_run }, &text);
    let applied: Vec<Applied> = applied.map_err(|failed| failed.doing(&format!("{file} was not applied")))?;
    if dry_run {
        eprintln!("dry run: nothing was changed");
    }
    Told::list(&applied)
}

fn get(client: &Client, what: GetWhat) -> Answer<Told> {
    match what {
        GetWhat::Devices => Told::list(&client.list::<DeviceView>()?),
        GetWhat::Vaults { device: None } => Told::list(&all_vaults(client)?),
        GetWhat::Vaults { device } => {
            Told::list(&client.ask(&VAULTS, &[], &List { device, ..List::default() })?)
        }
        GetWhat::Policies => Told::list(&client.list::<PolicyView>()?),
        GetWhat::References => Told::list(&client.list::<Reference>()?),
    }
}

/// Those that the controller keeps a row of, and the default ones that only their nodes speak of.
fn all_vaults(client: &Client) -> Answer<Vec<VaultView>> {
    let (mut all, devices) = (client.list::<VaultView>()?, client.list::<DeviceView>()?);
    let rows: HashSet<_> = all.iter().map(Paged::place).collect();
    let reported = devices.into_iter().flat_map(|device| device.default_vaults);
    all.extend(reported.filter(|vault| !rows.contains(&vault.place())));
    all.sort_by_cached_key(Paged::place);
    Ok(all)
}

fn describe(client: &Client, what: &DescribeWhat) -> Answer<Told> {
    match what {
        DescribeWhat::Device { name } => Told::whole(&client.call(&DEVICE, &[name])?),
        DescribeWhat::Vault { name, device } => Told::whole(&vault(client, device, name)?),
    }
}

fn vault(client: &Client, device: &str, name: &str) -> Answer<VaultView> {
    let all: Described = client.call(&DEVICE, &[device])?;
    let is_it = |vault: &VaultView| vault.name.as_str() == name || vault.id.to_string() == name;
    all.vaults.into_iter().find(is_it).ok_or_else(|| no_vault(device, name).into())
}

fn no_vault(device: &str, name: &str) -> Problem {
    Problem {
        advice: "see `evc get vaults`".into(),
        code: Code::VaultUnknown,
        error: format!("device `{device}` has no vault `{name}`"),
        place: None,
    }
}

fn device(client: &Client, act: &DeviceAct) -> Answer<Done> {
    match act {
        DeviceAct::Lost { name } => client.call(&LOSE, &[name]),
        DeviceAct::Found { name } => client.call(&FIND, &[name]),
        DeviceAct::Settle { name } => client.call(&SETTLE, &[name]),
    }
}

fn adopt(client: &Client, AdoptWhat::Vault { name, device, policy, remove }: &AdoptWhat) -> Answer<Done> {
    let policy = policy.parse().with_context(|| format!("`{}` is no policy", plain(policy)))?;
    client.tell(&ADOPT, &[device, name], &Adoption { policy, remove: *remove })
}

fn rehome(client: &Client, RehomeWhat::Vault { name, device, to, confirm }: RehomeWhat) -> Answer<Done> {
    said_twice(&name, &confirm, || {
        format!("its keys leave the device `{device}` for good; give the vault's name twice")
    })?;
    client.tell(&REHOME, &[&device, &name], &Rehoming { to })
}

fn delete(client: &Client, what: &DeleteWhat) -> Answer<Done> {
    match what {
        DeleteWhat::Vault { name, device } => client.call(&DELETE_VAULT, &[device, name]),
        DeleteWhat::Policy { name } => client.call(&DELETE_POLICY, &[name]),
        DeleteWhat::Device { name, force } => {
            client.ask(&DELETE_DEVICE, &[name], &Deletion { force: *force })
        }
    }
}

fn rotate(
    client: &Client,
    RotateWhat::Vault { name, device, force, expect_epoch }: &RotateWhat,
) -> Answer<Done> {
    let before = vault(client, device, name)?;
    if *force && before.reported_epoch != Some(before.current_epoch) {
        eprintln!("{}", at_stake(&before, name));
    }
    let expected = expect_epoch.map_or(before.current_epoch, Epoch);
    client.tell(&ROTATE, &[device, name], &Rotation { force: *force, expect_epoch: Some(expected) })
}

fn at_stake(before: &VaultView, name: &str) -> String {
    let reported = before.reported_epoch.map_or_else(|| "none".to_owned(), |epoch| format!("epoch {epoch}"));
    format!(
        "forced: the newest key is of epoch {}, and the node reported {reported}; if it restarts before it takes a newer one, `{}` stays \
         locked, and keys that are over are not given out again",
        before.current_epoch,
        plain(name),
    )
}

fn recreate(
    client: &Client,
    RecreateWhat::Vault { name, device, confirm, new_disk }: &RecreateWhat,
) -> Answer<Done> {
    said_twice(name, confirm, || {
        "what is in the vault is lost when it is made anew; give its name twice".into()
    })?;
    client.ask(&RECREATE, &[device, name], &Recreation { new_disk: *new_disk })
}

/// What can't be undone is said twice.
fn said_twice(name: &str, confirm: &str, why: impl FnOnce() -> String) -> anyhow::Result<()> {
    if name == confirm { Ok(()) } else { Err(anyhow!("{}: --confirm {name}", why())) }
}

fn reference(client: &Client, act: ReferenceAct) -> Answer<Told> {
    match act {
        ReferenceAct::List { device: None } => get(client, GetWhat::References),
        ReferenceAct::List { device } => {
            Told::list(&client.ask(&REFERENCES, &[], &List { device, ..List::default() })?)
        }
        ReferenceAct::Approve { id } => Told::done(client.call(&APPROVE, &[&id.to_string()])?),
        ReferenceAct::Reject { id } => Told::done(client.call(&REJECT, &[&id.to_string()])?),
        ReferenceAct::Learn { device } => Told::done(client.call(&LEARN, &[&device])?),
    }
}
