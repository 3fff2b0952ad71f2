//! client: makes the device certificate, fetches the controller's certificates, registers, asks who the device is; again when the
//! controller, as zedagent hears, does not know the device any more. The onboarding key is in memory only while it signs, and a
//! device that is registered works without: the installer takes key and certificate away.

use std::fs::File;
use std::io::ErrorKind;
use std::path::Path;
use std::thread;
use std::time::Duration;

use anyhow::{Context, ensure};
use disk::Disk;
use wire::register::{Register, UuidResponse, uuid_request};
use wire::{Certificate, FileSigner, TrustedCerts, Validity, certs, envelope};

use super::certs::device_cert;
use super::ended::{Ended, FileIdentity, StartsAnew};
use super::failed::Failed;
use super::keep::{self, Kept};
use super::pause::Pause;
use super::repeats::Repeats;
use super::signer::BusSigner;
use crate::bus::messages::{Bytes, CLEARED, ControllerStatus, Onboarded, Onboarding, TpmStatus};
use crate::bus::{Bus, Subscription};
use crate::http::{Line, LineError, now_unix_s};
use crate::paths;

const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// The longest between two times that a device which is not known asks who it is, as EVE has it.
const LONGEST_UNKNOWN: Duration = Duration::from_secs(600);

/// By what a device registers, as an installer knows it.
const CERT_FILE: &str = "config/device.cert.pem";
const CERT: &str = "config/onboard.cert.pem";
const KEY: &str = "config/onboard.key.pem";
const DAMAGED_KEY: &str =
    "config/onboard.key.pem is damaged; put the key there that belongs to config/onboard.cert.pem";
const DAMAGED_CERT: &str =
    "config/onboard.cert.pem is damaged; put the certificate there that this controller allows";
const NO_SERIAL: &str =
    "config/serial names no device; write the serial number there that the controller allows";

/// What only root can read or write, taken before rights are given up.
pub(super) struct Taken {
    onboard: Result<OnboardFiles, NothingToRegisterWith>,
    /// Where those files lay, to see that others came.
    onboard_known: [FileIdentity; 2],
    /// What can't be opened is told and not died of: nobody reads an agent's end in a log who looks at `eve status`.
    cert_file: std::io::Result<Kept>,
    cert_known: FileIdentity,
    /// The machine's own, for where the installer wrote none.
    product_serial: Option<String>,
}

/// The certificate, and the key's file: only root could open it.
struct OnboardFiles {
    cert: Vec<u8>,
    key: File,
}

/// A file that a device needs to register, and does not need any more once it is registered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the controller does not know this device, and there is nothing to register it with: {file} can't be read ({why}); put config/onboard.cert.pem and config/onboard.key.pem there, which this controller allows"
)]
struct NothingToRegisterWith {
    file: &'static str,
    why: ErrorKind,
}

impl Taken {
    pub(super) fn take(disk: &Disk, root: &Path) -> Self {
        let cert = paths::device_cert(root);
        Self {
            onboard: onboard(root),
            onboard_known: known(root),
            cert_file: keep::open(disk, &cert),
            cert_known: FileIdentity::look(&cert),
            product_serial: std::fs::read_to_string("/sys/class/dmi/id/product_serial").ok(),
        }
    }

    /// What there is to register with now. Files that were taken away are not used, though they are held.
    fn onboard_files(&self, root: &Path) -> Result<&OnboardFiles, NothingToRegisterWith> {
        onboard_file(CERT, std::fs::metadata(paths::onboard_cert(root)))?;
        onboard_file(KEY, std::fs::metadata(paths::onboard_key(root)))?;
        self.onboard.as_ref().map_err(|error| *error)
    }

    /// Others than were taken, which only the next life can take.
    fn others_came(&self, root: &Path) -> Option<StartsAnew> {
        let device_cert = paths::device_cert(root);
        if self.cert_known.is_outdated(&device_cert) || self.cert_known.is_gone(&device_cert) {
            return Some(StartsAnew::Config(CERT_FILE));
        }
        let [cert, key] = [paths::onboard_cert(root), paths::onboard_key(root)];
        let [known_cert, known_key] = self.onboard_known;
        let both = cert.exists() && key.exists();
        (both && (known_cert.is_outdated(&cert) || known_key.is_outdated(&key)))
            .then_some(StartsAnew::Config(KEY))
    }
}

fn known(root: &Path) -> [FileIdentity; 2] {
    [paths::onboard_cert(root), paths::onboard_key(root)].map(|path| FileIdentity::look(&path))
}

fn onboard(root: &Path) -> Result<OnboardFiles, NothingToRegisterWith> {
    Ok(OnboardFiles {
        cert: onboard_file(CERT, std::fs::read(paths::onboard_cert(root)))?,
        key: onboard_file(KEY, File::open(paths::onboard_key(root)))?,
    })
}

fn onboard_file<T>(file: &'static str, read: std::io::Result<T>) -> Result<T, NothingToRegisterWith> {
    read.map_err(|error| NothingToRegisterWith { file, why: error.kind() })
}

/// The installer's word, which may change, before the machine's.
fn serial(root: &Path, taken: &Taken) -> String {
    let written = std::fs::read_to_string(paths::serial(root)).ok();
    written.or_else(|| taken.product_serial.clone()).map(|text| text.trim().to_owned()).unwrap_or_default()
}

pub(super) fn run(bus: &Bus, root: &Path, mut taken: Taken) -> Result<(), Ended> {
    let own = bus.subscribe::<TpmStatus>().find_map(own_key).context("tpmmgr is gone")?;
    let mut controller = bus.subscribe();
    let mut pause = Pause::new(FIRST_PAUSE, LONGEST_UNKNOWN);
    loop {
        let onboarded = onboard_patiently(bus, root, &mut taken, &own)?;
        tracing::info!(device = %onboarded.device, "onboarded");
        bus.publish(&Onboarding::default());
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
fn onboard_patiently(
    bus: &Bus,
    root: &Path,
    taken: &mut Taken,
    own: &OwnKey,
) -> Result<Onboarded, StartsAnew> {
    let (mut pause, mut repeats) = (Pause::new(FIRST_PAUSE, LONGEST_PAUSE), Repeats::default());
    loop {
        let (cert, mut unknown) = (own_cert(bus, &taken.cert_file, own), false);
        let error = match cert.and_then(|cert| onboard_once(bus, root, taken, &cert, &mut unknown)) {
            Ok(onboarded) => return Ok(onboarded),
            Err(error) => error,
        };
        if let Some(anew) = taken.others_came(root) {
            return Err(anew);
        }
        let again = pause.take();
        let words = format!("{}; tried again in {again:?}", error.words());
        let onboarding = Onboarding { words, unknown, here: error.not_asked() };
        if let Some(times) = repeats.count(&error.words()) {
            tracing::warn!(times, "{}", onboarding.why_not());
        }
        bus.publish(&onboarding);
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

/// The certificate that was made before; a new one where there is none, or where a power cut left a part of one, or it was changed
/// since: a device registers with a new certificate of the same key.
fn own_cert(bus: &Bus, file: &std::io::Result<Kept>, own: &OwnKey) -> Result<Vec<u8>, Failed> {
    let file = usable(file)?;
    let pem = file.read().context("config/device.cert.pem")?;
    let Some(cert) = Certificate::from_pem(&pem).ok().filter(Certificate::signs_itself) else {
        let pem = device_cert(&own.point, &BusSigner(bus))?;
        file.write(&pem).context("config/device.cert.pem")?;
        return Ok(pem);
    };
    is_own(&cert, own)?;
    Ok(pem.to_vec())
}

fn usable(file: &std::io::Result<Kept>) -> anyhow::Result<&Kept> {
    let unusable = "can't be opened; put this device's certificate back in the place of what stands there: one that is made anew has to be registered, by config/onboard.cert.pem and config/onboard.key.pem";
    file.as_ref().map_err(|error| anyhow::anyhow!("{CERT_FILE} {unusable}: {error}"))
}

fn is_own(cert: &Certificate, own: &OwnKey) -> anyhow::Result<()> {
    let same = cert.public_key().point().as_slice() == own.point;
    ensure!(same || !own.cleared, "this node's TPM was {CLEARED}");
    ensure!(
        same,
        "config/device.cert.pem is of another key than this device's: another TPM, or a lost config/device.key.pem; bring that back; or, to make it a new device, remove that certificate, give it another serial number in config/serial, and allow that at the controller"
    );
    Ok(())
}

/// `unknown` says afterwards whether the controller does not know the device.
fn onboard_once(
    bus: &Bus,
    root: &Path,
    taken: &Taken,
    device_pem: &[u8],
    unknown: &mut bool,
) -> Result<Onboarded, Failed> {
    let line = Line::new(root);
    let certs = fetch_certs(&line)?;
    let device = match ask_uuid(bus, &line, &certs, device_pem) {
        Err(error) if error.unknown_device() => {
            *unknown = true;
            register(&line, root, taken, device_pem)?;
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
pub(super) fn fetch_certs(line: &Line) -> Result<TrustedCerts, Failed> {
    let answer = line.get("certs")?;
    let root_pem = line.root_pem().map_err(LineError::from)?;
    let judged = certs::open_answer(&answer.body, root_pem, Validity::At(now_unix_s()));
    Ok(judged.context("the controller's certificates")?)
}

fn register(line: &Line, root: &Path, taken: &Taken, device_pem: &[u8]) -> Result<(), Failed> {
    let (files, serial) = (taken.onboard_files(root).map_err(anyhow::Error::new)?, serial(root, taken));
    let payload = Register::new(device_pem, &serial, "").context(NO_SERIAL)?.encode();
    let envelope = registration(files, &payload)?;
    line.post("register", &envelope).map(drop).map_err(|source| Failed::Registering { serial, source })
}

fn registration(files: &OnboardFiles, payload: &[u8]) -> anyhow::Result<Vec<u8>> {
    let key = FileSigner::from_pem(&keep::read(&files.key)?).context(DAMAGED_KEY)?;
    Certificate::from_pem(&files.cert).context(DAMAGED_CERT)?;
    Ok(envelope::seal_registration(payload, &files.cert, &key)?)
}

fn ask_uuid(bus: &Bus, line: &Line, certs: &TrustedCerts, device_pem: &[u8]) -> Result<UuidResponse, Failed> {
    let cert = Certificate::from_pem(device_pem).context("config/device.cert.pem")?;
    let body = envelope::seal_from_device(&uuid_request(), &cert, &BusSigner(bus))?;
    let answer = line.post("uuid", &body)?;
    let payload = envelope::open_from_controller(&answer.body, certs).context("the controller's answer")?;
    Ok(UuidResponse::decode(&payload).context("the controller's answer")?)
}

#[cfg(test)]
mod tests {
    use super::*;

    form::every! {
        nothing: NothingToRegisterWith {
            NothingToRegisterWith { .. } => {
                NothingToRegisterWith { file: "config/onboard.key.pem", why: ErrorKind::NotFound }
            },
        }
    }

    /// Issue 8, errors: who has nothing to register with is told what, where, and what to do.
    #[test]
    fn what_a_device_registers_with_is_told_with_its_place() {
        let told = nothing().into_iter().map(|error| error.to_string());
        let eve = crate::cli::command();
        assert_eq!(
            told.flat_map(|told| form::wrong_line(&eve, &["config/"], &told)).collect::<Vec<_>>(),
            [""; 0]
        );
    }

    /// Seen-by-users: what stands where the certificate is to be is said by the status, and looked at again once it is another.
    #[test]
    fn a_certificate_that_cannot_be_opened_is_told_and_watched() {
        let dir = tempfile::tempdir().expect("a directory");
        let cert = paths::device_cert(dir.path());
        std::fs::create_dir_all(&cert).expect("makes a directory in its place");
        let taken = Taken::take(&Disk::linux(), dir.path());
        let told = usable(&taken.cert_file).expect_err("a directory").to_string();
        assert!(
            told.contains(CERT_FILE)
                && told.contains("Is a directory")
                && told.contains("put this device's certificate back"),
            "{told}"
        );
        assert_eq!(taken.others_came(dir.path()), None);
        std::fs::remove_dir(&cert).expect("there");
        assert_eq!(taken.others_came(dir.path()), Some(StartsAnew::Config(CERT_FILE)));
        usable(&Taken::take(&Disk::linux(), dir.path()).cert_file).expect("made");
    }

    /// Seen by a new user: the certificate was removed, as the refusal said, and the agent went on with the one that it held.
    #[test]
    fn a_certificate_that_was_taken_away_is_not_held_on_to() {
        let dir = tempfile::tempdir().expect("a directory");
        let cert = paths::device_cert(dir.path());
        std::fs::create_dir_all(cert.parent().expect("config")).expect("makes");
        std::fs::write(&cert, "of another key").expect("writes");
        let taken = Taken::take(&Disk::linux(), dir.path());
        std::fs::write(&cert, "written anew in its place").expect("writes");
        assert_eq!(taken.others_came(dir.path()), None, "as client itself writes it");
        std::fs::remove_file(&cert).expect("there");
        assert_eq!(taken.others_came(dir.path()), Some(StartsAnew::Config(CERT_FILE)));
    }
}
