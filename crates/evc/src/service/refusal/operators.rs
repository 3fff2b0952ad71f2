//! Why an operator was refused.

use ::attest::Unmeasured;
use vault::ids::{BadName, DeviceId, Generation, Name};
use vault::labels::BadLabels;
use vault::life::{NodeAt, NotDone, NotLetIn, Unfit};
use vault::report::State;
use wire::cert::CertificateError;
use wire::courier::CourierError;

use crate::custody::CustodyError;
use crate::fleet::evidence::BadEvidence;
use crate::store::{DeviceRow, UnixSeconds, VaultStanding};

use super::Refusal;

/// A request that is not what it should be.
#[derive(Debug)]
pub enum BadRequest {
    /// Its body is not JSON of its form.
    Json {
        /// The form.
        form: Form,
        /// What is wrong.
        why: serde_json::Error,
    },
    /// A name is none.
    Name(BadName),
    /// No onboarding certificate.
    OnboardingCertificate(CertificateError),
    /// No serial.
    Serial,
    /// What is kept of deleted devices goes to one that is named.
    GiveBackToAny,
    /// No certificate's SHA-256.
    CertificateDigest,
    /// No token's SHA-256.
    TokenHash,
    /// Labels are none.
    Labels(BadLabels),
    /// The place to go on from in a list of vaults is no device and vault.
    AfterVault,
    /// The place to go on from in a list of reference values is no number.
    AfterReference,
    /// The time after which a vault is to be erased is out of bounds.
    DeleteAfter {
        /// As it was given.
        seconds: u64,
    },
    /// A PCR is not among those that are appraised.
    PcrNotAppraised {
        /// Its number.
        pcr: u8,
    },
    /// PCR values are not all of one bank.
    PcrValues,
    /// No PCR value is given.
    NoPcrs,
    /// A courier's file does not read.
    Courier(CourierError),
    /// A courier's file is not sent in base64.
    CourierText,
    /// What is in a courier's file does not belong together.
    CourierMixed,
    /// A courier's challenge can't live for so long.
    CourierLife,
}

/// What a body is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// [`crate::api::Allow`].
    Allow,
    /// [`crate::api::NewToken`].
    NewToken,
    /// [`crate::api::Labelling`].
    Labelling,
    /// [`crate::api::Rotation`].
    Rotation,
    /// [`crate::api::Rehoming`].
    Rehoming,
    /// [`crate::api::Adoption`].
    Adoption,
    /// [`crate::api::NewIdentity`].
    NewIdentity,
    /// [`crate::api::NewReference`].
    NewReference,
    /// [`crate::api::Exporting`].
    Exporting,
    /// [`crate::api::Importing`].
    Importing,
}

/// Why a token lets nobody in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NoToken {
    /// None came.
    Absent,
    /// Nobody has it.
    Unknown,
    /// Another one ended it meanwhile.
    Ended,
}

/// What is not there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unknown {
    /// A device.
    Device {
        /// As it was named.
        which: String,
    },
    /// A vault.
    Vault {
        /// As it was named.
        vault: Name,
        /// Its device.
        device: Name,
    },
    /// A default vault under its default policy: its node alone has its key.
    DefaultVault {
        /// Its name.
        vault: Name,
        /// Its device.
        device: Name,
    },
    /// A policy.
    Policy {
        /// Its name.
        policy: Name,
    },
    /// A rule.
    Rule {
        /// Its name.
        rule: Name,
    },
    /// A reference value.
    Reference {
        /// Its number.
        id: i64,
    },
    /// A deleted device, of which nothing is kept, or of more than one of the name.
    DeletedDevice {
        /// As it was named.
        which: String,
    },
    /// A bundle in escrow.
    Bundle {
        /// Its device.
        device: Name,
        /// Its generation.
        generation: Generation,
    },
    /// A bundle in escrow, by the beginning of its SHA-256.
    BundleOfName {
        /// Its device.
        device: Name,
    },
    /// A device's bundle, of which there is none.
    NoBundle {
        /// The device.
        device: Name,
    },
    /// An allowance to onboard.
    Allowance {
        /// Its serial.
        serial: String,
    },
    /// A path of the API.
    Path,
}

/// What stands in an operator's way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InTheWay {
    /// It is there already.
    Taken,
    /// A name is another device's, or kept for one.
    OthersName {
        /// The name.
        name: Name,
    },
    /// The same was allowed with another name.
    AllowedOtherwise,
    /// Another project allowed the same.
    AllowedElsewhere,
    /// The kernel fixed the encryption of a policy's vaults when they were made.
    EncryptionOfVaults {
        /// The policy.
        policy: Name,
    },
    /// Default vaults have no lease: in one of them the node keeps whom it belongs to.
    LeaseOfDefault {
        /// The policy.
        policy: Name,
        /// The default vault.
        vault: Name,
    },
    /// The Config Vault has no storage limit: in it the node writes what it was told.
    LimitOfConfig {
        /// The policy.
        policy: Name,
        /// The default vault.
        vault: Name,
    },
    /// A policy can't be met on a device.
    Unfit {
        /// The policy.
        policy: Name,
        /// The device.
        device: Name,
        /// Why.
        why: Unfit,
    },
    /// A vault names the policy.
    PolicyInUse {
        /// The policy.
        policy: Name,
        /// The vault.
        vault: Name,
        /// Its device.
        device: Name,
    },
    /// A rule names the policy.
    PolicyOfRule {
        /// The policy.
        policy: Name,
        /// The rule.
        rule: Name,
    },
    /// A vault of a deleted device names a policy: it comes back under it.
    PolicyOfDeleted {
        /// The policy.
        policy: Name,
        /// The vault.
        vault: Name,
        /// The device's name then.
        device: Name,
    },
    /// A device has vaults, whose keys would go with it.
    HasVaults {
        /// The device.
        device: Name,
        /// Its vaults.
        vaults: Vec<Name>,
    },
    /// A device has a bundle in escrow, which would go with it.
    HasBundle {
        /// The device.
        device: Name,
        /// When the bundle came.
        received_at: UnixSeconds,
    },
    /// A reference value is of a boot that nothing measured: its approval would approve of any software.
    Unmeasured {
        /// Its number.
        reference: i64,
        /// Its device.
        device: Name,
        /// What shows it.
        why: Unmeasured,
    },
    /// A bundle is its device's newest.
    BundleInForce {
        /// Its device.
        device: Name,
        /// Its generation.
        generation: Generation,
    },
    /// A bundle is of a generation of its node's TPM secrets that is over.
    BundleOver {
        /// Its device.
        device: Name,
        /// Its generation.
        generation: Generation,
        /// The one that the node says is in force.
        in_force: Generation,
    },
    /// PCR values that are given have to be like others, and none are approved.
    NothingAlike {
        /// The device.
        device: Name,
        /// The PCRs that are lacking.
        lacking: Vec<u8>,
    },
    /// The same values are a reference value already.
    SameReference {
        /// Its number.
        id: i64,
    },
    /// The challenge that a courier's file answers is over.
    CourierOver {
        /// The device.
        device: Name,
        /// It is marked as lost.
        is_lost: bool,
    },
    /// The evidence in a courier's file is worth nothing.
    CourierRefused {
        /// The device.
        device: Name,
        /// It is marked as lost.
        is_lost: bool,
        /// Why.
        why: BadEvidence,
    },
    /// A file names one vault twice: its device by its name, and by its identity.
    VaultTwice {
        /// The vault.
        vault: Name,
        /// The device.
        device: Name,
        /// The line of the first one, from 1.
        line: u64,
    },
    /// A device is not let in as the one whose lists its node holds to.
    NotLetIn {
        /// The device.
        device: Name,
        /// As which it was to be.
        wished: DeviceId,
        /// Why.
        cause: NotLetIn,
    },
    /// What is to go over to another device has a key that does not open, and that its node may need.
    KeyShut {
        /// The vault.
        vault: Name,
        /// Its device.
        device: Name,
    },
    /// It can't be undone, and what it is done to was not named again.
    NotConfirmed {
        /// What is to be named again.
        name: Name,
        /// What would be done.
        act: Irrevocable,
    },
}

/// An act that can't be undone, whatever it is done to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Irrevocable {
    /// A vault is made anew.
    Recreate,
    /// A vault leaves its device.
    Rehome {
        /// The device.
        device: Name,
    },
    /// Bundles of a device are forgotten.
    ForgetBundles,
    /// What is kept of a deleted device is forgotten.
    ForgetDevice,
    /// The attestation key that is pinned of a device is forgotten.
    Repin,
    /// A device has another identity from then on.
    Identify,
    /// A node may be shut out by a second new key.
    Force {
        /// Where it stands.
        node: NodeAt,
    },
    /// Keys go out again to a device of which there may be two, or that was ahead of this database.
    Settle,
    /// A device goes with all that it has.
    DeleteDevice {
        /// Its vaults.
        vaults: Vec<AtStake>,
    },
}

/// A vault whose keys would go with its device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AtStake {
    /// Its name.
    pub name: Name,
    /// What is known of it; none: its row does not read.
    pub known: Option<(VaultStanding, Option<State>)>,
}

/// What stands in the way of something in a vault's life.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LifeRefusal {
    /// The vault, as it is called in words.
    pub vault: Name,
    /// The device that it is on; of a vault that is to be moved, and can't be because of the other device, that one.
    pub device: Name,
    /// What it is.
    pub cause: NotDone,
}

/// Of a key that is to go over with its vault.
pub(crate) fn key_shut(error: CustodyError, device: &Name, vault: &Name) -> Refusal {
    match error {
        CustodyError::Unsealed(row) | CustodyError::Absent(row) => {
            tracing::error!(%row, %device, %vault, "this key does not open");
            InTheWay::KeyShut { vault: vault.clone(), device: device.clone() }.into()
        }
        other => other.into(),
    }
}

/// A cause in a vault's life, as a refusal.
pub(crate) fn in_life(device: &DeviceRow, vault: &Name, cause: impl Into<NotDone>) -> Refusal {
    LifeRefusal { vault: vault.clone(), device: device.name.clone(), cause: cause.into() }.into()
}
