//! What is said of the node as a whole, and why an answer does not count: in words, with what to do.

use crate::ids::DeviceId;
use crate::wanted::NotTaken;

/// What a line about the node is about: one line each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum About {
    /// The TPM's roots and the share table.
    Roots,
    /// Shares that were dropped and are not dead yet.
    Erasing,
    /// The configuration that came last.
    Configuration,
    /// Keys that came with it and do not open.
    Keys,
    /// The record of what was accepted.
    Record,
    /// What is in escrow, and what came back from it.
    Escrow,
    /// The share table's copies on the disk, while it is at hand.
    Copies,
}

/// Why a section does not count, though it is authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Doubt {
    /// Another root than was accepted at first contact.
    #[error(
        "the controller has another root certificate than at first contact: nothing that it says is believed; put the first one's certificate back into config/root-certificate.pem, or accept this one with `eve controller accept`"
    )]
    OtherRoot,
    /// For the key of another device.
    #[error("the list of vaults is for device {0}, whose key is not this node's: nothing of it is used")]
    OtherDevice(DeviceId),
    /// For an earlier life of vaultmgr: recorded, or overtaken.
    #[error("the list of vaults is for another session than this one")]
    OtherSession,
    /// The pin went with the table.
    #[error(
        "no list of vaults counts: the node's share table does not open, and with it went what says whom this node belongs to; bring back the TPM or disk that belongs here; if `evc escrow list` has a bundle of this node, approve this boot (`evc reference approve`), and it comes back by itself; only if there is none begin a new table with `eve vault recreate config` on the node: what hung on the old one is lost then"
    )]
    TableLost,
}

/// Why the record speaks against a section that came before it was read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Contradicted {
    /// By whom it is.
    #[error(transparent)]
    Doubt(#[from] Doubt),
    /// By what was accepted before.
    #[error(transparent)]
    Order(#[from] NotTaken),
}

pub(super) const NOT_YET: &str =
    "the controller sends no list of vaults until it has accepted this node's evidence";
/// Of a node whose evidence came, and is good, and is not what the policies ask for.
pub(super) fn no_policy_met(lacks: &str) -> String {
    format!(
        "the controller sends no list of vaults: this node's evidence was accepted and satisfies no policy ({lacks}); nothing is made or deleted, and no key comes"
    )
}
pub(super) const NO_SECTION: &str = "the controller sends no list of vaults any more, until it has accepted this node's evidence: nothing is made or deleted";
pub(super) const EARLY: &str =
    "a configuration waits until the TPM's roots are read: they show whom this node belongs to";
pub(super) const NOT_NEXT: &str = "the controller's list of vaults does not follow the one that this node accepted last: by it vaults are opened and locked, and none is deleted, made or re-keyed. The controller's database is an older copy, or another controller took its place: see `evc get devices`";
pub(super) const UNREAD: &str = "the record of what this node accepted was not read yet, for the Config Vault is not open: until it was, vaults are opened and locked by the controller's list, and none is deleted, made or re-keyed. If the Config Vault is missing for good, begin another with `eve vault recreate config` on the node; if a key opens it that is not here, `eve vault list` says what helps";
/// Of a Config Vault that is open, and whose record the disk does not give.
pub(super) const NOT_GIVEN: &str = "the record of what this node accepted can't be read, though the Config Vault is open: until it is, vaults are opened and locked by the controller's list, and none is deleted, made or re-keyed. It is tried again by itself; what else is said here of the record names its file, and what to do";
pub(super) const DAMAGED: &str = "the record of accepted lists of vaults was damaged: the next list that counts begins a new record, and vaults that are not in it are locked and kept";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::DeviceId;

    form::every! {
        doubts: Doubt {
            Doubt::OtherRoot => Doubt::OtherRoot,
            Doubt::OtherDevice(_) => Doubt::OtherDevice(DeviceId(uuid::Uuid::from_u128(7))),
            Doubt::OtherSession => Doubt::OtherSession,
            Doubt::TableLost => Doubt::TableLost,
        }
    }

    /// Issue 8, errors: why nothing of a list is used is in plain words.
    #[test]
    fn why_a_list_does_not_count_is_in_plain_words() {
        let eve = form::Command::new("a program that nothing here names");
        let told = doubts().into_iter().map(|doubt| doubt.to_string());
        let wrong: Vec<String> = told.flat_map(|told| form::wrong_words(&eve, &told)).collect();
        assert_eq!(wrong, [""; 0]);
    }
}
