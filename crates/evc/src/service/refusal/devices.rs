//! Why a device was refused.

use ::attest::KeyError;
use vault::ids::Name;
use wire::DecodeError;
use wire::envelope::EnvelopeError;
use wire::register::RegisterError;
use wire::release::SealError;

use super::Refusal;

/// A message that does not read: the device's software must be mended, or brought up to date.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Its envelope.
    Envelope(EnvelopeError),
    /// What is in it.
    Payload(DecodeError),
    /// A registration in it.
    Registration(RegisterError),
    /// Nothing can be sealed to the session that it names.
    Session(SealError),
    /// What it shows as its attestation key is none.
    AttestationKey(KeyError),
    /// A certificate in it.
    Certificate(Which),
}

/// Which of the certificates of a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// What it is signed with.
    Onboarding,
    /// What the device will sign with.
    Device,
}

/// A message that proves of no device that is known here, or may register, that it sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unproved {
    /// The key that it must be signed with did not sign it.
    Signature,
    /// It comes with another certificate than the one that it names.
    OtherCertificate,
    /// No device is registered with the certificate that it names.
    NoSuchCertificate,
    /// The device that it is from was removed by an operator.
    Removed,
    /// The device that it is from is not registered.
    NotRegistered,
    /// The device's certificate is not signed by the device's key.
    KeyNotShown,
}

/// What a device may not do, though it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Barred {
    /// To speak under another device's UUID.
    OthersPath,
    /// To report for another device.
    OthersReport,
    /// To show another certificate than the one that is pinned.
    Pinned {
        /// Of eve-api's `ZCertType`.
        kind: i32,
        /// The device's name.
        device: Name,
    },
    /// To show the one that an operator had forgotten.
    TakenOff {
        /// Of eve-api's `ZCertType`.
        kind: i32,
        /// The device's name.
        device: Name,
    },
    /// To put a bundle in escrow, while it is lost, or may be two: whoever has it would push out those that are there.
    Escrow {
        /// Its name.
        device: Name,
    },
    /// To show a TPM, after evidence without one.
    LateTpm {
        /// Its name.
        device: Name,
    },
}

/// Why a device that registers is not let in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotAdmitted {
    /// Its serial is not allowed with this onboarding certificate.
    Serial {
        /// The serial.
        serial: String,
    },
    /// A certificate is outside of its time.
    OutOfTime(Which),
    /// An operator removed it: it comes again only by its own serial.
    Removed {
        /// Its name then.
        name: Name,
        /// The serial that it comes again by.
        serial: String,
    },
    /// The allowance for any serial let in as many devices as one may.
    Full {
        /// So many.
        most: u64,
    },
    /// A device with another key used the serial.
    OthersSerial,
    /// It registered before, with another onboarding certificate or serial.
    RegisteredOtherwise,
    /// It made its certificate anew too often, or others from where it came did.
    TooOften {
        /// Within so many seconds.
        within_s: u64,
    },
    /// Another device has the name that it was to have.
    OthersName {
        /// The name.
        name: Name,
    },
}

/// A report of what is over: somebody sends it again, or the device is two.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// Another session followed its own.
    Session,
    /// One that is not older was taken.
    Report,
}

impl From<EnvelopeError> for Refusal {
    fn from(error: EnvelopeError) -> Self {
        Message::Envelope(error).into()
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        Message::Payload(error).into()
    }
}

impl From<RegisterError> for Refusal {
    fn from(error: RegisterError) -> Self {
        Message::Registration(error).into()
    }
}
