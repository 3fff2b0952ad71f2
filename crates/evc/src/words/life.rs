//! The words for what [`vault::life`] refuses: what is, and what to do.

use vault::ids::{Epoch, Name};
use vault::life::{
    Closes, MOST_BESIDE_DEFAULTS, NodeAt, NotAdopted, NotApplied, NotDeleted, NotDone, NotRecreated,
    NotRehomed, NotRotated,
};

use super::at_stake::{Whose, of_not_taken_in};
use super::notes::stands_at;
use super::{OLDER, Words, older_advice};
use crate::service::LifeRefusal;

/// What is, and what to do.
pub(super) fn words(LifeRefusal { vault, device, cause }: &LifeRefusal) -> Words {
    match cause {
        NotDone::Applied(cause) => applied(device, *cause),
        NotDone::Deleted(NotDeleted::NoGrace) => no_grace(vault),
        NotDone::Rotated(cause) => rotated(vault, *cause),
        NotDone::Recreated(cause) => recreated(vault, device, *cause),
        NotDone::Adopted(cause) => adopted(vault, device, cause),
        NotDone::Rehomed(cause) => rehomed(vault, device, *cause),
    }
}

fn applied(device: &Name, cause: NotApplied) -> Words {
    let (problem, advice) = match cause {
        NotApplied::OtherEncryption => (
            "the encryption of a vault can't be changed".into(),
            "make a new vault and copy the data; the default vaults keep `aes-256-xts`",
        ),
        NotApplied::Full => full(device),
    };
    Words::new(problem, advice)
}

fn no_grace(vault: &Name) -> Words {
    Words::new(
        format!("vault `{vault}` would have no grace: it is erased at once, and can't be kept again"),
        format!("give the vault twice: --confirm {vault}"),
    )
}

fn full(device: &Name) -> (String, &'static str) {
    (
        format!(
            "device `{device}` has no room: a device has at most {MOST_BESIDE_DEFAULTS} vaults beside its default ones"
        ),
        "delete one first",
    )
}

fn rotated(vault: &Name, cause: NotRotated) -> Words {
    let (problem, advice) = match cause {
        NotRotated::NoKeyHere => (
            format!("vault `{vault}` has custody `tpm`: the controller holds no key of it"),
            "give it a policy with `custody: tpm+controller` or `controller`",
        ),
        NotRotated::Older(older) => return Words::new(older.to_string(), older_advice(older)),
        NotRotated::Removing => {
            (format!("vault `{vault}` is removed"), "apply it again to keep it, then rotate")
        }
        NotRotated::Elsewhere { current, expected } => (
            format!("vault `{vault}` is at epoch {current}, not {expected}"),
            "somebody else rotated it: see `evc describe vault`, and rotate from there if it is still called for",
        ),
        NotRotated::NeverMade { node, newest } => (
            format!("the node reports vault `{vault}` at epoch {node}, and {newest} is the newest here"),
            OLDER,
        ),
        NotRotated::NotTaken { node, newest } => return not_taken(vault, node, newest),
    };
    Words::new(problem, advice)
}

fn not_taken(vault: &Name, node: NodeAt, newest: Epoch) -> Words {
    Words::new(
        format!("{}: after its next restart it could not open vault `{vault}`", stands_at(node)),
        format!(
            "wait until it has taken epoch {newest} (`evc describe vault` says why it has not), or rotate all the same with `--force --confirm {vault:#}`: then the key that the node has opens the vault no more"
        ),
    )
}

fn recreated(vault: &Name, device: &Name, cause: NotRecreated) -> Words {
    let (problem, advice) = match cause {
        NotRecreated::InEscrow => return in_escrow(vault, device),
        NotRecreated::NotMissing => (
            format!("the node does not report vault `{vault}` as missing"),
            "only a vault that lost a part is made anew; see `evc describe vault`",
        ),
        NotRecreated::NeverMade => (
            format!("the node has not finished vault `{vault}`: there is nothing to make anew"),
            "it is made as soon as its node can: `evc describe vault` says what it waits for; where that is the key of an epoch that is over, `eve vault recreate` on the node makes it anew",
        ),
        NotRecreated::NotMounted => (
            format!(
                "device `{device}` says that the disk of its persist is not mounted: whether vault `{vault}` is whole can't be told"
            ),
            "mount the disk on persist there, and start eve again; if it is lost for good, mount a new one there first (`mkfs.ext4 -O encrypt`), then ask again with `--new-disk`",
        ),
        NotRecreated::NoDisk => (
            format!(
                "every vault of device `{device}` is missing, its default ones too: its disk is not there"
            ),
            "mount the disk on persist there, and start it again; only if the disk was replaced, and what was on it is gone, add `--new-disk`",
        ),
    };
    Words::new(problem, advice)
}

fn in_escrow(vault: &Name, device: &Name) -> Words {
    Words::new(
        format!(
            "a bundle of device `{device}` is in escrow, and may bring vault `{vault}` back: made anew, what is in it is lost, and with a new share table what is in others too"
        ),
        format!(
            "see `evc describe device {device:#}`; if this boot is good, `evc reference approve` it: what the bundle has comes back by itself. Only if the data is lost anyway, its directory perhaps, or given up: add `--despite-escrow`"
        ),
    )
}

fn adopted(vault: &Name, device: &Name, cause: &NotAdopted) -> Words {
    let (problem, advice) = match cause {
        NotAdopted::Unknown => (
            format!("orphan `{vault}` of device `{device}` is not known"),
            "`evc describe device` shows what its node reports",
        ),
        NotAdopted::Several => (
            format!("device `{device}` reports several orphans of the name `{vault}`"),
            "give the UUID; see `evc describe device`",
        ),
        NotAdopted::ForeignKey { name, epoch } => (
            format!(
                "vault `{name}` needs a controller's key, of epoch {epoch}, that this device has none of here"
            ),
            "if the vault was another device's at this controller: `evc rehome vault`; if it has a recovery key, open it on its node first (`eve vault recover`); else it opens only under the controller that made it; `--remove` has its node erase it, after the grace of the policy",
        ),
        NotAdopted::Listed { name } => (
            format!("vault `{name}` is this controller's already"),
            "see `evc get vaults`; its node lists it at its next contact",
        ),
        NotAdopted::Gone { name } => (
            format!("vault `{name}` was deleted, and its keys with it: its node is told to erase it"),
            "see `evc get vaults`; once the node has erased it, it is an orphan no more",
        ),
        NotAdopted::Elsewhere { name, other } => (
            format!(
                "device `{device}` holds to the lists of device {other}, and takes none of this one's: vault `{name}` would get no key"
            ),
            "let it in as that one first: bring it back if `evc device deleted` lists it (`evc onboard add --give-back`), else `evc adopt device`; see `evc describe device`. If it is to stay so, copy the data out of the vault while it is open",
        ),
        NotAdopted::Closes { name, by } => return not_taken_in(name, device, *by),
        NotAdopted::Full => full(device),
        NotAdopted::NameTaken { name } => (
            format!("device `{device}` has another vault of the name `{name}`"),
            "delete that one first, and wait for its end",
        ),
    };
    Words::new(problem, advice)
}

fn not_taken_in(vault: &Name, device: &Name, by: Closes) -> Words {
    of_not_taken_in(by, Whose { vault, device })
}

fn rehomed(vault: &Name, device: &Name, cause: NotRehomed) -> Words {
    let (problem, advice) = match cause {
        NotRehomed::Older(older) => return Words::new(older.to_string(), older_advice(older)),
        NotRehomed::SameDevice => {
            (format!("vault `{vault}` is on device `{device}` already"), "name two devices")
        }
        NotRehomed::Full => full(device),
        NotRehomed::MayBeThere => (
            format!("device `{device}` may still be there, and would lose the vault"),
            "mark it as lost first (`evc device lost`), if it is gone or registered anew",
        ),
        NotRehomed::Removing => (format!("vault `{vault}` is removed"), "apply it again to keep it"),
        NotRehomed::KeyInTpm => (
            format!("the key of vault `{vault}` is in part in the TPM of device `{device}`"),
            "a vault opens on another device only if its node took custody `controller` while it had it: a policy that says so by now does not change what the vault is under; its recovery key opens it, if it has one",
        ),
        NotRehomed::MadeThere => (
            format!("device `{device}` made a vault `{vault}` of its own, or got the key for one"),
            "both can't be in one place: this one stays where it is",
        ),
        NotRehomed::NameTaken => (
            format!("device `{device}` has a vault `{vault}` of its own"),
            "delete that one first, and wait for its end",
        ),
    };
    Words::new(problem, advice)
}
