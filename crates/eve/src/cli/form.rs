//! Errors of the bus, of orders, of the TPM and of the line to the controller, as a person reads them, held against one form: each says what is, by its name or place, and what to
//! do, by commands that are there.

use std::io::{self, ErrorKind};
use std::path::Path;
use std::time::Duration;

use clap::Parser as _;
use form::{every, wrong_line};
use vault::ids::{IMAGE_VAULT, Name};

use super::args::Cli;
use super::vaults::NotConfirmed;
use super::wait::TimeUp;
use crate::agents::vaultmgr::hands::alone::Taken;
use crate::agents::vaultmgr::hands::away;
use crate::agents::vaultmgr::paths::Paths;
use crate::bus::messages::{Causes, CourierRefusal, OrderError, Ordered, TpmFault, TpmRefusal};
use crate::bus::{Agent, BusError, FrameError};
use crate::http::{ConfigFile, Judged, LineError, PlaceError, Refusal};

fn named() -> Name {
    "payments".parse().expect("a name")
}

every! {
    bus: BusError {
        BusError::Unreachable { .. } => {
            BusError::Unreachable { agent: Agent::Vaultmgr, source: io::Error::other("x") }
        },
        BusError::Late(_) => BusError::Late(Agent::Vaultmgr),
        BusError::Impostor(_) => BusError::Impostor(Agent::Vaultmgr),
        BusError::Refused => BusError::Refused,
        BusError::NotReady => BusError::NotReady,
        BusError::NotInContract => BusError::NotInContract,
        BusError::Full => BusError::Full,
        BusError::Frame(_) => BusError::Frame(FrameError::from(io::Error::other("x"))),
    }
    orders: OrderError {
        OrderError::OutOfDate => OrderError::OutOfDate,
        OrderError::DiskAway { .. } => {
            OrderError::DiskAway { words: away::words(&Paths::new(Path::new("/"))) }
        },
        OrderError::NotAlone { .. } => {
            let taken = Taken { vaults: "/persist/vaults".into(), pid: Some(7), ending: true };
            OrderError::NotAlone { words: taken.waits() }
        },
        OrderError::Unknown(_) => OrderError::Unknown(IMAGE_VAULT),
        OrderError::LockedByController(_) => OrderError::LockedByController(named()),
        OrderError::ConfigInUse => OrderError::ConfigInUse,
        OrderError::OtherRootInstalled => OrderError::OtherRootInstalled,
        OrderError::PinNotRead => OrderError::PinNotRead,
        OrderError::NotPinned { .. } => OrderError::NotPinned { why: "no space".into() },
        OrderError::NotItsRecoveryKey(_) => OrderError::NotItsRecoveryKey(named()),
        OrderError::NotRecovered { .. } => {
            OrderError::NotRecovered { name: named(), why: "no copy of the policy's file opens".into() }
        },
        OrderError::OtherName(_) => OrderError::OtherName(named()),
        OrderError::NotMissing(_) => OrderError::NotMissing(named()),
        OrderError::UnderAnotherKey(_) => OrderError::UnderAnotherKey(named()),
        OrderError::InEscrow(_) => OrderError::InEscrow(named()),
        OrderError::ShutInEscrow(_) => OrderError::ShutInEscrow(named()),
        OrderError::OtherTpm(_) => OrderError::OtherTpm(named()),
        OrderError::NotKept { .. } => OrderError::NotKept { why: "no space".into() },
        OrderError::UnderWay { .. } => OrderError::UnderWay { progress: "3 of 9 files".into() },
        OrderError::NotDone { .. } => {
            OrderError::NotDone { name: named(), wanted: Ordered::Open, why: "waits for a key".into(), advice: "see `eve vault list`".into() }
        },
        OrderError::Ending => OrderError::Ending,
    }
    couriers: CourierRefusal {
        CourierRefusal::NotBelieved { .. } => CourierRefusal::NotBelieved { why: "the envelope".into() },
        CourierRefusal::OtherDevice(_) => CourierRefusal::OtherDevice(vault::ids::DeviceId(uuid::Uuid::from_u128(1))),
        CourierRefusal::OtherSession => CourierRefusal::OtherSession,
        CourierRefusal::Older { .. } => CourierRefusal::Older { file: 3, accepted: 7 },
        CourierRefusal::NoChallenge => CourierRefusal::NoChallenge,
        CourierRefusal::Busy => CourierRefusal::Busy,
        CourierRefusal::NotYet { .. } => CourierRefusal::NotYet { agent: Agent::Vaultmgr },
        CourierRefusal::NotRegistered => CourierRefusal::NotRegistered,
        CourierRefusal::NotMade { .. } => CourierRefusal::NotMade { why: "the TPM answers not".into() },
        CourierRefusal::Ending => CourierRefusal::Ending,
    }
    tpm: TpmRefusal {
        TpmRefusal::NoTpm => TpmRefusal::NoTpm,
        TpmRefusal::OtherTpm => TpmRefusal::OtherTpm,
        TpmRefusal::Evidence => TpmRefusal::Evidence,
        TpmRefusal::NotShown => TpmRefusal::NotShown,
        TpmRefusal::Failed { .. } => TpmRefusal::Failed { fault: TpmFault::Other, causes: Causes::of(&io::Error::other("x")) },
    }
    places: PlaceError {
        PlaceError::Unreadable { .. } => {
            PlaceError::Unreadable { file: ConfigFile::Server, why: ErrorKind::NotFound }
        },
        PlaceError::NoCertificate => PlaceError::NoCertificate,
        PlaceError::Proxy => PlaceError::Proxy,
    }
    lines: LineError {
        LineError::Config(_) => LineError::Config(PlaceError::Proxy),
        LineError::NotBelieved(_) => LineError::NotBelieved(ureq::Error::HostNotFound),
        LineError::Dates { .. } => LineError::Dates {
            clock_unix_s: 0,
            judged: Judged::Early,
            source: ureq::Error::HostNotFound,
        },
        LineError::Proxy(_) => LineError::Proxy(ureq::Error::HostNotFound),
        LineError::ByProxy(_) => LineError::ByProxy(ureq::Error::HostNotFound),
        LineError::Unreachable(_) => LineError::Unreachable(ureq::Error::HostNotFound),
        LineError::Refused(_) => LineError::Refused(Refusal::new("config", 403, b"", None)),
        LineError::Answer(_) => LineError::Answer(ureq::Error::HostNotFound),
        LineError::OtherMedia => LineError::OtherMedia,
    }
    typed: NotConfirmed {
        NotConfirmed { .. } => NotConfirmed {
            vault: named(), typed: "payment".into()
        },
    }
    waits: TimeUp { TimeUp { .. } => TimeUp { after: Duration::from_secs(60), how: "vaultmgr does not answer".into() } }
    answers: Refusal { Refusal { .. } => Refusal::new("config", 403, b"", None) }
}

/// Refusals of a controller that gives no words of its own: each call that a node makes, and each code that one answers.
fn refusals() -> impl Iterator<Item = LineError> {
    let calls = ["ping", "certs", "register", "uuid", "config", "attest", "info"];
    let codes = [400, 401, 403, 404, 409, 418, 500, 503];
    calls.into_iter().flat_map(move |call| codes.map(|code| Refusal::new(call, code, b"", None).into()))
}

/// Where the thing is that an error is of: a file, an agent, a program, a vault, or the way to a controller.
const PLACES: [&str; 9] =
    ["persist", "config/", "run/eve", "bus", "agent", "vault", "TPM", "controller", "record"];

/// Issue 8, errors: whoever reads one learns what is and what to do, and nothing of how it is programmed.
#[test]
fn every_error_of_the_node_says_what_is_and_what_to_do() {
    let eve = super::command();
    let orders = orders().into_iter().map(|error| error.to_string());
    let all = bus().into_iter().map(|error| error.to_string()).chain(orders);
    let all = all.chain(couriers().into_iter().map(|error| error.to_string()));
    let all = all.chain(tpm().into_iter().map(|error| error.to_string()));
    let files = ConfigFile::ALL.map(|file| PlaceError::Unreadable { file, why: ErrorKind::PermissionDenied });
    let places = places().into_iter().chain(files).map(LineError::from);
    let lines = lines().into_iter().chain(places).chain(refusals());
    let typed = typed().into_iter().map(|error| error.to_string());
    let typed = typed.chain(waits().into_iter().map(|error| error.to_string()));
    let lines = lines.chain(answers().into_iter().map(LineError::from));
    let all: Vec<_> = all.chain(lines.map(|error| error.to_string())).chain(typed).collect();
    all.iter().for_each(|told| commands_are_taken(told));
    let wrong: Vec<String> = all.iter().flat_map(|told| wrong_line(&eve, &PLACES, told)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// Each `eve …` in backticks is a command, and one with arguments is taken as it stands there.
fn commands_are_taken(text: &str) {
    for said in text.split('`').skip(1).step_by(2).filter(|said| said.starts_with("eve ")) {
        assert!(is_taken(said), "`{said}` is not taken: {text}");
    }
}

/// By its parser, or, where it is named without its arguments, as a command that is there.
fn is_taken(said: &str) -> bool {
    use clap::error::ErrorKind::{DisplayHelp, DisplayVersion, MissingRequiredArgument};
    match Cli::try_parse_from(said.split_whitespace()) {
        Ok(_) => true,
        Err(error) => matches!(error.kind(), MissingRequiredArgument | DisplayHelp | DisplayVersion),
    }
}
