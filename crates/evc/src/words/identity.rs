//! Words on a device that is let in as the one whose lists its node holds to.

use vault::ids::{DeviceId, Name};
use vault::ledger::Older;
use vault::life::NotLetIn;

use super::in_the_way::of_shut;
use super::{Words, older_advice};
use crate::api::Done;
use crate::custody::SealedRow;

/// A device that has another identity from now on.
pub(crate) struct LetInAs {
    pub(crate) name: Name,
    pub(crate) was: DeviceId,
    pub(crate) is: DeviceId,
    /// How this database is older than it.
    pub(crate) older: Option<Older>,
    /// Vaults that were being removed.
    pub(crate) retained: Vec<Name>,
    /// Keys that do not open, and that nothing needs.
    pub(crate) shut: Vec<SealedRow>,
}

/// What was done, and what is next.
pub(crate) fn of_let_in(LetInAs { name, was, is, older, retained, shut }: &LetInAs) -> Done {
    let over = format!(
        "what was kept of it went over: its vaults with their keys, its certificates, its bundles. No device has the identity {was} any more; its node asks who it is at its next contact, and gives evidence anew"
    );
    let older = older.map(|older| {
        format!(
            "nothing is released to it yet: {older}. `evc get vaults --device {name:#}` shows what its node has: take in what is open there before anything else (`evc adopt vault`). Then {}",
            older_advice(older)
        )
    });
    let names: Vec<String> = retained.iter().map(|name| format!("`{name}`")).collect();
    let retained = (!names.is_empty()).then(|| {
        format!(
            "retained, where a grace ran: {}; its node may have kept them by a newer word. Delete them anew if they are still to go",
            names.join(", ")
        )
    });
    let notes = [over].into_iter().chain(older).chain(retained).chain(of_shut(shut)).collect();
    Done { done: format!("device `{name}` is device {is}, whose lists its node holds to"), notes }
}

/// Of a device whose node holds to the lists of another one: how to let it in as that one.
pub(crate) fn how_to_let_in(device: &Name, other: DeviceId) -> String {
    format!("`evc adopt device {device:#} --as {other} --confirm {device:#}`")
}

pub(super) fn not_let_in(device: &Name, wished: DeviceId, cause: &NotLetIn) -> Words {
    let (problem, advice) = match cause {
        NotLetIn::Lost => (
            format!("device `{device}` is marked as lost"),
            format!("if it is in good hands: `evc device found {device:#}`"),
        ),
        NotLetIn::Doubled => (
            format!("there may be two of device `{device}`: whose word it was is not known"),
            format!(
                "see `evc describe device {device:#}`; then `evc device settle {device:#} --confirm {device:#}`"
            ),
        ),
        NotLetIn::Unproved => (
            format!(
                "device `{device}` has not told whose lists its node holds to in a session whose evidence is good"
            ),
            format!("wait for its next report, at most ten minutes; see `evc describe device {device:#}`"),
        ),
        NotLetIn::HeldBack => (
            format!(
                "the database was put back from a copy, and asks for no evidence until it was gone through: what the node of device `{device}` tells is not proved"
            ),
            format!(
                "see that the node does not boot, for what is open there stays open; go through the rest of what `evc put-back` lists, stop evc, run `evc put-back --checked`, start it, wait for the device's next report, and give this command again, before `evc begin-anew`. See `evc describe device {device:#}`"
            ),
        ),
        NotLetIn::Itself => (
            format!("the node of device `{device}` holds to the lists of this very device"),
            "it needs no other identity; see `evc get devices`".into(),
        ),
        NotLetIn::Otherwise { held_to } => (
            format!(
                "the node of device `{device}` holds to the lists of device {held_to}, and not of {wished}"
            ),
            format!("{}, if that is what you mean", how_to_let_in(device, *held_to)),
        ),
        NotLetIn::Closes { vaults } => (
            format!(
                "the database was begun anew, so that the first list that `{device}` gets would lock what its node has open under keys that are not here: {}",
                vaults.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            ),
            "copy its data out, then lock it on the node (`eve vault lock`), and give the command again; closed, it opens only once the database that has its key is back, or by its recovery key".into(),
        ),
        NotLetIn::Registered { name } => (
            format!("device `{name}` has the identity {wished} here, with another key"),
            format!(
                "what is under custody `controller` goes over by `evc rehome vault`; see `evc describe device {name:#}`"
            ),
        ),
        NotLetIn::Deleted { name } => (
            format!("the deleted device `{name}` has the identity {wished}, and something is kept of it"),
            format!(
                "bring that back: `evc delete device {device:#} --force --confirm {device:#}`, then `evc onboard add` with `--give-back`; or give it up: `evc device forget {name:#} --confirm {name:#}`"
            ),
        ),
    };
    Words::new(problem, advice)
}
