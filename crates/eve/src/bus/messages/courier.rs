//! What root brings and takes for a node without a line: the same signed bytes, by a file.

use serde::{Deserialize, Serialize};
use vault::ids::{DeviceId, SectionVersion};

use super::Bytes;

/// A signed answer of the controller's that came by a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CarriedAnswer {
    /// The envelope.
    pub envelope: Bytes,
    /// The controller's certificates, the list as received.
    pub certs: Bytes,
}

/// zedagent: take a signed answer as if the controller had given it to a poll.
#[derive(Debug, Serialize, Deserialize)]
pub struct ImportAnswer(pub CarriedAnswer);

/// What of an answer was passed on to vaultmgr.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Imported {
    /// The device that it is for.
    pub device: DeviceId,
    /// Its section, where one is for this session.
    pub section: Option<SectionVersion>,
    /// The section was accepted before.
    pub known: bool,
    /// So many vaults are ordered to be locked, where there is no section.
    pub orders: usize,
    /// Which demand the session's evidence does not meet, coarsely; else empty.
    pub lacks: String,
    /// It asks for evidence.
    pub asks: bool,
    /// It gives this node's bundle back from escrow.
    pub rescue: bool,
}

/// zedagent: make evidence over the challenge of a signed answer, and what else this device would post.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportEvidence {
    /// The answer.
    pub answer: CarriedAnswer,
    /// The device's certificate, PEM.
    pub device_cert: Bytes,
}

/// Why a courier's file was not taken, or not made. Whatever it is, nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum CourierRefusal {
    /// Not this node's controller's.
    #[error(
        "the file is not signed by the controller of this node, whose root certificate is config/root-certificate.pem ({why}): take the file as `evc export` of that controller wrote it"
    )]
    NotBelieved {
        /// What does not verify.
        why: String,
    },
    /// For the key of another device.
    #[error(
        "the file is for device {0}, whose key is not this node's: bring one for this device, of `evc export` at its controller"
    )]
    OtherDevice(DeviceId),
    /// For an earlier life of vaultmgr.
    #[error(
        "this file was made for an earlier start of this node, and no vault opens by it: run `eve export-evidence` again, and bring what it writes to the controller"
    )]
    OtherSession,
    /// One that is older was accepted.
    #[error(
        "this file is older than what the controller of this node said last (list of vaults {file}, and {accepted} was accepted): bring another one, written by `evc export`"
    )]
    Older {
        file: u64,
        /// The number that was accepted.
        accepted: u64,
    },
    /// Nothing is asked.
    #[error(
        "the file has no challenge of a controller: export another one there, and take it with `eve import`"
    )]
    NoChallenge,
    /// Another order is at it.
    #[error(
        "the agent zedagent makes evidence for another `eve export-evidence`, whose challenge a second one would take away: wait until that has written its file, two minutes at most, and see `eve status` if it writes none"
    )]
    Busy,
    /// Not yet.
    #[error(
        "{agent} has not said yet what is needed for it (its key, or its session): see `eve status`, and give the order again"
    )]
    NotYet { agent: crate::bus::Agent },
    /// The device's certificate.
    #[error(
        "config/device.cert.pem is no certificate of this node's key: a node registers by a line, before it is served by a courier; see `eve status`"
    )]
    NotRegistered,
    /// It could not be made.
    #[error("the agent zedagent can't make the file ({why}): see `eve status`, and give the order again")]
    NotMade { why: String },
    /// Its life is over, or another one asked.
    #[error("the agent zedagent ends, or was asked again meanwhile; give the order again")]
    Ending,
}
