//! The command line: `eve run`, `status`, `bus tail`, `vault …`.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use vault::ids::{Name, VaultId};
use vault::report::VaultReport;

use crate::agents::{self, Options};
use crate::bus::messages::{
    Agents, Challenge, ControllerStatus, Evidence, LockVault, NetworkStatus, Onboarded, Recreate, Session,
    SignedConfig, TpmStatus, UnlockVault, VaultStatus, Vaults,
};
use crate::bus::{Agent, Bus, Topic};
use crate::supervisor;

/// How long a question of the operator's may take.
const PATIENCE: Duration = Duration::from_secs(120);
/// How long a status is waited for.
const GLANCE: Duration = Duration::from_millis(700);

/// The edge node of EVE Vault.
#[derive(Debug, Parser)]
#[command(name = "eve", version)]
struct Cli {
    /// How log lines look.
    #[arg(long, global = true, value_enum, default_value = "text")]
    log_format: LogFormat,
    #[command(subcommand)]
    command: Cmd,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum LogFormat {
    Text,
    Json,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Output {
    Table,
    Json,
}

#[derive(Debug, clap::Args)]
struct Root {
    /// The node's root: config/, persist/ and run/ lie in it.
    #[arg(long, default_value = "/")]
    root: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Cmd {
    /// Run the node: all agents, until SIGTERM.
    Run {
        #[command(flatten)]
        root: Root,
        /// Between two polls of the configuration, e.g. 60s.
        #[arg(long, default_value = "60s", value_parser = duration)]
        poll_interval: Duration,
    },
    /// The node at a glance.
    Status {
        #[command(flatten)]
        root: Root,
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
    /// The bus between the agents.
    #[command(subcommand)]
    Bus(BusCmd),
    /// The vaults of this node.
    #[command(subcommand)]
    Vault(VaultCmd),
    /// Completions for a shell.
    Completions { shell: clap_complete::Shell },
    /// Manual pages, into a folder.
    Man { dir: PathBuf },
    #[command(hide = true)]
    Agent {
        name: Agent,
        #[command(flatten)]
        root: Root,
        #[arg(long)]
        supervisor: i32,
        #[arg(long, value_parser = duration)]
        poll_interval: Duration,
    },
}

#[derive(Debug, Subcommand)]
enum BusCmd {
    /// Show what is published, secrets redacted.
    Tail {
        #[command(flatten)]
        root: Root,
    },
}

#[derive(Debug, Subcommand)]
enum VaultCmd {
    /// Every vault and where it stands.
    List {
        #[command(flatten)]
        root: Root,
        #[arg(long, value_enum, default_value = "table")]
        output: Output,
    },
    /// Close a vault until it is unlocked here, or the node restarts.
    Lock {
        /// Its name or UUID.
        vault: String,
        #[command(flatten)]
        root: Root,
    },
    /// Open a vault.
    Unlock {
        /// Its name or UUID.
        vault: String,
        #[command(flatten)]
        root: Root,
    },
    /// Make a missing vault anew, EMPTY. What was in it is lost.
    Recreate {
        /// Its name.
        vault: String,
        /// Its name again; given twice, nothing is asked.
        #[arg(long)]
        confirm: Vec<String>,
        #[command(flatten)]
        root: Root,
    },
}

/// `500ms`, `60s`, `5m`.
fn duration(text: &str) -> Result<Duration, String> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let number: u64 = digits.parse().map_err(|_| "a duration is like 500ms, 60s or 5m".to_owned())?;
    let duration = match &text[digits.len()..] {
        "ms" => Duration::from_millis(number),
        "s" | "" => Duration::from_secs(number),
        "m" => Duration::from_secs(number.saturating_mul(60)),
        other => return Err(format!("no unit {other:?}: ms, s or m")),
    };
    let bounds = Duration::from_millis(100)..=Duration::from_secs(86_400);
    bounds.contains(&duration).then_some(duration).ok_or_else(|| "between 100ms and a day".to_owned())
}

/// Runs the command line.
///
/// # Errors
/// What to tell the user.
pub fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    log(cli.log_format);
    match cli.command {
        Cmd::Run { root, poll_interval } => {
            let format = if matches!(cli.log_format, LogFormat::Json) { "json" } else { "text" };
            let pass_on = ["--log-format".to_owned(), format.to_owned()];
            supervisor::run(&root.root, Options { poll: poll_interval }, &pass_on)
        }
        Cmd::Agent { name, root, supervisor, poll_interval } => {
            supervisor::unblock_signals()?;
            let _span = tracing::info_span!("agent", %name).entered();
            agents::live(name, &root.root, supervisor, Options { poll: poll_interval })
        }
        Cmd::Status { root, output } => status(&visit(&root), output),
        Cmd::Bus(BusCmd::Tail { root }) => tail(&visit(&root)),
        Cmd::Vault(command) => vault_command(command),
        Cmd::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "eve", &mut std::io::stdout());
            Ok(())
        }
        Cmd::Man { dir } => Ok(clap_mangen::generate_to(Cli::command(), dir)?),
    }
}

fn log(format: LogFormat) {
    let filter =
        tracing_subscriber::EnvFilter::try_from_default_env().unwrap_or_else(|_| "info,tss_esapi=off".into());
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match format {
        LogFormat::Text => builder.init(),
        LogFormat::Json => builder.json().init(),
    }
}

fn visit(root: &Root) -> Bus {
    Bus::visit(&root.root, Agent::Operator)
}

fn glance<T: Topic>(bus: &Bus) -> std::thread::JoinHandle<Option<T>> {
    let topic = bus.subscribe::<T>();
    std::thread::spawn(move || topic.next_within(GLANCE))
}

fn status(bus: &Bus, output: Output) -> anyhow::Result<()> {
    let (agents, onboarded, tpm) =
        (glance::<Agents>(bus), glance::<Onboarded>(bus), glance::<TpmStatus>(bus));
    let (session, controller, vaults) =
        (glance::<Session>(bus), glance::<ControllerStatus>(bus), glance::<VaultStatus>(bus));
    let agents = agents.join().ok().flatten();
    let Some(Agents(agents)) = agents else {
        bail!("no answer; is `eve run` running with this --root, and are you root?")
    };
    let onboarded = onboarded.join().ok().flatten();
    let tpm = tpm.join().ok().flatten();
    let session = session.join().ok().flatten();
    let controller = controller.join().ok().flatten().unwrap_or_default();
    let vaults = vaults.join().ok().flatten().unwrap_or_default();
    let tpm = match tpm {
        None => "starting".to_owned(),
        Some(TpmStatus::Absent { .. }) => "none: the device key is in a file".to_owned(),
        Some(TpmStatus::Failing { why }) => format!("failing: {why}"),
        Some(TpmStatus::Ready { identity, .. }) if identity.other_tpm => {
            "NOT the one this node was installed with".to_owned()
        }
        Some(TpmStatus::Ready { measured, .. }) => {
            format!("ready{}", if measured { "" } else { ", boot not measured" })
        }
    };
    let lines: Vec<_> = agents
        .iter()
        .map(|line| serde_json::json!({ "agent": line.agent, "pid": line.pid, "restarts": line.restarts, "walls": line.pid.map(walls) }))
        .collect();
    let device = onboarded.map(|onboarded| onboarded.device.to_string());
    let whole = serde_json::json!({
        "device": device, "tpm": tpm, "session": session.map(|session| hex::encode(session.key.0)),
        "controller": controller, "agents": lines, "vaults": vaults.vaults, "notes": vaults.notes,
    });
    if matches!(output, Output::Json) {
        println!("{}", serde_json::to_string_pretty(&whole)?);
        return Ok(());
    }
    println!("device       {}", device.as_deref().unwrap_or("not onboarded yet"));
    println!("tpm          {tpm}");
    let reach = if controller.reachable { "answers" } else { "no answer" };
    println!("controller   {} {reach} {}", controller.server, controller.words);
    println!("attestation  {}", controller.attestation.as_deref().unwrap_or("none in this session"));
    for line in &agents {
        let pid = line.pid.map_or("down".to_owned(), |pid| pid.to_string());
        println!(
            "agent        {:<9} {pid:>8}  restarts {:<3} {}",
            line.agent.name(),
            line.restarts,
            line.pid.map(walls).unwrap_or_default()
        );
    }
    table(&vaults.vaults);
    vaults.notes.iter().for_each(|note| println!("note         {note}"));
    Ok(())
}

/// What the kernel says of a process's walls.
fn walls(pid: u32) -> String {
    let text = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let field =
        |name: &str| text.lines().find_map(|line| line.strip_prefix(name)).map_or("?", |value| value.trim());
    let uid = field("Uid:").split_whitespace().next().unwrap_or("?");
    format!(
        "uid {uid} caps {} no-new-privs {} seccomp {} locked {}",
        field("CapEff:"),
        field("NoNewPrivs:"),
        field("Seccomp:"),
        field("VmLck:")
    )
}

fn table(vaults: &[VaultReport]) {
    for vault in vaults {
        let state = format!("{:?}", vault.state).to_lowercase();
        let error = vault
            .last
            .as_ref()
            .and_then(|last| last.error.clone())
            .map(|error| format!(" [{error}]"))
            .unwrap_or_default();
        println!("vault        {:<20} {:<15} {}{error}", vault.name.as_str(), state, vault.detail.join("; "));
    }
}

fn tail(bus: &Bus) -> anyhow::Result<()> {
    let (sender, lines) = std::sync::mpsc::channel::<String>();
    fn follow<T: Topic>(bus: &Bus, into: &std::sync::mpsc::Sender<String>) {
        let (topic, into) = (bus.subscribe::<T>().into_receiver(), into.clone());
        std::thread::spawn(move || {
            topic.into_iter().try_for_each(|value| into.send(format!("{value:?}")).ok())
        });
    }
    follow::<Agents>(bus, &sender);
    follow::<NetworkStatus>(bus, &sender);
    follow::<TpmStatus>(bus, &sender);
    follow::<Onboarded>(bus, &sender);
    follow::<SignedConfig>(bus, &sender);
    follow::<Challenge>(bus, &sender);
    follow::<ControllerStatus>(bus, &sender);
    follow::<Session>(bus, &sender);
    follow::<Evidence>(bus, &sender);
    follow::<VaultStatus>(bus, &sender);
    drop(sender);
    use std::io::Write as _;
    let mut out = std::io::stdout();
    for line in lines {
        if writeln!(out, "{line}").and_then(|()| out.flush()).is_err() {
            break;
        }
    }
    Ok(())
}

fn vault_command(command: VaultCmd) -> anyhow::Result<()> {
    match command {
        VaultCmd::List { root, output } => {
            let status = visit(&root).call(&Vaults, PATIENCE)?;
            match output {
                Output::Json => println!("{}", serde_json::to_string_pretty(&status)?),
                Output::Table => table(&status.vaults),
            }
        }
        VaultCmd::Lock { vault, root } => {
            let (bus, id) = (visit(&root), find(&root, &vault)?.id);
            table(&[bus.call(&LockVault { id }, PATIENCE)?]);
        }
        VaultCmd::Unlock { vault, root } => {
            let (bus, id) = (visit(&root), find(&root, &vault)?.id);
            table(&[bus.call(&UnlockVault { id }, PATIENCE)?]);
        }
        VaultCmd::Recreate { vault, confirm, root } => {
            let found = find(&root, &vault)?;
            let name = confirmed(found.name.as_str(), &confirm)?;
            table(&[visit(&root).call(&Recreate { id: found.id, name }, PATIENCE)?]);
        }
    }
    Ok(())
}

fn find(root: &Root, wanted: &str) -> anyhow::Result<VaultReport> {
    let status = visit(root).call(&Vaults, PATIENCE)?;
    let id = wanted.parse::<VaultId>().ok();
    let mut found =
        status.vaults.into_iter().filter(|vault| Some(vault.id) == id || vault.name.as_str() == wanted);
    match (found.next(), found.next()) {
        (Some(vault), None) => Ok(vault),
        (None, _) => bail!("no vault {wanted:?} on this node; see `eve vault list`"),
        (Some(_), Some(_)) => bail!(
            "several vaults are named {wanted:?}; give the UUID that `eve vault list --output json` shows"
        ),
    }
}

fn confirmed(name: &str, given: &[String]) -> anyhow::Result<Name> {
    let answers = if given.is_empty() { asked(name)? } else { given.to_vec() };
    if answers.len() != 2 || answers.iter().any(|answer| answer != name) {
        bail!("the name was not given twice, the same as the vault's; nothing was done");
    }
    Ok(name.parse()?)
}

fn asked(name: &str) -> anyhow::Result<Vec<String>> {
    println!("Vault {name} will be made anew, EMPTY. What was in it can't come back.");
    let ask = |words: &str| -> anyhow::Result<String> {
        println!("{words}");
        let mut line = String::new();
        std::io::stdin().read_line(&mut line).context("reading the answer")?;
        Ok(line.trim().to_owned())
    };
    Ok(vec![ask("Type its name:")?, ask("Type it again:")?])
}
