//! Words on what an operator said of a device: that it is lost, or found; that it is one; that its TPM has other keys.

use vault::decide::{Barred, Bars};
use vault::ids::{DeviceId, Name};
use vault::ledger::Older;

use super::at_stake;
use super::evidence::of_alarm;
use super::notes::of_found_elsewhere;
use super::older_advice;
use crate::api::Done;
use crate::store::Alarm;

/// `name`: as it is called, whatever its row says. `older`: why it gets no list.
/// `closes`: what it has open under keys that are not here.
pub(crate) fn of_lost(name: &str, older: Option<Older>, closes: &[Name]) -> Done {
    let older = older.map(|older| {
        format!(
            "no list is sent to it, for {older}; it is ordered to lock all that it has all the same: {}",
            older_advice(older)
        )
    });
    Done {
            done: format!("device `{name}` is lost: no key goes out to it from now on"),
            notes: vec![
                "at its next contact it is told to lock its vaults and `image`, whatever its evidence shows; until then, and if it never comes, what is open there stays open"
                    .into(),
                "`config` stays open unless it has a policy of its own, or the node has no TPM: it holds the node's record of this controller's lists, and no app's data; where it is ordered to be locked, the node's own agents hold it, and it stays `lock-incomplete` until the node is stopped or boots"
                    .into(),
                "a vault with custody `tpm` can be opened by who has the device, without this controller".into(),
            ]
            .into_iter()
            .chain(older)
            .chain(at_stake::of_lost(closes))
            .collect(),
        }
}

/// One that is not lost any more; `elsewhere`: the device whose lists its node holds to.
pub(crate) fn of_found(name: &Name, bars: Bars, elsewhere: Option<DeviceId>) -> Done {
    Done {
        done: format!("device `{name}` is not lost any more: {}", released_to(bars)),
        notes: elsewhere.map(|other| of_found_elsewhere(name, other)).into_iter().collect(),
    }
}

/// What was settled.
pub(crate) struct Settled {
    pub(crate) name: Name,
    /// It is marked as lost, and stays so.
    pub(crate) lost: bool,
    pub(crate) alarm: Option<Alarm>,
    /// That it was further on than this database.
    pub(crate) older: Option<Older>,
    /// Its evidence begins a new history.
    pub(crate) anew: bool,
}

/// Of one that is one again.
pub(crate) fn of_settled(Settled { name, alarm, older, anew, .. }: &Settled, bars: Bars) -> Done {
    let done = format!("device `{name}` is one: {}", released_to(bars));
    let was = alarm.as_ref().map(|alarm| format!("it was: {}", of_alarm(alarm, name)));
    let newest = older.map(|older| match older {
        Older::Ordered { .. } => {
            format!("it was: {older}; its next list takes back what it was ordered by that one")
        }
        older => format!(
            "it was: {older}; if it tells that again, this database is not the newest: bring that one back"
        ),
    });
    let anew = anew.then(|| {
            "its TPM is behind what it was, as that of a machine that was set back: its next evidence begins a new history of it, and nothing of before is held against it"
                .into()
        });
    Done { done, notes: was.into_iter().chain(newest).chain(anew).collect() }
}

/// Of one whose next key is pinned.
pub(crate) fn of_repinned(name: &Name) -> Done {
    Done {
            done: format!("device `{name}`: the next attestation key that it shows is pinned"),
            notes: vec![
                "whoever has its device key can show one: see with `evc describe device` that evidence is accepted, and of the boot that you expect"
                    .into(),
                "the key that was pinned is not pinned again; if it is the one that the device has after all, say this once more".into(),
                "what its TPM had a part in opens only if that part is still there; vaults with custody `controller` open as before".into(),
            ],
        }
}

/// Whether keys go out to a device of which something was taken off, or what is left that keeps them.
pub(crate) fn released_to(bars: Bars) -> String {
    match bars.barred() {
        Some(Barred::Lost) => {
            "it is marked as lost all the same, and gets no key until `evc device found`".into()
        }
        Some(Barred::Older(older)) => {
            format!("no key is released to it all the same: {older}; {}", older_advice(older))
        }
        Some(Barred::Doubled) => {
            "its alarm stands all the same, and no key is released to it until `evc device settle`".into()
        }
        None => "keys are released to it as its policies say".into(),
    }
}
