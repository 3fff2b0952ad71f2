//! While the disk of persist is not there: that is told, orders are refused, and nothing is made. The next start looks anew.

use std::sync::mpsc::{Receiver, RecvTimeoutError};

use anyhow::bail;
use vault::condition::{DiskThere, RootsTold};
use vault::defaults;
use vault::report::{State, VaultReport};
use vault::section::Operation;
use wire::release::SessionSecret;

use super::{Input, Later, OverBus, ROOTS_AGAIN};
use crate::agents::vaultmgr::generation::roots::{Tpmmgr, any_written};
use crate::agents::vaultmgr::generation::shares;
use crate::agents::vaultmgr::hands::away::{not_yet, seen, words};
use crate::agents::vaultmgr::paths::Paths;
use crate::bus::Bus;
use crate::bus::messages::{OrderError, Session, TpmStatus, VaultStatus};

/// Returns once the disk is known to be there, with what came meanwhile. While it is away it does not return.
///
/// # Errors
/// No randomness; or the bus is gone.
pub(super) fn until_there(bus: &Bus, paths: &Paths, inputs: &Receiver<Input>) -> anyhow::Result<Later> {
    let (mut later, mut told) = (Later::default(), VaultStatus::default());
    let mut tpmmgr = OverBus::new(bus.clone());
    while seen(paths).looks_away() {
        let (roots, why) = roots_told(later.tpm.as_ref(), &mut tpmmgr);
        match DiskThere::of(seen(paths), roots) {
            DiskThere::Yes => break,
            DiskThere::NotKnown => {
                let status = status(State::Waiting, why);
                if told != status {
                    bus.publish(&status);
                    told = status;
                }
                take(inputs, &mut later, &told, &OrderError::PinNotRead)?;
            }
            DiskThere::No => stay_away(bus, inputs, words(paths))?,
            DiskThere::NotYet => stay_away(bus, inputs, not_yet(paths))?,
        }
    }
    Ok(later)
}

/// What this node's own TPM tells; and where it has not told yet, what vaults wait for.
fn roots_told(tpm: Option<&TpmStatus>, tpmmgr: &mut impl Tpmmgr) -> (RootsTold, String) {
    let not_yet = |why: String| (RootsTold::NotYet, why);
    match tpm {
        Some(TpmStatus::Absent { .. }) => (RootsTold::NoTpm, String::new()),
        Some(TpmStatus::Ready { identity, .. }) if !identity.other_tpm => match tpmmgr.read_roots() {
            Ok(sets) => (RootsTold::Written(any_written(&sets)), String::new()),
            Err(error) => not_yet(crate::agents::vaultmgr::chain(&error)),
        },
        Some(status) => not_yet(format!("vaults wait for the TPM, which is {}", status.words())),
        None => not_yet("vaults wait for the TPM".to_owned()),
    }
}

/// Until the bus is gone. The controller is told too: so there is a session, whose key opens nothing.
fn stay_away(bus: &Bus, inputs: &Receiver<Input>, words: String) -> anyhow::Result<()> {
    tracing::error!("{words}");
    let status =
        VaultStatus { notes: vec![words.clone()], disk_away: true, ..status(State::Failed, words.clone()) };
    bus.publish(&Session { key: SessionSecret::init(shares::random)?.session_key(), lease: None });
    bus.publish(&status);
    let (mut later, refusal) = (Later::default(), OrderError::DiskAway { words });
    loop {
        take(inputs, &mut later, &status, &refusal)?;
    }
}

/// The default vaults, of which every node has its own.
pub(super) fn status(state: State, why: String) -> VaultStatus {
    let report = |id| VaultReport {
        id,
        name: defaults::name(id).expect("a default vault has a name"),
        state,
        created: false,
        epoch: None,
        wanted: Operation::Unlock,
        last: None,
        opened: None,
        storage: None,
        change_due: false,
        holds_escrow_up: false,
        under_anothers_key: false,
        behind_in_escrow: None,
        ordered_locked: false,
        detail: vec![why.clone()],
    };
    let vaults = defaults::first(std::iter::empty()).into_iter().map(report).collect();
    VaultStatus { vaults, ..VaultStatus::default() }
}

/// Hears one thing, or nothing for a while. Whoever asked may have given up.
pub(super) fn take(
    inputs: &Receiver<Input>,
    later: &mut Later,
    status: &VaultStatus,
    refusal: &OrderError,
) -> anyhow::Result<()> {
    match inputs.recv_timeout(ROOTS_AGAIN) {
        Ok(Input::Tpm(tpm)) => later.tpm = Some(tpm),
        Ok(Input::Config(config)) => later.config = Some(config),
        Ok(Input::Word(word)) => later.word = Some(word),
        Ok(Input::Order((_, _, reply))) => drop(reply.send(Err(refusal.clone()))),
        Ok(Input::Accept(_, reply)) => drop(reply.send(Err(refusal.clone()))),
        Ok(Input::Vaults(reply)) => drop(reply.send(Ok(status.clone()))),
        // None is sent before a vault may be opened.
        Ok(Input::Errand) | Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => bail!("the bus is gone"),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agents::vaultmgr::generation::roots::{SlotContent, Slots, TpmmgrError};
    use crate::bus::BusError;
    use crate::bus::messages::TpmRoom;
    use attest::SessionKey;
    use vault::condition::PlaceSeen;
    use vault::ids::Generation;
    use vault::roots::{PcrsRoot, TpmRoot};

    /// A TPM with these two slots.
    struct Nv(fn() -> Result<[SlotContent; 2], TpmmgrError>);

    impl Tpmmgr for Nv {
        fn read_roots(&mut self) -> Result<Vec<Slots>, TpmmgrError> {
            (self.0)().map(|[tpm, pcrs]| vec![Slots { generation: Generation(1), tpm, pcrs }])
        }
        fn room(&mut self, _: Option<SessionKey>) -> Result<TpmRoom, TpmmgrError> {
            unreachable!("nothing is made")
        }
        fn define_roots(
            &mut self,
            _: Generation,
            _: &TpmRoot,
            _: &PcrsRoot,
            _: Option<SessionKey>,
        ) -> Result<(), TpmmgrError> {
            unreachable!("nothing is made")
        }
        fn undefine_roots(&mut self, _: Generation) -> Result<(), TpmmgrError> {
            unreachable!("nothing is taken away")
        }
    }

    /// Invariant 4: only roots that are written say that a disk is away, a cut first boot is none, and what is not told is waited for.
    #[test]
    fn the_tpm_tells_a_disk_that_is_away_from_a_new_one() {
        use SlotContent::{Absent, Damaged, PcrsMoved, Unwritten};
        let whole = || Ok([Damaged, PcrsMoved(vec![4])]);
        let empty = PlaceSeen { is_mounted: false, holds: Some(false), is_systems: false };
        let word = |tpm: Option<&TpmStatus>, slots| {
            let (roots, why) = roots_told(tpm, &mut Nv(slots));
            assert_eq!(why.is_empty(), roots != RootsTold::NotYet, "what is waited for is told");
            match DiskThere::of(empty, roots) {
                DiskThere::Yes => "there",
                DiskThere::NotKnown => "not known",
                DiskThere::No => "away",
                DiskThere::NotYet => "new",
            }
        };
        let own = TpmStatus::sample(false);
        assert_eq!(word(Some(&own), whole), "away");
        assert_eq!(word(Some(&own), || Ok([Damaged, Unwritten])), "there");
        assert_eq!(word(Some(&own), || Ok([Absent, Absent])), "there");
        assert_eq!(word(Some(&own), || Err(TpmmgrError::Bus(BusError::NotReady))), "not known");
        assert_eq!(word(None, whole), "not known");
        assert_eq!(word(Some(&TpmStatus::sample(true)), whole), "not known", "another node's");
        assert_eq!(word(Some(&TpmStatus::Failing { why: "gone".to_owned() }), whole), "not known");
        assert_eq!(word(Some(&TpmStatus::Absent { device_key: Vec::new() }), whole), "there");
    }
}
