//! tpmmgr: alone opens the TPM. Signs, quotes, keeps the roots; gives a root to vaultmgr only (the bus table), quotes only a
//! session that vaultmgr published and claims that nim made. A node whose TPM fails is never turned into one without.
//!
//! Two files of `config/` it writes itself, through descriptors that it opens before its walls stand: `ek.pub`, the name of the
//! endorsement key that belongs here, and on a node without a TPM `device.key.pem`.

mod boot;
mod evidence;
mod hardware;
mod measured;
mod pending;
mod place;

use std::fs::File;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::Context;
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair};
use base64::Engine as _;
use disk::Disk;
use tpm::{Digest32, OwnerAuth, Tcti};
use wire::{FileSigner, Signer};
use zeroize::Zeroizing;

use self::hardware::Hardware;
use self::pending::Pending;
use self::place::Place;
use super::ended::{Ended, Known, StartsAnew};
use super::{forward, keep};
use crate::bus::Bus;
use crate::bus::messages::{
    Bytes, Causes, Challenge, DefineRoots, Health, NetworkStatus, ReadRoots, Session, Sign, Signed,
    TpmRefusal, TpmStatus, UndefineRoots,
};
use crate::paths;

/// How often a TPM that can't be used is tried again.
const AGAIN: Duration = Duration::from_secs(2);
/// How long nothing is looked at while the TPM answers and nothing waits for it: whoever asks finds out that it does not.
const AT_REST: Duration = Duration::from_secs(600);

/// Longest time until files that could not be used are taken again, though no change of them was seen.
const UNSEEN: Duration = Duration::from_secs(30);

/// What only root can read or write, taken before rights are given up.
pub(super) enum Taken {
    Tpm {
        place: Place,
        pin: File,
    },
    Soft(FileSigner),
    /// One of the files says nothing that can be used, and why.
    Unusable {
        why: String,
    },
}

impl Taken {
    /// What can't be used is told and not died of: nobody reads an agent's end in a log who looks at `eve status`.
    pub(super) fn take(root: &Path) -> Self {
        Self::try_take(root).unwrap_or_else(|error| Self::Unusable { why: place::unusable(&error) })
    }

    fn try_take(root: &Path) -> anyhow::Result<Self> {
        let configured = match std::fs::read_to_string(paths::tcti(root)) {
            Ok(text) => Some(text),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => None,
            Err(error) => return Err(error).context("config/tcti"),
        };
        let pin = paths::ek_pin(root);
        match Tcti::find(configured.as_deref()).context("config/tcti")? {
            Some(tcti) => {
                let pin = keep::open(&pin).context("config/ek.pub")?;
                let boot = keep::open(&paths::boot_pcrs(root)).context("config/boot-pcrs")?;
                let (owner, certified) = (owner_auth(root)?, certified(root));
                Ok(Self::Tpm { place: Place { tcti, owner, certified, boot: Arc::new(boot) }, pin })
            }
            None if holds_something(&pin, "config/ek.pub")? => {
                anyhow::bail!(
                    "this node was installed with a TPM, and there is none now; bring it back, or name it in config/tcti"
                )
            }
            None => Ok(Self::Soft(device_key(&paths::device_key(root))?)),
        }
    }

    /// The device and port that the walls must leave open.
    pub(super) fn walls(&self) -> (Option<PathBuf>, Option<u16>) {
        match self {
            Self::Tpm { place: Place { tcti: Tcti::Device(path), .. }, .. } => (Some(path.clone()), None),
            Self::Tpm { place: Place { tcti: Tcti::Swtpm { port, .. }, .. }, .. } => (None, Some(*port)),
            Self::Soft(_) | Self::Unusable { .. } => (None, None),
        }
    }
}

/// The files that say which TPM this node has, and the device that it has if none does, as they are now.
#[derive(Debug, PartialEq, Eq)]
struct Files([(Known, Option<SystemTime>); 5]);

impl Files {
    fn look(root: &Path) -> Self {
        let files = [
            paths::tcti(root),
            paths::ek_pin(root),
            paths::device_key(root),
            paths::tpm_owner_auth(root),
            PathBuf::from(tpm::DEFAULT_DEVICE),
        ];
        // A change of mode is one too.
        let changed = |path: &Path| {
            let at = std::fs::metadata(path).ok()?;
            SystemTime::UNIX_EPOCH.checked_add(Duration::new(
                at.ctime().unsigned_abs(),
                u32::try_from(at.ctime_nsec()).unwrap_or_default(),
            ))
        };
        Self(files.map(|path| (Known::look(&path), changed(&path))))
    }
}

/// The key that this node's certificate is of. A certificate that does not read is client's to mend.
fn certified(root: &Path) -> Option<[u8; 65]> {
    let pem = std::fs::read(paths::device_cert(root)).ok()?;
    Some(*wire::Certificate::from_pem(&pem).ok()?.public_key().point())
}

/// The password of the TPM's owner, in one line, where the installer wrote it. For root's eyes alone.
fn owner_auth(root: &Path) -> anyhow::Result<Option<Arc<OwnerAuth>>> {
    let file = match File::open(paths::tpm_owner_auth(root)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        file => file.context("config/tpm-owner-auth")?,
    };
    let mode = file.metadata().context("config/tpm-owner-auth")?.permissions().mode();
    anyhow::ensure!(mode & 0o077 == 0, "config/tpm-owner-auth can be read by others: `chmod 600` it");
    let line = keep::read(&file).context("config/tpm-owner-auth")?;
    let password = Zeroizing::new(line.strip_suffix(b"\n").unwrap_or(&line).to_vec());
    Ok(Some(Arc::new(OwnerAuth::new(password).context("config/tpm-owner-auth")?)))
}

/// Whether there is a file with something in it. What can't be looked at, as where a link leads nowhere now, is not absent.
fn holds_something(path: &Path, name: &'static str) -> anyhow::Result<bool> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error).context(name),
        Ok(_) => Ok(std::fs::metadata(path)
            .with_context(|| format!("{name} can't be looked at; no other key is made in its place"))?
            .len()
            > 0),
    }
}

/// The device key of a node without a TPM, made at first. An empty file holds no key that could be lost.
fn device_key(path: &Path) -> anyhow::Result<FileSigner> {
    if !holds_something(path, "config/device.key.pem")? {
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new())
            .ok()
            .context("making a key")?;
        let body = Zeroizing::new(base64::engine::general_purpose::STANDARD.encode(pkcs8.as_ref()));
        let pem = Zeroizing::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            body.as_str()
        ));
        Disk::linux().write(path, pem.as_bytes(), 0o600).context("config/device.key.pem")?;
    }
    let pem = keep::read(&File::open(path).context("config/device.key.pem")?)?;
    FileSigner::from_pem(&pem).context("config/device.key.pem is damaged; restore it, or remove it with config/device.cert.pem to make this a new device")
}

/// What signs and quotes here.
pub(super) enum Keys {
    Tpm {
        hardware: Box<Mutex<Hardware>>,
        tell: Tell,
        wake: SyncSender<Event>,
    },
    Soft(FileSigner),
    /// Neither can be used, and why.
    None(Causes),
}

/// Told when the TPM begins to fail, and when it is back.
type Tell = Box<dyn Fn(&TpmStatus) + Send + Sync>;

impl Keys {
    fn hardware<T>(&self, work: impl FnOnce(&mut Hardware) -> anyhow::Result<T>) -> Result<T, TpmRefusal> {
        let (hardware, tell, wake) = match self {
            Self::Tpm { hardware, tell, wake } => (hardware, tell, wake),
            Self::Soft(_) => return Err(TpmRefusal::NoTpm),
            Self::None(why) => return Err(TpmRefusal::Failed(why.clone())),
        };
        let mut hardware = hardware.lock().unwrap_or_else(PoisonError::into_inner);
        let before = hardware.status();
        let done = hardware.attempt(work);
        let now = hardware.status();
        if now != before {
            tell(&now);
        }
        if hardware.has_to_do() {
            // A full queue wakes it as well.
            let _ = wake.try_send(Event::HasToDo);
        }
        done.map_err(|error| match error.downcast() {
            Ok(refusal) => refusal,
            Err(other) => TpmRefusal::Failed(Causes::of(other.as_ref())),
        })
    }

    /// Tries a TPM that failed again, and does with one that answers what can wait.
    fn idle(&self) {
        let _ = self.hardware(Hardware::idle);
    }

    /// Whether the TPM is to be looked after soon. While somebody is at work with it nobody knows.
    fn has_to_do(&self) -> bool {
        match self {
            Self::Soft(_) | Self::None(_) => false,
            Self::Tpm { hardware, .. } => hardware.try_lock().map_or(true, |hardware| hardware.has_to_do()),
        }
    }

    fn sign(&self, payload: &[u8]) -> Result<Vec<u8>, TpmRefusal> {
        match self {
            Self::Soft(key) => {
                let signature = key.sign(payload).map_err(|error| TpmRefusal::Failed(Causes::of(&error)))?;
                Ok(signature.0.to_vec())
            }
            Self::Tpm { .. } | Self::None(_) => self.hardware(|tpm| tpm.sign(&Digest32::of(payload))),
        }
    }
}

pub(super) enum Event {
    /// The TPM is to be looked after.
    HasToDo,
    Network(NetworkStatus),
    Session(Session),
    Challenge(Challenge),
}

/// Says for the next boot that the TPM is in use. Where that is said already, no boot waits for the disk.
fn keep_in_use(root: &Path) {
    const IN_USE: &[u8] = b"1\n";
    let path = paths::tpm_in_use(root);
    if !std::fs::read(&path).is_ok_and(|said| said == IN_USE) {
        let _ = Disk::linux().write(&path, IN_USE, 0o644);
    }
}

pub(super) fn run(bus: &Bus, root: &Path, taken: Taken) -> Result<(), Ended> {
    // Room for one: whoever finds none knows that it is about to be looked.
    let (sender, events) = sync_channel(1);
    let (keys, status) = match taken {
        Taken::Unusable { why } => return Err(until_mended(bus, root, why).into()),
        Taken::Soft(key) => {
            let device_key = key.public_key().point().to_vec();
            (Keys::Soft(key), TpmStatus::Absent { device_key })
        }
        Taken::Tpm { place, pin } => {
            let hardware = open(bus, &place, &pin);
            keep_in_use(root);
            let (status, bus) = (hardware.status(), bus.clone());
            let tell: Tell = Box::new(move |status| bus.publish(status));
            let wake = sender.clone();
            (Keys::Tpm { hardware: Box::new(Mutex::new(hardware)), tell, wake }, status)
        }
    };
    let keys = Arc::new(keys);
    serve(bus, &keys);
    bus.publish(&status);
    forward(bus.subscribe(), &sender, Event::Network);
    forward(bus.subscribe(), &sender, Event::Session);
    forward(bus.subscribe(), &sender, Event::Challenge);
    answer_challenges(bus, &keys, &events);
    Ok(())
}

/// Tells it until one of the files is another, or may be, for not every folder lets an agent look: they are taken before the walls stand,
/// in the next life.
fn until_mended(bus: &Bus, root: &Path, why: String) -> StartsAnew {
    let (files, late) = (Files::look(root), Instant::now() + UNSEEN);
    tracing::error!("{why}");
    let causes = Causes::of(anyhow::Error::msg(why.clone()).as_ref());
    serve(bus, &Arc::new(Keys::None(causes)));
    bus.publish(&TpmStatus::Failing { why });
    while Files::look(root) == files && Instant::now() < late {
        thread::sleep(AGAIN);
    }
    StartsAnew::Config("what config/ says of the TPM")
}

fn open(bus: &Bus, place: &Place, pin: &File) -> Hardware {
    loop {
        match Hardware::open(place, pin) {
            Ok(opened) => return opened,
            Err(error) => {
                let why = place::failing(&error);
                tracing::error!("{why}");
                bus.publish(&TpmStatus::Failing { why });
            }
        }
        thread::sleep(AGAIN);
    }
}

fn serve(bus: &Bus, keys: &Arc<Keys>) {
    let with = Arc::clone(keys);
    bus.serve::<Sign>(move |_, ask| {
        if ask.payload.0.starts_with(attest::EVIDENCE_LABEL) {
            return Err(TpmRefusal::Evidence);
        }
        Ok(Signed { signature: Bytes(with.sign(&ask.payload.0)?) })
    });
    let with = Arc::clone(keys);
    bus.serve::<ReadRoots>(move |_, _| with.hardware(Hardware::read_roots));
    let with = Arc::clone(keys);
    bus.serve::<DefineRoots>(move |_, ask| with.hardware(|tpm| tpm.define_roots(&ask)));
    let with = Arc::clone(keys);
    bus.serve::<UndefineRoots>(move |_, ask| with.hardware(|tpm| tpm.undefine_roots(ask.generation)));
    let with = Arc::clone(keys);
    bus.serve::<Health>(move |_, _| with.hardware(Hardware::health));
}

fn answer_challenges(bus: &Bus, keys: &Keys, events: &Receiver<Event>) {
    let (mut network, mut pending) = (NetworkStatus::default(), Pending::default());
    loop {
        let soon = pending.waits() || keys.has_to_do();
        match events.recv_timeout(if soon { AGAIN } else { AT_REST }) {
            // What failed a moment ago is not tried at once.
            Ok(Event::HasToDo) => continue,
            Ok(Event::Network(new)) => network = new,
            Ok(Event::Session(new)) => pending.session(new),
            Ok(Event::Challenge(new)) => pending.challenge(new, Instant::now()),
            Err(RecvTimeoutError::Timeout) => keys.idle(),
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some(asked) = pending.due(Instant::now()) else { continue };
        match evidence::make(keys, &asked, &network) {
            Ok(evidence) => {
                bus.publish(&evidence);
                pending.answered();
            }
            Err(error) => tracing::error!(error = %format!("{error:#}"), "no evidence"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Seen-by-users 0.6: a password that others may read is refused with what to do; one line of it is taken.
    #[test]
    fn the_owners_password_is_for_root_alone() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = paths::tpm_owner_auth(dir.path());
        assert!(owner_auth(dir.path()).expect("none is fine").is_none());
        std::fs::create_dir_all(path.parent().expect("config")).expect("makes");
        std::fs::write(&path, "owned\n").expect("writes");
        let mode =
            |mode| std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("sets");
        mode(0o644);
        let words = owner_auth(dir.path()).expect_err("is refused").to_string();
        assert!(words.contains("chmod 600"), "{words}");
        mode(0o600);
        let taken = owner_auth(dir.path()).expect("reads").expect("there");
        assert!(!format!("{taken:?}").contains("owned"), "never printed");
        std::fs::write(&path, vec![b'x'; 65]).expect("writes");
        assert!(owner_auth(dir.path()).is_err(), "longer than any");
    }

    /// A cut before the first key was whole needs no hand; a key that is damaged is never replaced by another.
    #[test]
    fn an_empty_device_key_is_made_and_a_damaged_one_is_told() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("device.key.pem");
        std::fs::write(&path, "").expect("writes");
        let made = device_key(&path).expect("makes one").public_key().point().to_vec();
        assert_eq!(std::fs::metadata(&path).expect("is there").permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::read_dir(dir.path()).expect("lists").count(), 1, "nothing beside it");
        assert_eq!(device_key(&path).expect("reads").public_key().point().to_vec(), made, "the same again");
        let whole = std::fs::read(&path).expect("reads");
        std::fs::write(&path, &whole[..40]).expect("writes");
        let words = format!("{:#}", device_key(&path).expect_err("is refused"));
        assert!(words.contains("restore it"), "{words}");
        assert_eq!(std::fs::read(&path).expect("reads"), whole[..40], "left as it is");
    }

    /// Issue 7, B: what the files say wrong is told by name, with what to do, and taken once one of them is another.
    #[test]
    fn files_that_lead_to_no_tpm_are_told_and_watched() {
        let dir = tempfile::tempdir().expect("a directory");
        let config = dir.path().join("config");
        std::fs::create_dir(&config).expect("makes");
        let words = || match Taken::take(dir.path()) {
            Taken::Unusable { why } => (why, Files::look(dir.path())),
            _ => panic!("it is used"),
        };
        std::fs::write(config.join("tcti"), "swtqm:host=127.0.0.1,port=2321").expect("writes");
        let (why, files) = words();
        assert!(why.starts_with("config/tcti: a TCTI starts with") && why.contains("mended"), "{why}");
        assert_eq!(Files::look(dir.path()), files);
        std::fs::write(config.join("tcti"), "none").expect("writes");
        std::fs::write(config.join("ek.pub"), "00").expect("writes");
        assert_ne!(Files::look(dir.path()), files, "it is looked at again");
        assert!(words().0.contains("name it in config/tcti"), "{}", words().0);
        std::fs::remove_file(config.join("ek.pub")).expect("there");
        std::fs::write(config.join("device.key.pem"), "no key").expect("writes");
        assert!(words().0.contains("config/device.key.pem is damaged"), "{}", words().0);
        std::fs::remove_file(config.join("device.key.pem")).expect("there");
        assert!(matches!(Taken::take(dir.path()), Taken::Soft(_)));
    }

    /// Invariant 6: a key that can't be looked at just now is not one that is absent.
    #[test]
    fn a_key_behind_a_link_that_leads_nowhere_is_not_replaced() {
        let dir = tempfile::tempdir().expect("a directory");
        let (path, elsewhere) = (dir.path().join("device.key.pem"), dir.path().join("medium/device.key.pem"));
        std::fs::create_dir(dir.path().join("medium")).expect("makes");
        let first = device_key(&elsewhere).expect("made").public_key().point().to_vec();
        std::os::unix::fs::symlink(&elsewhere, &path).expect("links");
        std::fs::rename(dir.path().join("medium"), dir.path().join("away")).expect("not mounted now");
        let words = format!("{:#}", device_key(&path).expect_err("is refused"));
        assert!(words.contains("no other key is made"), "{words}");
        std::fs::rename(dir.path().join("away"), dir.path().join("medium")).expect("mounted again");
        assert_eq!(device_key(&path).expect("reads").public_key().point().to_vec(), first, "the same");
    }
}
