//! A new connection to the controller: the whole TLS handshake, nothing resumed, one request, and the end. By the group that both
//! prefer, and by X25519 alone: what the post-quantum half costs.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustls::client::Resumption;
use rustls::crypto::aws_lc_rs::{default_provider, kx_group};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, NamedGroup, RootCertStore, StreamOwned};
use testkit::Evc;

use super::builds::{Build, Builds, in_turn};
use super::contest::{Contest, Unit};
use super::machine::cpu_time;
use super::report::{Aims, Report};

const PATIENCE: Duration = Duration::from_secs(10);
const REQUEST: &[u8] = b"GET /api/v2/edgedevice/ping HTTP/1.1\r\nHost: bench\r\nConnection: close\r\n\r\n";

/// A controller, and who connects to it in both ways.
struct Side {
    evc: Evc,
    hybrid: Arc<ClientConfig>,
    plain: Arc<ClientConfig>,
}

pub(crate) fn measure(folder: &Path, builds: &Builds, quick: bool, report: &mut Report) -> Result<()> {
    let (rounds, each) = if quick { (2, 5) } else { (15, 60) };
    let mut sides = builds.each(|build| Side::new(build, folder))?;
    let mut hybrid = Contest::new(Unit::Time, builds.count());
    let mut plain = hybrid.clone();
    let mut groups = vec![None; builds.count()];
    for round in 0..rounds {
        in_turn(round, &mut sides, |side, controller| {
            let (took, group) = controller.connect(&controller.hybrid, each)?;
            hybrid.took(side, took);
            groups[side] = Some(group);
            plain.took(side, controller.connect(&controller.plain, each)?.0);
            Ok(())
        })?;
    }
    report.contest_section(
        "A new connection",
        "Processor time of `evc serve` for one whole TLS 1.3 handshake, one ping, and the end. The client offers X25519MLKEM768 first.",
    );
    let groups: Vec<_> = groups.iter().flatten().map(|group| format!("{group:?}")).collect();
    report.contest(&format!("agreed: {}", groups.join(", ")), &hybrid, None, Aims::default());
    report.contest("X25519 alone", &plain, None, Aims::default());
    Ok(())
}

impl Side {
    fn new(build: &Build, folder: &Path) -> Result<Self> {
        let evc = Evc::quiet(&folder.join(&build.name), &build.programs)?;
        let root = CertificateDer::from_pem_file(evc.data().join("root-certificate.pem"))?;
        let hybrid = client(&root, vec![kx_group::X25519MLKEM768, kx_group::X25519])?;
        let plain = client(&root, vec![kx_group::X25519])?;
        Ok(Self { evc, hybrid, plain })
    }

    /// Processor time of one of so many, and the group.
    fn connect(&self, config: &Arc<ClientConfig>, times: u32) -> Result<(Duration, NamedGroup)> {
        let pid = self.evc.pid().context("evc is down")?;
        let before = cpu_time(pid)?;
        let mut group = None;
        for _ in 0..times {
            group = Some(ping(&self.evc.server(), config)?);
        }
        Ok(((cpu_time(pid)? - before) / times, group.context("no connection")?))
    }
}

fn client(
    root: &CertificateDer<'static>,
    groups: Vec<&'static dyn rustls::crypto::SupportedKxGroup>,
) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(root.clone())?;
    let mut provider = default_provider();
    provider.kx_groups = groups;
    let config =
        ClientConfig::builder_with_provider(Arc::new(provider)).with_safe_default_protocol_versions()?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

fn ping(server: &str, config: &Arc<ClientConfig>) -> Result<NamedGroup> {
    let socket = TcpStream::connect(server)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    let connection = ClientConnection::new(Arc::clone(config), ServerName::try_from("127.0.0.1")?)?;
    let mut stream = StreamOwned::new(connection, socket);
    stream.write_all(REQUEST)?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer)?;
    ensure!(answer.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&answer));
    Ok(stream.conn.negotiated_key_exchange_group().context("no group")?.name())
}
