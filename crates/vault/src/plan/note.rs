//! What is to be said of a vault: a closed list, whose words are made here alone.

use super::step::Wait;
use crate::condition::{Others, Part};
use crate::ids::VaultId;
use crate::section::{Custody, Encryption, Presence};
use crate::space::{StorageLimit, Unbounded};

/// What is to be said of a vault, in human words.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Note {
    /// Parts of a made vault are gone.
    #[error("missing: {0}; kept as it is until an operator orders recreate")]
    Missing(Part),
    /// The policy can't be met on this node.
    #[error("custody {} needs a TPM and this node has none: choose custody controller", custody(*.0))]
    NoTpm(Custody),
    /// Something else is at the vault's path.
    #[error("something else stands at its path; move it away")]
    PathTaken,
    /// Files that nobody encrypted are, and it is no default vault.
    #[error(
        "plain files stand at its path, which are not its own: nothing that is ordered of it goes on there, and they are not deleted; move them away"
    )]
    PlainFiles,
    /// The same, at a default vault's.
    #[error("plain files stand at its path: an order to make it anew moves them into it, as at a first boot")]
    PlainGoIn,
    /// Originals that were moved in, and not looked at once more yet.
    #[error(
        "plain files that were moved into it stand at persist/vaults/.new/{_0} still, and are not deleted by an order; take from them what you need, and move them away"
    )]
    PlainStaged(VaultId),
    /// Another vault's directory, where what is moved in is staged.
    #[error(
        "an encrypted directory under another key than its own stands at persist/vaults/.new/{_0}: it may be another vault's, and nothing of it is deleted; put it back in persist/vaults, under the UUID of the vault that is missing its directory, or move it away"
    )]
    OtherStaged(VaultId),
    /// Its key files are gone, and a directory under a policy stands at its path.
    #[error(
        "an encrypted directory stands at its path, and key files of no vault name its key: an order to make this vault anew deletes it with what is in it; if it may be another vault's, move it away first"
    )]
    Unnamed,
    /// Deleted, and a copy of its share that was taken earlier opens as long as the roots are there that it was sealed under.
    #[error("removed, and being erased: not yet dead")]
    Erasing,
    /// Deleted, and the roots that a share of it was sealed under are gone.
    #[error("removed and erased: no older copy of this node's disk opens it by this TPM any more")]
    Erased,
    /// It has another share now, or none.
    #[error("an older share of it is being erased: not yet dead")]
    OlderShare,
    /// A mount hides it.
    #[error(
        "something is mounted over its directory, or over a folder that it lies in, and what is under that is not seen: nothing of it is changed; unmount it (`findmnt` shows it)"
    )]
    Covered,
    /// Its key files are gone, and the kernel has its key.
    #[error(
        "it is still open, whatever is wanted of it: the kernel may have the last key of it, and with the next boot that is gone; copy out what is in it"
    )]
    OpenStill,
    /// No section says anything about it.
    #[error("no list of vaults from the controller is in force: it is left as it is")]
    LeftAsItIs,
    /// A live section does not list it, and what was listed before can't be read.
    #[error(
        "not listed by the controller: locked at once, and kept; whether it was removed is not known while the record of earlier lists can't be read"
    )]
    Unlisted,
    /// No section of this controller database ever listed it.
    #[error(
        "not listed by this controller: locked, and kept until a controller that had listed it before speaks of it"
    )]
    Orphan,
    /// The same, and root on the node gave its recovery key.
    #[error(
        "not listed by this controller: open by its recovery key, until it is locked, or vaultmgr or the node starts anew; copy out what is in it, or have this controller take it in (`evc adopt vault`)"
    )]
    OrphanOpen,
    /// A live section does not list it, what was listed before can't be read, and root on the node gave its recovery key.
    #[error(
        "not listed by the controller: open by its recovery key, until it is locked, or vaultmgr or the node starts anew; whether it was removed is not known while the record of earlier lists can't be read"
    )]
    UnlistedOpen,
    /// Its grace runs.
    #[error("being removed: locked and kept until the controller's grace ends")]
    Removing,
    /// It was removed, and its policy retains it (KO-7).
    #[error("removed and retained: locked and kept until the controller wants it again")]
    Retained,
    /// By it less than the custody opens the vault.
    #[error(
        "{} opens this vault too ({_0}): whoever has its key needs nothing of what the custody asks for. This program did not add it: see `fscrypt status` on the vault's directory, and if it is not meant to be there take it away with `fscrypt metadata remove-protector-from-policy`", another(*.0)
    )]
    OtherProtectors(Others),
    /// Of its recovery key, and to how many it is encrypted.
    #[error("{}", recovery(*_0, *_1))]
    Recovery(usize, RecoveryKept),
    /// Fixed at making.
    #[error("its encryption was fixed when it was made: the policy says `{asked}`, it has `{is}`")]
    EncryptionFixed {
        /// The policy's.
        asked: Encryption,
        /// The directory's.
        is: Encryption,
    },
    /// Asked for, and not possible here.
    #[error("storage limit not enforced: {0}")]
    LimitNotEnforced(Unbounded),
    /// Asked for, and not set yet.
    #[error("its storage limit of {0} is not in force yet; it is set by itself once the vault is open")]
    LimitDue(StorageLimit),
    /// The controller did not renew its lease.
    #[error("locked: its lease ended; it opens once the controller has renewed it")]
    LeaseEnded,
    /// A boot ends every lease.
    #[error("it is leased, and has no lease since this boot: it opens once the controller gives one")]
    NoLease,
    /// Nobody knows whether it has one.
    #[error(
        "locked: whether it is leased is not known any more (run/eve/leases is gone, and no list of vaults can be read), and the controller was not heard in {} minutes; it opens once the controller is heard", crate::lease::Leases::UNKNOWN.as_secs() / 60
    )]
    LeaseNotKnown,
    /// It should move to other keys and these are not at hand.
    #[error("a change of key or custody is due: {0}")]
    ChangeDue(Wait),
    /// What it waits for.
    #[error("{0}")]
    Waits(Wait),
    /// Nothing holds its escrow.
    #[error("not escrowed")]
    NotEscrowed,
    /// What is in escrow is of before.
    #[error("not escrowed since its last change")]
    NotEscrowedSince,
    /// PCR 0 or 4 stands at its reset value.
    #[error("boot not measured")]
    NotMeasured,
    /// Nobody proved that the attestation key sits beside this endorsement key.
    #[error("AK not proved to its EK: not checked")]
    AkNotProved,
    /// Who holds files, or another fact of the shell's.
    #[error("{0}")]
    Fact(String),
}

impl Note {
    /// Of a vault that is not wanted.
    pub(super) fn of_removal(standing: Presence) -> Option<Self> {
        match standing {
            Presence::Active => None,
            Presence::Removing => Some(Self::Removing),
            Presence::Retained => Some(Self::Retained),
        }
    }
}

/// How a vault's recovery key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RecoveryKept {
    /// As the policy asks.
    Ready,
    /// There is none yet.
    NotYet,
    /// It was used here.
    Used,
    /// It was made before the last rotation.
    Old,
    /// Under other recipients than the policy names.
    Other,
    /// Not all of it is there.
    Damaged,
    /// The policy asks for none.
    Unasked,
    /// What the policy asks for is not known.
    Some,
}

fn recovery(recipients: usize, kept: RecoveryKept) -> String {
    let of = match recipients {
        1 => "recovery: 1 recipient".to_owned(),
        count => format!("recovery: {count} recipients"),
    };
    let soon = "as soon as its custody opens it and the controller is heard";
    match kept {
        RecoveryKept::Ready => format!("{of}, ready"),
        RecoveryKept::NotYet => format!("{of}, not yet made: it is made {soon}"),
        RecoveryKept::Used => format!("{of}, used: another key takes its place {soon}"),
        RecoveryKept::Old => {
            format!("{of}, made before the last rotation: another key takes its place {soon}")
        }
        RecoveryKept::Other => format!(
            "{of}, not yet made: what there is was made for others, who still open it; it is replaced {soon}"
        ),
        RecoveryKept::Damaged => format!("{of}, damaged or half made: it is replaced {soon}"),
        RecoveryKept::Unasked => format!(
            "recovery: its policy asks for none, and there is one, which still opens it; it goes {soon}"
        ),
        RecoveryKept::Some => "recovery: there is a recovery key; see `eve vault recover --help`".to_owned(),
    }
}

fn another(others: Others) -> String {
    match others.count() {
        1 => "another protector".to_owned(),
        count => format!("{count} other protectors: each"),
    }
}

fn custody(custody: Custody) -> &'static str {
    match custody {
        Custody::Tpm => "tpm",
        Custody::Controller => "controller",
        Custody::TpmAndController => "tpm+controller",
    }
}
