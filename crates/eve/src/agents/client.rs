//! client: makes the device certificate, fetches the controller's certificates, registers, asks who the device is; again when the
//! controller, as zedagent hears, does not know the device any more. The onboarding key is in memory only while it signs.

use std::fs::File;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use wire::register::{Register, UuidResponse, uuid_request};
use wire::{Certificate, FileSigner, TrustedCerts, Validity, certs, envelope};

use super::certs::device_cert;
use super::keep;
use super::pause::Pause;
use super::signer::BusSigner;
use crate::bus::messages::{Bytes, CLEARED, ControllerStatus, Onboarded, Onboarding, TpmStatus};
use crate::bus::{Bus, Subscription};
use crate::http::{Line, Refusal, now_unix_s};
use crate::paths;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest between two times that a device which is not known asks who it is, as EVE has it.
const LONGEST_UNKNOWN: Duration = Duration::from_secs(600);

/// What only root can read or write, taken before rights are given up.
pub(super) struct Taken {
    onboard: Option<OnboardFiles>,
    cert_file: File,
    serial: String,
}

/// The certificate, and the key's file: only root could open it.
struct OnboardFiles {
    cert: Vec<u8>,
    key: File,
}

impl Taken {
    pub(super) fn take(root: &Path) -> anyhow::Result<Self> {
        let cert_file = keep::open(&paths::device_cert(root)).context("config/device.cert.pem")?;
        Ok(Self { onboard: onboard(root)?, cert_file, serial: serial(root) })
    }
}

/// Gone after an installer's clean-up: a registered device needs it no more.
fn onboard(root: &Path) -> anyhow::Result<Option<OnboardFiles>> {
    let Ok(cert) = std::fs::read(paths::onboard_cert(root)) else { return Ok(None) };
    let key = File::open(paths::onboard_key(root)).context("config/onboard.key.pem")?;
    Ok(Some(OnboardFiles { cert, key }))
}

fn serial(root: &Path) -> String {
    let places = [paths::serial(root), "/sys/class/dmi/id/product_serial".into()];
    let found = places.iter().find_map(|path| std::fs::read_to_string(path).ok());
    found.map(|text| text.trim().to_owned()).unwrap_or_default()
}

pub(super) fn run(bus: &Bus, root: &Path, mut taken: Taken) -> anyhow::Result<()> {
    let own = bus.subscribe::<TpmStatus>().find_map(own_key).context("tpmmgr is gone")?;
    let mut controller = bus.subscribe();
    let mut pause = Pause::new(FIRST_PAUSE, LONGEST_UNKNOWN);
    loop {
        let onboarded = onboard_patiently(bus, root, &mut taken, &own);
        tracing::info!(device = %onboarded.device, "onboarded");
        bus.publish(&Onboarding { words: String::new() });
        bus.publish(&onboarded);
        until_unknown(&mut controller, &mut pause).context("zedagent is gone")?;
        tracing::warn!(
            "the controller does not know this device; asking it who this is, and registering anew if need be"
        );
    }
}

/// Waits until the controller does not know the device; then as long as the last times have made it.
fn until_unknown(controller: &mut Subscription<ControllerStatus>, pause: &mut Pause) -> Option<()> {
    controller.find(|status| {
        if status.reachable {
            pause.reset();
        }
        status.unknown_device
    })?;
    thread::sleep(pause.take());
    // What was said meanwhile is of the same refusal.
    let _ = controller.next_within(Duration::ZERO);
    Some(())
}

/// Tries until it succeeds; says each time why it did not.
fn onboard_patiently(bus: &Bus, root: &Path, taken: &mut Taken, own: &OwnKey) -> Onboarded {
    let mut pause = Pause::new(FIRST_PAUSE, LONGEST_PAUSE);
    loop {
        let cert = own_cert(bus, &mut taken.cert_file, own);
        let error = match cert.and_then(|cert| onboard_once(bus, root, taken, &cert)) {
            Ok(onboarded) => return onboarded,
            Err(error) => error,
        };
        let again = pause.take();
        let words = format!("{error:#}; tried again in {again:?}");
        tracing::warn!(%words, "not onboarded yet");
        bus.publish(&Onboarding { words });
        thread::sleep(again);
    }
}

/// The device key's point, and why it may be another than the certified one.
struct OwnKey {
    point: Vec<u8>,
    cleared: bool,
}

fn own_key(status: TpmStatus) -> Option<OwnKey> {
    match status {
        TpmStatus::Absent { device_key } => Some(OwnKey { point: device_key, cleared: false }),
        TpmStatus::Ready { identity, .. } => {
            Some(OwnKey { point: identity.device_key, cleared: identity.cleared })
        }
        TpmStatus::Failing { .. } => None,
    }
}

/// The certificate that was made before; a new one where there is none, or where a power cut left a part of one: a device registers
/// with a new certificate of the same key.
fn own_cert(bus: &Bus, file: &mut File, own: &OwnKey) -> anyhow::Result<Vec<u8>> {
    let pem = keep::read(file).context("config/device.cert.pem")?;
    let Ok(cert) = Certificate::from_pem(&pem) else {
        let pem = device_cert(&own.point, &BusSigner(bus))?;
        keep::write(file, &pem).context("config/device.cert.pem")?;
        return Ok(pem);
    };
    let same = cert.public_key().point().as_slice() == own.point;
    ensure!(same || !own.cleared, "this node's TPM was {CLEARED}");
    ensure!(
        same,
        "config/device.cert.pem is of another key than this device's: another TPM, or a lost config/device.key.pem; bring that back; or, to make it a new device, remove that certificate, give it another serial number in config/serial, and allow that at the controller"
    );
    Ok(pem.to_vec())
}

fn onboard_once(bus: &Bus, root: &Path, taken: &Taken, device_pem: &[u8]) -> anyhow::Result<Onboarded> {
    let line = Line::new(root)?;
    let certs = fetch_certs(&line, root)?;
    let device = match ask_uuid(bus, &line, &certs, device_pem) {
        Err(error) if error.downcast_ref().is_some_and(Refusal::unknown_device) => {
            register(&line, taken, device_pem)?;
            ask_uuid(bus, &line, &certs, device_pem)?
        }
        answer => answer?,
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
    let root_pem = std::fs::read(paths::root_certificate(root))?;
    certs::open_answer(&answer.body, &root_pem, Validity::At(now_unix_s()))
        .context("the controller's certificates")
}

fn register(line: &Line, taken: &Taken, device_pem: &[u8]) -> anyhow::Result<()> {
    let files = taken.onboard.as_ref().context(
        "the controller does not know this device, and there is no config/onboard.cert.pem to register it with: put it back with its key, and restart `eve run`",
    )?;
    let payload = Register::new(device_pem, &taken.serial, "")?.encode();
    let envelope = {
        let key = FileSigner::from_pem(&keep::read(&files.key)?).context("config/onboard.key.pem")?;
        envelope::seal_registration(&payload, &files.cert, &key)?
    };
    let answer = line.post("register", &envelope);
    answer.map(drop).with_context(|| format!("registering as serial {:?}", taken.serial))
}

fn ask_uuid(bus: &Bus, line: &Line, certs: &TrustedCerts, device_pem: &[u8]) -> anyhow::Result<UuidResponse> {
    let cert = Certificate::from_pem(device_pem)?;
    let body = envelope::seal_from_device(&uuid_request(), &cert, &BusSigner(bus))?;
    let answer = line.post("uuid", &body)?;
    Ok(UuidResponse::decode(&envelope::open_from_controller(&answer.body, certs)?)?)
}
