//! What devices are told.

use vault::text::Typed;

use super::Words;
use crate::service::{Barred, Message, NotAdmitted, Stale, Unproved, Which, chain};

const MEND_SOFTWARE: &str = "the device's software must be mended or brought up to date";
const SIGN: &str = "sign with the key of the certificate that is sent or was registered; a device that is not known here registers first";
const OTHER_TPM: &str =
    "if it got a TPM, or its TPM did not work when it was first started, register it as a new device";
const OTHER_KEY: &str = "give that device its key back (its TPM, or config/device.key.pem); if it is gone, this is another device: allow another serial with `evc onboard add`";

pub(super) fn message(message: &Message) -> Words {
    match message {
        Message::Envelope(error) => Words::new(chain(error), MEND_SOFTWARE),
        Message::Payload(error) => Words::new(chain(error), MEND_SOFTWARE),
        Message::Registration(error) => Words::new(chain(error), MEND_SOFTWARE),
        Message::Session(error) => Words::new(chain(error), MEND_SOFTWARE),
        Message::AttestationKey(error) => {
            Words::new(format!("the attestation key's public area: {}", chain(error)), MEND_SOFTWARE)
        }
        Message::Certificate(which) => {
            Words::new(format!("the {} certificate does not read", kind(*which)), "make a new one")
        }
    }
}

fn kind(which: Which) -> &'static str {
    match which {
        Which::Onboarding => "onboarding",
        Which::Device => "device",
    }
}

pub(super) fn unproved(unproved: Unproved) -> Words {
    let problem = match unproved {
        Unproved::Signature => "the signature does not verify",
        Unproved::OtherCertificate => "the certificate is not the one that is named",
        Unproved::NoSuchCertificate => "no device is registered with this certificate",
        Unproved::Removed => {
            "this device was removed at this controller; `evc onboard add` for its serial lets it register again"
        }
        Unproved::NotRegistered => "this device is not registered here",
        Unproved::KeyNotShown => "the device certificate is not signed by its own key",
    };
    Words::new(problem, SIGN)
}

pub(super) fn barred(barred: &Barred) -> Words {
    match barred {
        Barred::OthersPath => {
            Words::new("the UUID in the path is not this device's", "ask `/uuid` who you are")
        }
        Barred::OthersReport => Words::new(
            "the report is of another device than the one that signed it",
            "report for this device only",
        ),
        Barred::Pinned { kind, device } => Words::new(
            format!("another {} is pinned for this device, `{device}`", pinned(*kind)),
            format!(
                "if its TPM's keys were changed on purpose, and it still has its device key: `evc device repin {device:#} --confirm {device:#}`, by which the next that it shows is pinned; if its board was changed: `evc device lost {device:#}`, allow its new serial, and `evc rehome vault` for each vault with custody `controller`, before anything is deleted; what its former TPM had a part in opens nowhere; if nobody changed anything, somebody else has its key: `evc device lost {device:#}`"
            ),
        ),
        Barred::TakenOff { kind, device } => Words::new(
            format!("this {} of device `{device}` was taken off by an operator", pinned(*kind)),
            format!(
                "if it is the one that the device has after all: `evc device repin {device:#} --confirm {device:#}` once more; if it has another, that one is pinned when its node shows it"
            ),
        ),
        Barred::Escrow { device } => Words::new(
            format!(
                "device `{device}` is lost or may be two: what is in escrow of it stays, and nothing is added"
            ),
            format!(
                "once it is in good hands, and one: `evc device found {device:#}` and `evc device settle {device:#} --confirm {device:#}`; the node sends its bundle again by itself"
            ),
        ),
        Barred::LateTpm { device } => Words::new(
            format!("device `{device}` gave evidence without a TPM before, and shows one now"),
            OTHER_TPM,
        ),
    }
}

/// Of eve-api's `ZCertType`.
fn pinned(kind: i32) -> String {
    match kind {
        11 => "attestation key".into(),
        12 => "endorsement key".into(),
        kind => format!("certificate of type {kind}"),
    }
}

pub(super) fn not_admitted(cause: &NotAdmitted) -> Words {
    match cause {
        NotAdmitted::Serial { serial } => Words::new(
            format!("serial `{serial}` may not onboard with this certificate"),
            "allow it with `evc onboard add --cert FILE --serial SERIAL`",
        ),
        NotAdmitted::OutOfTime(which) => Words::new(
            format!("the {} certificate is not valid at this time", kind(*which)),
            "make a new one, and see that the clocks are right",
        ),
        NotAdmitted::Removed { name, serial } => Words::new(
            format!("this device, `{name}` then, was removed at this controller"),
            format!(
                "if it is to come back, allow it by its own serial: `evc onboard add --cert FILE --serial {:#}`",
                Typed(serial)
            ),
        ),
        NotAdmitted::Full { most } => Words::new(
            format!("{most} devices came in by this onboarding certificate's allowance for any serial"),
            "delete those that are none (`evc get devices`); or allow this one by its serial, or make another onboarding certificate",
        ),
        NotAdmitted::OthersSerial => Words::new(
            "this onboarding certificate and serial were used by a device with another key",
            OTHER_KEY,
        ),
        NotAdmitted::RegisteredOtherwise => Words::new(
            "this device is registered with another onboarding certificate or serial",
            "register it with those that were used first",
        ),
        NotAdmitted::TooOften { within_s } => Words::new(
            format!("new certificates of known devices came too often within {} minutes", within_s / 60),
            "see why the device loses its certificate; it may come again later, and is known by those that it had before",
        ),
        NotAdmitted::OthersName { name } => Words::new(
            format!("the name `{name}` that this device is to have is another device's"),
            format!(
                "if that one is gone, delete it (`evc delete device {name:#}`); else withdraw this allowance, and give it anew with another name"
            ),
        ),
    }
}

pub(super) fn stale(stale: Stale) -> Words {
    let problem = match stale {
        Stale::Session => "the report is of an earlier session",
        Stale::Report => "the report is not newer than one that was taken",
    };
    Words::new(problem, "send a new report, of the present session")
}
