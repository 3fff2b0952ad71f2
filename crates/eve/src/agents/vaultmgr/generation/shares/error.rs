//! Why the share table was not read or changed, by what to do about it.

use std::io;

use vault::escrow::restore::OtherTable;
use vault::shares::{AddError, NextError, OpenError};

use crate::agents::vaultmgr::generation::roots::TpmmgrError;
use crate::agents::vaultmgr::hands::crypt::CryptError;

/// Why the table was not read or changed. What was there stands.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SharesError {
    /// tpmmgr.
    #[error("the TPM's roots can't be read or defined; see `eve status`")]
    Tpm(#[from] TpmmgrError),
    /// The file.
    #[error("the share table in persist/vaults/.shares can't be written; it is tried again by itself")]
    File(#[from] disk::Error),
    /// Something of it has another name too, or is no file.
    #[error(
        "the share table in persist/vaults/.shares can't be written, or what it replaced can't be wiped: {shown} has another name too, under which its shares would stay, or is no file of ours: `find {persist} -xdev -samefile {shown}` lists its names; remove the others, or what stands there; it is tried again by itself"
    )]
    TwoNames {
        /// Its path.
        shown: String,
        /// The filesystem that it lies on.
        persist: String,
    },
    /// The disk.
    #[error("the share table in persist/vaults/.shares can't be written; it is tried again by itself")]
    Io(#[from] io::Error),
    /// A copy of it, while no other opens.
    #[error(
        "a copy of the share table can't be read, {shown}, and none that can opens: nothing is concluded, and it is tried again by itself; meanwhile the share table in escrow stands in for it, where the controller gives that to this boot (`evc escrow list`, `evc reference approve`); see what `dmesg` says of the disk, and put right what stands there; only if that copy is lost for good move it away, and what escrow has comes back, or `eve vault recreate config` begins a new table"
    )]
    Unread {
        /// Its path.
        shown: String,
        /// What the disk says.
        source: io::Error,
    },
    /// A copy of it, while it is at hand.
    #[error(
        "a copy of the share table in persist/vaults/.shares and persist/vaults/.meta/.shares is gone or damaged, or can't be seen, and is not written anew: the table is in memory until eve ends, and with both copies gone no vault with a TPM share opens after that; mend it before the node boots, and it is written anew by itself"
    )]
    Copies(#[source] disk::Error),
    /// Adding.
    #[error(
        "no share can be added to the share table in persist/vaults/.shares; it is tried again by itself"
    )]
    Add(#[from] AddError),
    /// Opening.
    #[error(
        "the vault's share in the share table in persist/vaults/.shares does not open; it is tried again by itself"
    )]
    Open(#[from] OpenError),
    /// Carrying all shares over into the next generation.
    #[error(
        "the share table of the next generation can't be made, and all stays as it is: see the vault that is named in `eve vault list`"
    )]
    Next(#[from] NextError),
    /// The generation before is in force.
    #[error(
        "the TPM's secrets were not changed, so that what was erased is not dead yet, and what came back from escrow, or is to be new, is not bound to this boot; it is tried again by itself"
    )]
    NotChanged(#[source] Box<SharesError>),
    /// Nothing of the next generation was begun.
    #[error(
        "the TPM's NV is full: it has room for {fit} of the {wanted} indices that this node has while its secrets are changed; free indices that nothing needs (`tpm2_nvreadpublic` lists them, `tpm2_nvundefine INDEX` frees one), and it is done by itself"
    )]
    NvFull {
        /// There, or would fit.
        fit: u32,
        /// While a generation ends.
        wanted: u32,
    },
    /// The same.
    #[error(
        "{0} NV indices of the TPM where this node's next secrets are to be are another system's: see `eve check`, and where nothing needs them `tpm2_nvundefine INDEX` frees them; then it is done by itself"
    )]
    NvTaken(u32),
    /// The next boot would be another one than that of now.
    #[error(
        "PCRs of the TPM were extended since the boot, so secrets that are bound to them now would not open after the next one; it is done by itself after that: boot the node, and let nothing extend PCRs that seal (`eve status` names them) once it runs"
    )]
    Extended,
    /// What came back from escrow.
    #[error(
        "the share table in persist/vaults/.shares is lost, and the one in escrow is not of the roots that this TPM has now: bring the table back from a copy of the disk, or begin a new one with `eve vault recreate config`"
    )]
    OtherTable(#[from] OtherTable),
    /// What came back from escrow.
    #[error(
        "the share table in escrow is, as it seems, of another disk than persist, so it is not taken: of the vaults that the bundle has key files of none stands there, or each under another key, and its shares open none of what lies there; if the disk at persist is another one, shut down and put the right one back; this TPM, or what config/ names, may be another node's too: bring TPM, config/ and disk of one node together; only if they are, as where all vaults were made anew since, or if the right disk is lost, begin a new table with `eve vault recreate config --despite-escrow`"
    )]
    OtherDisk,
    /// While roots of another generation are there, that could be taken for those in force.
    #[error(
        "what is left in the TPM of another generation of roots is taken away first; it is tried again by itself"
    )]
    Leftovers,
    /// An errand to the TPM is out.
    #[error(
        "the share table stays as it is while the TPM is asked, which has not answered yet; it is tried again by itself"
    )]
    Lent,
    /// The one at hand is not the one on the disk.
    #[error(
        "the share table in persist/vaults/.shares can't be read, and the one from escrow that stands in for it is not changed: see `eve status`; it is tried again by itself once that reads"
    )]
    StandsIn,
    /// Somebody else wrote it.
    #[error(
        "the share table in persist/vaults/.shares is newer on the disk (edition {there}) than what vaultmgr wrote last (edition {known}), so nothing is written over it and it is read anew: see that no other `eve run` and no copy of an older disk writes to this persist filesystem"
    )]
    Overtaken {
        /// On the disk.
        there: u64,
        /// In memory.
        known: u64,
    },
    /// Whether this is a first boot hangs on it.
    #[error("whether vaults are in persist/vaults can't be seen; it is tried again by itself")]
    Vaults(#[from] CryptError),
    /// The TPM's root is not at hand.
    #[error(
        "the TPM root that seals this share can't be read now; it is tried again by itself, and at once by `eve vault unlock`"
    )]
    NoRoot,
    /// Both places in the TPM are taken by what may not go.
    #[error(
        "the TPM has no place for another generation of roots: what is left in it may still open vaults; see `eve status`"
    )]
    NoPlace,
    /// The random number generator.
    #[error("the TPM or the kernel gave no random numbers; it is tried again by itself")]
    Random,
}

impl SharesError {
    /// Whether what failed passes by itself, and may be tried again soon.
    pub(crate) fn passes(&self) -> bool {
        match self {
            Self::Tpm(error) => error.passes(),
            Self::NotChanged(why) => why.passes(),
            _ => false,
        }
    }
}
