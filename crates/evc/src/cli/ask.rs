//! What a running controller is asked: a function for each kind of command, over the table of calls.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, anyhow};
use cli::Output;
use disk::Disk;
use vault::ids::Epoch;
use vault::labels::{Labels, Word};
use vault::text::{plain, plain_lines};

use super::args::{
    AdoptWhat, Asked, CheckWhat, DeleteWhat, DeviceAct, Files, LabelWhat, Onboard, RecreateWhat,
    ReferenceAct, RehomeWhat, RotateWhat,
};
use super::client::{Client, Rows};
use super::courier;
use super::escrow;
use super::failed::Failed;
use super::files::Joined;
use super::look::{self, vault};
use super::pcrs;
use super::told::Told;
use crate::api::calls::{
    ADD_REFERENCE, ADOPT, ALLOW, APPLY, APPROVE, DELETE_DEVICE, DELETE_POLICY, DELETE_RULE, DELETE_VAULT,
    DELETED_DEVICES, DISALLOW, FIND, FORESEE, FORGET_DEVICE, IDENTIFY, LABEL, LEARN, LOSE, RECREATE, REHOME,
    REJECT, REPIN, ROTATE, SETTLE, WITHDRAW,
};
use crate::api::{
    Adoption, Allow, Allowance, Applied, Applying, Code, Confirmation, DeletedDevice, Deletion, Done,
    Labelling, NewIdentity, NewReference, Outcome, Problem, Recreation, Rehoming, Rotation, Update,
    VaultDeletion, VaultView,
};

type OrFailed<T> = Result<T, Failed>;

/// Asks, and tells what was answered.
pub(super) fn ask(disk: &Disk, client: &Client, what: Asked, output: Output) -> OrFailed<Told> {
    match what {
        Asked::Onboard(what) => onboard(client, what),
        Asked::Apply { files, dry_run } => apply(client, &files, dry_run),
        Asked::Diff { files } => diff(client, &files, output),
        Asked::Get(what) => look::get(client, &what, output),
        Asked::Describe(what) => look::describe(client, &what),
        Asked::Status => look::status(client),
        Asked::Label(what) => Told::done(&label(client, &what)?),
        Asked::Device(act) => device(client, act),
        Asked::Adopt(what) => Told::done(&adopt(client, &what)?),
        Asked::Rehome(what) => Told::done(&rehome(client, what)?),
        Asked::Delete(what) => Told::done(&delete(client, &what)?),
        Asked::Rotate(what) => Told::done(&rotate(client, &what)?),
        Asked::Recreate(what) => Told::done(&recreate(client, &what)?),
        Asked::Reference(act) => reference(client, act),
        Asked::Export(what) => courier::export(disk, client, &what),
        Asked::Import(what) => courier::import(disk, client, &what),
        Asked::Escrow(act) => escrow::escrow(client, act),
        Asked::Check(CheckWhat::Update { device, reference }) => {
            Told::list(client.ask(&FORESEE, &[&device], &Update { reference })?)
        }
    }
}

fn onboard(client: &Client, what: Onboard) -> OrFailed<Told> {
    match what {
        Onboard::Add { cert, serial, name, labels, give_back } => {
            let labels = Labels::of(labels.iter().map(String::as_str))
                .with_context(|| format!("`--label {}`", plain(&labels.join(" --label "))))?;
            // So that who gives another file learns which it was.
            digest_of(&cert)?;
            let cert_pem = fs::read_to_string(&cert).with_context(|| unreadable(&cert))?;
            let allowed = client.tell(&ALLOW, &[], &Allow { cert_pem, serial, name, labels, give_back })?;
            Ok(Told::one(&allowed)?.with_notes(&allowed.notes))
        }
        Onboard::List => Told::list(client.list::<Allowance>()?),
        Onboard::Remove { cert, digest, serial } => {
            let digest = match cert {
                Some(cert) => digest_of(&cert)?,
                None => whole_digest(client, digest.unwrap_or_default())?,
            };
            Told::done(&client.call(&DISALLOW, &[&digest, &serial])?)
        }
    }
}

/// Digits of a digest that it may be called by, as lists show it.
const SHORTEST: usize = 12;
const WHOLE: usize = 64;

/// The digest that begins so.
fn whole_digest(client: &Client, digits: String) -> OrFailed<String> {
    if !(SHORTEST..WHOLE).contains(&digits.len()) {
        return Ok(digits);
    }
    let mut found: Vec<String> = client.list::<Allowance>()?.flat_map(|allowed| [allowed.certificate]).whole;
    found.retain(|digest| digest.starts_with(&digits.to_ascii_lowercase()));
    found.dedup();
    match found.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(Failed::from(Problem {
            advice: "see `evc onboard list`".into(),
            code: Code::AllowanceUnknown,
            error: format!("no certificate that is allowed has a digest that begins with `{digits}`"),
            place: None,
        })),
        _ => Err(anyhow!("several digests begin with `{}`: give all {WHOLE} digits", plain(&digits)).into()),
    }
}

/// SHA-256 of a certificate file's DER.
fn digest_of(cert: &Path) -> anyhow::Result<String> {
    let pem = fs::read(cert).with_context(|| unreadable(cert))?;
    let read = wire::Certificate::from_pem(&pem);
    let read = read.with_context(|| {
        format!("{} is no onboarding certificate: give the PEM file of one", cert.display())
    })?;
    Ok(hex::encode(read.digest().0))
}

fn unreadable(cert: &Path) -> String {
    format!("can't read the certificate {}", cert.display())
}

fn apply(client: &Client, files: &Files, dry_run: bool) -> OrFailed<Told> {
    let applied = sent(client, files, dry_run)?;
    if dry_run {
        cli::complain("dry run: nothing was changed");
    }
    Told::list(applied)
}

fn sent(client: &Client, files: &Files, dry_run: bool) -> OrFailed<Vec<Applied>> {
    let files = Joined::read(&files.files)?;
    let applied = client.send(&APPLY, &[], &Applying { dry_run }, &files.text);
    applied.map_err(|failed| files.refused(failed, "was not applied"))
}

/// Says each field that would change.
///
/// # Errors
/// [`Failed::Differs`], once it is printed.
fn diff(client: &Client, files: &Files, output: Output) -> OrFailed<Told> {
    let mut applied = sent(client, files, true)?;
    applied.retain(|it| it.outcome != Outcome::Unchanged);
    let text = applied.iter().map(differs).collect();
    let told = Told::whole(&applied, text, String::new())?;
    if applied.is_empty() {
        return Ok(told);
    }
    told.print(output)?;
    Err(Failed::Differs)
}

fn differs(Applied { kind, name, changes, notes, .. }: &Applied) -> String {
    let line = |sign: &str, field: &str, value: &Option<String>| {
        let value = value.as_ref().map(|value| format!("{sign} {field}: {value}\n"));
        plain_lines(&value.unwrap_or_default())
    };
    let changes = changes.iter();
    let lines = changes.map(|it| line("-", &it.field, &it.old) + &line("+", &it.field, &it.new));
    let notes = notes.iter().map(|note| format!("  note: {}\n", plain(note)));
    format!("{kind} {}\n{}", plain(name), lines.chain(notes).collect::<String>())
}

fn label(client: &Client, LabelWhat::Device { name, labels }: &LabelWhat) -> OrFailed<Done> {
    let (set, taken): (Vec<&str>, Vec<&str>) =
        labels.iter().map(String::as_str).partition(|label| label.contains('='));
    let taken = taken.into_iter().map(|key| {
        let key = key.strip_suffix('-').with_context(|| {
            format!("`{}`: write `KEY=VALUE` to set a label, or `KEY-` to take it away", plain(key))
        })?;
        key.parse::<Word>().with_context(|| format!("`{}` is no label's key", plain(key)))
    });
    let set = Labels::of(set.iter().copied())
        .with_context(|| format!("`{}` can't be set", plain(&set.join(" "))))?;
    let how = Labelling { set, take: taken.collect::<anyhow::Result<_>>()? };
    client.tell(&LABEL, &[name], &how)
}

fn deleted_devices(client: &Client) -> OrFailed<Told> {
    Told::list(Rows::<DeletedDevice>::from(client.call(&DELETED_DEVICES, &[])?))
}

fn device(client: &Client, act: DeviceAct) -> OrFailed<Told> {
    let done: OrFailed<Done> = match &act {
        DeviceAct::Deleted => return deleted_devices(client),
        DeviceAct::Lost { name } => client.call(&LOSE, &[name]),
        DeviceAct::Found { name } => client.call(&FIND, &[name]),
        DeviceAct::Forget { name, confirm } => {
            client.ask(&FORGET_DEVICE, &[name], &Confirmation { confirm: Some(confirm.clone()) })
        }
        DeviceAct::Repin { name, confirm } => {
            client.ask(&REPIN, &[name], &Confirmation { confirm: Some(confirm.clone()) })
        }
        DeviceAct::Settle { name, confirm } => {
            client.ask(&SETTLE, &[name], &Confirmation { confirm: confirm.clone() })
        }
    };
    Told::done(&done?)
}

fn adopt(client: &Client, what: &AdoptWhat) -> OrFailed<Done> {
    match what {
        AdoptWhat::Vault { name, device, policy, remove, confirm } => {
            let policy = policy.parse().with_context(|| format!("`{}` is no policy", plain(policy)))?;
            let how = Adoption { policy, remove: *remove, confirm: confirm.clone() };
            client.tell(&ADOPT, &[device, name], &how)
        }
        AdoptWhat::Device { name, identity, confirm } => {
            let id = identity.parse().with_context(|| format!("`{}` is no UUID", plain(identity)))?;
            client.tell(&IDENTIFY, &[name], &NewIdentity { id, confirm: Some(confirm.clone()) })
        }
    }
}

fn rehome(client: &Client, RehomeWhat::Vault { name, device, to, confirm }: RehomeWhat) -> OrFailed<Done> {
    client.tell(&REHOME, &[&device, &name], &Rehoming { to, confirm: Some(confirm) })
}

fn delete(client: &Client, what: &DeleteWhat) -> OrFailed<Done> {
    match what {
        DeleteWhat::Vault { name, device, delete_after, confirm } => {
            let delete_after = delete_after.map(|grace| grace.as_secs());
            let how = VaultDeletion { delete_after, confirm: confirm.clone() };
            client.ask(&DELETE_VAULT, &[device, name], &how)
        }
        DeleteWhat::Policy { name } => client.call(&DELETE_POLICY, &[name]),
        DeleteWhat::Rule { name } => client.call(&DELETE_RULE, &[name]),
        DeleteWhat::Device { name, force, confirm } => {
            let how = Deletion { force: *force, confirm: confirm.clone() };
            client.ask(&DELETE_DEVICE, &[name], &how)
        }
    }
}

fn rotate(
    client: &Client,
    RotateWhat::Vault { name, device, force, confirm, expect_epoch }: &RotateWhat,
) -> OrFailed<Done> {
    let before = vault(client, device, name)?;
    if *force && before.reported_epoch != Some(before.current_epoch) {
        cli::complain(&at_stake(&before, name));
    }
    let expected = expect_epoch.map_or(before.current_epoch, Epoch);
    let how = Rotation { force: *force, expect_epoch: Some(expected), confirm: confirm.clone() };
    client.tell(&ROTATE, &[device, name], &how)
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
    RecreateWhat::Vault { name, device, confirm, withdraw, new_disk, despite_escrow }: &RecreateWhat,
) -> OrFailed<Done> {
    if *withdraw {
        return client.call(&WITHDRAW, &[device, name]);
    }
    let confirm = confirm.clone();
    let how = Recreation { new_disk: *new_disk, despite_escrow: *despite_escrow, confirm };
    client.ask(&RECREATE, &[device, name], &how)
}

fn reference(client: &Client, act: ReferenceAct) -> OrFailed<Told> {
    match act {
        ReferenceAct::List { device } => look::references(client, &[], device.as_ref()),
        ReferenceAct::Add { device, pcr, from, like } => {
            let pcrs = pcrs::given(&pcr, from.as_deref())?;
            Told::one(&client.tell(&ADD_REFERENCE, &[&device], &NewReference { pcrs, like })?)
        }
        ReferenceAct::Approve { id } => Told::done(&client.call(&APPROVE, &[&id.to_string()])?),
        ReferenceAct::Reject { id } => Told::done(&client.call(&REJECT, &[&id.to_string()])?),
        ReferenceAct::Learn { device } => Told::done(&client.call(&LEARN, &[&device])?),
    }
}
