//! `evc serve`: protects memory, brings the controller up, listens, and ends cleanly on SIGTERM and SIGINT.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::thread;

use anyhow::{Context as _, anyhow};
use disk::Disk;
use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::task::{JoinError, JoinHandle};
use tracing_subscriber::EnvFilter;
use vault::text::OneLine;

use super::args::{LogFormat, Serve};
use crate::clock::now;
use crate::custody::protect;
use crate::http::{CONNECTIONS, Listener};
use crate::jobs::housekeeping;
use crate::service::{Controller, Settings, Steady, start_on};

/// Runs until it is told to stop.
pub(super) fn serve(disk: &Disk, data: &Path, args: &Serve) -> anyhow::Result<()> {
    let as_json = args.log_json || args.log_format == LogFormat::Json;
    // Until the runtime is gone. Without it all works, and waits for who reads the log.
    let _drain = cli::Drain::begin(as_json);
    log_to_stderr(as_json);
    // Before any key is read.
    for line in protect().missing {
        tracing::warn!("{line}");
    }
    raise_open_files();
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().context("evc can't start")?;
    runtime.block_on(run(disk, data, args))
}

/// As many files as connections, and some. Shells give 1024.
fn raise_open_files() {
    const WANTED: u64 = CONNECTIONS as u64 + 256;
    let raised = getrlimit(Resource::RLIMIT_NOFILE).and_then(|(soft, hard)| {
        let most = soft.max(WANTED.min(hard));
        setrlimit(Resource::RLIMIT_NOFILE, most, hard).map(|()| most)
    });
    if !raised.is_ok_and(|most| most >= WANTED) {
        tracing::warn!("fewer than {WANTED} files may be open: allow more (LimitNOFILE={WANTED})");
    }
}

fn log_to_stderr(json: bool) {
    let filter = EnvFilter::try_from_env("EVC_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(false)
        // An event that can't be told is told nowhere else: that panics where nothing can be written.
        .log_internal_errors(false)
        .with_writer(move || OneLine(cli::Log { as_json: json }));
    // A second subscriber in one process is a test's: the first stays.
    let _ = if json { builder.json().try_init() } else { builder.try_init() };
}

async fn run(disk: &Disk, data: &Path, args: &Serve) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("can't listen for signals")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("can't listen for signals")?;
    let started = start_on(disk, &settings(data, args), now()).await;
    let controller = Arc::new(started.context("the controller can't start")?);
    let clock = controller.clock(now()).await?;
    let listener = Listener::bind(args.listen, controller.clone()).await?;
    announce(disk, data, &listener)?;
    introduce(data, &listener, &controller);
    let told = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    let held = hold(&controller, listener, clock, told).await;
    // The last moment at which it is known.
    let _ = controller.kek.is_kept();
    controller.store.close().await;
    held
}

/// Serves, and does what is due by itself, until it is told to stop.
///
/// # Errors
/// One of the two ended by itself. Without the other it would look as if all were well: both end, and who watches this program starts it anew.
pub async fn hold(
    controller: &Arc<Controller>,
    listener: Listener,
    clock: Steady,
    told: impl Future<Output = ()>,
) -> anyhow::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let mut serving = tokio::spawn(listener.serve(stopped.clone()));
    let mut keeping = tokio::spawn(housekeeping(controller.clone(), clock, stopped));
    let held = tokio::select! {
        () = told => Ok(()),
        how = &mut serving => Err(broken("the listener", how)),
        how = &mut keeping => Err(broken("housekeeping", how)),
    };
    tracing::info!("stopping");
    stop.send_replace(true);
    tokio::join!(ended(serving), ended(keeping));
    held
}

/// Waits for it, unless that was done before.
async fn ended(task: JoinHandle<()>) {
    if !task.is_finished() {
        let _ = task.await;
    }
}

fn broken(what: &str, how: Result<(), JoinError>) -> anyhow::Error {
    let how = how.err().map_or("it returned".to_owned(), |error| error.to_string());
    anyhow!(
        "{what} ended by itself, which is a fault of evc's ({how}); start it again: all that was done is kept. Report this, with the lines of the log before it"
    )
}

fn settings(data: &Path, args: &Serve) -> Settings {
    let mut names = vec!["127.0.0.1".to_owned(), "localhost".to_owned()];
    let own = args.listen.ip();
    let own = (!own.is_unspecified()).then(|| own.to_string());
    for name in own.iter().chain(&args.names) {
        if !names.contains(name) {
            names.push(name.clone());
        }
    }
    Settings {
        data: data.to_owned(),
        names,
        poll_every_s: args.poll_seconds,
        drill_every_s: args.escrow_drill_every.as_secs(),
        deleted_grace_s: args.deleted_device_grace.as_secs(),
        clock_is_right: args.clock_is_right,
    }
}

/// One line for who waits for it, and a file for the command line.
fn announce(disk: &Disk, data: &Path, listener: &Listener) -> anyhow::Result<()> {
    let url = format!("https://{}", reached_at(listener.address()));
    let file = data.join("url");
    disk.write(&file, format!("{url}\n").as_bytes(), 0o644)
        .with_context(|| format!("can't write {}", file.display()))?;
    // Nobody may read there, or not now: it serves all the same.
    let say = thread::Builder::new().name("announce".to_owned()).spawn(move || {
        if let Err(error) = cli::say(&format!("listening on {url}\n")) {
            tracing::warn!(error = %format!("{error:#}"), "where it listens stands in the file url alone");
        }
    });
    say.map(drop).context("can't say where it listens")
}

/// For who reads the log: who serves, and what an operator and a node's installer need.
fn introduce(data: &Path, listener: &Listener, controller: &Controller) {
    let root = controller.status(now()).map(|status| status.root_fingerprint).unwrap_or_default();
    let (token, certificate) = (data.join("operator.token"), data.join("root-certificate.pem"));
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        url = %format!("https://{}", reached_at(listener.address())),
        root_sha256 = root,
        data = %data.display(),
        token = %token.display(),
        root_certificate = %certificate.display(),
        "serving"
    );
    tracing::info!(
        "to use it here: `export EVC_DATA={}`, then `evc status`, and `evc onboard add --help` for a first node; from another machine: --url, --token-file and --ca, with copies of those two files",
        data.display()
    );
}

/// Every address is no address to call.
fn reached_at(listening: SocketAddr) -> SocketAddr {
    if listening.ip().is_unspecified() {
        return SocketAddr::from(([127, 0, 0, 1], listening.port()));
    }
    listening
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_address_is_called_as_this_machine() {
        let told = |address: &str| reached_at(address.parse().expect("an address")).to_string();
        assert_eq!(told("0.0.0.0:8443"), "127.0.0.1:8443");
        assert_eq!(told("[::]:8443"), "127.0.0.1:8443");
        assert_eq!(told("192.0.2.7:8443"), "192.0.2.7:8443");
    }
}
