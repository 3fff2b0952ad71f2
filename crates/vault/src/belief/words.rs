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
pub enum Doubt {
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

/// What is said of the node as a whole. Its words are made here alone.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Saying {
    /// A session's first answer has no section.
    #[error("the controller sends no list of vaults until it has accepted this node's evidence")]
    NotYet,
    /// Of a node whose evidence came, and is good, and is not what the policies ask for: which demand it does not meet.
    #[error(
        "the controller sends no list of vaults: this node's evidence was accepted and satisfies no policy ({0}); nothing is made or deleted, and no key comes"
    )]
    NoPolicyMet(String),
    /// There was one, and comes no more.
    #[error(
        "the controller sends no list of vaults any more, until it has accepted this node's evidence: nothing is made or deleted"
    )]
    NoSection,
    /// It is not known yet from whom it has to be.
    #[error("a configuration waits until the TPM's roots are read: they show whom this node belongs to")]
    Early,
    /// It does not follow the last one.
    #[error(
        "the controller's list of vaults does not follow the one that this node accepted last: by it vaults are opened and locked, and none is deleted, made or re-keyed. The controller's database is an older copy, or another controller took its place: see `evc get devices`"
    )]
    NotNext,
    /// The record was not read yet.
    #[error(
        "the record of what this node accepted was not read yet, for the Config Vault is not open: until it was, vaults are opened and locked by the controller's list, and none is deleted, made or re-keyed. If the Config Vault is missing for good, begin another with `eve vault recreate config` on the node; if a key opens it that is not here, `eve vault list` says what helps"
    )]
    Unread,
    /// Of a Config Vault that is open, and whose record the disk does not give.
    #[error(
        "the record of what this node accepted can't be read, though the Config Vault is open: until it is, vaults are opened and locked by the controller's list, and none is deleted, made or re-keyed. It is tried again by itself; what else is said here of the record names its file, and what to do"
    )]
    NotGiven,
    /// The record was put aside.
    #[error(
        "the record of accepted lists of vaults was damaged: the next list that counts begins a new record, and vaults that are not in it are locked and kept"
    )]
    Damaged,
    /// It is not for this node, or not from its controller.
    #[error(transparent)]
    Doubt(#[from] Doubt),
    /// It is not in order.
    #[error("a configuration was refused: {0}")]
    Refused(NotTaken),
    /// It is another device's here.
    #[error(transparent)]
    NotTaken(#[from] NotTaken),
    /// What came is no section: in the words of whoever read it.
    #[error("{0}")]
    NotUnderstood(String),
    /// Root accepted another controller.
    #[error("waits for the controller that was accepted")]
    Accepting,
    /// Vaults are ordered locked: so many.
    #[error("the controller orders {0} vaults locked")]
    Ordered(usize),
    /// An order to lock does not count.
    #[error("an order to lock is not obeyed: {0}")]
    NotObeyed(Box<Self>),
    /// Of a checkpoint.
    #[error("a kept configuration is of another device or controller")]
    KeptOfAnother,
    /// The same.
    #[error("a kept configuration says nothing new")]
    KeptNothingNew,
}

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
        sayings: Saying {
            Saying::NotYet => Saying::NotYet,
            Saying::NoSection => Saying::NoSection,
            Saying::Early => Saying::Early,
            Saying::NotNext => Saying::NotNext,
            Saying::Unread => Saying::Unread,
            Saying::NotGiven => Saying::NotGiven,
            Saying::Damaged => Saying::Damaged,
            Saying::Accepting => Saying::Accepting,
            Saying::KeptOfAnother => Saying::KeptOfAnother,
            Saying::KeptNothingNew => Saying::KeptNothingNew,
            Saying::NoPolicyMet(_) => Saying::NoPolicyMet("the place".to_owned()),
            Saying::Doubt(_) => Saying::Doubt(Doubt::OtherRoot),
            Saying::Refused(_) => Saying::Refused(NotTaken::Superseded),
            Saying::NotTaken(_) => Saying::NotTaken(NotTaken::Superseded),
            Saying::NotUnderstood(_) => Saying::NotUnderstood("the list of vaults is cut short".to_owned()),
            Saying::Ordered(_) => Saying::Ordered(3),
            Saying::NotObeyed(_) => Saying::NotObeyed(Box::new(Saying::NotNext)),
        }
    }

    /// Issue 8, errors: why nothing of a list is used, and what is said of the node, is in plain words.
    #[test]
    fn why_a_list_does_not_count_is_in_plain_words() {
        let eve = form::Command::new("a program that nothing here names");
        let told = doubts().into_iter().map(|doubt| doubt.to_string());
        let told = told.chain(sayings().into_iter().map(|saying| saying.to_string()));
        let wrong: Vec<String> = told.flat_map(|told| form::wrong_words(&eve, &told)).collect();
        assert_eq!(wrong, [""; 0]);
    }
}
