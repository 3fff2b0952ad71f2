//! Errors of the bus, of orders, of the TPM and of the line to the controller, as a person reads them, held against one form: each says what is, by its name or place, and what to
//! do, by commands that are there.

use std::io::{self, ErrorKind};

use form::{every, wrong_line};
use vault::ids::IMAGE_VAULT;

use crate::bus::messages::{Causes, OrderError, Ordered, TpmRefusal};
use crate::bus::{Agent, BusError, FrameError};
use crate::http::{ConfigFile, LineError, PlaceError, Refusal};

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
        BusError::Frame(_) => BusError::Frame(FrameError::from(io::Error::other("x"))),
    }
    orders: OrderError {
        OrderError::OutOfDate => OrderError::OutOfDate,
        OrderError::Unknown(_) => OrderError::Unknown(IMAGE_VAULT),
        OrderError::LockedByController(_) => OrderError::LockedByController(IMAGE_VAULT),
        OrderError::ConfigInUse => OrderError::ConfigInUse,
        OrderError::OtherRootInstalled => OrderError::OtherRootInstalled,
        OrderError::PinNotRead => OrderError::PinNotRead,
        OrderError::NotPinned { .. } => OrderError::NotPinned { why: "no space".into() },
        OrderError::OtherName(_) => OrderError::OtherName(IMAGE_VAULT),
        OrderError::NotMissing(_) => OrderError::NotMissing(IMAGE_VAULT),
        OrderError::NotKept { .. } => OrderError::NotKept { why: "no space".into() },
        OrderError::UnderWay { .. } => OrderError::UnderWay { progress: "3 of 9 files".into() },
        OrderError::NotDone { .. } => {
            OrderError::NotDone { id: IMAGE_VAULT, wanted: Ordered::Open, why: "waits for a key".into() }
        },
        OrderError::Ending => OrderError::Ending,
    }
    tpm: TpmRefusal {
        TpmRefusal::NoTpm => TpmRefusal::NoTpm,
        TpmRefusal::OtherTpm => TpmRefusal::OtherTpm,
        TpmRefusal::Evidence => TpmRefusal::Evidence,
        TpmRefusal::Failed(_) => TpmRefusal::Failed(Causes::of(&io::Error::other("x"))),
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
        LineError::Proxy(_) => LineError::Proxy(ureq::Error::HostNotFound),
        LineError::Unreachable(_) => LineError::Unreachable(ureq::Error::HostNotFound),
        LineError::Refused(_) => LineError::Refused(Refusal::new("config", 403, b"", None)),
        LineError::Answer(_) => LineError::Answer(ureq::Error::HostNotFound),
        LineError::OtherMedia => LineError::OtherMedia,
    }
}

/// Refusals of a controller that gives no words of its own: each call that a node makes, and each code that one answers.
fn refusals() -> impl Iterator<Item = LineError> {
    let calls = ["ping", "certs", "register", "uuid", "config", "attest", "info"];
    let codes = [400, 401, 403, 404, 409, 418, 500, 503];
    calls.into_iter().flat_map(move |call| codes.map(|code| Refusal::new(call, code, b"", None).into()))
}

/// Where the thing is that an error is of: a file, an agent, a program, a vault, or the way to a controller.
const PLACES: [&str; 8] = ["config/", "run/eve", "bus", "agent", "vault", "TPM", "controller", "record"];

/// Issue 8, errors: whoever reads one learns what is and what to do, and nothing of how it is programmed.
#[test]
fn every_error_of_the_node_says_what_is_and_what_to_do() {
    let eve = super::command();
    let orders = orders().into_iter().map(|error| error.to_string());
    let all = bus().into_iter().map(|error| error.to_string()).chain(orders);
    let all = all.chain(tpm().into_iter().map(|error| error.to_string()));
    let files = ConfigFile::ALL.map(|file| PlaceError::Unreadable { file, why: ErrorKind::PermissionDenied });
    let places = places().into_iter().chain(files).map(LineError::from);
    let lines = lines().into_iter().chain(places).chain(refusals());
    let all = all.chain(lines.map(|error| error.to_string()));
    let wrong: Vec<String> = all.flat_map(|told| wrong_line(&eve, &PLACES, &told)).collect();
    assert!(wrong.is_empty(), "{wrong:#?}");
}
