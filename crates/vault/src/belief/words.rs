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
