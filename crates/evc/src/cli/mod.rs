//! The operator's command line: `evc serve`, and commands that speak to a running one over its API.
//! Exit codes: 0 done, 1 refused or failed, 2 used wrongly.

mod anew;
mod args;
mod client;
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
use serde_json::{Value, json};
use vault::policy::MAX_FILE_BYTES;
use vault::text::{plain, plain_lines};

use args::{
    AdoptWhat, Args, Command, DeleteWhat, DescribeWhat, DeviceAct, GetWhat, Onboard, Output, RecreateWhat,
    ReferenceAct, RehomeWhat, RotateWhat, TokenAct,
};
use client::{Client, encoded};

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
            let value = anew::begin(&args.reach)?;
            return print(&Told { value, columns: DONE }, args.output);
        }
        Command::Token(TokenAct::New) => {
            let value = token::new(&args.reach)?;
            return print(&Told { value, columns: DONE }, args.output);
        }
        _ => {}
    }
    let mut client = Client::new(&args.reach)?;
    let told = ask(&mut client, args.command)?;
    print(&told, args.output)
}

/// What a command asked for, with the columns to show.
struct Told {
    value: Value,
    columns: &'static [(&'static str, &'static str)],
}

const DEVICES: &[(&str, &str)] = &[
    ("NAME", "/name"),
    ("ID", "/id"),
    ("TPM", "/tpm"),
    ("ATTESTATION", "/attestation/outcome"),
    ("LAST SEEN", "/seen"),
    ("CONDITION", "/condition"),
    ("SECTION", "/section_version"),
];
const VAULTS: &[(&str, &str)] = &[
    ("DEVICE", "/device"),
    ("NAME", "/name"),
    ("POLICY", "/policy"),
    ("STANDING", "/standing"),
    ("STATE", "/state_now"),
    ("EPOCH", "/current_epoch"),
    ("NODE AT", "/reported_epoch"),
    ("UNTIL", "/delete_at"),
    ("KEY", "/key"),
    ("NOTES", "/notes"),
];
const POLICIES: &[(&str, &str)] = &[
    ("NAME", "/name"),
    ("CUSTODY", "/policy/node/custody"),
    ("SEAL", "/policy/node/seal"),
    ("REQUIRE", "/policy/attest/require"),
    ("OPERATION", "/policy/operation"),
    ("CHANGED", "/changed"),
];
const REFERENCES: &[(&str, &str)] = &[
    ("ID", "/id"),
    ("DEVICE", "/device"),
    ("STATE", "/state"),
    ("DIFFERS", "/differs"),
    ("LEARNED", "/learned"),
    ("DECIDED", "/decided"),
];
const ALLOWED: &[(&str, &str)] = &[
    ("CERTIFICATE", "/certificate"),
    ("SERIAL", "/serial"),
    ("NAME", "/name"),
    ("ADDED", "/added"),
    ("DEVICE", "/device"),
];
const APPLIED: &[(&str, &str)] =
    &[("KIND", "/kind"), ("NAME", "/name"), ("OUTCOME", "/outcome"), ("NOTES", "/notes")];
const DONE: &[(&str, &str)] = &[("DONE", "/done"), ("NOTES", "/notes")];

fn ask(client: &mut Client, command: Command) -> anyhow::Result<Told> {
    let done = |value| Ok(Told { value, columns: DONE });
    match command {
        Command::Onboard(Onboard::Add { cert, serial, name }) => {
            let cert_pem = fs::read_to_string(&cert)
                .with_context(|| format!("can't read the certificate {}", cert.display()))?;
            let value = client
                .post("/onboarding", &json!({ "cert_pem": cert_pem, "serial": serial, "name": name }))?;
            Ok(Told { value, columns: ALLOWED })
        }
        Command::Onboard(Onboard::List) => {
            Ok(Told { value: client.list("/onboarding", &["certificate", "serial"])?, columns: ALLOWED })
        }
        Command::Onboard(Onboard::Remove { cert, digest, serial }) => {
            let digest = match cert {
                Some(cert) => digest_of(&cert)?,
                None => digest.unwrap_or_default(),
            };
            done(client.delete(&path(&["onboarding", &digest, &serial]))?)
        }
        Command::Token(TokenAct::Rotate) => done(token::rotate(client)?),
        Command::Apply { file, dry_run } => {
            Ok(Told { value: apply(client, &file, dry_run)?, columns: APPLIED })
        }
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
            let how = json!({ "policy": policy });
            done(client.post(&path(&["devices", &device, "vaults", &name, "adopt"]), &how)?)
        }
        Command::Rehome(RehomeWhat::Vault { name, device, to, confirm }) => {
            if confirm != name {
                bail!(
                    "its keys leave the device `{device}` for good; give the vault's name twice: --confirm {name}"
                );
            }
            done(client.post(&path(&["devices", &device, "vaults", &name, "rehome"]), &json!({ "to": to }))?)
        }
        Command::Rotate(what) => done(rotate(client, &what)?),
        Command::Recreate(RecreateWhat::Vault { name, device, confirm, new_disk }) => {
            if confirm != name {
                bail!(
                    "what is in the vault is lost when it is made anew; give its name twice: --confirm {name}"
                );
            }
            let path = path(&["devices", &device, "vaults", &name, "recreate"]);
            done(client.post(&format!("{path}?new_disk={new_disk}"), &Value::Null)?)
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

fn apply(client: &Client, file: &str, dry_run: bool) -> anyhow::Result<Value> {
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
    Ok(match what {
        GetWhat::Devices => Told { value: client.list("/devices", &["name"])?, columns: DEVICES },
        GetWhat::Vaults { device: Some(device) } => {
            Told { value: client.get(&format!("/vaults?device={}", encoded(device)))?, columns: VAULTS }
        }
        GetWhat::Vaults { device: None } => Told { value: all_vaults(client)?, columns: VAULTS },
        GetWhat::Policies => Told { value: client.list("/policies", &["name"])?, columns: POLICIES },
        GetWhat::References => Told { value: client.list("/references", &["id"])?, columns: REFERENCES },
    })
}

/// Those that the controller keeps a row of, and the default ones that only their nodes speak of.
fn all_vaults(client: &Client) -> anyhow::Result<Value> {
    let (rows, devices) = (client.list("/vaults", &["device", "id"])?, client.list("/devices", &["name"])?);
    let mut all = rows.as_array().cloned().unwrap_or_default();
    let place = |vault: &Value| [&vault["device"], &vault["id"]].map(ToString::to_string);
    let rows: HashSet<_> = all.iter().map(place).collect();
    let reported =
        devices.as_array().into_iter().flatten().filter_map(|device| device["default_vaults"].as_array());
    all.extend(reported.flatten().filter(|vault| !rows.contains(&place(vault))).cloned());
    all.sort_by_cached_key(place);
    Ok(Value::Array(all))
}

fn describe(client: &Client, what: &DescribeWhat) -> anyhow::Result<Told> {
    let value = match what {
        DescribeWhat::Device { name } => client.get(&path(&["devices", name]))?,
        DescribeWhat::Vault { name, device } => vault(client, device, name)?,
    };
    Ok(Told { value, columns: &[] })
}

fn vault(client: &Client, device: &str, name: &str) -> anyhow::Result<Value> {
    let all = client.get(&path(&["devices", device]))?;
    let vaults = all["vaults"].as_array().cloned().unwrap_or_default();
    let found = vaults.into_iter().find(|vault| vault["name"] == name || vault["id"] == name);
    found.with_context(|| format!("device `{device}` has no vault `{name}`; see `evc get vaults`"))
}

fn rotate(
    client: &Client,
    RotateWhat::Vault { name, device, force, expect_epoch }: &RotateWhat,
) -> anyhow::Result<Value> {
    let before = vault(client, device, name)?;
    let (current, reported) = (&before["current_epoch"], &before["reported_epoch"]);
    if *force && reported != current {
        eprintln!(
            "forced: the newest key is of epoch {current}, and the node reported {}; if it restarts before it takes a newer one, \
             `{}` stays locked, and keys that are over are not given out again",
            reported.as_u64().map_or_else(|| "none".to_owned(), |epoch| format!("epoch {epoch}")),
            plain(name),
        );
    }
    let expected = expect_epoch.map_or_else(|| current.clone(), Value::from);
    let how = json!({ "force": force, "expect_epoch": expected });
    client.post(&path(&["devices", device, "vaults", name, "rotate"]), &how)
}

fn device(client: &Client, act: &DeviceAct) -> anyhow::Result<Value> {
    match act {
        DeviceAct::Lost { name } => client.post(&path(&["devices", name, "lost"]), &Value::Null),
        DeviceAct::Found { name } => client.delete(&path(&["devices", name, "lost"])),
        DeviceAct::Settle { name } => client.delete(&path(&["devices", name, "alarm"])),
    }
}

fn reference(client: &Client, act: &ReferenceAct) -> anyhow::Result<Told> {
    let value = match act {
        ReferenceAct::List { device: None } => return get(client, &GetWhat::References),
        ReferenceAct::List { device: Some(device) } => {
            let value = client.get(&format!("/references?device={}", encoded(device)))?;
            return Ok(Told { value, columns: REFERENCES });
        }
        ReferenceAct::Approve { id } => client.post(&format!("/references/{id}/approve"), &Value::Null)?,
        ReferenceAct::Reject { id } => client.post(&format!("/references/{id}/reject"), &Value::Null)?,
        ReferenceAct::Learn { device } => client.post(&path(&["devices", device, "learn"]), &Value::Null)?,
    };
    Ok(Told { value, columns: DONE })
}

fn print(told: &Told, output: Output) -> anyhow::Result<()> {
    let text = match output {
        Output::Json => plain_lines(&format!("{:#}\n", told.value)),
        Output::Table => table::table(&told.value, told.columns),
    };
    say(text.as_bytes())
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
