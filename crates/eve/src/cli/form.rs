//! Errors of the bus, of orders and of the TPM, as a person reads them, held against one form: each says what is, by its name or place, and what to
//! do, by commands that are there.

use std::io;

use clap::CommandFactory as _;
use vault::ids::IMAGE_VAULT;

use super::args::Cli;
use crate::bus::messages::{Causes, OrderError, Ordered, TpmRefusal};
use crate::bus::{Agent, BusError, FrameError};

/// Makes a function that gives a value of each variant. A variant that has no row here does not compile.
macro_rules! every {
    ($($name:ident: $of:ty { $($pattern:pat => $value:expr),+ $(,)? })+) => {
        $(fn $name() -> Vec<$of> {
            #[allow(dead_code)]
            fn has_a_row(it: &$of) {
                match it { $($pattern => {}),+ }
            }
            vec![$($value),+]
        })+
    };
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
}

/// Issue 8, errors: whoever reads one learns what is and what to do, and nothing of how it is programmed.
#[test]
fn every_error_of_the_node_says_what_is_and_what_to_do() {
    let all = bus().into_iter().map(|error| error.to_string());
    let all = all.chain(orders().into_iter().map(|error| error.to_string()));
    for told in all.chain(tpm().into_iter().map(|error| error.to_string())) {
        assert!(!told.ends_with('.') && told.starts_with(|c: char| c.is_lowercase()), "{told}");
        for rust in ["::", "Some(", "Err(", " { "] {
            assert!(!told.contains(rust), "{rust:?} in {told}");
        }
        // What is, and after it what to do, or why nothing is.
        assert!(told.contains([':', ';', ',']) && told.len() > 30, "nothing to do: {told}");
        commands_are_there(&told);
    }
}

/// Each `eve …` in backticks is a command.
fn commands_are_there(text: &str) {
    for said in text.split('`').skip(1).step_by(2) {
        let mut words = said.split_whitespace();
        if words.next() != Some("eve") {
            continue;
        }
        let mut command = Cli::command();
        for word in words {
            if word.starts_with('-') || !command.has_subcommands() {
                break;
            }
            let found = command.find_subcommand(word).cloned();
            command = found.unwrap_or_else(|| panic!("`{said}` is no command: {text}"));
        }
    }
}
