//! The bus on one page: a row for each topic and each call. Identifiers, rights, bounds, what `eve bus tail` follows, what
//! `eve bus table` prints, and the types of answer and error follow from it: to add a message, write its type into
//! [`super::messages`] and a row here. What has no row is refused.
//!
//! Root on the node hears every topic. Places in the lists are what goes over the wire between agents of one build.

use serde::{Deserialize, Serialize};
use vault::ids::VaultId;
use vault::report::VaultReport;

use super::messages::{
    AcceptController, Agents, Bytes, ControllerStatus, CourierRefusal, DefineRoots, EscrowWish, Evidence,
    EvidenceWanted, ExportEvidence, Health, ImportAnswer, Imported, LockVault, NetworkStatus, Onboarded,
    Onboarding, OrderError, ReadRoots, Recover, Recreate, RoomForRoots, Roots, Session, Sign, Signed,
    SignedConfig, SignedWord, TpmHealth, TpmRefusal, TpmRoom, TpmStatus, UndefineRoots, UnlockVault,
    VaultChange, VaultStatus, Vaults,
};
use super::{Agent, Call, MAX_FRAME, Topic, Whole};

const KIB: usize = 1 << 10;
/// Lists of certificates, and of as many vaults or interfaces as there may be.
const LISTS: usize = 1 << 20;
/// The longest refusal, whatever was asked.
pub(super) const MOST_REFUSAL: usize = 16 * KIB;

contract! {
    topics {
        /// The agents' processes.
        Agents: Supervisor to [Zedagent], at most 4 * KIB;
        /// Interfaces, addresses and location.
        NetworkStatus: Nim to [Client, Zedagent, Tpmmgr], at most 64 * KIB;
        /// The TPM: how it is, and its public keys.
        TpmStatus: Tpmmgr to [Client, Zedagent, Vaultmgr], at most 64 * KIB;
        /// How far the device is with its onboarding.
        Onboarding: Client to [], at most 64 * KIB;
        /// Who the device is.
        Onboarded: Client to [Zedagent], at most LISTS;
        /// The controller's signed answer, as received.
        SignedConfig: Zedagent to [Vaultmgr], at most MAX_FRAME;
        /// The controller's signed answer where it says something of the escrow alone, as received.
        SignedWord: Zedagent to [Vaultmgr], at most MAX_FRAME;
        /// What is to be put in escrow, and asked back.
        EscrowWish: Vaultmgr to [Zedagent], at most MAX_FRAME;
        /// The controller's question.
        EvidenceWanted: Zedagent to [Tpmmgr], at most 4 * KIB;
        /// How it goes with the controller.
        ControllerStatus: Zedagent to [Client], at most 64 * KIB;
        /// One process of vaultmgr, by its public key: evidence is bound to it.
        Session: Vaultmgr to [Tpmmgr, Zedagent], at most 4 * KIB;
        /// The answer to the question.
        Evidence: Tpmmgr to [Zedagent], at most LISTS;
        /// The vaults.
        VaultStatus(VaultChange): Vaultmgr to [Zedagent], at most LISTS;
    }
    calls {
        /// Sign with the device key; never evidence.
        Sign: [Client, Zedagent] of Tpmmgr -> Result<Signed, TpmRefusal>, at most (3 * LISTS, KIB);
        /// Read the TPM's roots.
        ReadRoots: [Vaultmgr] of Tpmmgr -> Result<Roots, TpmRefusal>, at most (KIB, 4 * KIB);
        /// Make a generation of them.
        DefineRoots: [Vaultmgr] of Tpmmgr -> Result<(), TpmRefusal>, at most (KIB, KIB);
        /// Whether another fits beside it.
        RoomForRoots: [Vaultmgr] of Tpmmgr -> Result<TpmRoom, TpmRefusal>, at most (KIB, KIB);
        /// Destroy one.
        UndefineRoots: [Vaultmgr] of Tpmmgr -> Result<(), TpmRefusal>, at most (KIB, KIB);
        /// How the TPM is.
        Health: [Operator, Zedagent] of Tpmmgr -> Result<TpmHealth, TpmRefusal>, at most (KIB, 4 * KIB);
        /// Open a vault.
        UnlockVault(id): [Operator] of Vaultmgr -> Result<VaultReport, OrderError>, at most (KIB, 64 * KIB);
        /// Close a vault.
        LockVault(id): [Operator] of Vaultmgr -> Result<VaultReport, OrderError>, at most (KIB, 64 * KIB);
        /// Open a vault by its recovery key.
        Recover(id): [Operator] of Vaultmgr -> Result<VaultReport, OrderError>, at most (KIB, 64 * KIB);
        /// Make a missing vault anew, empty.
        Recreate(id): [Operator] of Vaultmgr -> Result<VaultReport, OrderError>, at most (KIB, 64 * KIB);
        /// Accept another controller.
        AcceptController: [Operator] of Vaultmgr -> Result<VaultStatus, OrderError>, at most (KIB, LISTS);
        /// Take an answer that came by a file.
        ImportAnswer: [Operator] of Zedagent -> Result<Imported, CourierRefusal>, at most (MAX_FRAME, 4 * KIB);
        /// Make evidence for a file, over an answer's challenge.
        ExportEvidence: [Operator] of Zedagent -> Result<Bytes, CourierRefusal>, at most (MAX_FRAME, LISTS);
        /// The status of every vault.
        Vaults: [Operator] of Vaultmgr -> Result<VaultStatus, OrderError>, at most (KIB, LISTS);
    }
}

/// Does something for each topic, whatever its type is.
pub(crate) trait EachTopic {
    /// For this one.
    fn topic<T: Topic>(&mut self);
}
