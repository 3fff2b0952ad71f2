//! What comes of orders that root on the node gives vaultmgr.

use serde::{Deserialize, Serialize};
use vault::ids::{Name, VaultId};
pub use vault::ordered::Ordered;

/// Why an order of root on the node was refused, or not carried out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum OrderError {
    /// Nobody waits for it any more.
    #[error(
        "vaultmgr was busy for so long that the order is out of date, and nothing was done; give it again"
    )]
    OutOfDate,
    /// Nothing of any vault can be looked at.
    #[error("nothing was done: {words}")]
    DiskAway {
        /// What is, and what to do.
        words: String,
    },
    /// Another vaultmgr has them.
    #[error("nothing was done: {words}")]
    NotAlone {
        /// Who, and what to do.
        words: String,
    },
    /// No such vault.
    #[error("no vault {0} is known on this node; see `eve vault list`")]
    Unknown(VaultId),
    /// The controller's lock.
    #[error(
        "the controller wants vault {0} locked, by the last that this node heard: if it is being removed there, `evc apply` of its document keeps it; if its policy locks it, change that; if this device is marked as lost, say `evc device found`; this node hears of it at its next contact"
    )]
    LockedByController(Name),
    /// It never could be: zedagent lives in it.
    #[error(
        "the Config Vault is in use by this node's own agents as long as it runs; stop `eve run` to lock it"
    )]
    ConfigInUse,
    /// Not the root that is installed.
    #[error(
        "the root certificate in config/root-certificate.pem is another one, or none: put the controller's there, and give the order again"
    )]
    OtherRootInstalled,
    /// What was accepted before is beside the TPM's shares.
    #[error(
        "the TPM's roots are not read yet, and with them whom this node belongs to; see `eve status`, and give the order again"
    )]
    PinNotRead,
    /// It can't be kept.
    #[error(
        "not done: the share table in persist/vaults/.shares, which keeps whom this node belongs to, can't be written in both of its places ({why}), and may be in force after the next boot: make room, or mend the disk, and give the order again"
    )]
    NotPinned {
        /// As the disk says.
        why: String,
    },
    /// Another key, or none of it is there.
    #[error(
        "this is not the recovery key of vault {0}: it is encrypted in persist/vaults/.recovery, in the file that is named after the vault's UUID and the protector that `fscrypt status` shows for it; give the identity of one of its recipients"
    )]
    NotItsRecoveryKey(Name),
    /// It could not be tried.
    #[error(
        "the recovery key of vault {name} opens its protector, and not the vault: {why}; put its key files back from a backup, and give the order again"
    )]
    NotRecovered { name: Name, why: String },
    /// The name does not match.
    #[error("this is not the name of vault {0}; see `eve vault list`, and type its name")]
    OtherName(Name),
    /// There is nothing to mend.
    #[error("vault {name} is not missing: nothing was done; to have it empty {how}", name = .0, how = emptied(.0))]
    NotMissing(Name),
    /// It stands, and a key that is not here opens it.
    #[error(
        "nothing was done: vault {0} is there, under the key of another controller, of an epoch that is over, or of a newer one than this controller knows; bring that key back (that controller, or the newest copy of its database), or open the vault by its recovery key (`eve vault recover`); only if what is in it is given up: eve vault recreate {0} --despite-other-key"
    )]
    UnderAnotherKey(Name),
    /// It may come back by itself.
    #[error(
        "nothing was done: vault {0} may come back from escrow by itself, when this node reaches its controller; if `evc escrow list` has a bundle of this node, approve this boot (`evc reference approve`), and if an older one came back, have the newest given (`evc escrow offer` with --newest); only if the data is lost or given up, that of other vaults under a lost share table too: eve vault recreate {0} --despite-escrow"
    )]
    InEscrow(Name),
    /// It stands under a key that is not here, and newer key files of it may come back by themselves.
    #[error(
        "nothing was done: vault {0} is there, under the key of an epoch that is over; it may come back from escrow by itself, with other key files, when this node reaches its controller; if `evc escrow list` has a bundle of this node, approve this boot (`evc reference approve`), and if an older one came back, have the newest given (`evc escrow offer` with --newest); its recovery key opens it too (`eve vault recover`); only if what is in it is given up: eve vault recreate {0} --despite-other-key --despite-escrow"
    )]
    ShutInEscrow(Name),
    /// What is on the disk may be of another TPM than this one.
    #[error(
        "nothing was done: none of this TPM's roots opens the share table in persist/vaults/.shares, or none lies there, and the right one may be whole, so this TPM, or what config/tcti and config/device.cert.pem name, may be another node's, or the disk at persist may be another one; bring together what belongs together, and vault {0} opens by itself; only if that TPM or disk is gone for good, or the TPM's secrets are, and with them the data: eve vault recreate {0} --despite-escrow"
    )]
    OtherTpm(Name),
    /// It holds for this life of vaultmgr only.
    #[error(
        "done; but run/eve/locked can't be written ({why}), so that it is forgotten when vaultmgr restarts: make room there and give the order again"
    )]
    NotKept {
        /// As the system says.
        why: String,
    },
    /// It takes long; nobody need wait for it.
    #[error("it is under way and goes on by itself: {progress}; see `eve vault list`")]
    UnderWay { progress: String },
    /// It was tried.
    #[error("vault {name} is not {wanted}: {why}; {advice}")]
    NotDone {
        name: Name,
        /// What it was to be.
        wanted: Ordered,
        /// What its status says.
        why: String,
        /// What to do, by what it waits for.
        advice: String,
    },
    /// Its life is over: ask the next one.
    #[error("vaultmgr is ending; give the order again")]
    Ending,
}

/// How a vault that opens becomes empty.
fn emptied(name: &Name) -> &'static str {
    match vault::defaults::named(name) {
        Some(_) => "remove the files in it: a default vault is not deleted",
        None => "delete it at the controller",
    }
}
