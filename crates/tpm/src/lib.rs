//! The node's TPM 2.0: identity keys, quotes and the two NV roots of a generation, over the TPM Software Stack.
//!
//! Words are the standard's (TPM 2.0 Library, Parts 1 to 3; TCG EK Credential Profile): EK, AK, hierarchy,
//! qualifying data, PolicyPCR, PolicyOR. Ours are *root* and *generation*: see [`Generation`].
//!
//! One [`Tpm`] owns the connection, and on a node only `tpmmgr` has one. Everything is synchronous and bounded
//! in time. Whatever carries a secret goes through a session salted to an EK that the caller pinned, with its
//! parameters encrypted, so a listener on the bus learns nothing.
//!
//! Never here: X.509, files, clocks, the network beyond a configured TCTI. The crate knows nothing of vaults.
//!
//! libtss2 logs to stderr by itself; run with `TSS2_LOG=all+none` in the environment to keep it still.
//!
//! | | where | what |
//! | --- | --- | --- |
//! | EK | made from its template (P-384, else P-256 or RSA-2048), never trusted from a handle | salts every session; its name is pinned by the caller |
//! | AK | `0x81000004`, endorsement hierarchy | ECDSA P-256, restricted, attributes `0x50472`; signs quotes |
//! | ECDH key | `0x81000005` | not used yet |
//! | device key | `0x817fffff` | ECDSA P-256; signs messages to the controller |
//! | roots | NV, two slot sets: see the table in `slots.rs` | T, P, and the PCR states that P is bound to |
//!
//! Where another system keeps something at one of these handles, a key of ours lies at one of its spare ones. T is readable by this
//! TPM in any state. P is readable only while the PCRs (0 to 4, 6 to 14) are as they were when P was made. Under another EK than
//! the pinned one identity is served, and no root is read or written. A TPM that is configured and fails is never "no TPM". Nothing
//! of ours counts towards dictionary-attack lockout. One thread owns the connection, so a TPM that hangs costs an error, and not the
//! process.

#![warn(missing_docs)]

mod counts;
mod ek;
mod error;
mod health;
mod identity;
mod keys;
mod nv;
mod owner;
mod pcr;
mod policy;
mod presence;
mod quote;
mod raw;
mod record;
mod room;
mod root;
mod roots;
mod session;
mod shell;
mod signature;
mod slots;
mod tcti;
mod tpm;
mod worker;

pub use counts::Commands;
pub use ek::{EkName, EkPublic};
pub use error::{
    AuthLack, CommandError, DefineRootError, Meaning, OpenError, PinError, ProvisionError, QuoteError,
    ReadRootError, TpmError,
};
pub use health::Health;
pub use identity::{Identity, KeyPublic};
pub use keys::{AK_HANDLE, DEVICE_HANDLE, ECDH_HANDLE};
pub use owner::{OwnerAuth, TooLong};
pub use pcr::{BadSelection, PCR_COUNT, PcrBank, PcrSelection, PcrValues};
pub use policy::{BadPolicy, MAX_BRANCHES, PcrPolicy, PolicyDigest, pcr_policy_digest, policy_or_digest};
pub use presence::{Probed, probe};
pub use quote::Quote;
pub use room::NvRoom;
pub use root::Root;
pub use signature::{Digest32, EcdsaSignature};
pub use slots::{Generation, RootKind, RootPolicy, SlotSet, SlotState};
pub use tcti::{BadTcti, DEFAULT_DEVICE, Tcti};
pub use tpm::{OPEN_PATIENCE, Tpm};
