//! The domain of EVE Vault: what a vault is, what to do next on its node, and when its key may leave the controller.
//! Kernel words (policy, identifier, key status) are those of Documentation/filesystems/fscrypt.rst; attestation's are RFC 9334's.
//! Invariant: no IO, no clock, no randomness; all three are arguments.
//!
//! The node's side is four layers, and each asks only those above it:
//! * [`belief`]: what the node takes as said. It hears answers, the record and the TPM, and says what is to be kept, shown or
//!   dropped. Which section counts is decided here.
//! * [`wanted`]: what is wanted of each vault, and on what authority; the record of what was accepted, and its place in the chain.
//! * [`condition`]: what each vault *is*, from what was seen and the keys at hand: unmade and how far, whole, broken and what is
//!   gone, or somebody else's. Which [`generations`] of the TPM's roots there are comes before it.
//! * [`plan`](mod@plan): the next step for each vault, and for the node.
//!
//! Beside them stands [`ordered`]: when an order of root's is taken, what it gives up, and what has become of it.
//!
//! The controller's side: [`policy`] (what the operator writes), [`decide`](mod@decide) (may a key go out), [`life`] (what may become
//! of a vault), [`rotation`] (its epochs), [`draft`] (what a section says of all of them), [`ledger`] (the chain of sections to one device), [`doubled`]
//! (whether a device may be two), [`foresee`](mod@foresee) (what an update will do), [`labels`] (of which devices a rule gives a vault),
//! [`coverage`] (against which threats a policy holds).
//!
//! Of both is [`escrow`]: what a node gives into the controller's hands, which of it is kept, and when it goes back.
//!
//! Both sides share [`space`] (storage limits), [`ids`], [`secret`], [`lease`], [`section`], [`cause`], [`custody`], [`shares`], [`roots`], [`defaults`], [`report`], [`opened`], [`recovery`], [`text`].

#![warn(missing_docs)]

pub mod belief;
pub mod cause;
pub mod condition;
pub mod coverage;
pub mod custody;
pub mod decide;
pub mod defaults;
pub mod device;
pub mod doubled;
pub mod draft;
pub mod escrow;
pub mod foresee;
pub mod generations;
pub mod ids;
pub mod labels;
pub mod lease;
pub mod ledger;
pub mod life;
pub mod opened;
pub mod ordered;
pub mod plan;
pub mod policy;
pub mod recovery;
pub mod report;
pub mod roots;
pub mod rotation;
pub mod secret;
pub mod section;
pub mod shares;
pub mod space;
pub mod text;
pub mod wanted;
