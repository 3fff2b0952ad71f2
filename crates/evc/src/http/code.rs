//! What each refusal is called, for programs. Its status follows from that: [`Code::status`].

use vault::life::{
    NotAdopted, NotApplied, NotDeleted, NotDone, NotLetIn, NotRecreated, NotRehomed, NotRotated,
};

use crate::api::Code;
use crate::service::{Barred, Body, InTheWay, NotAdmitted, Refusal, Unknown, Unproved};
use crate::store::StoreError;

/// The code of a refusal; of a document's, that of what is wrong with it.
pub(super) fn code(refusal: &Refusal) -> Code {
    match refusal {
        Refusal::Body(Body::Cut | Body::Unread) => Code::BodyUnreadable,
        Refusal::Body(Body::TooLong { .. }) => Code::BodyTooLong,
        Refusal::Message(_) => Code::MessageUnreadable,
        Refusal::Unproved(unproved) => unproved_code(*unproved),
        Refusal::NotAdmitted(cause) => not_admitted(cause),
        Refusal::Barred(barred) => barred_code(barred),
        Refusal::Stale(_) => Code::ReportStale,
        Refusal::Request(_) => Code::RequestUnreadable,
        Refusal::File(_) => Code::FileInvalid,
        Refusal::Document { cause, .. } => code(cause),
        Refusal::NoToken(_) => Code::TokenBad,
        Refusal::Unknown(unknown) => unknown_code(unknown),
        Refusal::InTheWay(cause) => in_the_way(cause),
        Refusal::Life(refusal) => in_life(&refusal.cause),
        Refusal::Busy => Code::Busy,
        Refusal::Custody(_) => Code::KeysUnusable,
        Refusal::Store(StoreError::Disk(_)) => Code::DiskFailed,
        Refusal::Store(StoreError::Exchanged | StoreError::LogRemoved | StoreError::Overwritten) => {
            Code::DatabaseMoved
        }
        Refusal::Store(StoreError::Damaged(_)) => Code::DatabaseDamaged,
        Refusal::Store(_) => Code::DatabaseFailed,
        Refusal::Fault(_) => Code::Failed,
    }
}

fn unproved_code(unproved: Unproved) -> Code {
    match unproved {
        Unproved::Signature | Unproved::OtherCertificate => Code::SignatureBad,
        Unproved::NoSuchCertificate | Unproved::NotRegistered => Code::DeviceUnregistered,
        Unproved::Removed => Code::DeviceRemoved,
        Unproved::KeyNotShown => Code::KeyNotShown,
    }
}

fn not_admitted(cause: &NotAdmitted) -> Code {
    match cause {
        NotAdmitted::Serial { .. } => Code::SerialNotAllowed,
        NotAdmitted::OutOfTime(_) => Code::CertificateOutOfTime,
        NotAdmitted::Removed { .. } => Code::ReturnNotAllowed,
        NotAdmitted::Full { .. } => Code::AllowanceFull,
        NotAdmitted::OthersSerial => Code::SerialTaken,
        NotAdmitted::RegisteredOtherwise => Code::RegisteredOtherwise,
        NotAdmitted::TooOften { .. } => Code::CertifiedTooOften,
        NotAdmitted::OthersName { .. } => Code::DeviceNameTaken,
    }
}

fn barred_code(barred: &Barred) -> Code {
    match barred {
        Barred::OthersPath | Barred::OthersReport => Code::OtherDevice,
        Barred::Pinned { .. } | Barred::TakenOff { .. } => Code::CertificatePinned,
        Barred::Escrow { .. } => Code::EscrowBarred,
        Barred::LateTpm { .. } => Code::TpmCameLate,
    }
}

fn unknown_code(unknown: &Unknown) -> Code {
    match unknown {
        Unknown::Device { .. } | Unknown::DeletedDevice { .. } => Code::DeviceUnknown,
        Unknown::Vault { .. } | Unknown::DefaultVault { .. } => Code::VaultUnknown,
        Unknown::Policy { .. } => Code::PolicyUnknown,
        Unknown::Rule { .. } => Code::RuleUnknown,
        Unknown::Reference { .. } => Code::ReferenceUnknown,
        Unknown::Bundle { .. } | Unknown::BundleOfName { .. } | Unknown::NoBundle { .. } => {
            Code::BundleUnknown
        }
        Unknown::Allowance { .. } => Code::AllowanceUnknown,
        Unknown::Path => Code::PathUnknown,
    }
}

fn in_the_way(cause: &InTheWay) -> Code {
    match cause {
        InTheWay::Taken => Code::AlreadyThere,
        InTheWay::OthersName { .. } => Code::DeviceNameTaken,
        InTheWay::AllowedOtherwise => Code::AllowedOtherwise,
        InTheWay::AllowedElsewhere => Code::AllowedElsewhere,
        InTheWay::EncryptionOfVaults { .. } => Code::EncryptionFixed,
        InTheWay::LeaseOfDefault { .. } | InTheWay::LimitOfConfig { .. } | InTheWay::Unfit { .. } => {
            Code::PolicyUnfit
        }
        InTheWay::PolicyInUse { .. } | InTheWay::PolicyOfDeleted { .. } | InTheWay::PolicyOfRule { .. } => {
            Code::PolicyInUse
        }
        InTheWay::HasVaults { .. } => Code::DeviceHasVaults,
        InTheWay::HasBundle { .. } => Code::DeviceHasBundle,
        InTheWay::Unmeasured { .. } => Code::BootNotMeasured,
        InTheWay::BundleInForce { .. } => Code::BundleInForce,
        InTheWay::BundleOver { .. } => Code::BundleOver,
        InTheWay::NothingAlike { .. } => Code::ReferenceUnlike,
        InTheWay::SameReference { .. } => Code::AlreadyThere,
        InTheWay::CourierOver { .. } => Code::CourierOver,
        InTheWay::CourierRefused { .. } => Code::EvidenceRefused,
        InTheWay::VaultTwice { .. } => Code::FileInvalid,
        InTheWay::NotLetIn { cause, .. } => not_let_in(cause),
        InTheWay::KeyShut { .. } => Code::KeysUnusable,
        InTheWay::NotConfirmed { .. } => Code::NotConfirmed,
    }
}

fn in_life(cause: &NotDone) -> Code {
    match cause {
        NotDone::Applied(NotApplied::OtherEncryption) => Code::EncryptionFixed,
        NotDone::Applied(NotApplied::Full) => Code::DeviceFull,
        NotDone::Deleted(NotDeleted::NoGrace) => Code::NotConfirmed,
        NotDone::Rotated(cause) => not_rotated(*cause),
        NotDone::Recreated(NotRecreated::NotMissing) => Code::VaultNotMissing,
        NotDone::Recreated(NotRecreated::NeverMade) => Code::VaultNotMade,
        NotDone::Recreated(NotRecreated::NoDisk | NotRecreated::NotMounted) => Code::DiskNotThere,
        NotDone::Recreated(NotRecreated::InEscrow) => Code::DeviceHasBundle,
        NotDone::Adopted(cause) => not_adopted(cause),
        NotDone::Rehomed(cause) => not_rehomed(*cause),
    }
}

fn not_rotated(cause: NotRotated) -> Code {
    match cause {
        NotRotated::NoKeyHere => Code::NoControllerKey,
        NotRotated::Removing => Code::VaultRemoving,
        NotRotated::Elsewhere { .. } => Code::EpochOtherwise,
        NotRotated::Older(_) | NotRotated::NeverMade { .. } => Code::DatabaseOlder,
        NotRotated::NotTaken { .. } => Code::EpochNotTaken,
    }
}

fn not_adopted(cause: &NotAdopted) -> Code {
    match cause {
        NotAdopted::Unknown => Code::OrphanUnknown,
        NotAdopted::Several => Code::OrphanAmbiguous,
        NotAdopted::ForeignKey { .. } | NotAdopted::Elsewhere { .. } => Code::KeyForeign,
        NotAdopted::Listed { .. } => Code::VaultListed,
        NotAdopted::Gone { .. } => Code::VaultGone,
        NotAdopted::Closes { .. } => Code::VaultStillOpen,
        NotAdopted::Full => Code::DeviceFull,
        NotAdopted::NameTaken { .. } => Code::VaultNameTaken,
    }
}

fn not_let_in(cause: &NotLetIn) -> Code {
    match cause {
        NotLetIn::Lost | NotLetIn::Doubled => Code::DeviceBarred,
        NotLetIn::Unproved | NotLetIn::HeldBack => Code::EvidenceAbsent,
        NotLetIn::Itself | NotLetIn::Otherwise { .. } => Code::IdentityOtherwise,
        NotLetIn::Registered { .. } | NotLetIn::Deleted { .. } => Code::IdentityTaken,
        NotLetIn::Closes { .. } => Code::VaultStillOpen,
    }
}

fn not_rehomed(cause: NotRehomed) -> Code {
    match cause {
        NotRehomed::Older(_) => Code::DatabaseOlder,
        NotRehomed::SameDevice => Code::SameDevice,
        NotRehomed::MayBeThere => Code::DeviceNotLost,
        NotRehomed::Removing => Code::VaultRemoving,
        NotRehomed::KeyInTpm => Code::KeyInTpm,
        NotRehomed::MadeThere => Code::VaultMadeThere,
        NotRehomed::NameTaken => Code::VaultNameTaken,
        NotRehomed::Full => Code::DeviceFull,
    }
}
