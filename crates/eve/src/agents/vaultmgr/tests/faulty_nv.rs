//! A TPM with faults: the n-th command to its NV goes wrong, as a call does in `faulty`. Commands are those that tpmmgr makes of what vaultmgr asks:
//! one to read, one to try the room, and one for each root that is defined or undefined.

use super::node::Shared;
use crate::agents::vaultmgr::generation::roots::TpmmgrError;
use crate::bus::messages::{Causes, TpmFault, TpmRefusal};
use crate::bus::{Agent, BusError};

/// What happens at the n-th command.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// It is busy, this once.
    Busy,
    /// It answers with another error, this once.
    Fails,
    /// The command is done, and tpmmgr dies before it says so.
    DoneAndDies,
    /// It is locked out, for this command and each later one.
    LockedOut,
    /// Its NV is full from then on. Only what asks for room is counted.
    Full,
    /// It is silent from then on.
    Silent,
}

impl Fault {
    pub(super) const ALL: [Self; 6] =
        [Self::Busy, Self::Fails, Self::DoneAndDies, Self::LockedOut, Self::Full, Self::Silent];

    /// It is so for each later command too.
    fn lasts(self) -> bool {
        matches!(self, Self::LockedOut | Self::Full | Self::Silent)
    }

    fn counts(self, command: &str) -> bool {
        self != Self::Full || command == "room" || command.starts_with("define")
    }

    fn error(self) -> TpmmgrError {
        match self {
            Self::Busy => refused(TpmFault::Silent, "the TPM is busy"),
            Self::Fails => refused(TpmFault::Other, "the TPM answers what nobody knows"),
            Self::LockedOut => refused(TpmFault::Forbidden, "the TPM is locked out"),
            Self::Full => refused(TpmFault::NvFull, "NV is full"),
            Self::DoneAndDies | Self::Silent => TpmmgrError::Bus(BusError::Late(Agent::Tpmmgr)),
        }
    }
}

pub(super) fn refused(fault: TpmFault, words: &'static str) -> TpmmgrError {
    let causes = Causes::of(&std::io::Error::other(words));
    TpmmgrError::Refused(TpmRefusal::Failed { fault, causes })
}

/// What is to go wrong, shared by a test and the TPM.
#[derive(Clone, Default)]
pub(super) struct Commands(Shared<Tally>);

#[derive(Default)]
struct Tally {
    plan: Option<(Fault, usize)>,
    count: usize,
    met: Option<&'static str>,
}

impl Commands {
    /// From now on this goes wrong.
    pub(super) fn fail(&self, fault: Fault, nth: usize) {
        *self.0.borrow_mut() = Tally { plan: Some((fault, nth)), ..Tally::default() };
    }

    /// From now on nothing does. Says which command did.
    pub(super) fn heal(&self) -> Option<&'static str> {
        std::mem::take(&mut *self.0.borrow_mut()).met
    }

    pub(super) fn command(&self, name: &'static str, run: impl FnOnce()) -> Result<(), TpmmgrError> {
        let fault = self.meet(name);
        if matches!(fault, None | Some(Fault::DoneAndDies)) {
            run();
        }
        fault.map_or(Ok(()), |fault| Err(fault.error()))
    }

    fn meet(&self, name: &'static str) -> Option<Fault> {
        let mut state = self.0.borrow_mut();
        let (fault, nth) = state.plan.filter(|(fault, _)| fault.counts(name))?;
        if state.met.is_some() {
            return fault.lasts().then_some(fault);
        }
        state.count += 1;
        (state.count > nth).then(|| {
            state.met = Some(name);
            fault
        })
    }
}
