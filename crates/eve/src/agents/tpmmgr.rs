//! tpmmgr: alone opens the TPM. Signs, quotes, keeps the roots; gives a root to vaultmgr only (the bus table), quotes only a
//! session that vaultmgr published and claims that nim made. A node whose TPM fails is never turned into one without.
//!
//! Two files of `config/` it writes itself, through descriptors that it opens before its walls stand: `ek.pub`, the name of the
//! endorsement key that belongs here, and on a node without a TPM `device.key.pem`.

mod boot;
mod evidence;
mod failure;
mod hardware;
mod measured;
mod pending;
mod place;
pub(crate) mod preflight;
mod rest;
mod shown;
mod taken;

use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use disk::Disk;
use tpm::Digest32;
use wire::{FileSigner, Signer};

pub(crate) use self::failure::TpmFailure;
use self::hardware::Hardware;
pub(crate) use self::measured::Measured;
use self::pending::Pending;
use self::place::TpmConfig;
pub(crate) use self::place::failing;
use self::rest::{AGAIN, Rest};
use self::taken::Files;
pub(super) use self::taken::Taken;
use super::ended::{Ended, StartsAnew};
use super::forward;
use super::keep::Kept;
use super::repeats::Repeats;
use crate::bus::Bus;
use crate::bus::messages::{
    Bytes, Causes, DefineRoots, EvidenceWanted, Health, NetworkStatus, ReadRoots, RoomForRoots, Session,
    Sign, Signed, TpmFault, TpmRefusal, TpmStatus, UndefineRoots,
};
use crate::paths;

/// Longest time until files that could not be used are taken again, though no change of them was seen.
const UNSEEN: Duration = Duration::from_secs(30);

/// What signs and quotes here.
pub(super) enum Signing {
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

impl Signing {
    fn hardware<T>(
        &self,
        work: impl FnOnce(&mut Hardware) -> Result<T, TpmFailure>,
    ) -> Result<T, TpmRefusal> {
        let (hardware, tell, wake) = match self {
            Self::Tpm { hardware, tell, wake } => (hardware, tell, wake),
            Self::Soft(_) => return Err(TpmRefusal::NoTpm),
            Self::None(why) => {
                return Err(TpmRefusal::Failed { fault: TpmFault::Other, causes: why.clone() });
            }
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
        done.map_err(TpmRefusal::from)
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
                let failed = |causes| TpmRefusal::Failed { fault: TpmFault::Other, causes };
                let signature = key.sign(payload).map_err(|error| failed(Causes::of(&error)))?;
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
    EvidenceWanted(EvidenceWanted),
}

/// Says for the next boot that the TPM is in use. Where that is said already, no boot waits for the disk.
fn keep_in_use(disk: &Disk, root: &Path) {
    const IN_USE: &[u8] = b"1\n";
    let path = paths::tpm_in_use(root);
    if !std::fs::read(&path).is_ok_and(|said| said == IN_USE) {
        let _ = disk.write(&path, IN_USE, 0o644);
    }
}

pub(super) fn run(bus: &Bus, disk: &Disk, root: &Path, taken: Taken) -> Result<(), Ended> {
    // Room for one: whoever finds none knows that it is about to be looked.
    let (sender, events) = sync_channel(1);
    let (keys, status) = match taken {
        Taken::Unusable { why } => return Err(until_mended(bus, root, why).into()),
        Taken::Soft(key) => {
            let device_key = key.public_key().point().to_vec();
            (Signing::Soft(key), TpmStatus::Absent { device_key })
        }
        Taken::Tpm { place, pin } => {
            let hardware = open(bus, &place, &pin);
            keep_in_use(disk, root);
            let (status, bus) = (hardware.status(), bus.clone());
            let tell: Tell = Box::new(move |status| bus.publish(status));
            let wake = sender.clone();
            (Signing::Tpm { hardware: Box::new(Mutex::new(hardware)), tell, wake }, status)
        }
    };
    let keys = Arc::new(keys);
    serve(bus, &keys);
    bus.publish(&status);
    forward(bus.subscribe(), &sender, Event::Network);
    forward(bus.subscribe(), &sender, Event::Session);
    forward(bus.subscribe(), &sender, Event::EvidenceWanted);
    answer_challenges(bus, &keys, &events);
    Ok(())
}

/// Tells it until one of the files is another, or may be, for not every folder lets an agent look: they are taken before the walls stand,
/// in the next life.
fn until_mended(bus: &Bus, root: &Path, why: String) -> StartsAnew {
    let (files, late) = (Files::look(root), Instant::now() + UNSEEN);
    tracing::error!("{why}");
    let causes = Causes::of(anyhow::Error::msg(why.clone()).as_ref());
    serve(bus, &Arc::new(Signing::None(causes)));
    bus.publish(&TpmStatus::Failing { why });
    while Files::look(root) == files && Instant::now() < late {
        thread::sleep(AGAIN);
    }
    StartsAnew::Config("what config/ says of the TPM")
}

fn open(bus: &Bus, place: &TpmConfig, pin: &Kept) -> Hardware {
    let mut repeats = Repeats::default();
    loop {
        match Hardware::open(place, pin) {
            Ok(opened) => return opened,
            Err(error) => {
                let why = place::failing(&error);
                if let Some(times) = repeats.count(&why) {
                    tracing::error!(times, "{why}");
                }
                bus.publish(&TpmStatus::Failing { why });
            }
        }
        thread::sleep(AGAIN);
    }
}

fn serve(bus: &Bus, keys: &Arc<Signing>) {
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
    bus.serve::<RoomForRoots>(move |_, ask| with.hardware(|tpm| tpm.room(ask.as_shown)));
    let with = Arc::clone(keys);
    bus.serve::<DefineRoots>(move |_, ask| with.hardware(|tpm| tpm.define_roots(&ask)));
    let with = Arc::clone(keys);
    bus.serve::<UndefineRoots>(move |_, ask| with.hardware(|tpm| tpm.undefine_roots(ask.generation)));
    let with = Arc::clone(keys);
    bus.serve::<Health>(move |_, _| with.hardware(Hardware::health));
}

fn answer_challenges(bus: &Bus, keys: &Signing, events: &Receiver<Event>) {
    let (mut network, mut pending) = (NetworkStatus::default(), Pending::default());
    let (mut repeats, mut rest) = (Repeats::default(), Rest::default());
    loop {
        let patience = rest.patience(pending.waits() || keys.has_to_do(), Instant::now());
        // What is in the queue waits for what is due, and not the other way round.
        let heard =
            if patience.is_zero() { Err(RecvTimeoutError::Timeout) } else { events.recv_timeout(patience) };
        match heard {
            // What failed a moment ago is not tried at once.
            Ok(Event::HasToDo) => continue,
            Ok(Event::Network(new)) => network = new,
            Ok(Event::Session(new)) => pending.session(new),
            Ok(Event::EvidenceWanted(new)) => pending.challenge(new, Instant::now()),
            Err(RecvTimeoutError::Timeout) => {
                rest.is_over();
                keys.idle();
            }
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let Some(asked) = pending.due(Instant::now()) else { continue };
        match evidence::make(keys, &asked, &network) {
            Ok(evidence) => {
                bus.publish(&evidence);
                pending.answered();
                repeats.over();
            }
            Err(error) => {
                let error = format!("{error:#}");
                if let Some(times) = repeats.count(&error) {
                    tracing::error!(times, %error, "no evidence");
                }
            }
        }
    }
}
