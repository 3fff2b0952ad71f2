//! client: makes the device certificate, fetches the controller's certificates, registers, asks who the device is.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use wire::register::{Register, UuidResponse, uuid_request};
use wire::{Certificate, FileSigner, TrustedCerts, Validity, certs, envelope};

use super::certs::device_cert;
use super::signer::BusSigner;
use crate::bus::Bus;
use crate::bus::messages::{Bytes, Onboarded, Onboarding, TpmStatus};
use crate::http::{Line, now_unix_s};
use crate::paths;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What only root can read or write, taken before rights are given up.
pub(super) struct Taken {
    onboard: Option<(Vec<u8>, FileSigner)>,
    cert_file: File,
    serial: String,
}

impl Taken {
    pub(super) fn take(root: &Path) -> anyhow::Result<Self> {
        let cert_file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o644)
            .open(paths::device_cert(root))
            .context("config/device.cert.pem")?;
        Ok(Self { onboard: onboard(root)?, cert_file, serial: serial(root) })
    }
}

/// Gone after an installer's clean-up: a registered device needs it no more.
fn onboard(root: &Path) -> anyhow::Result<Option<(Vec<u8>, FileSigner)>> {
    let Ok(cert) = std::fs::read(paths::onboard_cert(root)) else { return Ok(None) };
    let key =
        zeroize::Zeroizing::new(std::fs::read(paths::onboard_key(root)).context("config/onboard.key.pem")?);
    Ok(Some((cert, FileSigner::from_pem(&key).context("config/onboard.key.pem")?)))
}

fn serial(root: &Path) -> String {
    let places = [paths::serial(root), "/sys/class/dmi/id/product_serial".into()];
    let found = places.iter().find_map(|path| std::fs::read_to_string(path).ok());
    found.map(|text| text.trim().to_owned()).unwrap_or_default()
}

pub(super) fn run(bus: &Bus, root: &Path, mut taken: Taken) -> anyhow::Result<()> {
    let tpm = bus.subscribe::<TpmStatus>().into_receiver();
    let point = tpm.iter().find_map(device_point).context("tpmmgr is gone")?;
    let onboarded = onboard_patiently(bus, root, &mut taken, &point);
    tracing::info!(device = %onboarded.device, "onboarded");
    bus.publish(&Onboarding { words: String::new() });
    bus.publish(&onboarded);
    loop {
        thread::park();
    }
}

/// Tries until it succeeds; says each time why it did not.
fn onboard_patiently(bus: &Bus, root: &Path, taken: &mut Taken, point: &[u8]) -> Onboarded {
    let mut pause = FIRST_PAUSE;
    loop {
        let cert = own_cert(bus, &mut taken.cert_file, point);
        let words = match cert.and_then(|cert| onboard_once(bus, root, taken, &cert)) {
            Ok(onboarded) => return onboarded,
            Err(error) => format!("{error:#}"),
        };
        tracing::warn!(error = %words, again_in = ?pause, "not onboarded yet");
        bus.publish(&Onboarding { words });
        thread::sleep(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

fn device_point(status: TpmStatus) -> Option<Vec<u8>> {
    match status {
        TpmStatus::Absent { device_key } => Some(device_key),
        TpmStatus::Ready { identity, .. } => Some(identity.device_key),
        TpmStatus::Failing { .. } => None,
    }
}

/// The certificate that was made before, if it is of this key; else a new one.
fn own_cert(bus: &Bus, file: &mut File, point: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut pem = Vec::new();
    file.rewind()?;
    file.take(64 << 10).read_to_end(&mut pem)?;
    if pem.is_empty() {
        pem = device_cert(point, &BusSigner(bus))?;
        file.write_all(&pem)?;
        file.sync_all()?;
    }
    let cert = Certificate::from_pem(&pem).context("config/device.cert.pem")?;
    ensure!(
        cert.public_key().point() == point,
        "config/device.cert.pem is of another key than this device's: another TPM, or a lost device key; restore it, or remove the file to register anew"
    );
    Ok(pem)
}

fn onboard_once(bus: &Bus, root: &Path, taken: &Taken, device_pem: &[u8]) -> anyhow::Result<Onboarded> {
    let line = Line::new(root)?;
    let certs = fetch_certs(&line, root)?;
    let device = match ask_uuid(bus, &line, &certs, device_pem) {
        Ok(device) => device,
        Err(first) => {
            register(&line, taken, device_pem)
                .with_context(|| format!("registering, as the controller does not know us ({first:#})"))?;
            ask_uuid(bus, &line, &certs, device_pem)?
        }
    };
    Ok(Onboarded {
        device: device.device,
        device_cert: Bytes(device_pem.to_vec()),
        certs: Bytes(certs.bytes().to_vec()),
    })
}

/// The controller's certificates, judged up to the installed root.
pub(super) fn fetch_certs(line: &Line, root: &Path) -> anyhow::Result<TrustedCerts> {
    let answer = line.get("certs")?;
    ensure!(answer.status == 200, "the controller answered {} on /certs", answer.status);
    let root_pem = std::fs::read(paths::root_certificate(root))?;
    certs::open_answer(&answer.body, &root_pem, Validity::At(now_unix_s()))
        .context("the controller's certificates")
}

fn register(line: &Line, taken: &Taken, device_pem: &[u8]) -> anyhow::Result<()> {
    let Some((cert, key)) = &taken.onboard else { bail!("config/onboard.cert.pem is missing") };
    let payload = Register::new(device_pem, &taken.serial, "")?.encode();
    let answer = line.post("register", &envelope::seal_registration(&payload, cert, key)?)?;
    match answer.status {
        200 | 201 => Ok(()),
        403 => bail!(
            "the controller knows no onboarding certificate with serial {:?}; add it there: evc onboard add",
            taken.serial
        ),
        409 => bail!("serial {:?} is registered by another device already", taken.serial),
        status => bail!("the controller answered {status} on /register"),
    }
}

fn ask_uuid(bus: &Bus, line: &Line, certs: &TrustedCerts, device_pem: &[u8]) -> anyhow::Result<UuidResponse> {
    let cert = Certificate::from_pem(device_pem)?;
    let body = envelope::seal_from_device(&uuid_request(), &cert, &BusSigner(bus))?;
    let answer = line.post("uuid", &body)?;
    ensure!(matches!(answer.status, 200 | 201), "the controller answered {} on /uuid", answer.status);
    Ok(UuidResponse::decode(&envelope::open_from_controller(&answer.body, certs)?)?)
}
