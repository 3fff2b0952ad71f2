//! What tpmmgr is asked.

use attest::SessionKey;
use serde::{Deserialize, Serialize};
use vault::ids::Generation;
use wire::control::PcrMask;

use super::{Bytes, Causes};
use crate::bus::BusRoot;

/// Why tpmmgr did not do it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum TpmRefusal {
    /// There is none, by the installer's word.
    #[error("this node has no TPM: config/tcti says so; custody `controller` needs none")]
    NoTpm,
    /// No root is read or written with a strange one.
    #[error(
        "this is not the TPM that this node was installed with (config/ek.pub): no root is read or written, and no vault of its custody opens; bring the node's own TPM back; if this is its own, config/ek.pub and config/device.cert.pem are both another's: bring these back"
    )]
    OtherTpm,
    /// A payload that would pass for evidence.
    #[error("evidence is signed by tpmmgr alone, and not at an agent's request: run the agents of one `eve`")]
    Evidence,
    /// Nobody approved the PCRs of now.
    #[error(
        "PCRs of the TPM are others than this node's evidence showed first in vaultmgr's session, or it showed none since tpmmgr started, so no secret is bound to them. If none was shown, it is done by itself after the next evidence, if the controller approves what that shows. If they were extended since, later evidence of the session does not help: boot the node, and let nothing extend PCRs that seal (`eve status` names them) once it runs; or, if the next boot will have the PCRs of now, start `eve run` anew, whose vaultmgr has another session"
    )]
    NotShown,
    /// The TPM, or the key in a file, did not do it.
    #[error("the TPM, or the key in config/, did not do it: see `eve status`")]
    Failed {
        /// What whoever asked goes by.
        fault: TpmFault,
        /// What is told.
        #[source]
        causes: Causes,
    },
}

/// What is the matter with the TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TpmFault {
    /// It is busy, does not answer or was not reached: that passes.
    Silent,
    /// Its NV has no room.
    NvFull,
    /// Something lies where a root is to be.
    Occupied,
    /// It is in lockout, or its owner's password is not known.
    Forbidden,
    /// Any other.
    Other,
}

/// tpmmgr: sign a payload with the device key. Evidence is refused.
#[derive(Debug, Serialize, Deserialize)]
pub struct Sign {
    /// What is hashed and signed.
    pub payload: Bytes,
}

/// A signature, `r || s`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Signed {
    /// 64 bytes.
    pub signature: Bytes,
}

/// tpmmgr: read all roots.
#[derive(Debug, Serialize, Deserialize)]
pub struct ReadRoots;

/// All roots of this TPM.
#[derive(Debug, Serialize, Deserialize)]
pub struct Roots {
    /// Both slot sets, those that are absent altogether left out.
    pub sets: Vec<RootSet>,
}

/// The roots of one generation.
#[derive(Debug, Serialize, Deserialize)]
pub struct RootSet {
    /// Which they say they are; where no root reads, the lowest that has its place there (1 or 2).
    pub generation: Generation,
    /// `T_g`.
    pub tpm: RootSlot,
    /// `P_g`.
    pub pcrs: RootSlot,
}

/// One slot.
#[derive(Debug, Serialize, Deserialize)]
pub enum RootSlot {
    /// Its root.
    Root(BusRoot),
    /// Not defined.
    Absent,
    /// Defined, never written.
    Unwritten,
    /// Readable under other PCRs only.
    PcrsMoved {
        /// Those that differ; empty when that is not known.
        differ: Vec<u8>,
    },
    /// Written, and PCRs were extended all the time while it was to be read.
    Unsteady,
    /// Not what we write.
    Damaged,
}

/// tpmmgr: define, write and read back a generation's roots.
#[derive(Debug, Serialize, Deserialize)]
pub struct DefineRoots {
    /// Which.
    pub generation: Generation,
    /// `T_g`.
    pub tpm: BusRoot,
    /// `P_g`.
    pub pcrs: BusRoot,
    /// Which PCRs, in their present state, guard `P_g`; none: EVE's sealing set.
    pub selection: Option<PcrMask>,
    /// Their present state has to be the one that all evidence of this session's showed.
    pub as_shown: Option<SessionKey>,
}

/// tpmmgr: undefine a generation's roots.
#[derive(Debug, Serialize, Deserialize)]
pub struct UndefineRoots {
    /// Which.
    pub generation: Generation,
}

/// tpmmgr: whether roots of another generation fit beside those that are there, and may be bound to the PCRs of now.
#[derive(Debug, Serialize, Deserialize)]
pub struct RoomForRoots {
    /// As in [`DefineRoots`].
    pub as_shown: Option<SessionKey>,
}

/// What of all NV indices of two generations is there, or would fit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum TpmRoom {
    /// All of them.
    Enough,
    /// So many.
    Full {
        /// There, or would fit.
        fit: u32,
        /// All that there are while a generation ends.
        wanted: u32,
    },
    /// So many of them are another system's.
    Taken { foreign: u32 },
}

/// tpmmgr: how the TPM is.
#[derive(Debug, Serialize, Deserialize)]
pub struct Health;

/// How the TPM is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmHealth {
    /// Dictionary-attack lockout is on.
    pub in_lockout: bool,
    /// Failed authorisations counted.
    pub lockout_counter: Option<u32>,
    /// Sessions that still fit.
    pub sessions_free: Option<u32>,
    /// What was asked of it since tpmmgr opened it.
    pub commands: TpmCommands,
}

/// How much was asked of the TPM.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmCommands {
    /// Calls that send a command.
    pub calls: u64,
    /// Reads of a root.
    pub root_reads: u64,
}
