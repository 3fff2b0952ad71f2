//! The operator's command line: `evc serve`, and commands that speak to a running one over its API.
//! Exit codes: 0 done, 1 refused or failed, 2 used wrongly.

mod anew;
mod args;
mod client;
mod rows;
mod serve;
mod table;
mod token;

use std::collections::HashSet;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::{CommandFactory as _, Parser as _};
use serde::Serialize;
use serde_json::Value;
use vault::ids::Epoch;
use vault::policy::MAX_FILE_BYTES;
use vault::text::{plain, plain_lines};

use args::{
    AdoptWhat, Args, Command, DeleteWhat, DescribeWhat, DeviceAct, GetWhat, Onboard, Output, RecreateWhat,
    ReferenceAct, RehomeWhat, RotateWhat, TokenAct,
};
use client::{Client, encoded};
use table::Row;

use crate::api::{
    Adoption, Allow, Allowance, Applied, Described, DeviceView, Done, Paged, PolicyView, Reference, Rehoming,
    Rotation, VaultView,
};

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    let args = Args::parse();
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evc: {}", plain_lines(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}

fn run(args: Args) -> anyhow::Result<()> {
    match &args.command {
        Command::Serve(serve) => return serve::serve(&args.reach.data(), serve),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(*shell, &mut Args::command(), "evc", &mut script);
            return say(&script);
        }
        Command::Man { dir } => return man(dir.as_deref()),
        Command::BeginAnew => {
            return print(&Told::one(&anew::begin(&args.reach)?)?, args.output);
        }
        Command::Token(TokenAct::New) => {
            return print(&Told::one(&token::new(&args.reach)?)?, args.output);
        }
        _ => {}
    }
    let mut client = Client::new(&args.reach)?;
    let told = ask(&mut client, args.command)?;
    print(&told, args.output)
}

/// What a command asked for, in both forms.
struct Told {
    value: Value,
    text: String,
}

impl Told {
    fn list<T: Row>(rows: &[T]) -> anyhow::Result<Self> {
        Ok(Self { value: serde_json::to_value(rows)?, text: table::table(rows) })
    }

    fn one<T: Row>(it: &T) -> anyhow::Result<Self> {
        Ok(Self { value: serde_json::to_value(it)?, text: table::table(std::slice::from_ref(it)) })
    }

    fn whole(it: &impl Serialize) -> anyhow::Result<Self> {
        let value = serde_json::to_value(it)?;
        Ok(Self { text: table::whole(&value), value })
    }
}

fn ask(client: &mut Client, command: Command) -> anyhow::Result<Told> {
    let done = |done: Done| Told::one(&done);
    match command {
        Command::Onboard(Onboard::Add { cert, serial, name }) => {
            let cert_pem = fs::read_to_string(&cert)
                .with_context(|| format!("can't read the certificate {}", cert.display()))?;
            let allowed: Allowance = client.post("/onboarding", &Allow { cert_pem, serial, name })?;
            Told::one(&allowed)
        }
        Command::Onboard(Onboard::List) => Told::list(&client.list::<Allowance>()?),
        Command::Onboard(Onboard::Remove { cert, digest, serial }) => {
            let digest = match cert {
                Some(cert) => digest_of(&cert)?,
                None => digest.unwrap_or_default(),
            };
            done(client.delete(&path(&["onboarding", &digest, &serial]))?)
        }
        Command::Token(TokenAct::Rotate) => done(token::rotate(client)?),
        Command::Apply { file, dry_run } => Told::list(&apply(client, &file, dry_run)?),
        Command::Get(what) => get(client, &what),
        Command::Describe(what) => describe(client, &what),
        Command::Delete(DeleteWhat::Vault { name, device }) => {
            done(client.delete(&path(&["devices", &device, "vaults", &name]))?)
        }
        Command::Delete(DeleteWhat::Policy { name }) => done(client.delete(&path(&["policies", &name]))?),
        Command::Delete(DeleteWhat::Device { name, force }) => {
            done(client.delete(&format!("{}?force={force}", path(&["devices", &name])))?)
        }
        Command::Device(act) => done(device(client, &act)?),
        Command::Adopt(AdoptWhat::Vault { name, device, policy }) => {
            let policy = policy.parse().with_context(|| format!("`{}` is no policy", plain(&policy)))?;
            let how = Adoption { policy };
            done(client.post(&path(&["devices", &device, "vaults", &name, "adopt"]), &how)?)
        }
        Command::Rehome(RehomeWhat::Vault { name, device, to, confirm }) => {
            if confirm != name {
                bail!(
                    "its keys leave the device `{device}` for good; give the vault's name twice: --confirm {name}"
                );
            }
            done(client.post(&path(&["devices", &device, "vaults", &name, "rehome"]), &Rehoming { to })?)
        }
        Command::Rotate(what) => done(rotate(client, &what)?),
        Command::Recreate(RecreateWhat::Vault { name, device, confirm, new_disk }) => {
            if confirm != name {
                bail!(
                    "what is in the vault is lost when it is made anew; give its name twice: --confirm {name}"
                );
            }
            let path = path(&["devices", &device, "vaults", &name, "recreate"]);
            done(client.post(&format!("{path}?new_disk={new_disk}"), &())?)
        }
        Command::Reference(act) => reference(client, &act),
        Command::Serve(_)
        | Command::BeginAnew
        | Command::Completions { .. }
        | Command::Man { .. }
        | Command::Token(TokenAct::New) => {
            unreachable!("done before a client is made")
        }
    }
}

/// SHA-256 of a certificate file's DER.
fn digest_of(cert: &Path) -> anyhow::Result<String> {
    let pem = fs::read(cert).with_context(|| format!("can't read the certificate {}", cert.display()))?;
    let read = wire::Certificate::from_pem(&pem);
    let read = read.with_context(|| format!("{} is no onboarding certificate", cert.display()))?;
    Ok(hex::encode(read.digest().0))
}

/// Joins parts of a path.
fn path(parts: &[&str]) -> String {
    parts.iter().map(|part| format!("/{}", encoded(part))).collect()
}

fn apply(client: &Client, file: &str, dry_run: bool) -> anyhow::Result<Vec<Applied>> {
    let text = if file == "-" { io::read_to_string(io::stdin()) } else { fs::read_to_string(file) };
    let text = text.with_context(|| format!("can't read {file}"))?;
    if text.len() > MAX_FILE_BYTES {
        bail!(
            "{file} has {} bytes, and at most {MAX_FILE_BYTES} are taken at once\n  what to do: split it",
            text.len()
        );
    }
    let told = client
        .post_text(&format!("/apply?dry_run={dry_run}"), &text)
        .with_context(|| format!("{file} was not applied"))?;
    if dry_run {
        eprintln!("dry run: nothing was changed");
    }
    Ok(told)
}

fn get(client: &Client, what: &GetWhat) -> anyhow::Result<Told> {
    match what {
        GetWhat::Devices => Told::list(&client.list::<DeviceView>()?),
        GetWhat::Vaults { device: Some(device) } => {
            Told::list(&client.get::<Vec<VaultView>>(&format!("/vaults?device={}", encoded(device)))?)
        }
        GetWhat::Vaults { device: None } => Told::list(&all_vaults(client)?),
        GetWhat::Policies => Told::list(&client.list::<PolicyView>()?),
        GetWhat::References => Told::list(&client.list::<Reference>()?),
    }
}

/// Those that the controller keeps a row of, and the default ones that only their nodes speak of.
fn all_vaults(client: &Client) -> anyhow::Result<Vec<VaultView>> {
    let (mut all, devices) = (client.list::<VaultView>()?, client.list::<DeviceView>()?);
    let rows: HashSet<_> = all.iter().map(Paged::place).collect();
    let reported = devices.into_iter().flat_map(|device| device.default_vaults);
    all.extend(reported.filter(|vault| !rows.contains(&vault.place())));
    all.sort_by_cached_key(Paged::place);
    Ok(all)
}

fn describe(client: &Client, what: &DescribeWhat) -> anyhow::Result<Told> {
    match what {
        DescribeWhat::Device { name } => Told::whole(&client.get::<Described>(&path(&["devices", name]))?),
        DescribeWhat::Vault { name, device } => Told::whole(&vault(client, device, name)?),
    }
}

fn vault(client: &Client, device: &str, name: &str) -> anyhow::Result<VaultView> {
    let all: Described = client.get(&path(&["devices", device]))?;
    let found =
        all.vaults.into_iter().find(|vault| vault.name.as_str() == name || vault.id.to_string() == name);
    found.with_context(|| format!("device `{device}` has no vault `{name}`; see `evc get vaults`"))
}

fn rotate(
    client: &Client,
    RotateWhat::Vault { name, device, force, expect_epoch }: &RotateWhat,
) -> anyhow::Result<Done> {
    let before = vault(client, device, name)?;
    let (current, reported) = (before.current_epoch, before.reported_epoch);
    if *force && reported != Some(current) {
        eprintln!(
            "forced: the newest key is of epoch {current}, and the node reported {}; if it restarts before it takes a newer one, \
             `{}` stays locked, and keys that are over are not given out again",
            reported.map_or_else(|| "none".to_owned(), |epoch| format!("epoch {epoch}")),
            plain(name),
        );
    }
    let how = Rotation { force: *force, expect_epoch: Some(expect_epoch.map_or(current, Epoch)) };
    client.post(&path(&["devices", device, "vaults", name, "rotate"]), &how)
}

fn device(client: &Client, act: &DeviceAct) -> anyhow::Result<Done> {
    match act {
        DeviceAct::Lost { name } => client.post(&path(&["devices", name, "lost"]), &()),
        DeviceAct::Found { name } => client.delete(&path(&["devices", name, "lost"])),
        DeviceAct::Settle { name } => client.delete(&path(&["devices", name, "alarm"])),
    }
}

fn reference(client: &Client, act: &ReferenceAct) -> anyhow::Result<Told> {
    let done: Done = match act {
        ReferenceAct::List { device: None } => return get(client, &GetWhat::References),
        ReferenceAct::List { device: Some(device) } => {
            let of_device = format!("/references?device={}", encoded(device));
            return Told::list(&client.get::<Vec<Reference>>(&of_device)?);
        }
        ReferenceAct::Approve { id } => client.post(&format!("/references/{id}/approve"), &())?,
        ReferenceAct::Reject { id } => client.post(&format!("/references/{id}/reject"), &())?,
        ReferenceAct::Learn { device } => client.post(&path(&["devices", device, "learn"]), &())?,
    };
    Told::one(&done)
}

fn print(told: &Told, output: Output) -> anyhow::Result<()> {
    match output {
        Output::Json => say(plain_lines(&format!("{:#}\n", told.value)).as_bytes()),
        Output::Table => say(told.text.as_bytes()),
    }
}

fn say(text: &[u8]) -> anyhow::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        // A pager that was left is no failure of ours.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        other => other.context("can't write the answer"),
    }
}

fn man(dir: Option<&Path>) -> anyhow::Result<()> {
    match dir {
        Some(dir) => clap_mangen::generate_to(Args::command(), dir)
            .with_context(|| format!("can't write into {}", dir.display())),
        None => {
            let mut page = Vec::new();
            clap_mangen::Man::new(Args::command()).render(&mut page).context("can't make the page")?;
            say(&page)
        }
    }
}
