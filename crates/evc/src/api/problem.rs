//! A refusal as it is told: a code for programs, words for people. A code means one thing for ever, and has one status, but for a document
//! of a file: that is told by the code of what is wrong with it, its place, and the status of a bad file.

use serde::{Deserialize, Serialize};

/// Why a request was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// What to do.
    pub advice: String,
    /// What it is, for a program.
    #[serde(default)]
    pub code: Code,
    /// What it is.
    pub error: String,
    /// Where in the file that was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<TextPosition>,
}

/// A place in a file, counted from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct TextPosition {
    /// The line.
    pub line: u64,
    /// The column.
    pub column: u64,
}

/// Writes [`Code`], its status and its list from one table.
macro_rules! codes {
    ($($status:literal { $($(#[$doc:meta])+ $code:ident),+ $(,)? })+) => {
        /// What a refusal is, for a program.
        #[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum Code {
            $($($(#[$doc])+ $code,)+)+
            /// One that this program does not know: the controller is of another version.
            #[default]
            #[serde(other)]
            Unknown,
        }

        impl Code {
            /// All that a controller of this version tells.
            pub const ALL: &'static [Self] = &[$($(Self::$code),+),+];

            /// The HTTP status that it comes with.
            #[must_use]
            pub fn status(self) -> u16 {
                match self {
                    $($(Self::$code)|+ => $status,)+
                    Self::Unknown => 500,
                }
            }
        }
    };
}

codes! {
    400 {
        /// A body ended before its end, or does not read.
        BodyUnreadable,
        /// A device's message does not read.
        MessageUnreadable,
        /// An operator's request is not of its form.
        RequestUnreadable,
        /// An operator's file does not read.
        FileInvalid,
    }
    401 {
        /// The signature does not verify, or is of another certificate than the one that is named.
        SignatureBad,
        /// No device is known here by this certificate.
        DeviceUnregistered,
        /// The device was removed by an operator.
        DeviceRemoved,
        /// The device's certificate is not signed by its own key.
        KeyNotShown,
        /// No operator's token, or none that is good here.
        TokenBad,
    }
    403 {
        /// What is said is of another device than the one that signed.
        OtherDevice,
        /// The serial may not onboard with this certificate.
        SerialNotAllowed,
        /// A certificate is outside of its time.
        CertificateOutOfTime,
        /// The device was removed by an operator, and comes again only by its own serial.
        ReturnNotAllowed,
        /// The allowance for any serial let in as many devices as one may.
        AllowanceFull,
        /// Another certificate of this kind is pinned.
        CertificatePinned,
        /// Nothing is put in escrow of a device that is lost or may be two.
        EscrowBarred,
        /// The device had no TPM, and shows one.
        TpmCameLate,
    }
    404 {
        /// No such device.
        DeviceUnknown,
        /// No such vault.
        VaultUnknown,
        /// No such policy.
        PolicyUnknown,
        /// No such reference value.
        ReferenceUnknown,
        /// The device's node reports no such orphan.
        OrphanUnknown,
        /// No bundle of that generation is in escrow.
        BundleUnknown,
        /// No such rule.
        RuleUnknown,
        /// No such allowance to onboard.
        AllowanceUnknown,
        /// No such path.
        PathUnknown,
    }
    405 {
        /// The path is not called by this method.
        MethodNotAllowed,
    }
    409 {
        /// It is there already.
        AlreadyThere,
        /// The serial was used by a device with another key.
        SerialTaken,
        /// The device registered with another certificate or serial.
        RegisteredOtherwise,
        /// The same was allowed with another name.
        AllowedOtherwise,
        /// The same was allowed elsewhere at this controller.
        AllowedElsewhere,
        /// A device has the name, or is to get it.
        DeviceNameTaken,
        /// A report is of what is over.
        ReportStale,
        /// The encryption of a vault can't be changed.
        EncryptionFixed,
        /// The policy can't be met on the device.
        PolicyUnfit,
        /// A vault or a rule names the policy.
        PolicyInUse,
        /// The device has vaults, whose keys would go with it.
        DeviceHasVaults,
        /// The device has a bundle in escrow, which would go with it.
        DeviceHasBundle,
        /// The reference value is of a boot that nothing measured.
        BootNotMeasured,
        /// The database is older than its nodes.
        DatabaseOlder,
        /// The bundle is the device's newest.
        BundleInForce,
        /// The bundle is of a generation that is over: nothing opens it any more.
        BundleOver,
        /// The challenge that a courier's file answers is over.
        CourierOver,
        /// The evidence in a courier's file is worth nothing.
        EvidenceRefused,
        /// No reference value is approved that a new one could be like.
        ReferenceUnlike,
        /// The device has as many vaults as it may have.
        DeviceFull,
        /// Another vault of the device has the name.
        VaultNameTaken,
        /// The vault is being removed.
        VaultRemoving,
        /// It can't be undone, and the name of what it is done to was said once.
        NotConfirmed,
        /// The vault left the list, and its keys are gone.
        VaultGone,
        /// The vault is listed here already.
        VaultListed,
        /// The controller has no key in the vault.
        NoControllerKey,
        /// The vault is at another epoch than was expected.
        EpochOtherwise,
        /// The node has not taken the newest epoch.
        EpochNotTaken,
        /// The node does not report the vault as missing.
        VaultNotMissing,
        /// The node never reported the vault as made.
        VaultNotMade,
        /// All that the node ever had is missing.
        DiskNotThere,
        /// The node has several orphans of the name.
        OrphanAmbiguous,
        /// The vault needs a key that this device has none of here.
        KeyForeign,
        /// Both devices are one.
        SameDevice,
        /// The old device is not marked as lost.
        DeviceNotLost,
        /// A part of the vault's key is in the old device's TPM.
        KeyInTpm,
        /// The new device has made the vault itself.
        VaultMadeThere,
        /// The device is marked as lost, or may be two.
        DeviceBarred,
        /// No session of the device's whose evidence is good has said so.
        EvidenceAbsent,
        /// The device's node holds to another identity than the one that was named, or to the one that it has.
        IdentityOtherwise,
        /// Another device has the identity here, or one of which something is kept.
        IdentityTaken,
        /// The device's node has a vault open that the next list would lock for good.
        VaultStillOpen,
    }
    413 {
        /// The body is longer than what is taken.
        BodyTooLong,
    }
    500 {
        /// The controller's keys can't be used.
        KeysUnusable,
        /// The database failed.
        DatabaseFailed,
        /// A row of the database does not read back, that the answer depends on.
        DatabaseDamaged,
        /// A file of the database is gone, or another one, under the running controller.
        DatabaseMoved,
        /// The disk of the database is full, can't be written, or fails.
        DiskFailed,
        /// The controller failed otherwise.
        Failed,
    }
    503 {
        /// Busy: the same may succeed soon.
        Busy,
        /// It took too long: the same may succeed soon.
        TookTooLong,
        /// Known devices made their certificates anew too often: the same may succeed later.
        CertifiedTooOften,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(code: Code) -> String {
        serde_json::to_string(&code).expect("a word")
    }

    /// Programs know a code by its word: no two have one, and each reads back as itself.
    #[test]
    fn each_code_has_a_word_of_its_own() {
        let words: std::collections::HashSet<String> = Code::ALL.iter().map(|code| word(*code)).collect();
        assert_eq!(words.len(), Code::ALL.len());
        for code in Code::ALL {
            assert_eq!(serde_json::from_str::<Code>(&word(*code)).ok(), Some(*code));
        }
        assert_eq!(word(Code::EpochNotTaken), r#""epoch-not-taken""#);
    }

    /// A controller of another version is understood as far as it goes: its words are shown whatever its code is.
    #[test]
    fn a_code_of_another_version_takes_no_words_away() {
        for told in [
            r#"{"error":"no","advice":"do","code":"of-tomorrow","more":1}"#,
            r#"{"error":"no","advice":"do"}"#,
        ] {
            let problem: Problem = serde_json::from_str(told).expect("read");
            assert_eq!((problem.code, &*problem.error, &*problem.advice), (Code::Unknown, "no", "do"));
        }
    }
}
